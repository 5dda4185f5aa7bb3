"""Ctrl-C and SIGTERM: all workers end at one step, with a checkpoint from which the run goes on."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import Interrupted, MissingValueError, SomaflowWarning
from somaflow.units import ms, nA
from somaflow.workers.found import find


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_workers_with_a_checkpoint(number: int, tmp_path: Path) -> None:
    try:
        find()
    except MissingValueError as error:
        pytest.skip(str(error))
    cells = sf.Population("cells", 64, sf.load("lif"), refractory=2 * ms)
    given = {"weight": -0.05 * nA, "delay": 1 * ms, "name": "inhibit"}
    inhibit = sf.Projection(cells, cells, sf.load("exponential_current"), **given)
    network = sf.Network(cells, inhibit, sf.CurrentClamp(cells, np.linspace(1, 3, 64) * nA))
    store = tmp_path / "cells.zarr"
    told = tmp_path / "cells.zarr.run" / "progress.json"

    def stop() -> None:
        while not (told.exists() and b'"done": 0.0' not in told.read_bytes()):
            time.sleep(0.1)
        os.kill(os.getpid(), number)

    threading.Thread(target=stop, daemon=True).start()
    asked = {"dt": 0.1 * ms, "record": [cells.spikes], "sink": store}
    few = pytest.warns(SomaflowWarning, match="64 cells to share")
    with few, pytest.raises(Interrupted, match="somaflow resume") as caught:
        sf.simulate(network, 10_000_000 * ms, **asked, workers=2, progress=False)
    assert (caught.value.path, caught.value.signal) == (str(store), number)
    assert caught.value.time > 0
    steps = round(caught.value.time / 0.1)
    assert (tmp_path / "cells.zarr.run" / f"checkpoint-{steps:012d}").exists()
