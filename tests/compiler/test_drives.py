"""What is drawn in a run depends on the seed and on its place alone."""

from itertools import chain
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.compiler.build import compile_network
from somaflow.errors import NetworkError
from somaflow.simulation import chunks
from somaflow.units import Hz, ms, mV, nA, nF, uS

pytestmark = pytest.mark.slow

DT, T = 0.1, 30.0


def model(**given: Any) -> sf.Equations:
    text = "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA"
    values = {"g": 0.01 * uS, "E": -60 * mV, "C": 0.2 * nF, "v": -60} | given
    return sf.Equations.parse(text, **values)


def driven(size: int = 5, **given: Any) -> sf.Network:
    """Cells with every kind of input, on which some of them spike."""
    poisson = sf.Population("poisson", 20, sf.SpikeSourcePoisson(sf.Ramp(0 * Hz, 900 * Hz, 0, 30)))
    array = sf.Population("array", 20, sf.SpikeSourceArray([3, 7.77, 3] * ms, [0, 0, 19]))
    cells = sf.Population("cells", size, model(**given), threshold="v > -50*mV", reset="v = E")
    synapse = sf.load("exponential_current")(i=0.2 * nA)
    return sf.Network(
        poisson,
        array,
        cells,
        sf.Projection(poisson, cells, synapse, sf.FixedProbability(0.5, seed=1)),
        sf.Projection(array, cells, synapse, delay=1 * ms),
        sf.Stimulus(cells, sf.WhiteNoise(0.2 * nA * ms**0.5, mean=0.1 * nA)),
        sf.Stimulus(cells[:3], sf.OrnsteinUhlenbeck(3e-3 * uS, 1e-3 * uS, 3 * ms, reversal=0 * mV)),
        sf.Stimulus(cells[[1, 2]], sf.Waveform(np.linspace(0, 0.2, 60).reshape(30, 2) * nA)),
        sf.PoissonInput(cells[[3, 1]], synapse, rate=[9, 50] * Hz, n=1000, weight=0.02 * nA),
        sf.PoissonInput(cells[:4], sf.load("delta"), 2 * Hz, 500, 0.1 * mV, True, name="shared"),
        sf.VoltageClamp(cells[4:5], sf.Ramp(-60 * mV, -40 * mV, 2 * ms, 20 * ms), start=2 * ms),
    )


def run_of(network: sf.Network, *, few: bool = False, **settings: Any) -> sf.Solution:
    a, b, cells = network.populations
    record = [a.spikes, cells["v"].every(1 * ms)]
    if not few:
        record = [a.spikes, b.spikes, cells.spikes, cells["v"], cells["I_stim"]]
    return sf.simulate(network, T * ms, dt=DT * ms, record=record, **settings)


def bits(run: sf.Solution) -> list[bytes]:
    parts = (
        (run[k].times, run[k].cells) if k.endswith("spikes") else (run[k].values,) for k in run
    )
    return [array.tobytes() for array in chain.from_iterable(parts)]


@pytest.fixture(scope="module")
def whole() -> sf.Solution:
    return run_of(driven(), seed=2**40 + 7)


@pytest.mark.parametrize("most", [pytest.param(1, marks=pytest.mark.slow), 37])
def test_chunks_change_no_bit(
    most: int, whole: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(whole["poisson.spikes"]) > 100
    assert len(whole["cells.spikes"]) > 3
    assert whole["array.spikes"].cells.tolist() == [0, 19, 0]
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", most)
    assert bits(run_of(driven(), seed=2**40 + 7)) == bits(whole)


def test_recorders_change_no_bit(whole: sf.Solution) -> None:
    few = run_of(driven(), few=True, seed=2**40 + 7)
    assert few["poisson.spikes"].times.tobytes() == whole["poisson.spikes"].times.tobytes()
    assert few["cells.v"].values.tobytes() == whole["cells.v"].values[::10].tobytes()


def test_another_seed_gives_other_numbers(whole: sf.Solution) -> None:
    other = run_of(driven(), seed=7)  # that differs in the upper word only
    assert not np.array_equal(other["poisson.spikes"].times, whole["poisson.spikes"].times)
    v, was = other["cells.v"].values, whole["cells.v"].values
    assert not np.any(v[1:20, :3] == was[1:20, :3])
    assert np.array_equal(other["array.spikes"].times, whole["array.spikes"].times)


def test_the_seed_is_an_argument_of_the_compiled_function() -> None:
    made = [
        compile_network(driven(), DT, T, np.float64, {}, (), seed=seed).system
        for seed in (1, 2**40)
    ]
    drives = [system.parameters.drives for system in made]
    first, second = (given.seed for given in drives)
    assert first.tolist() == [1, 0]
    assert second.tolist() == [0, 2**8]
    rest = [
        system.parameters._replace(drives=given._replace(seed=None))
        for system, given in zip(made, drives, strict=True)
    ]
    np.testing.assert_equal(*rest)
    np.testing.assert_equal(made[0].initial, made[1].initial)


def test_a_cell_draws_the_same_beside_more_cells(whole: sf.Solution) -> None:
    wide = run_of(driven(size=40), seed=2**40 + 7)
    first, second = (run["poisson.spikes"] for run in (wide, whole))
    assert first.times.tobytes() == second.times.tobytes()
    early = slice(0, 5)  # before a spike arrives
    noise = wide["cells.I_stim"].values[early, :4]
    assert np.ptp(noise) > 0.1
    np.testing.assert_allclose(noise, whole["cells.I_stim"].values[early, :4], rtol=1e-12)


def test_rows_of_a_batch_have_the_same_noise(whole: sf.Solution) -> None:
    network = driven(C=np.array([[0.2], [0.4]]) * nF)
    cells = network.population("cells")
    run = sf.simulate(network, T * ms, dt=DT * ms, record=[cells["v"]], seed=2**40 + 7)
    np.testing.assert_allclose(run["cells.v"].values[:, 0], whole["cells.v"].values, atol=1e-9)
    assert not np.allclose(run["cells.v"].values[:, 1], whole["cells.v"].values, atol=0.1)


def test_float32_has_the_same_spikes_rounded(whole: sf.Solution) -> None:
    single = run_of(driven(), seed=2**40 + 7, dtype="float32")
    for key in ("poisson.spikes", "array.spikes"):
        assert np.array_equal(np.sort(single[key].cells), np.sort(whole[key].cells))
        np.testing.assert_allclose(single[key].times, whole[key].times, atol=1e-6)
    np.testing.assert_allclose(
        single["cells.I_stim"].values[:30], whole["cells.I_stim"].values[:30], atol=1e-5
    )


@pytest.mark.parametrize("solver", [sf.RK4(), sf.ExponentialEuler()], ids=lambda s: s.name)
def test_a_network_may_be_made_of_sources_alone(solver: Any) -> None:
    first = sf.Population("first", 3, sf.SpikeSourcePoisson(500 * Hz))
    second = sf.Population("second", 3, sf.SpikeSourcePoisson(500 * Hz))
    silent = sf.Population("silent", 40, sf.SpikeSourceArray([50] * ms))
    parts = (first, second, silent)
    run = sf.simulate(
        sf.Network(*parts), 20 * ms, dt=DT * ms, record=[p.spikes for p in parts], solver=solver
    )
    assert len(run["first.spikes"]) > 10
    assert not np.array_equal(run["first.spikes"].times, run["second.spikes"].times)
    assert len(run["silent.spikes"]) == 0


def test_a_rate_too_high_for_the_step_is_refused() -> None:
    fast = sf.Population("fast", 2, sf.SpikeSourcePoisson([10, 6000] * Hz))
    words = r"rate of 6000 Hz is too high for a dt of 0\.1 ms; take dt below 0\.0833 ms"
    with pytest.raises(NetworkError, match=words):
        sf.simulate(sf.Network(fast), 1 * ms, dt=0.1 * ms, record=[fast.spikes])


def given(times: Any) -> tuple[sf.Network, sf.Recorder]:
    source = sf.Population("given", 1, sf.SpikeSourceArray(np.asarray(times) * ms))
    cells = sf.Population("cells", 5, model())
    synapse = sf.load("exponential_current")(i=0.2 * nA)
    link = sf.Projection(source, cells, synapse, delay=0.3 * ms)
    return sf.Network(source, cells, link, sf.Projection(source, cells, synapse, name="now")), [
        source.spikes,
        cells["v"],
    ]


def part(times: Any, length: float, **settings: Any) -> sf.Solution:
    network, record = given(times)
    return sf.simulate(network, length * ms, dt=DT * ms, record=record, **settings)


def test_the_start_belongs_to_a_part_and_times_before_it_are_told() -> None:
    first = part([9.97], 10)
    with pytest.warns(sf.errors.SomaflowWarning, match="1 of 4 spike times of 'given' are") as told:
        second = part([5, 10, 10.1, 12], 10, initial=first.final)
    assert "before 10 ms, where this part of the run begins" in str(told[0].message)
    assert second["given.spikes"].times == pytest.approx([10, 10.1, 12], abs=1e-12)
    assert told[0].filename == __file__


def test_parts_have_every_spike_once_and_the_bits_of_the_whole() -> None:
    times = np.concatenate([np.arange(20, 160) * DT, [3.33, 0.0, 16.0, 30.0]])
    times = np.unique(np.rint(times * 100)) / 100
    times = times[times != 3.3]
    whole = part(times, 20)
    first = part(times, 10)
    with pytest.warns(sf.errors.SomaflowWarning, match=f"{(times < 10).sum()} of {len(times)} "):
        second = part(times, 10, initial=first.final)
    assert whole["given.spikes"].times == pytest.approx(times[times < 20], abs=1e-8)
    both = np.concatenate([run["given.spikes"].times for run in (first, second)])
    assert both.tobytes() == whole["given.spikes"].times.tobytes()
    assert first["given.spikes"].times.max() < 10
    assert second["given.spikes"].times.min() == 10
    halves = first["cells.v"].values, second["cells.v"].values[1:]
    assert np.concatenate(halves).tobytes() == whole["cells.v"].values.tobytes()


def test_two_spikes_of_a_cell_in_one_step_are_refused() -> None:
    times = np.array([7.03, 1.0, 7.0, 7.1])
    cells = sf.Population("given", 3, sf.SpikeSourceArray(times * ms, [2, 2, 2, 2]))
    words = r"cell 2 of 'given' has two spikes in one step of 0\.1 ms, at 7 and 7\.03 ms"
    with pytest.raises(NetworkError, match=words):
        sf.simulate(sf.Network(cells), 10 * ms, dt=0.1 * ms, record=[cells.spikes])
