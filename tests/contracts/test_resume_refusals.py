"""What cannot go on is refused, and says what differs; nothing is touched."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zarr

import somaflow as sf
from somaflow import run
from somaflow.errors import RunError, StoreError, WrongTypeError
from somaflow.running import execution, logbook
from somaflow.storage import checkpoint, store
from somaflow.storage.folder import Folder, beside
from somaflow.units import ms, mV

pytestmark = pytest.mark.usefixtures("many_chunks")


def changed(path: Path, **header: Any) -> None:
    """Change what the newest checkpoint tells of itself."""
    found, _ = checkpoint.newest(beside(path))
    checkpoint.save(
        beside(path), checkpoint.Checkpoint(found.step, found.header | header, found.arrays)
    )


def test_a_checkpoint_of_another_format_is_refused(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = checkpoint.newest(beside(stopped))
    other = checkpoint.FORMAT + 1
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", other)
        checkpoint.save(beside(stopped), found)
    wanted = f"has format {other}; this version reads format {checkpoint.FORMAT}"
    with pytest.raises(StoreError, match=wanted):
        sf.resume(stopped)


def test_a_run_of_another_format_is_refused(stopped: Path) -> None:
    told = json.loads(beside(stopped).read("run.json"))
    beside(stopped).write("run.json", json.dumps(told | {"format": 3}).encode())
    with pytest.raises(StoreError, match=r"run\.json has format 3; this version reads format 1"):
        sf.resume(stopped)
    beside(stopped).write("run.json", json.dumps(told)[:-200].encode())
    with pytest.raises(StoreError, match=r"run\.json cannot be read"):
        sf.resume(stopped)
    beside(stopped).write("run.json", b"[]")
    with pytest.raises(StoreError, match=r"run\.json is not what this version writes"):
        sf.resume(stopped)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"dtype": "float32"}, "its dtype is float32, and here it is float64"),
        ({"dt_ms": 0.05}, r"its dt in ms is 0\.05, and here it is 0\.1"),
        ({"record": ["lif.v"]}, r"its recordings is \['lif\.v'\], and here it is \['lif\.v', 'l"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    header: dict, message: str, stopped: Path, bytes_of: Callable
) -> None:
    changed(stopped, **header)
    before = bytes_of(stopped)
    with pytest.raises(StoreError, match=message):
        sf.resume(stopped)
    assert bytes_of(stopped) == before


def test_a_checkpoint_of_another_network_is_refused_with_what_differs(
    stopped: Path, small: Any, tmp_path: Path
) -> None:
    cells = sf.Population("lif", 5, sf.load("lif"), refractory=2 * ms)
    other = tmp_path / "other.zarr"
    kept = checkpoint.names(beside(stopped))[-1]
    steps = checkpoint.step_of(kept)
    sf.simulate(
        sf.Network(cells), 0.1 * steps, dt=0.1, record=[cells["v"]], sink=other, progress=False
    )
    beside(stopped).write(kept, beside(other).read(kept))
    with pytest.raises(StoreError, match="the checkpoint is of another network") as caught:
        sf.resume(stopped)
    assert "lif" in str(caught.value)
    assert "refractory" in str(caught.value)


def test_a_store_of_another_run_is_not_touched(
    stopped: Path, small: Any, tmp_path: Path, bytes_of: Callable
) -> None:
    other = tmp_path / "other.zarr"
    cells = sf.Population("lif", 4, sf.load("lif"), refractory=2 * ms)
    record = [sf.Recorder("lif", "v").every(0.3 * ms)]
    sf.simulate(sf.Network(cells), 1, dt=0.1, record=record, sink=other, progress=False)
    shutil.rmtree(stopped)
    shutil.copytree(other, stopped)
    before = bytes_of(stopped)
    with pytest.raises(StoreError, match="the store of another run"):
        sf.resume(stopped)
    for name in set(bytes_of(tmp_path / "other.zarr")):
        assert before[name] == bytes_of(stopped)[name]


def test_a_store_of_other_numbers_is_not_touched(
    stopped: Path, small: Any, tmp_path: Path, bytes_of: Callable
) -> None:
    """The same arrays, and another seed."""
    other = tmp_path / "other.zarr"
    small(5, sink=other, initial={"lif": {"v": -60 * mV}})
    shutil.rmtree(stopped)
    shutil.copytree(other, stopped)
    with pytest.raises(StoreError, match="is the store of another run"):
        sf.resume(stopped)
    assert bytes_of(stopped) == bytes_of(other)


def test_a_store_that_was_moved_alone_is_refused(stopped: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "b.zarr"
    moved.parent.mkdir()
    shutil.move(stopped, moved)
    with pytest.raises(StoreError, match=r"no run to resume at .*b\.zarr\.run/run\.json.*both"):
        sf.resume(moved)
    with pytest.raises(StoreError, match="is not the store of this run"):
        sf.resume(stopped)
    assert not stopped.exists()


def test_a_store_that_was_moved_with_what_lies_beside_it_goes_on(
    stopped: Path, whole: Path, tmp_path: Path, bytes_of: Callable
) -> None:
    moved = tmp_path / "b.zarr"
    shutil.move(stopped, moved)
    shutil.move(str(beside(stopped)), str(beside(moved)))
    sf.resume(moved, progress=False)
    assert bytes_of(moved) == bytes_of(whole)


def test_nonsense_is_refused(stopped: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run to resume"):
        sf.resume(tmp_path / "never.zarr")
    assert not (tmp_path / "never.zarr").exists()
    for wrong in ({"path": 3}, {"exact": 1}, {"progress": None}, {"progress": "yes"}):
        with pytest.raises(WrongTypeError):
            sf.resume(**{"path": stopped} | wrong)
    with pytest.raises(RunError, match=r"duration is 60\.05 ms"):
        sf.resume(stopped, 60.05 * ms)
    with pytest.raises(WrongTypeError):
        sf.resume(stopped, "long")


# ------------------------------------------------------------------------- versions


def pretend(patch: pytest.MonkeyPatch, **versions: str) -> None:
    plain = logbook.made_with()
    for module in (execution, logbook, run):
        patch.setattr(module, "made_with", lambda: plain | versions)


def test_another_version_is_named_and_refused_unless_it_is_accepted(
    stopped: Path, whole: Path, bytes_of: Callable, stopping: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plain, before = logbook.made_with(), bytes_of(stopped)
    with monkeypatch.context() as patch:
        pretend(patch, tensorflow="99.0", processor="abacus")
        with pytest.raises(RunError, match=r"tensorflow was 2\S* and is 99\.0; ") as caught:
            sf.resume(stopped)
        assert "processor was" in str(caught.value)
        assert "exact=False (--not-exact)" in str(caught.value)
        assert bytes_of(stopped) == before
        # Stopped before its first checkpoint, it begins at 32 ms again.
        for _ in range(2):
            with pytest.raises(InterruptedError):
                sf.resume(stopped, exact=False, progress=stopping(36))
        with pytest.raises(InterruptedError):
            sf.resume(stopped, exact=False, progress=stopping(42))
    with pytest.raises(RunError, match=r"tensorflow was 99\.0 and is"):
        sf.resume(stopped)
    sf.resume(stopped, exact=False, progress=False)
    told = zarr.open_group(stopped, mode="r").attrs["not_exact"]
    assert [part["from_ms"] for part in told] == [32, 40]
    assert told[0]["now"] == {"tensorflow": "99.0", "processor": "abacus"}
    assert told[0]["was"] == told[1]["now"]
    assert told[0]["was"] == {name: plain[name] for name in ("tensorflow", "processor")}
    found = bytes_of(stopped)
    assert {name for name in found if found[name] != bytes_of(whole).get(name)} == {"zarr.json"}


def test_what_is_made_again_as_it_began_is_exact(
    stopped: Path, whole: Path, bytes_of: Callable, stopping: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        pretend(patch, numpy="0.1")
        with pytest.raises(InterruptedError):
            sf.resume(stopped, exact=False, progress=stopping(36))
    assert "not_exact" in zarr.open_group(stopped, mode="r").attrs
    sf.resume(stopped, progress=False)
    assert bytes_of(stopped) == bytes_of(whole)


# ------------------------------------------------------------------------ overwriting


def test_a_store_that_holds_a_run_is_kept_and_resume_is_offered(
    small: Any, stopped: Path, bytes_of: Callable
) -> None:
    before, beside_it = bytes_of(stopped), bytes_of(Path(str(beside(stopped))))
    with pytest.raises(StoreError, match=r"go on with that run \(sf\.resume\('.*stopped\.zarr'\)"):
        small(sink=stopped)
    assert bytes_of(stopped) == before
    assert bytes_of(Path(str(beside(stopped)))) == beside_it


def _acts_of(
    folder: Path, origin: Path, begin: Callable[[Path], Any], plain: dict[str, Any]
) -> int:
    """Return how many removals and writes it takes to replace a run."""
    made: list[str] = []

    def counted(name: str) -> Callable[..., None]:
        def act(*given: Any) -> None:
            made.append(name)
            plain[name](*given)

        return act

    shutil.copytree(origin, folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in plain:
            patch.setattr(Folder, name, counted(name))
        begin(folder / "a.zarr")
    return len(made)


@pytest.mark.slow
def test_a_run_that_is_replaced_leaves_no_checkpoint_at_any_moment(
    small: Any, stopped: Path, tmp_path: Path, bytes_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each removal and each write of the beginning, it is one run or the other."""
    old = json.loads(beside(stopped).read("run.json"))["meta"]["fingerprint"]
    origin = tmp_path / "origin"
    shutil.copytree(stopped, origin / "a.zarr")
    shutil.copytree(str(beside(stopped)), origin / "a.zarr.run")
    new = {"initial": {"lif": {"v": -60 * mV}}, "seed": 8}
    small(20, sink=tmp_path / "new.zarr", **new)
    seen: set[str] = set()
    plain = {name: getattr(Folder, name) for name in ("write", "append", "remove")}
    acts = _acts_of(tmp_path / "counted", origin, lambda path: small(
        20, sink=sf.ZarrSink(path, overwrite=True), **new
    ), plain)  # fmt: skip
    # The chunks of the old store are removed one by one: a few of them stand for all.
    moments = [k for k in range(1, acts + 1) if k < 12 or k > acts - 16 or k % 12 == 0]
    assert acts > 30
    for k in moments:
        folder = tmp_path / f"{k}"
        shutil.copytree(origin, folder)
        left = [k]

        def counted(name: str) -> Callable[..., None]:
            def act(*given: Any) -> None:
                left[0] -= 1  # noqa: B023
                if left[0] < 0:  # noqa: B023
                    raise KeyboardInterrupt("killed")
                plain[name](*given)

            return act

        path = folder / "a.zarr"
        with monkeypatch.context() as patch:
            for name in plain:
                patch.setattr(Folder, name, counted(name))
            patch.setattr(store.ZarrSink, "close", lambda self: None)
            with suppress(KeyboardInterrupt):
                small(20, sink=sf.ZarrSink(path, overwrite=True), **new)
        root = path / "zarr.json"
        present = json.loads(root.read_text())["attributes"] if root.exists() else {}
        try:
            found = checkpoint.newest(beside(path))[0]
        except StoreError:
            seen.add("none")
            with pytest.raises(StoreError):
                sf.resume(path)
            continue
        if found.header["fingerprint"] == old:
            assert present["fingerprint"] == old
            seen.add("old")
        else:
            seen.add("new")
            sf.resume(path, progress=False)
            assert bytes_of(path) == bytes_of(tmp_path / "new.zarr")
    assert {"none", "new"} <= seen
    assert bytes_of(tmp_path / "counted" / "a.zarr") == bytes_of(tmp_path / "new.zarr")


def test_checkpoints_without_a_store_are_refused(small: Any) -> None:
    with pytest.raises(RunError, match="checkpoints lie beside a store, and this run has none"):
        small(checkpoint=8 * ms)
    with pytest.raises(RunError, match="checkpoints lie beside a store"):
        small(checkpoint=8 * ms, sink=sf.MemorySink())
    with pytest.raises(RunError, match=r"checkpoint is 0\.25 ms"):
        small(checkpoint=0.25 * ms, sink="nowhere.zarr")
    assert not Path("nowhere.zarr").exists()
