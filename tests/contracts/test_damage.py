"""Of a damaged run one gets what was written or an error of ours, and never anything else."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import SomaflowError, StoreError
from somaflow.simulation import chunks
from somaflow.storage import store
from somaflow.storage.folder import beside
from somaflow.units import ms

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_chunks")]


@pytest.fixture(autouse=True)
def few_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each array two or three chunks, so that every file can be damaged in turn."""
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 100)
    monkeypatch.setattr(store, "CHUNK_BYTES", 900)


def copied(origin: Path, folder: Path) -> Path:
    path = folder / "a.zarr"
    shutil.copytree(origin, path)
    shutil.copytree(str(beside(origin)), str(beside(path)))
    return path


def values_of(run: sf.Solution) -> dict[str, Any]:
    found: dict[str, Any] = {key: run[key] for key in run if not key.endswith("spikes")}
    times, cells = run["lif.spikes"].times, run["lif.spikes"].cells
    return found | {"times": np.asarray(times), "cells": np.asarray(cells)}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(np.asarray(one[key]), np.asarray(other[key]), equal_nan=True) for key in one
    )


# ------------------------------------------------------------------------- ways to damage a file


def flipped(file: Path, _: Path) -> None:
    data = bytearray(file.read_bytes())
    if data:
        data[len(data) // 2] ^= 4
    file.write_bytes(data)


def flipped_early(file: Path, _: Path) -> None:
    data = bytearray(file.read_bytes())
    if data:
        data[min(9, len(data) - 1)] ^= 1
    file.write_bytes(data)


def truncated(file: Path, _: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def emptied(file: Path, _: Path) -> None:
    file.write_bytes(b"")


def removed(file: Path, _: Path) -> None:
    file.unlink()


def a_folder(file: Path, _: Path) -> None:
    file.unlink()
    file.mkdir()


def exchanged(file: Path, other: Path) -> None:
    """Put the file of a run with another seed in its place."""
    if other.is_file():
        shutil.copy(other, file)


def nonsense(file: Path, _: Path) -> None:
    file.write_bytes(b"[" * 100_000)


WAYS = (flipped, flipped_early, truncated, emptied, removed, a_folder, exchanged, nonsense)


@pytest.fixture(scope="module")
def _made() -> dict[str, Any]:
    return {}


@pytest.fixture
def origins(
    _made: dict[str, Any], small: Any, stopping: Callable,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:  # fmt: skip
    """A finished and a stopped run, the same of another seed, and what is right."""
    if not _made:
        folder = tmp_path_factory.mktemp("origins")
        for seed in (9, 10):
            run = small(seed=seed, sink=folder / f"finished-{seed}", checkpoint=20 * ms)
            with pytest.raises(InterruptedError):
                small(
                    seed=seed, sink=folder / f"stopped-{seed}", checkpoint=20 * ms,
                    progress=stopping(45),
                )  # fmt: skip
            if seed == 9:
                _made["right"] = values_of(run)
        _made["folder"] = folder
    return _made


def files_of(path: Path) -> list[str]:
    places = (path, Path(str(beside(path))))
    return sorted(
        str(file.relative_to(path.parent)) for place in places for file in place.rglob("*")
        if file.is_file()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "damage"),
    # What can still be read may be wrong without a word, so it is looked at in both.
    [
        *(("finished", way) for way in (flipped, exchanged, truncated, removed)),
        *(("stopped", way) for way in WAYS if way not in (truncated, removed)),
    ],
    ids=lambda given: getattr(given, "__name__", given),
)
@pytest.mark.filterwarnings("ignore:checkpoint-.*is used:UserWarning")
def test_what_a_damaged_run_gives_is_right_or_an_error_of_ours(
    kind: str, damage: Callable, origins: dict[str, Any], tmp_path: Path
) -> None:
    mine, other = (origins["folder"] / f"{kind}-{seed}" for seed in (9, 10))
    wrong = []
    files = files_of(mine)
    assert len(files) > 25
    for k, name in enumerate(files):
        path = copied(mine, tmp_path / f"{k}")
        file = path.parent / name.replace(mine.name, path.name)
        damage(file, other.parent / name.replace(mine.name, other.name))
        try:
            if not same(values_of(sf.resume(path, progress=False)), origins["right"]):
                wrong.append(f"{name}: wrong data")
        except SomaflowError as error:
            assert str(error)
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
        shutil.rmtree(path.parent)
    assert wrong == []


@pytest.mark.parametrize("kind", ["finished", "stopped"])
def test_a_folder_beside_the_store_of_another_seed_is_found(
    kind: str, origins: dict[str, Any], tmp_path: Path
) -> None:
    path = copied(origins["folder"] / f"{kind}-9", tmp_path / "a")
    shutil.rmtree(str(beside(path)))
    shutil.copytree(str(beside(origins["folder"] / f"{kind}-10")), str(beside(path)))
    with pytest.raises(StoreError, match=r"store of another run, or was changed: seed differ"):
        sf.resume(path, progress=False)
    found = sf.check(path, repair=True)
    assert not found.sound
    assert "that belong to one run" in str(found)


@pytest.mark.parametrize("damage", [flipped, truncated, removed, exchanged, a_folder])
def test_damage_is_named_when_it_is_read(
    damage: Callable, small: Any, origins: dict[str, Any], tmp_path: Path
) -> None:
    run = small(sink=tmp_path / "a.zarr")
    damage(tmp_path / "a.zarr/lif.v/c/1/0", origins["folder"] / "finished-10/lif.v/c/1/0")
    with pytest.raises(StoreError, match=r"chunk 1 of lif\.v \(rows 28 to 55\) .*somaflow check"):
        run["lif.v"]
    assert run["lif.spikes"].times.size


# ------------------------------------------------------------------------------ check and repair


def test_a_whole_run_is_said_to_be_whole(origins: dict[str, Any], tmp_path: Path) -> None:
    for kind in ("finished", "stopped"):
        path = copied(origins["folder"] / f"{kind}-9", tmp_path / kind)
        before = {name: (path.parent / name).read_bytes() for name in files_of(path)}
        found = sf.check(path)
        assert found.sound
        assert str(found) == f"{path}: whole"
        assert sf.check(path, repair=True).sound
        assert before == {name: (path.parent / name).read_bytes() for name in files_of(path)}


def test_samples_behind_an_older_checkpoint_are_computed_again(
    origins: dict[str, Any], tmp_path: Path, bytes_of: Callable
) -> None:
    path = copied(origins["folder"] / "finished-9", tmp_path / "a")
    whole = bytes_of(path)
    last = sorted((path / "lif.v" / "c").iterdir(), key=lambda entry: int(entry.name))[-2] / "0"
    flipped(last, last)
    assert bytes_of(path) != whole
    found = sf.check(path)
    assert f"lif.v, chunk {last.parent.name} (rows" in str(found)
    assert "(--repair) the checkpoints after 40 ms are removed" in found.advice
    found = sf.check(path, repair=True)
    assert "checkpoint-000000000600 was removed." in found.mended
    sf.resume(path, progress=False)
    assert bytes_of(path) == whole
    assert sf.check(path).sound


@pytest.mark.parametrize(
    "name", ["lif.v.time/c/0", "lif.v.cell/c/0", "lif.v/zarr.json", "zarr.json", "lif.v.time/c/1"]
)
def test_what_follows_from_the_run_is_mended(
    name: str, origins: dict[str, Any], tmp_path: Path, bytes_of: Callable
) -> None:
    path = copied(origins["folder"] / "finished-9", tmp_path / "a")
    whole = bytes_of(path)
    truncated(path / name, path)
    assert not sf.check(path).sound
    assert sf.check(path, repair=True).sound
    assert bytes_of(path) == whole


def test_damage_before_all_checkpoints_is_told_and_nothing_is_removed(
    origins: dict[str, Any], tmp_path: Path
) -> None:
    path = copied(origins["folder"] / "finished-9", tmp_path / "a")
    flipped(path / "lif.v/c/0/0", path)
    before = beside(path).names()
    found = sf.check(path, repair=True)
    assert "lif.v, chunk 0 (rows 0 to 27): is damaged" in found.damage
    assert "No checkpoint lies before the damage" in found.advice
    assert beside(path).names() == before
    with pytest.raises(StoreError, match=r"chunk 0 of lif\.v"):
        sf.resume(path, progress=False)
