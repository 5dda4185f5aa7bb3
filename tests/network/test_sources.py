from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError, SomaflowError, UnitError, UnknownNameError, WrongTypeError
from somaflow.units import Hz, kHz, ms, mV, nA, um

POISSON = sf.SpikeSourcePoisson(10 * Hz)


def source(model: Any = POISSON, size: int = 3, **options: Any) -> sf.Population:
    return sf.Population("input", size, model, **options)


def test_a_population_of_sources_has_spikes_and_nothing_else() -> None:
    made = source(positions=[1, 2, 3] * um)
    assert made.spiking
    assert made.spikes.key == "input.spikes"
    assert not made.equations.states
    assert "population input" not in sf.Network(made).explain()
    sf.Projection(made, sf.Population("lif", 2, sf.load("lif")), sf.load("ampa"))
    with pytest.raises(UnknownNameError, match=r"no variable 'v': .* recorded, by input\.spikes"):
        made["v"]


def test_rates_in_any_unit_and_from_a_distribution() -> None:
    assert sf.SpikeSourcePoisson(20).rate.value == sf.SpikeSourcePoisson(0.02 * kHz).rate.value
    drawn = source(sf.SpikeSourcePoisson(sf.Uniform(5 * Hz, 10 * Hz, seed=2)), 50).source
    assert isinstance(drawn, sf.SpikeSourcePoisson)
    assert np.ptp(drawn.rate.value) > 0.003
    assert drawn.rate.value.min() >= 0.005
    assert drawn.highest <= 0.01


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (lambda: sf.SpikeSourcePoisson(3 * mV), UnitError, "'rate' of SpikeSourcePoisson is in Hz"),
        (lambda: sf.SpikeSourcePoisson([1, -2] * Hz), NetworkError, "is -2 Hz somewhere"),
        (lambda: sf.SpikeSourcePoisson(sf.Step(1 * nA)), UnitError, "is in nA; give a waveform"),
        (lambda: sf.SpikeSourcePoisson(sf.Ramp(5 * Hz, -1 * Hz, 0, 1)), NetworkError, "is -1 Hz"),
        (lambda: sf.SpikeSourcePoisson(sf.Uniform(1 * nA, 2 * nA)), UnitError, "distribution of r"),
        (lambda: source(sf.SpikeSourcePoisson(sf.Normal(0 * Hz, 9 * Hz)), 50), NetworkError, "is"),
        (lambda: source(sf.SpikeSourcePoisson([1, 2] * Hz)), NetworkError, "2 rates for 3 cells"),
        (lambda: source(sf.SpikeSourcePoisson(sf.Step([1, 2] * Hz))), NetworkError, "2 rates"),
        (lambda: sf.SpikeSourceArray([[1], [2, 3]]), WrongTypeError, "one list; give cells"),
        (lambda: sf.SpikeSourceArray([1, -2] * ms), NetworkError, "at -2 ms; a run begins at 0"),
        (lambda: sf.SpikeSourceArray(1 * ms), NetworkError, r"have shape \[n_spikes\], not \(\)"),
        (lambda: sf.SpikeSourceArray([1, 2] * ms, [1]), NetworkError, "2 times and 1 cells"),
        (lambda: source(sf.SpikeSourceArray([1] * ms, [3])), NetworkError, "cell 3: there are 3"),
        (lambda: source(threshold="v > 0*mV"), NetworkError, "take no threshold; leave it out"),
        (lambda: source(refractory=2 * ms), NetworkError, "take no refractory"),
        (lambda: sf.Projection(source(), source(), sf.load("delta")), NetworkError,
         "'input' is made of spike sources, which can be presynaptic only"),
        (lambda: sf.Projection(source(), sf.Population("lif", 2, sf.load("lif")),
                               sf.load("graded_conductance")), NetworkError,
         "reads 'v_pre', but population 'input' has no state 'v'"),
        (lambda: sf.CurrentClamp(source(), 1 * nA), NetworkError, "A stimulus needs cells with eq"),
        (lambda: sf.VoltageClamp(source(), 1 * mV), NetworkError, "A voltage clamp needs cells"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be(
    build: Callable[[], Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build()
