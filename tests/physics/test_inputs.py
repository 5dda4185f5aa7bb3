"""Inputs against closed forms: Poisson trains, noise at any dt, given spikes, the voltage clamp."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import Hz, cm, ms, mV, nA, nF, pA, uA, uS

pytestmark = pytest.mark.slow

TAU, C = 10.0, 0.2  # ms, nF


def leaky(size: int, tau: float | None = TAU, **given: Any) -> sf.Population:
    """Cells whose potential is a current, filtered, or with no tau its integral."""
    leak = "" if tau is None else f" - v/({tau}*ms)"
    model = sf.Equations.parse(f"dv/dt = I_stim/C{leak} : mV\nI_stim : nA", C=C * nF, v=0)
    return sf.Population("cells", size, model, **given)


def simulated(*parts: Any, T: float, record: Any, dt: float = 0.1, **settings: Any) -> sf.Solution:
    return sf.simulate(sf.Network(*parts), T * ms, dt=dt * ms, record=record, **settings)


def kolmogorov_smirnov(samples: np.ndarray, distribution: Any) -> float:
    """The largest distance between two distribution functions, times the root of n."""
    n, wanted = len(samples), distribution(np.sort(samples))
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - wanted).max(), (wanted - steps[:-1]).max())) * np.sqrt(n)


# ----------------------------------------------------------------------- Poisson sources


@pytest.fixture(scope="module")
def trains() -> sf.SpikeTrains:
    """100 cells at 50 Hz for two seconds."""
    source = sf.Population("source", 100, sf.SpikeSourcePoisson(rate=50 * Hz))
    return simulated(source, T=2000, record=[source.spikes], seed=3)["source.spikes"]


def test_a_poisson_train_has_its_rate_and_a_fano_factor_of_one(trains: sf.SpikeTrains) -> None:
    wanted = 0.05 * 2000  # spikes a cell
    counts = np.bincount(trains.cells, minlength=100)
    assert counts.mean() == pytest.approx(wanted, abs=4 * np.sqrt(wanted / 100))
    assert counts.var(ddof=1) / counts.mean() == pytest.approx(1, abs=4 * np.sqrt(2 / 99))
    windows = np.histogram2d(trains.cells, trains.times, [np.arange(101), np.arange(0, 2001, 100)])
    fano = windows[0].var(ddof=1) / windows[0].mean()
    assert fano == pytest.approx(1, abs=4 * np.sqrt(2 / 1999))
    neighbours = np.corrcoef(windows[0][:-1].ravel(), windows[0][1:].ravel())[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(1980)


@pytest.mark.parametrize("rate", [1000, 5000])
def test_a_fast_train_has_its_rate_and_a_variance_of_one_spike_a_step_at_most(rate: int) -> None:
    source = sf.Population("source", 200, sf.SpikeSourcePoisson(rate * Hz))
    trains = simulated(source, T=1000, record=[source.spikes])["source.spikes"]
    counts = np.bincount(trains.cells, minlength=200)
    variance = rate * (1 - rate * 1e-4)
    assert counts.mean() == pytest.approx(rate, abs=4 * np.sqrt(variance / 200))
    assert counts.var(ddof=1) == pytest.approx(variance, rel=4 * np.sqrt(2 / 199))


def test_intervals_are_exponential_and_places_in_a_step_even(trains: sf.SpikeTrains) -> None:
    intervals = np.concatenate([np.diff(trains.times[trains.cells == n]) for n in range(100)])
    assert len(intervals) > 9000
    # The probability of a distance beyond 2.3 is 2*exp(-2*2.3**2) = 5e-5.
    assert kolmogorov_smirnov(intervals, lambda t: -np.expm1(-t / 20)) < 2.3
    places = (trains.times / 0.1) % 1
    assert kolmogorov_smirnov(places, lambda u: u) < 2.3


def test_rates_of_cells_and_rates_that_change_over_time() -> None:
    size = 400
    each = sf.Population("each", 3, sf.SpikeSourcePoisson([0, 100, 400] * Hz))
    # The borders lie within steps.
    rate = sf.Step(50 * Hz, 30.02 * ms, 80.02 * ms)
    step = sf.Population("step", size, sf.SpikeSourcePoisson(rate))
    ramp = sf.Population("ramp", size, sf.SpikeSourcePoisson(sf.Ramp(0 * Hz, 60 * Hz, 0, 100)))
    samples = np.zeros((2, size))
    samples[0, :200], samples[1, 200:] = 40, 80
    wave = sf.SpikeSourcePoisson(sf.Waveform(samples * Hz, every=50 * ms))
    waves = sf.Population("waves", size, wave)
    populations = (each, step, ramp, waves)
    run = simulated(*populations, T=100, record=[p.spikes for p in populations], dt=0.05)
    counts = np.bincount(run["each.spikes"].cells, minlength=3)
    assert counts[0] == 0
    for n, wanted in ((1, 10), (2, 40)):
        assert counts[n] == pytest.approx(wanted, abs=4 * np.sqrt(wanted))
    times = run["step.spikes"].times
    assert times.min() >= 30
    assert times.max() <= 80.05
    assert len(times) == pytest.approx(size * 2.5, abs=4 * np.sqrt(size * 2.5))
    half = np.array([(run["ramp.spikes"].times < 50).sum(), (run["ramp.spikes"].times > 50).sum()])
    wanted = size * np.array([0.75, 2.25])
    assert np.all(np.abs(half - wanted) < 4 * np.sqrt(wanted))
    early = run["waves.spikes"].times < 50
    assert np.array_equal(early, run["waves.spikes"].cells < 200)
    both = np.array([early.sum(), (~early).sum()])
    assert np.all(np.abs(both - size * np.array([1, 2])) < 4 * np.sqrt(size * np.array([1, 2])))


# ------------------------------------------------------------------------- given spikes


@pytest.mark.parametrize("size", [1, 40])
def test_given_spikes_come_at_their_times_and_open_synapses_there(size: int) -> None:
    times = np.array([5.0, 0.0, 12.25, 3.3, 400.0])
    source = sf.Population("source", size, sf.SpikeSourceArray(times * ms))
    post = leaky(size)
    synapse = sf.load("exponential_current")(i=0.1 * nA, tau=4 * ms)
    links = sf.Projection(source, post, synapse, sf.OneToOne())
    run = simulated(source, post, links, T=20, record=[source.spikes, post["I_stim"]])
    found = run["source.spikes"]
    assert np.array_equal(found.cells, np.tile(np.arange(size), 4))
    np.testing.assert_allclose(found.times[::size], [0, 3.3, 5, 12.25], atol=1e-8)
    assert found.times.min() >= 0
    current = run["cells.I_stim"]
    after = current.time.values[:, None] - np.sort(times[:4])
    # A current is there from the spike on; a sample at that very time is taken before it.
    wanted = np.sum(np.where(after > 1e-9, 0.1 * np.exp(-after / 4), 0), axis=1)
    np.testing.assert_allclose(current.values, wanted[:, None] * np.ones(size), atol=1e-8)


def test_a_cell_may_spike_on_every_border_from_the_start_on() -> None:
    times = np.arange(100) * 0.1
    source = sf.Population("source", 1, sf.SpikeSourceArray(times * ms))
    post = leaky(1, tau=None)
    links = sf.Projection(source, post, sf.load("exponential_current")(i=0.1 * nA, tau=4 * ms))
    record = [source.spikes, source.rate(0.1 * ms), post["I_stim"]]
    run = simulated(source, post, links, T=10, record=record)
    assert np.array_equal(run["source.spikes"].times, times)
    assert run["source.rate"].values[1:].ravel() == pytest.approx([10_000] * 100)
    after = run["cells.I_stim"].time.values[:, None] - times
    wanted = np.sum(np.where(after > 1e-9, 0.1 * np.exp(-after / 4), 0), axis=1)
    np.testing.assert_allclose(run["cells.I_stim"].values[:, 0], wanted, atol=1e-8)


def test_recorded_spikes_can_be_played_again() -> None:
    source = sf.Population("source", 30, sf.SpikeSourcePoisson(100 * Hz))
    first = simulated(source, T=100, record=[source.spikes])["source.spikes"]
    again = sf.Population("source", 30, sf.SpikeSourceArray(first.times * ms, first.cells))
    second = simulated(again, T=100, record=[again.spikes])["source.spikes"]
    assert len(first) > 200
    assert np.array_equal(second.cells, first.cells)
    np.testing.assert_allclose(second.times, first.times, atol=1e-7)


# --------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_white_noise_has_the_same_effect_at_any_step(dt: float) -> None:
    sigma, size = 0.3, 2000
    cells = leaky(size)
    noise = sf.Stimulus(cells, sf.WhiteNoise(sigma * nA * ms**0.5, mean=50 * pA))
    record = [cells["v"].every(20 * ms)]
    run = simulated(cells, noise, T=200, dt=dt, record=record, solver=sf.ExponentialEuler())
    late = run["cells.v"].values[3:]
    wanted = sigma / C * np.sqrt(TAU / 2)
    assert late.std() == pytest.approx(wanted, rel=4 / np.sqrt(2 * late.size))
    assert late.mean() == pytest.approx(0.05 / C * TAU, abs=4 * wanted / np.sqrt(late.size))


def test_noise_that_begins_and_ends_within_steps_has_its_mean_and_variance() -> None:
    sigma, size, dt = 0.3, 4000, 0.1
    cells = leaky(size, tau=None)
    window = sf.WhiteNoise(sigma * nA * ms**0.5, 2 * nA, start=0.26 * ms, stop=0.44 * ms)
    record = [cells["v"]]
    run = simulated(cells, sf.Stimulus(cells, window), T=1, dt=dt, record=record)
    charge = run["cells.v"].values * C
    for k, long in ((2, 0.0), (3, 0.04), (4, 0.14), (5, 0.18), (10, 0.18)):
        assert charge[k].var() == pytest.approx(sigma**2 * long, rel=4 * np.sqrt(2 / size))
        spread = 4 * sigma * np.sqrt(long / size)
        assert charge[k].mean() == pytest.approx(2 * long, abs=max(spread, 1e-12))


def test_the_integral_of_white_noise_is_a_wiener_process() -> None:
    sigma, size = 0.3, 3000
    for dt in (0.1, 0.5):
        cells = leaky(size, tau=None)
        window = sf.WhiteNoise(sigma * nA * ms**0.5, start=10 * ms, stop=60 * ms)
        record = [cells["v"].every(10 * ms)]
        run = simulated(cells, sf.Stimulus(cells, window), T=80, dt=dt, record=record)
        charge = run["cells.v"].values * C
        assert np.all(charge[:2] == 0)  # until 10 ms
        assert np.array_equal(charge[6], charge[8])  # from 60 ms on
        for k in (2, 4, 6):
            wanted = sigma**2 * (k - 1) * 10
            assert charge[k].var() == pytest.approx(wanted, rel=4 * np.sqrt(2 / size))
        assert abs(np.corrcoef(charge[2], charge[4] - charge[2])[0, 1]) < 4 / np.sqrt(size)
        assert abs(np.corrcoef(charge[6, :-1], charge[6, 1:])[0, 1]) < 4 / np.sqrt(size)


@pytest.mark.parametrize("dt", [0.01, 0.1])
def test_an_ornstein_uhlenbeck_current_is_the_same_at_any_step(dt: float) -> None:
    mean, sd, tau, size = 0.2, 0.05, 2.0, 2000
    cells = leaky(size)
    noise = sf.Stimulus(cells, sf.OrnsteinUhlenbeck(mean * nA, sd * nA, tau * ms))
    record = [cells["I_stim"].every(tau * ms)]
    run = simulated(cells, noise, T=80, dt=dt, record=record, solver=sf.ExponentialEuler())
    x = run["cells.I_stim"].values
    # Samples tau apart have a correlation of 1/e, so of n only n*(1 - e**-2)/(1 + e**-2) count.
    counts = x.size * np.tanh(1.0)
    assert x.std() == pytest.approx(sd, rel=min(0.02, 4 / np.sqrt(2 * counts)))
    assert x.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(x.size * np.tanh(0.5)))
    assert x[0].std() == pytest.approx(sd, rel=4 / np.sqrt(2 * size))  # stationary at once
    centred = x - mean
    for lag in (1, 2):
        found = np.mean(centred[lag:] * centred[:-lag]) / sd**2
        assert found == pytest.approx(np.exp(-lag), abs=4 * np.sqrt(1.5 / counts))


def test_two_noises_and_two_cells_are_unrelated() -> None:
    size = 1000
    cells = leaky(size)
    other = sf.Population("other", size, cells.model)
    noise = sf.OrnsteinUhlenbeck(0 * nA, 1 * nA, 1 * ms)
    parts = [sf.Stimulus(cells, noise), sf.Stimulus(other, noise)]
    record = [cells["I_stim"].every(4 * ms), other["I_stim"].every(4 * ms)]
    run = simulated(cells, other, *parts, T=40, record=record)
    x, y = run["cells.I_stim"].values, run["other.I_stim"].values
    assert abs(np.mean(x * y)) < 4 / np.sqrt(x.size)
    assert abs(np.mean(x[:, 1:] * x[:, :-1])) < 4 / np.sqrt(x.size)
    both = simulated(
        cells, *[sf.Stimulus(cells, noise)] * 2, T=40, record=[cells["I_stim"].every(4 * ms)]
    )["cells.I_stim"].values
    assert both.var() == pytest.approx(2, rel=4 * np.sqrt(2 / both.size))


def test_a_current_between_grid_points_brings_its_charge() -> None:
    waves = [
        (sf.Step(1 * nA, 0.25 * ms, 0.35 * ms), 0.1),
        (sf.Step([1, 2, 3] * nA, 0.22 * ms, 0.28 * ms), np.array([0.06, 0.12, 0.18])),
        (sf.Waveform([1, 0] * nA, every=0.03 * ms, start=0.25 * ms), 0.03),
        (sf.Ramp(1 * nA, 3 * nA, 0.22 * ms, 0.51 * ms), 2 * 0.29 + 3 * 1.49),
    ]
    parts, record = [], []
    for n, (wave, _) in enumerate(waves):
        cells = sf.Population(f"cells_{n}", 3, leaky(1, tau=None).model)
        parts += [cells, sf.Stimulus(cells, wave)]
        record.append(cells["v"])
    both = sf.Population("both", 1, leaky(1, tau=None).model)
    parts += [both, *(sf.CurrentClamp(both, 1 * nA, t * ms, (t + 0.1) * ms) for t in (0.25, 1.33))]
    for solver in (sf.RK4(), sf.ExponentialEuler()):
        run = simulated(*parts, T=2, record=[*record, both["v"]], solver=solver)
        for n, (wave, charge) in enumerate(waves):
            if isinstance(wave, sf.Ramp) and isinstance(solver, sf.ExponentialEuler):
                continue  # it takes the start of a step for the whole of it
            found = run[f"cells_{n}.v"].values[-1] * C
            np.testing.assert_allclose(found, np.broadcast_to(charge, 3), rtol=1e-12)
        assert run["both.v"].values[-1, 0] * C == pytest.approx(0.2, rel=1e-12)


def test_a_command_between_grid_points_is_taken_to_the_nearest_border() -> None:
    cells = leaky(1)
    clamp = sf.VoltageClamp(cells, sf.Step(-5 * mV, 0.28 * ms, 0.44 * ms), stop=0.72 * ms)
    v = simulated(cells, clamp, T=1, record=[cells["v"]])["cells.v"].values[:, 0]
    assert v[:7].tolist() == [0, 0, 0, -5, 0, 0, 0]


SLOW = (sf.Heun(), sf.ExponentialMidpoint(), sf.ImplicitEuler(), sf.Rosenbrock())
SOLVERS = [
    sf.RK4(),
    sf.ExponentialEuler(),
    *(pytest.param(s, marks=pytest.mark.slow) for s in SLOW),
]


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.name)
def test_a_method_sees_a_noise_that_is_constant_within_a_step(solver: Any) -> None:
    cells = leaky(5, tau=None)
    parts = [
        sf.Stimulus(cells, sf.WhiteNoise(0.3 * nA * ms**0.5)),
        sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0.1 * nA, 0.2 * nA, 3 * ms)),
    ]
    record = [cells["v"], cells["I_stim"]]
    run = simulated(cells, *parts, T=20, record=record, solver=solver, seed=5)
    steps = np.diff(run["cells.v"].values, axis=0)
    wanted = run["cells.I_stim"].values[:-1] * 0.1 / C
    np.testing.assert_allclose(steps, wanted, rtol=1e-9, atol=1e-11)


# ----------------------------------------------------------------------- voltage clamps


def rates(v: float) -> dict[str, tuple[float, float]]:
    """Opening and closing rates of the gates of Hodgkin and Huxley (1952), 1/ms."""
    return {
        "m": (0.1 * (v + 40) / -np.expm1(-(v + 40) / 10), 4 * np.exp(-(v + 65) / 18)),
        "h": (0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))),
        "n": (0.01 * (v + 55) / -np.expm1(-(v + 55) / 10), 0.125 * np.exp(-(v + 65) / 80)),
    }


@pytest.mark.parametrize("solver", [sf.RK4(), sf.ExponentialEuler()], ids=lambda s: s.name)
def test_gates_under_a_voltage_clamp_follow_their_closed_form(solver: Any) -> None:
    axon = sf.Population("axon", 3, sf.load("hodgkin_huxley_1952"))
    commands = np.array([-30.0, 0.0, 20.0])
    parts = [
        sf.VoltageClamp(axon, -70 * mV),
        sf.VoltageClamp(axon, commands * mV, start=5 * ms, stop=30 * ms),
        sf.CurrentClamp(axon, 300 * uA / cm**2),
    ]
    record = [axon[name] for name in ("v", "m", "h", "n", "I_k")]
    run = simulated(axon, *parts, T=40, dt=0.01, record=record, solver=solver)
    time, v = run["axon.v"].time.values, run["axon.v"].values
    on = (time > 5 - 1e-9) & (time < 30 - 1e-9)
    assert np.array_equal(v[on], np.tile(commands, (on.sum(), 1)))
    assert np.all(v[~on] == -70)
    since = time[on] - 5
    for k, command in enumerate(commands):
        for gate, (opening, closing) in rates(command).items():
            course = run[f"axon.{gate}"].values[on, k]
            end = opening / (opening + closing)
            wanted = end + (course[0] - end) * np.exp(-(opening + closing) * since)
            np.testing.assert_allclose(course, wanted, atol=2e-7)
            assert course[-1] == pytest.approx(end, abs=2e-3)
    current = 36 * run["axon.n"].values ** 4 * (v + 77)
    np.testing.assert_allclose(run["axon.I_k"].values, current, rtol=1e-12)


def test_a_clamp_follows_a_waveform_and_lets_go() -> None:
    cells = leaky(4, threshold="v > 5*mV")  # without a reset: it would spike while it is above
    ramp = sf.Ramp(-10 * mV, [10, 20] * mV, 1 * ms, 3 * ms)
    clamp = sf.VoltageClamp(cells[[0, 2]], ramp, start=1 * ms, stop=4 * ms)
    run = simulated(cells, clamp, T=6, record=[cells["v"], cells.spikes])
    time, v = run["cells.v"].time.values, run["cells.v"].values
    assert np.all(v[:, [1, 3]] == 0)
    assert np.all(v[time < 0.95, 0] == 0)
    held = (time > 0.95) & (time < 3.95)
    share = np.clip((time[held] - 1) / 2, 0, 1)
    np.testing.assert_allclose(v[held][:, [0, 2]], -10 + np.outer(share, [20, 30]), atol=1e-12)
    free = time > 3.95
    assert v[free, 2][0] == pytest.approx(20, abs=1e-12)
    np.testing.assert_allclose(v[free, 2], 20 * np.exp(-(time[free] - 4) / TAU), rtol=1e-9)
    spikes = run["cells.spikes"]
    assert spikes.cells.tolist() == [2, 0]
    np.testing.assert_allclose(spikes.times, [1 + 2 * 15 / 30, 1 + 2 * 15 / 20], atol=1e-6)


def test_a_noisy_conductance_drives_towards_its_reversal_and_is_never_negative() -> None:
    size, mean, sd = 2000, 0.01, 0.02
    cells = leaky(size)
    noise = sf.OrnsteinUhlenbeck(mean * uS, sd * uS, 3 * ms, reversal=-20 * mV)
    parts = [sf.VoltageClamp(cells, -60 * mV), sf.Stimulus(cells, noise)]
    run = simulated(cells, *parts, T=20, record=[cells["I_stim"].every(4 * ms)])
    g = run["cells.I_stim"].values / 40
    assert g.min() == 0
    # Mean of a normal number that is cut at 0: mean*Phi(a) + sd*phi(a), a = mean/sd = 1/2.
    wanted = mean * 0.6914624612740131 + sd * 0.3520653267642995
    assert g.mean() == pytest.approx(wanted, abs=4 * sd / np.sqrt(g.size * np.tanh(2 / 3)))
    assert (g == 0).mean() == pytest.approx(0.3085, abs=4 * 0.5 / np.sqrt(g.size))
