"""Where the run is that a command is to go on with, or to follow."""

import os
import shlex
from pathlib import Path

from somaflow.errors import StoreError
from somaflow.storage.folder import METADATA, SUFFIX, beside, is_address


def find(place: str) -> str:
    """Return the path of a run's store.

    Args:
        place: The store, the folder `.run` beside it, or a folder that holds one such pair.

    Raises:
        StoreError: There is no run, or there are several.
    """
    store = (place.rstrip("/") or place).removesuffix(SUFFIX)
    if beside(store).exists():
        return store
    if is_address(place):
        raise StoreError(f"there is no run at {place}: {beside(store)} is not there.")
    folder = Path(place)
    if not folder.is_dir():
        raise StoreError(f"{place} is not there, or is not a folder.")
    if (folder / METADATA).exists():
        raise StoreError(
            f"{place} holds results, but {beside(store)}, which tells how they were made, is not "
            "beside it."
        )
    stores = _stores(folder)
    if not stores:
        raise StoreError(
            f"{place} holds no run. A run is a store such as {folder / 'antennal-lobe.zarr'}, and "
            f"beside it a folder of the same name with {SUFFIX} at the end."
        )
    if len(stores) > 1:
        lines = "".join(f"\n  {store}" for store in stores)
        raise StoreError(f"{place} holds {len(stores)} runs; name one of them:{lines}")
    return str(stores[0])


def command(name: str, store: str | Path) -> str:
    """Return what to type for a run: its folder where that holds no other, else its store.

    Args:
        name: Of the command, such as `resume`.
        store: The store of the run.
    """
    path, parent = str(store), Path(store).parent
    if not is_address(path) and parent != Path() and len(_stores(parent)) == 1:
        path = str(parent)
    return f"somaflow {name} {shlex.quote(path)}"


def _stores(folder: Path) -> list[Path]:
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(
        folder / name.removesuffix(SUFFIX)
        for name in names
        if name.endswith(SUFFIX) and (folder / name).is_dir()
    )
