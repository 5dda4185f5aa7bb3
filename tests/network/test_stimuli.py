import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.description import from_json, to_json
from somaflow.errors import (
    NetworkError,
    SomaflowError,
    UnitError,
)
from somaflow.units import Hz, cm, ms, mV, nA, pA, second, uA, uF, uS

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
    ramp = sf.Ramp(-1 * nA, 3 * nA, start=1 * ms, stop=3 * ms)
    expected = np.array([0, -1, 1, 3, 3]) * 1e-3
    assert np.allclose(ramp.shape(times, middle), expected, rtol=1e-14)
    ramps = sf.Ramp([0, 1] * nA, 2 * nA, start=1 * ms, stop=3 * ms)
    assert np.allclose(ramps.shape(times, middle)[2], [1e-3, 1.5e-3], rtol=1e-14)
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
        (lambda: sf.Ramp(1 * nA, 2 * nA, 3 * ms, 3 * ms), NetworkError, "not after it starts"),
        (lambda: sf.Ramp(1 * nA, 2 * mV, 2 * ms, 3 * ms), UnitError, "is in nA, not mV"),
        (lambda: sf.Ramp([1, 2] * nA, [1, 2, 3] * nA, 2, 3), NetworkError, "2 values and .* 3"),
        (lambda: sf.Stimulus(cells(), sf.Ramp([1, 2] * A, 0 * A, 2, 3)), NetworkError, "2 courses"),
        (lambda: sf.WhiteNoise(-2 * pA * ms**0.5), NetworkError, r"sd of WhiteNoise is -2 "),
        (lambda: sf.WhiteNoise(1 * nA * ms**0.5, mean=1 * mV), UnitError, "'mean' of WhiteNoise"),
        (lambda: sf.WhiteNoise(1 * nA * ms**0.5, 0, 3 * ms, 2 * ms), NetworkError, "stops at 2.0"),
        (lambda: sf.Stimulus(point(), sf.WhiteNoise(1 * nA)), UnitError, "is in nA/ms"),
        (lambda: sf.OrnsteinUhlenbeck(1 * nA, 1 * uS, 1 * ms), UnitError, "'sd' of Ornstein"),
        (lambda: sf.OrnsteinUhlenbeck(1 * nA, 1 * nA, [1, 0] * ms), NetworkError, "is 0.0 ms"),
        (lambda: sf.Stimulus(point(), sf.OrnsteinUhlenbeck(1 * uS, 1 * uS, [1, 2] * ms, 0 * mV)),
         NetworkError, "2 courses for 5 cells"),
        (lambda: sf.Stimulus(point(), sf.OrnsteinUhlenbeck(1 * nA, 1 * nA, 1 * ms, 0 * mV)),
         UnitError, "in mV[*]nA, but the cells take I_stim in nA"),
        (lambda: sf.Stimulus(point("dw/dt = I_stim/(1*nA)/ms : 1\nI_stim : nA", values={}),
                             sf.OrnsteinUhlenbeck(1 * uS, 1 * uS, 1 * ms, 0 * mV)),
         NetworkError, "a conductance needs cells whose .* 'v' in mV; 'P' has none"),
        (lambda: sf.VoltageClamp(point(), 1 * nA), UnitError, "'voltage' of VoltageClamp is in mV"),
        (lambda: sf.VoltageClamp(point(), sf.Step(1 * nA)), UnitError, "VoltageClamp is in nA"),
        (lambda: sf.VoltageClamp(point(), [1, 2] * mV), NetworkError, "2 courses for 5 cells"),
        (lambda: sf.VoltageClamp(point(), 1 * mV, 2 * ms, 1 * ms), NetworkError, "stops at 1.0 ms"),
        (lambda: sf.VoltageClamp(point("dv/dt = -v/ms : 1", values={}), 1 * mV), NetworkError,
         "'P' has one in 1"),
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


def test_a_noise_has_the_unit_of_its_current() -> None:
    assert sf.WhiteNoise(1 * pA * second**0.5).sd.value == pytest.approx(1e-6 * 1000**0.5)
    sf.Stimulus(point(), sf.WhiteNoise(1 * pA * second**0.5, mean=1 * nA))
    sf.Stimulus(point(), sf.OrnsteinUhlenbeck(1 * uS, 1 * uS, 1 * ms, reversal=0 * mV))
    sf.Stimulus(cells(), sf.OrnsteinUhlenbeck(1 * A, 1 * A, 1 * ms))


def test_every_input_has_a_serial_form() -> None:
    cell = point()
    poisson = sf.Population("poisson", 5, sf.SpikeSourcePoisson(sf.Uniform(1 * Hz, 2 * Hz)))
    network = sf.Network(
        cell,
        poisson,
        sf.Population("ramp", 5, sf.SpikeSourcePoisson(sf.Ramp(0 * Hz, 9 * Hz, 0, 9))),
        sf.Population("array", 5, sf.SpikeSourceArray([2, 1] * ms, [0, 4]), positions=[1] * 5 * cm),
        sf.Stimulus(cell, sf.WhiteNoise([1, 2, 3, 4, 5] * nA * ms**0.5)),
        sf.Stimulus(cell[:2], sf.OrnsteinUhlenbeck(1 * uS, 1 * uS, [1, 2] * ms, 0 * mV)),
        sf.VoltageClamp(cell[1:3], [-50, -60] * mV, stop=3 * ms),
    )
    for again in (pickle.loads(pickle.dumps(network)), from_json(to_json(network))):
        assert again == network
        rates = again.population("poisson").source.rate.value
        np.testing.assert_array_equal(rates, poisson.source.rate.value)
    assert poisson.source.rate.value.shape == (5,)
    assert len(network.clamps) == 1
