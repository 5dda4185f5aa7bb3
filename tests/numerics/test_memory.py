"""Free memory: the least of what machine, control groups and shell leave."""

from pathlib import Path

import pytest

from somaflow.numerics import memory

GB = 1 << 30


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up Linux with 8 GB free, whose files a test writes below this folder."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    if memory.resource is not None:
        unlimited = memory.resource.RLIM_INFINITY
        monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (unlimited, unlimited))
    put(tmp_path / "proc/meminfo", f"MemTotal: 1 kB\nMemAvailable: {8 * GB >> 10} kB\n")
    put(tmp_path / "proc/self/status", f"Name: x\nVmSize:\t{2 * GB >> 10} kB\n")
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def group(folder: Path, limit: object, used: int, cache: int = 0, version: int = 2) -> None:
    names = [("memory.max", "memory.current", "inactive_file")]
    names.append(("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))
    most, taken, name = names[2 - version]
    put(folder / most, f"{limit}\n")
    put(folder / taken, f"{used}\n")
    own = "" if version == 2 else "inactive_file 7\n"  # without the groups within
    put(folder / "memory.stat", f"anon 5\n{own}{name} {cache}\n")


def test_without_limits_it_is_what_the_machine_has(system: Path) -> None:
    assert memory.available_bytes() == 8 * GB


def test_the_limit_of_a_container(system: Path) -> None:
    put(system / "proc/self/cgroup", "0::/\n")
    group(system / "groups", 4 * GB, 3 * GB, GB)
    assert memory.available_bytes() == 2 * GB


def test_the_limit_of_a_group_around_that_of_the_process(system: Path) -> None:
    put(system / "proc/self/cgroup", "0::/user.slice/session.scope\n")
    group(system / "groups/user.slice/session.scope", "max", GB)
    group(system / "groups/user.slice", 6 * GB, GB)
    assert memory.available_bytes() == 5 * GB


def test_the_first_version_of_control_groups(system: Path) -> None:
    put(system / "proc/self/cgroup", "9:cpu,cpuacct:/docker/7\n4:memory:/docker/7\n0::/\n")
    group(system / "groups/memory/docker/7", 3 * GB, 2 * GB, version=1)
    group(system / "groups/memory", (1 << 63) - 4096, 20 * GB, version=1)
    group(system / "groups/cpu/docker/7", GB, 0, version=1)  # of another kind
    assert memory.available_bytes() == GB


def test_a_path_that_leads_nowhere_is_that_of_the_container_itself(system: Path) -> None:
    put(system / "proc/self/cgroup", "4:memory:/docker/7\n")
    group(system / "groups/memory", 3 * GB, GB, version=1)
    assert memory.available_bytes() == 2 * GB


def test_a_group_that_is_over_its_limit_leaves_nothing(system: Path) -> None:
    put(system / "proc/self/cgroup", "0::/\n")
    group(system / "groups", GB, 2 * GB)
    assert memory.available_bytes() == 0


@pytest.mark.skipif(memory.resource is None, reason="there is no such limit on Windows")
def test_the_limit_of_the_shell(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (5 * GB, 5 * GB))
    assert memory.available_bytes() == 3 * GB - memory._COMPILE


def test_where_nothing_says_so_it_is_not_known(system: Path) -> None:
    for file in list((system / "proc").rglob("*")):
        if file.is_file():
            file.unlink()
    assert memory.available_bytes() is None


def test_on_this_machine() -> None:
    found = memory.available_bytes()
    assert found is None or 1 << 20 < found < 1 << 50
