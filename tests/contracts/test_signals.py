"""Ctrl-C and SIGTERM end a run at its next chunk, with a checkpoint and the way to go on."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import somaflow as sf
from somaflow.errors import Interrupted
from somaflow.storage import checkpoint
from somaflow.storage.folder import beside
from somaflow.storage.sinks import MemorySink

pytestmark = pytest.mark.usefixtures("many_chunks")
BOTH = [signal.SIGINT, signal.SIGTERM]


def raising(number: int, at: float, times: int = 1) -> Callable[[sf.Progress], None]:
    """Return a progress that signals its own process once, at some biological time."""
    left = [times]

    def show(progress: sf.Progress) -> None:
        while progress.done >= at and left[0]:
            left[0] -= 1
            signal.raise_signal(number)

    return show


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_ends_a_run_that_can_go_on(
    number: signal.Signals, small: Any, tmp_path: Path, bytes_of: Callable
) -> None:
    before = [signal.getsignal(known) for known in BOTH]
    small(sink=tmp_path / "whole.zarr")
    path = tmp_path / "a.zarr"
    with pytest.raises(Interrupted) as caught:
        small(sink=path, progress=raising(number, 20))
    assert [signal.getsignal(known) for known in BOTH] == before
    assert isinstance(caught.value, KeyboardInterrupt)
    assert not isinstance(caught.value, Exception)
    assert (caught.value.path, caught.value.signal) == (str(path), number)
    assert 20 < caught.value.time <= 28  # two chunks of 4 ms
    assert str(caught.value) == (
        f"stopped at {caught.value.time:g} of 60 ms by {number.name}; go on with "
        f"sf.resume({str(path)!r}), or: somaflow resume {path}"
    )
    step = round(caught.value.time / 0.1)
    assert checkpoint.names(beside(path))[-1] == f"checkpoint-{step:012d}"
    assert '"state": "interrupted"' in beside(path).read("progress.json").decode()
    with pytest.raises(Interrupted):
        sf.resume(path, progress=raising(number, 40))
    sf.resume(path, progress=False)
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")


def test_a_signal_in_the_last_chunk_lets_the_run_end(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    small(sink=path, progress=raising(signal.SIGINT, 60))
    assert '"state": "finished"' in beside(path).read("progress.json").decode()


def test_a_second_signal_acts_at_once(small: Any, tmp_path: Path, bytes_of: Callable) -> None:
    small(sink=tmp_path / "whole.zarr")
    path, seen = tmp_path / "a.zarr", []
    signals = raising(signal.SIGINT, 20, times=2)

    def show(progress: sf.Progress) -> None:
        seen.append(progress.done)
        signals(progress)

    with pytest.raises(KeyboardInterrupt) as caught:
        small(sink=path, progress=show)
    assert not isinstance(caught.value, Interrupted)
    assert seen[-1] == 20
    assert checkpoint.names(beside(path)) == ["checkpoint-000000000000"]
    sf.resume(path, progress=False)
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")


def test_of_a_run_in_memory_the_loss_is_told(small: Any) -> None:
    with pytest.raises(Interrupted, match=r"what was recorded in memory is lost.*sink=") as caught:
        small(progress=raising(signal.SIGINT, 20))
    assert caught.value.path is None


def test_of_a_run_with_a_sink_of_its_own_nothing_is_said_to_be_lost(small: Any) -> None:
    class Kept:
        """A sink that keeps things elsewhere."""

        def __init__(self) -> None:
            self.memory = MemorySink()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.memory, name)

    with pytest.raises(Interrupted, match="the sink has what was recorded until then"):
        small(sink=Kept(), progress=raising(signal.SIGINT, 20))


def test_a_signal_that_the_shell_told_to_ignore_is_ignored(small: Any) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = small(progress=raising(signal.SIGINT, 20))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert run.duration == 60


def test_a_run_in_another_thread_leaves_signals_alone(small: Any) -> None:
    before, seen = [signal.getsignal(known) for known in BOTH], []

    def show(progress: sf.Progress) -> None:
        seen.append([signal.getsignal(known) for known in BOTH])

    def work() -> None:
        made.append(small(progress=show))

    made: list[sf.Solution] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert made[0].duration == 60
    assert all(handlers == before for handlers in seen)


SCRIPT = """
import sys
import numpy as np
import somaflow as sf
from somaflow.simulation import chunks
from somaflow.units import ms, nA

chunks._CHUNK_STEPS = 1000
cells = sf.Population("lif", 10, sf.load("lif"))
network = sf.Network(cells, sf.CurrentClamp(cells, np.linspace(2, 3, 10) * nA))
try:
    if sys.argv[2] == "simulate":
        duration = float(sys.argv[3]) * ms
        sf.simulate(network, duration, dt=0.1*ms, record=[cells.spikes], sink=sys.argv[1])
    else:
        sf.resume(sys.argv[1], float(sys.argv[3]) * ms)
    print("done")
except sf.errors.Interrupted as error:
    print(error.time, error)
    if sys.argv[-1] == "raise":
        raise
"""


def started(*arguments: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running(noted: Path) -> bool:
    return noted.exists() and '"running"' in noted.read_text()


@pytest.mark.slow
def test_a_signal_from_another_process_ends_a_run_that_can_go_on(
    tmp_path: Path, bytes_of: Callable
) -> None:
    """Ctrl-C ends the run, SIGTERM what goes on with it; the third process comes to the end."""
    path = tmp_path / "a.zarr"
    noted, reached = Path(str(beside(path))) / "progress.json", 0.0
    for number, word in zip(BOTH, ("simulate", "resume"), strict=True):
        process = started(path, word, 1e8)
        end = time.monotonic() + 600
        while not running(noted) and time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        out, _ = process.communicate(timeout=600)
        time_reached, message = out.split(" ", 1)
        assert f"of 100,000,000 ms by {number.name}" in message
        assert f"somaflow resume {path}" in message
        assert process.returncode == 0
        assert float(time_reached) > reached
        reached = float(time_reached)
    for target, word in ((path, "resume"), (tmp_path / "whole.zarr", "simulate")):
        again = started(target, word, reached + 500)
        assert again.communicate(timeout=600)[0] == "done\n"
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")
