"""A sweep that is killed and whose disk fills has the bytes of one that ran in peace.

    benchmarks/run.py sweeps chaos [--members 1000] [--workers 100] [--parents 10] [--fills 2]

Workers and the parent are killed by SIGKILL, at moments drawn from `--seed`: after so many more
tasks have ended, and a while. A third of the parent's kills come when all members are there, while
the store is made. The disk is a tmpfs that a file fills, where one may be mounted; else writes fail
as on a full disk. Whatever has ended is begun again, and a sweep that ends before all is done is
compared, removed and begun anew. It exits with 0 if every store had the same bytes.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parents[1]
DISK_MB = 256
PATIENCE = 600.0  # seconds without a task that ends
ATTEMPTS = 10
WORKER, PARENT, FULL = "worker", "parent", "disk is full"
LAST = "parent while the store is made"


def bytes_of(store: Path) -> dict[str, bytes]:
    """Return all files of a store."""
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file()}


def children(parent: int) -> list[int]:
    """Return the processes that a process began and that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return sorted(found)


class Ended(Exception):  # noqa: N818 - no error
    """The sweep came to its end before it was disturbed again."""


class Disturbed:
    """A sweep that is disturbed.

    Args:
        store: Where its result goes.
        whole: The bytes that it should have.
        options: The command line.
        mounted: Whether the store lies on a small disk of its own.
    """

    def __init__(
        self, store: Path, whole: dict[str, bytes], options: argparse.Namespace, mounted: bool
    ) -> None:
        self.store, self.whole, self.options, self.mounted = store, whole, options, mounted
        self.random = random.Random(options.seed)
        self.done: Counter[str] = Counter()
        self.begun = self.compared = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def parts(self) -> int:
        """How many tasks have ended."""
        return sum(1 for _ in Path(f"{self.store}.run").glob("part*"))

    def run(self) -> None:
        """Let everything happen, and compare each store that comes to its end."""
        options = self.options
        last = options.parents // 3
        ahead = [WORKER] * options.workers + [PARENT] * (options.parents - last)
        ahead += [FULL] * options.fills
        self.random.shuffle(ahead)
        ahead += [LAST] * last
        spread = 2 * tasks(options) // max(len(ahead), 1)
        while ahead:
            more = tasks(options) if ahead[0] == LAST else self.random.randint(0, spread)
            try:
                self._happen(ahead[0], more)
            except Ended:
                self._end()
            else:
                print(f"{ahead[0]}, at {self.parts} of {tasks(options)} tasks", flush=True)
                self.done[ahead.pop(0)] += 1
        self._end()

    def _happen(self, kind: str, more: int) -> None:
        """Let something happen when some more tasks have ended."""
        self._wait(lambda start: self.parts >= min(start + more, tasks(self.options)))
        time.sleep(self.random.uniform(0, 0.3 if kind == LAST else 1.0))
        if kind == WORKER:
            self._wait(lambda _: bool(children(self._running.pid)))
            chosen = self.random.choice(children(self._running.pid) or [0])
            if chosen:
                os.kill(chosen, signal.SIGKILL)
        elif kind == FULL:
            self._fill()
        else:
            workers = children(self._running.pid)
            self.stop()
            until = time.monotonic() + 60
            while any(Path(f"/proc/{worker}").exists() for worker in workers):
                if time.monotonic() > until:
                    raise SystemExit("workers outlive the parent that was killed")
                time.sleep(0.1)

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        """The process of the sweep.

        Raises:
            Ended: It has come to its end.
        """
        if self.process is None:
            self.process = started(self.store, self.options)
            self.begun += 1
        code = self.process.poll()
        if code == 0:
            raise Ended
        if code is not None:
            raise SystemExit(f"it ended with {code}: {said(self.store)}")
        return self.process

    def stop(self) -> None:
        """Kill the sweep, if it is running."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _wait(self, is_time: Callable[[int], bool]) -> None:
        start = seen = self.parts
        since = time.monotonic()
        while self._running and not is_time(start):
            now = self.parts
            if now != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > PATIENCE:
                raise SystemExit(f"nothing has ended for {PATIENCE:.0f} s, at {now} tasks")
            time.sleep(0.02)

    def _fill(self) -> None:
        """Fill the disk until the sweep has ended for it, and make room again."""
        if self.mounted:
            ballast = self.store.parent / "ballast"
            process = self._running
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))
        else:
            self.stop()
            writes = self.random.randint(1, tasks(self.options))
            process = self.process = started(self.store, self.options, "--full-after", str(writes))
            self.begun += 1
        code = process.wait(PATIENCE)
        if self.mounted:
            (self.store.parent / "ballast").unlink()
        self.process = None
        if code == 0:  # what was left to do needed no room
            raise Ended
        if FULL not in said(self.store):
            raise SystemExit(f"a full disk is not told: {said(self.store)}")

    def _end(self) -> None:
        """Let the sweep come to its end, compare its store, and remove it."""
        for _ in range(ATTEMPTS):  # members that were lost too often are run again when asked
            with contextlib.suppress(Ended):
                while True:
                    self._running.wait(PATIENCE)
            self.process = None
            if said(self.store).endswith("failed 0"):
                break
        found = bytes_of(self.store)
        differ = sorted(k for k in found | self.whole if found.get(k) != self.whole.get(k))
        if differ:
            raise SystemExit(f"DIFFERENT: {', '.join(differ[:5])}; {said(self.store)}")
        self.compared += 1
        shutil.rmtree(self.store)
        shutil.rmtree(f"{self.store}.run", ignore_errors=True)


def tasks(options: argparse.Namespace) -> int:
    """Return how many tasks a sweep has."""
    return -(-options.members // options.batch)


def started(store: Path, options: argparse.Namespace, *more: str) -> "subprocess.Popen[bytes]":
    """Begin a sweep, or go on with it."""
    asked = ["--members", str(options.members), "--batch", str(options.batch), *more]
    with _told(store).open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "sweeps.swept", str(store), *asked],
            cwd=HERE,
            stdout=file,
            stderr=file,
        )


def said(store: Path) -> str:
    """Return the last that a sweep has printed."""
    lines = _told(store).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(lines[-8:])


def _told(store: Path) -> Path:
    # Not on the disk that fills.
    return store.parents[1] / f"{store.parent.name}.txt"


def unshared() -> bool:
    """Return whether a disk may be mounted.

    The process goes on in a mount namespace of its own, so that nobody else sees the disk.
    """
    if "SWEEP_UNSHARED" in os.environ:
        return True
    if shutil.which("unshare") is None:
        return False
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        return False
    os.environ["SWEEP_UNSHARED"] = "1"
    again = [sys.executable, "-m", "sweeps.chaos", *sys.argv[1:]]
    os.execvp("unshare", ["unshare", "-rm", *again])


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk, and say whether that went well."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    mounted = unshared() and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def main() -> None:
    """Run the sweep in peace, then disturbed, and say whether the stores are the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--members", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--workers", type=int, default=100, help="SIGKILLs of workers")
    parser.add_argument("--parents", type=int, default=10, help="SIGKILLs of the parent")
    parser.add_argument("--fills", type=int, default=2, help="how often the disk fills")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    unshared()
    with tempfile.TemporaryDirectory() as name, small_disk(Path(name) / "disk") as mounted:
        begin = time.monotonic()
        quiet = Path(name) / "peace" / "a.zarr"
        quiet.parent.mkdir()
        if started(quiet, options).wait() or not said(quiet).endswith("failed 0"):
            raise SystemExit(f"the sweep in peace failed: {said(quiet)}")
        whole = bytes_of(quiet)
        peace, begin = time.monotonic() - begin, time.monotonic()
        size = sum(map(len, whole.values())) / 1e6
        print(f"in peace: {options.members} members, {size:.2f} MB, {peace:.0f} s", flush=True)
        sweep = Disturbed(Path(name) / "disk" / "a.zarr", whole, options, mounted)
        try:
            sweep.run()
        finally:
            sweep.stop()
    disk = f"a tmpfs of {DISK_MB} MB" if mounted else "imitated"
    print(
        f"EQUAL: {dict(sweep.done)}, the disk {disk}; begun {sweep.begun} times, {sweep.compared} "
        f"stores compared, in {time.monotonic() - begin:.0f} s"
    )


if __name__ == "__main__":
    main()
