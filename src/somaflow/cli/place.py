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
    found = _stores(folder)
    if not found:
        raise StoreError(
            f"{place} holds no run. A run is a store such as {folder / 'antennal-lobe.zarr'}, and "
            f"beside it a folder of the same name with {SUFFIX} at the end."
        )
    if len(found) > 1:
        listed = "".join(f"\n  {store}" for store in found)
        raise StoreError(f"{place} holds {len(found)} runs; name one of them:{listed}")
    return str(found[0])


def command(name: str, store: str | Path) -> str:
    """Return what to type for a run: its folder where that holds no other, else its store.

    Args:
        name: Of the command, such as `resume`.
        store: The store of the run.
    """
    shown, parent = str(store), Path(store).parent
    if not is_address(shown) and parent != Path() and len(_stores(parent)) == 1:
        shown = str(parent)
    return f"somaflow {name} {shlex.quote(shown)}"


def _stores(folder: Path) -> list[Path]:
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(
        folder / name.removesuffix(SUFFIX)
        for name in names
        if name.endswith(SUFFIX) and (folder / name).is_dir()
    )
