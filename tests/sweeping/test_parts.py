"""Finished members come back as they were kept, or are found damaged."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from somaflow.errors import StoreError
from somaflow.storage.folder import Folder
from somaflow.sweeping.parts import InMemory, Kept, Parts
from somaflow.sweeping.task import Outcome


def check_holds(kept: Kept, outcomes: list[Outcome]) -> None:
    """Check that members are kept as they were."""
    for outcome in outcomes:
        entry = kept.entries[outcome.number]
        assert entry.failure == outcome.failure
        if not isinstance(outcome.data, xr.Dataset):
            continue
        found = kept.read(outcome.number)
        assert set(found) == set(outcome.data.variables)
        for name, wanted in outcome.data.variables.items():
            assert found[str(name)].shape == wanted.shape
            np.testing.assert_array_equal(found[str(name)], wanted.values)


def test_members_come_back_in_any_order(outcomes: list[Outcome], tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a.run")
    parts, memory = Parts(folder, "a"), InMemory()
    for some in (outcomes[4:], outcomes[:1], outcomes[1:4]):
        parts.add(some)
        memory.add(some)
    again = Parts(folder, "a")
    for kept in (parts, memory, again):
        check_holds(kept, outcomes)
    assert again.entries == parts.entries
    assert not again.damaged
    assert [name for name in folder.names() if name.startswith("part-")] == [
        "part-00000000",
        "part-00000001",
        "part-00000002",
    ]


def test_a_member_that_failed_is_replaced_by_its_later_result(
    outcomes: list[Outcome], tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "a.run")
    Parts(folder, "a").add(outcomes)
    mended = replace(outcomes[3], data=outcomes[2].data, failure="")
    parts = Parts(folder, "a")
    parts.add([mended])
    for kept in (parts, Parts(folder, "a")):
        check_holds(kept, [*outcomes[:3], mended, *outcomes[4:]])


@pytest.mark.parametrize("at", [0, 10, 300, 0.5, -60, -1])
@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_damaged_part_is_found_and_the_rest_is_kept(
    at: float, how: str, outcomes: list[Outcome], tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "a.run")
    parts = Parts(folder, "a")
    parts.add(outcomes[:3])
    parts.add(outcomes[3:])
    file = tmp_path / "a.run" / "part-00000001"
    data = bytearray(file.read_bytes())
    place = int(at * len(data)) if isinstance(at, float) else at
    if how == "cut":
        data = data[:place]
    else:
        data[place] ^= 1
    file.write_bytes(data)
    again = Parts(folder, "a")
    assert len(again.damaged) == 1
    assert again.damaged[0].startswith("part-00000001 is damaged")
    missing = {outcome.number for outcome in outcomes} - set(again.entries)
    assert missing and missing <= {3, 4, 5}
    if at in (-60, -1):  # in the bytes of the last member
        assert missing == {5}
        assert again.damaged[0].endswith("in member 5")
    check_holds(again, [outcome for outcome in outcomes if outcome.number not in missing])
    again.add([outcome for outcome in outcomes if outcome.number in missing])
    check_holds(again, outcomes)
    check_holds(Parts(folder, "a"), outcomes)


def test_a_part_that_changes_while_it_is_in_use_is_not_believed(
    outcomes: list[Outcome], tmp_path: Path
) -> None:
    parts = Parts(Folder(tmp_path), "a")
    parts.add(outcomes)
    file = tmp_path / "part-00000000"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(StoreError, match="part-00000000 was changed or damaged"):
        parts.read(5)


def test_a_part_of_another_format_is_refused(outcomes: list[Outcome], tmp_path: Path) -> None:
    Parts(Folder(tmp_path), "a").add(outcomes)
    file = tmp_path / "part-00000000"
    file.write_bytes(file.read_bytes().replace(b"somaflow-part 1", b"somaflow-part 2", 1))
    with pytest.raises(StoreError, match="has format 2; this version reads format 1"):
        Parts(Folder(tmp_path), "a")


def test_a_part_of_another_sweep_is_refused_and_stays(
    outcomes: list[Outcome], tmp_path: Path
) -> None:
    Parts(Folder(tmp_path), "a").add(outcomes)
    with pytest.raises(StoreError, match="part-00000000 holds finished members of another sweep"):
        Parts(Folder(tmp_path), "b")
    check_holds(Parts(Folder(tmp_path), "a"), outcomes)


def test_a_full_disk_leaves_no_part(
    outcomes: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path / "a.run")
    parts = Parts(folder, "a")
    parts.add(outcomes[:2])
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, "No space left on device")

        def fail(_: int) -> None:
            raise full

        patch.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            parts.add(outcomes[2:])
    assert folder.names() == ["part-00000000"]
    assert set(parts.entries) == {0, 1}
    parts.add(outcomes[2:])
    check_holds(Parts(folder, "a"), outcomes)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (xr.Dataset({"a": ((), {"b": 1})}), "'a' holds object"),
        (xr.Dataset({"a": ((), np.datetime64("2020-01-01", "ns"))}), "'a' holds datetime64"),
        (xr.Dataset({"a": ("seed", [1.0])}), "the name 'seed' in it belongs to the sweep itself"),
        (xr.Dataset({"failure": ((), 1.0)}), "the name 'failure' in it belongs to the sweep"),
        (xr.Dataset({"a/b": ((), 1.0)}), "a '/' divides folders"),
    ],
)
def test_what_cannot_be_kept_is_a_failure_of_its_member(data: Any, why: str) -> None:
    kept = InMemory({"seed", "failure"})
    kept.add([Outcome(0, data, "", False, "")])
    assert why in kept.entries[0].failure


def test_all_types_and_attributes_are_kept(tmp_path: Path) -> None:
    attributes = {"units": "mV", "n": np.int64(3), "list": [1, 2.5], "array": np.arange(2)}
    data = xr.Dataset(
        {
            "flag": ((), True),
            "big": ("k", np.arange(3, dtype=">i4"), attributes),
            "complex": ((), 1 + 2j),
            "single": ("k", np.arange(3, dtype=np.float32)[::-1]),
            "names": ("k", np.array(["a", "bcd", "ü"], object)),
            "none": (("k", "z"), np.zeros((3, 0))),
        }
    )
    Parts(Folder(tmp_path), "a").add([Outcome(0, data, "", False, "")])
    parts = Parts(Folder(tmp_path), "a")
    for name, found in parts.read(0).items():
        np.testing.assert_array_equal(found, data[name].values)
        assert found.dtype.kind == ("U" if name == "names" else data[name].dtype.kind)
    (big,) = (spec for spec in parts.entries[0].specs if spec.name == "big")
    assert big.attributes == '{"array": [0, 1], "list": [1, 2.5], "n": 3, "units": "mV"}'
