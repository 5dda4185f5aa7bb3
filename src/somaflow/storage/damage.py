"""Damage: what in a store is not what a run has written to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr

from somaflow.errors import StoreError
from somaflow.given import parsed
from somaflow.notation import Json
from somaflow.simulation.system import Array
from somaflow.storage.folder import METADATA, Folder
from somaflow.storage.growing import Growing
from somaflow.storage.layout import ArrayLayout
from somaflow.storage.ownership import attributes_of

FOREIGN = "the store is of another run, or was changed"


class Damage(NamedTuple):
    """Something in a store that is not what was written.

    Attributes:
        array: In which array; empty for the store itself.
        chunk: In which of its chunks, or None.
        wrong: What is wrong.
        mendable: Whether what is right is known elsewhere.
        rows: The rows of that chunk, the second one being past its end.
    """

    array: str
    chunk: int | None
    wrong: str
    mendable: bool = True
    rows: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        begin, end = self.rows
        rows = f" (rows {begin:,} to {end - 1:,})" if end else ""
        chunk = "" if self.chunk is None else f", chunk {self.chunk}{rows}"
        return f"{self.array}{chunk}: {self.wrong}" if self.array else self.wrong


def of_store(
    store: Folder,
    layouts: list[ArrayLayout],
    told: dict[str, Json],
    cursors: dict[str, Array],
    *,
    ended: bool,
) -> list[Damage]:
    """Return all that is not as it should be, in a local folder; nothing is written.

    Args:
        store: The store.
        layouts: Its arrays.
        told: What it should say of itself.
        cursors: How far each array is.
        ended: Whether that is all of the run.
    """
    damage, there = [], attributes_of(store)
    if _is_folder(store, METADATA):
        damage.append(Damage("", None, f"{METADATA} is a folder; move it", False))
    elif there is None:
        damage.append(Damage("", None, "what the store says of itself is missing or damaged"))
    elif names := differing(there, told):
        damage.append(Damage("", None, f"{FOREIGN}: {', '.join(names)} differ", False))
    for layout in layouts:
        damage += _of_array(store, layout, cursors, ended=ended)
    return damage


def _of_array(
    store: Folder, layout: ArrayLayout, cursors: dict[str, Array], *, ended: bool
) -> list[Damage]:
    damage = []
    if _is_folder(store, f"{layout.name}/{METADATA}"):
        return [Damage(layout.name, None, f"its {METADATA} is a folder; move it", False)]
    if agrees(store, layout):
        array = zarr.open_array(f"{store}/{layout.name}", mode="r")
    else:
        damage.append(Damage(layout.name, None, "its metadata are missing or damaged"))
        array = None
    if layout.values is not None:
        if array is not None and not holds(array, layout.values):
            damage.append(Damage(layout.name, 0, "is missing or damaged"))
        return damage
    if array is None:  # its chunks can be looked at all the same
        array = layout.create(zarr.create_group({}, zarr_format=3))
    part = Growing(store.place, layout.name, array, layout.rows, layout.known)
    part.done, tail, checksums = cursors_of(cursors, layout.name)
    chunk, mendable = layout.chunks[0], layout.known is not None
    damage += [
        Damage(layout.name, k, why, mendable, (k * chunk, (k + 1) * chunk))
        for k, why in part.damage(checksums).items()
    ]
    # The checkpoint holds the rows behind them; until the end nobody counts on those in the store.
    if ended and not damage and (wrong := part.wrong_end(tail)):
        damage.append(Damage(layout.name, len(checksums), wrong))
    return damage


def torn(store: Folder, layouts: list[ArrayLayout], told: dict[str, Json]) -> set[str]:
    """Return the arrays whose metadata are damaged, and "" if those of the store itself are.

    Since version 3.1, Zarr replaces files as a whole; a disk can fail in spite of it.

    Args:
        store: The store, in a local folder.
        layouts: Its arrays.
        told: What it should say of itself.

    Raises:
        FileNotFoundError: There is no such folder.
        StoreError: It is of another run, or of another program.
    """
    if not store.exists():
        raise FileNotFoundError(f"{store} is missing")
    there = attributes_of(store)
    refuse_another(store, there, told)
    wrong = {layout.name for layout in layouts if not agrees(store, layout)}
    if there is not None:
        return wrong
    # The store does not say whose it is. Of a run's own, a disk has damaged that beyond reading.
    foreign = [name for name in ("", *wrong) if _is_readable(store, f"{name}/{METADATA}")]
    if foreign:
        raise StoreError(
            f"{store} is not the store of this run: what stands in "
            f"{foreign[0] or 'it'}{'/' if foreign[0] else ', in '}{METADATA} was not written by it."
        )
    return {"", *wrong}


def refuse_another(
    store: Folder | str | Path, there: Mapping[str, Json] | None, told: Mapping[str, Json]
) -> None:
    """Refuse the store of another run.

    Args:
        store: Where it is.
        there: What it says of itself, or None.
        told: What it should say.

    Raises:
        StoreError: So it is.
    """
    if there is not None and (names := differing(there, told)):
        raise StoreError(
            f"{store} is the store of another run, or was changed: {', '.join(names)} differ from "
            "what its run has written, as the folder beside it tells."
        )


def _is_folder(store: Folder, name: str) -> bool:
    path = store.local(name)
    return path is not None and path.is_dir()


def _is_readable(store: Folder, name: str) -> bool:
    """Return whether a file holds JSON of whatever kind."""
    try:
        return isinstance(parsed(store.read(name.lstrip("/"))), dict)
    except (OSError, ValueError):
        return False


def cursors_of(cursors: dict[str, Array], name: str) -> tuple[int, Array, Array]:
    """Return of one array its rows in whole chunks, what waits behind, and their checksums."""
    return int(cursors[f"{name}/rows"]), cursors[f"{name}/tail"], cursors[f"{name}/checksums"]


def holds(array: zarr.Array, values: Array) -> bool:
    """Return whether an array has just these values; False too where it cannot be read."""
    try:
        return np.array_equal(array[...], values)
    except Exception:  # each codec has errors of its own
        return False


def agrees(store: Folder, layout: ArrayLayout) -> bool:
    """Return whether the metadata of an array in a store are what they should be."""
    try:
        return layout.agrees(store.read(f"{layout.name}/{METADATA}"))
    except OSError:
        return False


def differing(there: Mapping[str, Json], here: Mapping[str, Json]) -> list[str]:
    """Return the names of what two stores say of themselves, and should be one in both."""
    # These change where a run is made longer or goes on elsewhere.
    names = (there.keys() | here.keys()) - {"duration_ms", "statistics", "not_exact"}
    return sorted(name for name in names if there.get(name) != here.get(name))
