"""Nothing that a run has not written is ever removed, replaced or written over."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import somaflow as sf
from somaflow.errors import StoreError
from somaflow.storage.folder import beside
from somaflow.units import ms

pytestmark = pytest.mark.usefixtures("many_chunks")


def everything(folder: Path) -> dict[str, Any]:
    """Return all that lies below a folder: bytes of files, targets of links, None for folders."""
    found: dict[str, Any] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture
def refused(small: Any, tmp_path: Path) -> Callable[..., None]:
    """Return what asks for a run, expects a refusal, and that nothing was touched."""

    def check(match: str, *names: str, overwrite: tuple[bool, ...] = (False, True)) -> None:
        before = everything(tmp_path)
        for allowed in overwrite:
            with pytest.raises(StoreError, match=match) as caught:
                small(20, sink=sf.ZarrSink(tmp_path / "foo", overwrite=allowed))
            for name in names:
                assert name in str(caught.value)
            assert everything(tmp_path) == before

    return check


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """The store `foo` of a finished run."""
    path = tmp_path / "foo"
    shutil.copytree(whole, path)
    shutil.copytree(str(beside(whole)), str(beside(path)))
    return path


# ------------------------------------------------------------------- the folder beside a store


@pytest.mark.parametrize("name", ["thesis.txt", "a/b.txt", "checkpoint-notes.txt", "a/", "lock"])
def test_a_folder_of_somebody_else_beside_the_store_is_refused(
    name: str, refused: Callable, tmp_path: Path
) -> None:
    mine = tmp_path / "foo.run" / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.mkdir() if name.endswith("/") else mine.write_text("mine")
    refused("holds what no run has written", name.partition("/")[0])


@pytest.mark.parametrize("name", ["thesis.txt", "checkpoint-notes.txt", "figures/"])
def test_a_file_of_the_user_beside_a_run_is_refused_and_named(
    name: str, refused: Callable, finished: Path
) -> None:
    mine = Path(str(beside(finished))) / name
    mine.mkdir() if name.endswith("/") else mine.write_text("mine")
    refused("holds what no run has written", name, overwrite=(True,))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', '{"meta": 3, "format": 1}'])
def test_a_folder_that_does_not_say_of_which_run_it_is_is_refused(
    text: str, refused: Callable, finished: Path
) -> None:
    beside(finished).write("run.json", text.encode())
    refused("nothing in .* says of which run it is", overwrite=(True,))


def test_a_file_or_a_link_in_the_place_of_the_folder_is_refused(
    refused: Callable, tmp_path: Path
) -> None:
    place = tmp_path / "foo.run"
    place.write_text("mine")
    refused("is a link or no folder")
    place.unlink()
    (tmp_path / "elsewhere").mkdir()
    for target in ("elsewhere", "nowhere"):
        place.symlink_to(tmp_path / target)
        refused("is a link or no folder")
        place.unlink()


def test_checkpoints_of_a_store_that_was_moved_away_stay(
    small: Any, refused: Callable, finished: Path, tmp_path: Path, whole: Path, bytes_of: Callable
) -> None:
    finished.rename(tmp_path / "moved")
    refused("checkpoints of a run whose store is not at", "overwrite=True", overwrite=(False,))
    (tmp_path / "moved").rename(finished)
    sf.resume(finished, progress=False)
    assert bytes_of(finished) == bytes_of(whole)
    finished.rename(tmp_path / "moved")
    small(20, sink=sf.ZarrSink(finished, overwrite=True))
    assert beside(finished).names()[:2] == ["checkpoint-000000000000", "checkpoint-000000000200"]


def test_what_a_resume_does_not_know_stays(stopped: Path, whole: Path, bytes_of: Callable) -> None:
    mine = [
        stopped / "notes.txt",
        stopped / "lif.v" / "mine.partial",
        Path(str(beside(stopped))) / "mine.partial",
        Path(str(beside(stopped))) / "checkpoint-notes.txt",
    ]
    for path in mine:
        path.write_text("mine")
    sf.resume(stopped, progress=False)
    for path in mine:
        assert path.read_text() == "mine"
        path.unlink()
    assert bytes_of(stopped) == bytes_of(whole)


# ----------------------------------------------------------------------------------- the store


def test_the_store_of_another_program_is_never_replaced(refused: Callable, tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "foo", mode="w", zarr_format=3, attributes={"mine": 1})
    group.create_array("data", data=np.arange(10))
    refused("not a results store", overwrite=(True,))
    shutil.rmtree(tmp_path / "foo")
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_zarr(tmp_path / "foo", consolidated=False)
    refused("not a results store", overwrite=(True,))


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "figures/a.png", "lif.v/notes.txt", "lif.v/c/notes.txt", "lif.v/c/0/notes.txt",
     "analysis/zarr.json", "lif.v/c/0x/0", "empty/", "zarr.json.bak"],
)  # fmt: skip
def test_what_the_user_put_into_a_store_makes_the_refusal(
    name: str, refused: Callable, finished: Path
) -> None:
    mine = finished / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.mkdir() if name.endswith("/") else mine.write_text("mine")
    refused("holds what its run has not written", name.split("/")[-2 if name[-1] == "/" else -1],
            overwrite=(True,))  # fmt: skip


def test_a_link_into_a_store_is_not_followed(
    refused: Callable, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0").write_text("mine")
    (finished / "lif.v" / "c" / "99").symlink_to(tmp_path / "data")
    refused("holds what its run has not written", "lif.v/c/99", overwrite=(True,))


def test_a_run_of_ours_is_replaced(small: Any, finished: Path, bytes_of: Callable) -> None:
    small(20, sink=sf.ZarrSink(finished, overwrite=True))
    wanted = finished.with_name("new")
    small(20, sink=wanted)
    assert bytes_of(finished) == bytes_of(wanted)


def test_a_resume_from_the_beginning_replaces_no_other_store(
    small: Any, finished: Path, tmp_path: Path, stopping: Callable, bytes_of: Callable
) -> None:
    path = tmp_path / "b"
    with pytest.raises(InterruptedError):
        small(seed=4, sink=path, progress=stopping(10))
    assert [name for name in beside(path).names() if name.startswith("check")] == [
        "checkpoint-000000000000"
    ]
    shutil.rmtree(path)
    shutil.copytree(finished, path)
    before = bytes_of(path)
    with pytest.raises(StoreError, match="is the store of another run"):
        sf.resume(path, progress=False)
    assert bytes_of(path) == before
    shutil.rmtree(path)
    sf.resume(path, progress=False)
    assert json.loads((path / "zarr.json").read_text())["attributes"]["seed"] == 4


# ---------------------------------------------------------------------------------- odd places


def test_a_link_is_refused_before_anything_is_touched(
    refused: Callable, finished: Path, tmp_path: Path
) -> None:
    finished.rename(tmp_path / "real")
    beside(finished)
    for target in ("real", "nowhere", "foo.run"):
        (tmp_path / "foo").symlink_to(tmp_path / target)
        refused("is a symbolic link to", str(tmp_path / target))
        with pytest.raises(StoreError, match="is a symbolic link to"):
            sf.resume(tmp_path / "foo")
        (tmp_path / "foo").unlink()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("foo://x/y", "foo://x/y.* cannot be opened: Protocol not known"),
        ("a://", "an address without a place"),
        ("s3://bucket/a.zarr", "cannot be opened: Install s3fs"),
        ("x" * 256, "has 256 bytes, and a file system takes 255"),
        ("x" * 252, r"has 256 bytes.*a store needs 4 fewer"),
        ("/".join(["x" * 200] * 21), "bytes, and a file system takes 4,096"),
        ("a\0b", "holds a NUL character"),
        ("", "it is empty"),
    ],
)
def test_a_place_that_cannot_be_has_one_sentence_and_leaves_no_folder(
    path: str, message: str, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for attempt in (lambda: small(20, sink=path), lambda: sf.resume(path, 5 * ms)):
        with pytest.raises(StoreError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
