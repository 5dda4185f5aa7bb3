from typing import Any

import pytest

import somaflow as sf
from somaflow.errors import (
    MissingValueError,
    NetworkError,
    UnitError,
)
from somaflow.units import cm, ms, mV, uF

C = 1 * uF / cm**2
CHANNELS = sf.catalogue("channels")


def cells(name: str = "PN", size: int = 5, **options: Any) -> sf.Population:
    options = {"threshold": "v > 0*mV"} | options
    return sf.Population(name, size, sf.Neuron(C, leak=CHANNELS.leak), **options)


def test_recorders() -> None:
    pn = cells()
    assert pn["v"].key == "PN.v"
    assert pn["v"].mean().every(1 * ms).key == "PN.v.mean"
    assert pn["leak.I"].every("0.5 ms").interval == 0.5
    assert sf.Recorder("PN", "v", interval=1 * sf.units.second).interval == 1000
    for refused in (pn.spikes.mean, lambda: pn.spikes.every(1 * ms)):
        with pytest.raises(NetworkError, match="spikes have"):
            refused()
    for interval, kind in ((0, MissingValueError), (-1, MissingValueError), (1 * mV, UnitError)):
        with pytest.raises(kind):
            pn["v"].every(interval)
