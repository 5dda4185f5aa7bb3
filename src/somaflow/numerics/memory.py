"""How much memory a run may take: what the machine, its container and the shell leave."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

try:
    import resource
except ImportError:  # on Windows
    resource = None

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
# Files of a control group, in version 2 and in version 1: the limit and what is used of it.
_VERSIONS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
# XLA reserves addresses when it compiles: with 1.2 GB of them left it died, with 2.2 GB it did not.
_COMPILE = 1_500_000_000

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def available_bytes() -> int | None:
    """Return how much memory is free for this process, or None where nothing says so.

    The least of what Linux says is available, of what the control groups of this process leave (the
    limits of containers and of batch systems), and of a limit on its address space (`ulimit -v`).
    """
    limits = [*_of_machine(), *_of_groups(), *_of_address_space()]
    return max(0, min(limits)) if limits else None


def free_in_words(free: int) -> str:
    """Return in words what is free for a run, in bytes; under a limit on addresses, why so little.

    That limit holds for the compiler too, so that what it leaves is not free for the run.
    """
    left = min(_of_address_space(), default=None)
    if left is None or left > min([*_of_machine(), *_of_groups()], default=left):
        return f"{in_words(free)} are free"
    return (
        f"{in_words(max(0, left + _COMPILE))} are free under ulimit -v, of which the compiler "
        f"takes {in_words(_COMPILE)}"
    )


def in_words(count: float) -> str:
    """Return bytes in words, such as `9.6 GB`: decimal units, three digits."""
    for unit, size in _UNITS:
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def _of_machine() -> Iterator[int]:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_groups() -> Iterator[int]:
    for line in _lines(_PROC / "self" / "cgroup"):
        _, controllers, group = line.split(":", 2)
        for folder, limit, used, cache in _VERSIONS:
            if folder not in controllers.split(","):
                continue
            # A group is limited by those it is in; in a container its path may lead nowhere.
            path = PurePosixPath("/", group.lstrip("/"))
            for part in (path, *path.parents):
                place = _GROUPS / folder / str(part).lstrip("/")
                most, taken = _number(place / limit), _number(place / used)
                if most is not None and taken is not None:
                    yield most - taken + _number_of(cache, place / "memory.stat")


def _number_of(name: str, path: Path) -> int:
    """Return a number that a file tells by name; 0 where it does not."""
    entries = (line.split() for line in _lines(path) if line.startswith(f"{name} "))
    return sum(int(value) for _, value in entries)


def _of_address_space() -> Iterator[int]:
    if resource is None:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    for line in _lines(_PROC / "self" / "status"):
        if line.startswith("VmSize:") and limit != resource.RLIM_INFINITY:
            yield limit - int(line.split()[1]) * 1024 - _COMPILE


def _number(path: Path) -> int | None:
    """Return the number in a file; None where there is no file, or it says `max`."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
