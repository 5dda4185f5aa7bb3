"""Cores: how many processes of one thread this machine can run at full speed."""

import math
import os
from pathlib import Path

_ROOT = Path("/")
# Files of the kernel that name all hardware threads of a core; older kernels have the second.
_SIBLINGS = ("core_cpus_list", "thread_siblings_list")


def physical_cores(root: Path = _ROOT) -> int:
    """Return the number of physical cores that this process may use.

    Two threads of one core share its units for arithmetic, so a second process there gains nothing.
    Where the system does not tell (outside Linux), every thread counts as a core.

    Args:
        root: Where `/sys` and `/proc` are.
    """
    allowed = _allowed()
    cores = {_core(thread, root) for thread in allowed}
    quota = _quota(root)
    return max(1, len(cores) if quota is None else min(len(cores), math.ceil(quota)))


def _allowed() -> set[int]:
    """Return the hardware threads that the scheduler may choose for this process."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _core(thread: int, root: Path) -> str:
    """Return a name of the core that a hardware thread belongs to."""
    folder = root / "sys/devices/system/cpu" / f"cpu{thread}" / "topology"
    for name in _SIBLINGS:
        if siblings := _text(folder / name):
            return siblings
    return f"thread {thread}"


def _quota(root: Path) -> float | None:
    """Return how many threads' time the groups of this process grant it, None where no bound is."""
    grants = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, kinds, path = line.split(":", 2)
        if not kinds:  # version 2: one tree, one file
            files, tree = ("cpu.max",), root / "sys/fs/cgroup"
        elif "cpu" in kinds.split(","):
            files, tree = ("cpu.cfs_quota_us", "cpu.cfs_period_us"), root / "sys/fs/cgroup/cpu"
        else:
            continue
        inside = Path(path.lstrip("/"))
        for group in (inside, *inside.parents):  # each group above binds too
            words = " ".join(_text(tree / group / name) for name in files).split()
            if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
                grants.append(int(words[0]) / int(words[1]))
    return min(grants, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
