"""What the tests of stores that are resumed share: a small run, the bytes of a store, a stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import somaflow as sf
from somaflow.simulation import chunks
from somaflow.storage import store
from somaflow.units import ms, mV, nA


class SmallRun(NamedTuple):
    """A run of 60 ms, of 600 steps, with a state of every kind but plastic synapses."""

    cells: sf.Population
    network: sf.Network
    record: list[sf.Recorder]

    def __call__(self, duration: float = 60, **settings: Any) -> sf.Solution:
        chosen: dict[str, Any] = {"record": self.record, "seed": 9, "progress": False}
        return sf.simulate(self.network, duration * ms, dt=0.1 * ms, **chosen | settings)


def _small_run() -> SmallRun:
    cells = sf.Population("lif", 4, sf.load("lif"), refractory=1 * ms)
    synapse = sf.load("exponential_current")(i=0.3 * nA)
    network = sf.Network(
        cells,
        sf.Projection(cells, cells, synapse, sf.FromList([(0, 1), (1, 2)]), delay=2 * ms),
        sf.CurrentClamp(cells, np.array([3, 6, 8, 5]) * nA),
        sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0 * nA, sd=0.1 * nA, tau=3 * ms)),
    )
    record = [
        cells["v"].every(0.3 * ms),
        cells.spikes,
        cells["v"].mean().every(0.5 * ms, "max"),
        cells.spikes.every(2 * ms, "count").mean(),
        cells["v"].histogram(np.linspace(-70, -50, 5) * mV).every(1.1 * ms),
    ]
    return SmallRun(cells, network, record)


@pytest.fixture(scope="session")
def small() -> SmallRun:
    """Return a small run, which is called with the arguments of `simulate` that are to differ."""
    return _small_run()


def _bytes_of(path: Path) -> dict[str, bytes]:
    path = Path(path)
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


@pytest.fixture(scope="session")
def bytes_of() -> Callable[[Path], dict[str, bytes]]:
    """Return what returns every file below a folder."""
    return _bytes_of


def _stopping(time: float) -> Callable[[sf.Progress], None]:
    def stop(progress: sf.Progress) -> None:
        if progress.done >= time:
            raise InterruptedError("stopped by the test")

    return stop


@pytest.fixture(scope="session")
def stopping() -> Callable[[float], Callable[[sf.Progress], None]]:
    """Return what makes a progress that ends a run by an InterruptedError after some ms."""
    return _stopping


@pytest.fixture
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut small runs into many chunks, in the computer as on the disk."""
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 40)
    monkeypatch.setattr(store, "CHUNK_BYTES", 160)


@pytest.fixture(scope="module")
def _made() -> dict[str, Path]:
    return {}


@pytest.fixture
def whole(
    _made: dict[str, Path],
    small: Any,
    many_chunks: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The store of a small run that never stopped."""
    if not _made:
        path = tmp_path_factory.mktemp("whole") / "a.zarr"
        small(sink=path, checkpoint=8 * ms)
        _made["whole"] = path
    return _made["whole"]


@pytest.fixture
def stopped(small: Any, stopping: Callable, whole: Path, tmp_path: Path) -> Path:
    """The store of a small run that was stopped after its fourth checkpoint at 32 ms."""
    path = tmp_path / "stopped.zarr"
    with pytest.raises(InterruptedError):
        small(sink=path, checkpoint=8 * ms, progress=stopping(35))
    return path
