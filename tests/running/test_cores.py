"""Cores: counted from what the kernel tells."""

import os
from pathlib import Path

import pytest

from somaflow.running import cores
from somaflow.running.cores import physical_cores


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """What the scheduler allows; tests change it."""
    threads = set(range(8))
    monkeypatch.setattr(cores, "_allowed", lambda: threads)
    return threads


def machine(root: Path, files: dict[str, str], name: str = "core_cpus_list") -> Path:
    """Make four cores of two threads each, k and k + 4, and other files of the kernel."""
    siblings = {
        f"sys/devices/system/cpu/cpu{k}/topology/{name}": f"{k % 4},{k % 4 + 4}" for k in range(8)
    }
    for path, text in (siblings | files).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")
    return root


@pytest.mark.parametrize("name", ["core_cpus_list", "thread_siblings_list"])
@pytest.mark.parametrize(
    ("may", "count"), [(range(8), 4), ((0, 4), 1), ((0, 1, 5), 2), ((3,), 1), ((0, 5, 6, 7), 4)]
)
def test_two_threads_of_a_core_are_one(
    may: range | tuple[int, ...], count: int, name: str, allowed: set[int], tmp_path: Path
) -> None:
    allowed.intersection_update(may)
    assert physical_cores(machine(tmp_path, {}, name)) == count


def test_where_the_kernel_does_not_tell_each_thread_is_a_core(
    allowed: set[int], tmp_path: Path
) -> None:
    assert physical_cores(tmp_path) == 8


SECOND = {"proc/self/cgroup": "0::/a/b"}
FIRST = {
    "proc/self/cgroup": "4:memory:/x\n1:cpu,cpuacct:/a\n0::/",
    "sys/fs/cgroup/cpu.max": "max 1",
}
V1 = "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("files", "count"),
    [
        (SECOND | {"sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 4),
        (SECOND | {"sys/fs/cgroup/a/b/cpu.max": "200000 100000"}, 2),
        (SECOND | {"sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 2),
        (SECOND | {"sys/fs/cgroup/a/cpu.max": "50000 100000"}, 1),
        (SECOND | {"sys/fs/cgroup/a/cpu.max": "3 1", "sys/fs/cgroup/a/b/cpu.max": "2 1"}, 2),
        (SECOND | {"sys/fs/cgroup/cpu.max": "100 1"}, 4),
        (FIRST | {f"{V1}/a/cpu.cfs_quota_us": "-1", f"{V1}/a/cpu.cfs_period_us": "100000"}, 4),
        (FIRST | {f"{V1}/a/cpu.cfs_quota_us": "300000", f"{V1}/a/cpu.cfs_period_us": "100000"}, 3),
        (FIRST | {f"{V1}/cpu.cfs_quota_us": "100000", f"{V1}/cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_a_container_has_what_it_is_granted(
    files: dict[str, str], count: int, allowed: set[int], tmp_path: Path
) -> None:
    assert physical_cores(machine(tmp_path, files)) == count


def test_of_this_machine_there_is_at_least_one() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)
