from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import (
    NetworkError,
    SomaflowError,
    UnitError,
)
from somaflow.units import cm, ms, mV, nA, uA, uF

C = 1 * uF / cm**2
A = uA / cm**2
CHANNELS = sf.catalogue("channels")
TEXT = "dv/dt = (E - v)/(20*ms) + I_stim/(1*nF) : mV\nI_stim : nA"


def cells(name: str = "PN", size: int = 5, **options: Any) -> sf.Population:
    options = {"threshold": "v > 0*mV"} | options
    return sf.Population(name, size, sf.Neuron(C, leak=CHANNELS.leak), **options)


def point(text: str = TEXT, **options: Any) -> sf.Population:
    values = options.pop("values", {"E": -65 * mV, "v": -65})
    return sf.Population("P", 5, sf.Equations.parse(text, **values), **options)


def test_shapes_of_waveforms() -> None:
    times = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    middle = times + 0.5
    step = sf.Step(1 * nA, start=1 * ms, stop=3 * ms)
    assert step.shape(times, middle).tolist() == [0, 1, 1, 0, 0]
    assert sf.Step(1 * nA).shape(times, middle).tolist() == [1] * 5
    wave = sf.Waveform([5.0, 6.0] * nA, every=1 * ms, start=1 * ms)
    assert np.allclose(wave.shape(times, middle), np.array([0, 5, 6, 6, 6]) * 1e-3, rtol=1e-15)
    pulse = sf.SaturatingPulse(1 * nA, on=1, off=3, rise=0.5, decay=2)
    top = 1 - np.exp(-4)
    expected = [0, 0, 1 - np.exp(-2), top, top * np.exp(-0.5)]
    assert np.allclose(pulse.shape(times, middle), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (lambda: sf.Step(1 * nA, 3 * ms, 2 * ms), NetworkError, "stops at 2.0 ms, before"),
        (lambda: sf.Step(np.ones((2, 2)) * nA), NetworkError, "one number, or one for each cell"),
        (lambda: sf.SaturatingPulse(1 * nA, 3, 2, 1, 1), NetworkError, "before it is on"),
        (lambda: sf.SaturatingPulse(1 * nA, 1, 2, 0, 1), NetworkError, "greater than 0"),
        (lambda: sf.Waveform([] * nA), NetworkError, "samples of a Waveform have shape"),
        (lambda: sf.Waveform(1 * nA), NetworkError, "samples of a Waveform have shape"),
        (lambda: sf.Waveform([1, 2] * nA, every=0 * ms), NetworkError, "0.0 ms apart"),
        (lambda: sf.Stimulus(cells(), sf.Step(1 * nA)), UnitError, "is in nA, but the cells take"),
        (lambda: sf.CurrentClamp(cells(), [1, 2] * A), NetworkError, "2 courses for 5 cells"),
        (lambda: sf.Stimulus(cells(), sf.Waveform(np.ones((4, 3)) * A)), NetworkError, "3 courses"),
        (lambda: sf.CurrentClamp(point("dv/dt = -v/ms : mV", values={}), 1 * nA), NetworkError,
         "'P' has no input for a stimulus: add the line 'I_stim : nA'"),
    ],
)  # fmt: skip
def test_a_stimulus_that_does_not_fit(
    build: Callable[[], Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build()
