"""Runs side by side are runs alone: to the bit, whoever is beside them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.compiler import rows as abreast
from somaflow.errors import NonFiniteState
from somaflow.running import rows
from somaflow.running.arguments import read
from somaflow.running.job import Job, job_of
from somaflow.running.preparing import compile_job
from somaflow.running.rows import rows_of, run_together
from somaflow.storage.solution import Solution
from somaflow.units import Hz, cm, mS, ms, mV, nA, nS, uA, uF

Parts = tuple[sf.Network, list[Any]]


def cells(k: int, name: str = "l", noise: str = "", reset: str = "v = -65*mV") -> sf.Population:
    """Five leaky integrators of which every number is another for each k."""
    text = f"dv/dt = (E - v + R*I + R*I0)/tau{noise} : mV\nI : nA"
    numbers = {"E": (-65 + 0.1 * k) * mV, "R": 10 * mV / nA, "tau": (20 - 0.3 * k) * ms}
    if noise:
        numbers["s"] = (1 + 0.1 * k) * mV / ms**0.5
    model = sf.Equations.parse(text, I0=(2 + 0.1 * k) * nA, v=-65 * mV, **numbers)
    period = (2 + 0.1 * (k % 3)) * ms
    return sf.Population(name, 5, model, "v > -50*mV", reset=reset, refractory=period)


def axons(k: int) -> Parts:
    cells = sf.Population("c", 3, sf.load("hodgkin_huxley_1952"), threshold="v > 0*mV")
    clamp = sf.CurrentClamp(cells, np.linspace(5, 20 + k, 3) * uA / cm**2, start=2 * ms)
    mean = cells["v"].mean().every(0.5 * ms)
    return sf.Network(cells, clamp), [cells["v"].every(0.5 * ms), cells.spikes, mean]


def noises(k: int) -> Parts:
    own = cells(k)
    slow = sf.OrnsteinUhlenbeck(0.1 * k * nA, (1.2 + 0.1 * k) * nA, 1 * ms)
    few = sf.OrnsteinUhlenbeck(0 * nA, (1 + 0.1 * k) * nA, 2 * ms)
    white = sf.WhiteNoise((1 + 0.1 * k) * nA * ms**0.5)
    drives = sf.Stimulus(own[:2], slow), sf.Stimulus(own[2:4], few), sf.Stimulus(own, white)
    v = own["v"].every(0.5 * ms)
    return sf.Network(own, *drives), [v, own.spikes.with_("v")]


def equations(k: int) -> Parts:
    own = cells(k, noise=" + s*xi", reset="v = -65*mV + 3*rand()*mV")
    edges = np.linspace(-70, -45, 6) * mV
    histogram = own["v"].histogram(edges).every(5 * ms)
    return sf.Network(own), [own["v"].every(0.5 * ms), own.spikes, histogram]


def inputs(k: int) -> Parts:
    one, other, current = cells(k), cells(k + 1, "m"), sf.load("exponential_current")
    rate = (500 + 20 * k) * Hz
    whole = sf.PoissonInput(one, current, weight=(0.1 + 0.01 * k) * nA, rate=rate, n=3, name="i")
    part = sf.PoissonInput(other[:2], current, weight=0.2 * nA, rate=2 * rate, n=2, name="j")
    recorded = [one["v"].every(0.5 * ms), one.spikes.every(5 * ms).rate(), other["v"].every(1 * ms)]
    return sf.Network(one, other, whole, part), recorded


PULSED = """
v_post : mV
I = w*o*v_post : nA
do/dt = (5/ms)*(1 - o)*pulse(0.3*ms) - o/(5*ms) : 1
"""


def graded(k: int) -> Parts:
    one, other = cells(k, "a"), cells(k + 1, "b")
    weight = np.random.default_rng(k).uniform(1, 9, (5, 5)) * nS
    given = sf.Projection(one, other, sf.load("graded_conductance"), weight=weight, name="p")
    drawn = sf.FixedInDegree(3, seed=k)
    among = sf.Projection(one, one, sf.load("nmda_saturating"), drawn, 2 * nS, name="q")
    current = sf.load("exponential_current")
    more = sf.PoissonInput(other, current, weight=nA, rate=(900 + 20 * k) * Hz, n=2, name="i")
    gate = sf.Equations.parse(PULSED, w=(2 + 0.1 * k) * nS, o=0)
    pulsed = sf.Projection(one, other, gate, sf.FixedProbability(0.5, seed=k), name="o")
    recorded = [one["v"].every(0.5 * ms), other["v"], one.spikes, other.spikes, given["I"]]
    return sf.Network(one, other, given, among, pulsed, more), recorded


def lobe(k: int, wiring: int = 0) -> Parts:
    """A small antennal lobe: pulsed and graded synapses, two weights in one group, and noise."""
    channels, synapses, density = sf.catalogue("channels"), sf.catalogue("synapses"), mS / cm**2
    capacity, leak = 1 * uF / cm**2, channels.leak(g=0.15 * density, E=-55 * mV)
    fast = {"na": channels.na_traub1991(g=100 * density), "k": channels.k_traub1991(g=10 * density)}
    pn = sf.Population("PN", 20, sf.Neuron(capacity, **fast, leak=leak), "v > 0*mV")
    slow = {"ca": channels.ca(g=3 * density), "k": channels.k_traub1991(g=10 * density)}
    ln = sf.Population("LN", 6, sf.Neuron(capacity, **slow, leak=leak), "v > -20*mV")
    nach, gaba = synapses.nach(g=(0.3 + 0.05 * k) * density), synapses.gaba_a(g=0.01 * density)
    some = sf.FixedInDegree(5, multapses=True, seed=1 + wiring)
    half = sf.FixedProbability(0.5, self_connections=False, seed=2 + wiring)
    noise = sf.OrnsteinUhlenbeck((5 + k) * uA / cm**2, (2 + 0.1 * k) * uA / cm**2, 5 * ms)
    parts = (
        sf.Projection(pn, ln, nach, some, delay=0.1 * ms),
        sf.Projection(ln, pn, gaba, half, (0.1 + 0.02 * k) * density),
        sf.Projection(ln, ln, gaba, half),
        sf.Stimulus(pn, noise),
        sf.CurrentClamp(ln, (1 + 0.2 * k) * uA / cm**2, start=2 * ms),
    )
    recorded = [pn.spikes, ln.spikes, pn["v"].mean().every(0.5 * ms), ln["v"].every(1 * ms)]
    return sf.Network(pn, ln, *parts), recorded


def spiking(k: int) -> Parts:
    """Return cells that spikes reach after a delay, which are no rows."""
    sources = sf.Population("s", 6, sf.SpikeSourcePoisson((50 + 3 * k) * Hz))
    own, delay = cells(k), (0.5 + 0.5 * (k % 2)) * ms
    weight = np.linspace(1, 2, 30).reshape(6, 5) * nA
    current = sf.load("exponential_current")
    made = sf.Projection(sources, own, current, weight=weight, delay=delay, name="p")
    return sf.Network(sources, own, made), [own["v"].every(0.5 * ms), own.spikes, sources.spikes]


def job(parts: Parts, seed: int, duration: float = 30.0, **given: Any) -> Job:
    network, recorded = parts
    settings = {"dt": 0.05 * ms, "solver": sf.RK4(), "dtype": "float32"} | given
    dt, solver, dtype = settings["dt"], settings["solver"], settings["dtype"]
    initial = settings.get("initial", {})
    return job_of(
        read(network, duration * ms, dt, solver, dtype, seed, recorded, initial, None, None)
    )


def alone(parts: Parts, seed: int, duration: float = 30.0, **given: Any) -> sf.Solution:
    network, recorded = parts
    settings = {"dt": 0.05 * ms, "solver": sf.RK4(), "dtype": "float32", "progress": False}
    return sf.simulate(network, duration * ms, record=recorded, seed=seed, **settings | given)


def same(found: Any, wanted: Any) -> None:
    """Compare two results to the bit, with all that labels them."""
    assert isinstance(found, Solution), found
    one, other = found.to_xarray(), wanted.to_xarray()
    assert one.identical(other), {
        name: np.argwhere(np.asarray(one[name] != other[name]))[:3] for name in one.variables
    }
    assert found.meta == wanted.meta
    counted = ("cells", "equations", "synapses", "steps", "spikes")
    assert [found.statistics[c] for c in counted] == [wanted.statistics[c] for c in counted]


def all_same(found: Any, wanted: Any) -> None:
    """Compare two results and the states at which they end."""
    same(found, wanted)
    one, other = found.final, wanted.final
    for parts, wants in (
        (one.events, other.events),
        *zip(*map(_states, (one, other)), strict=True),
    ):
        assert parts.keys() == wants.keys()
        for name, value in parts.items():
            np.testing.assert_array_equal(value, wants[name], name, strict=True)


def _states(final: Any) -> list[dict[str, Any]]:
    return [final.states[name] for name in sorted(final.states)]


LOBE = {"dt": 0.02 * ms}


# With how many rows at a time. Each is a program to compile.
FEATURES: dict[str, tuple[Callable[[int], Parts], dict[str, Any], int]] = {
    "axons": (axons, {"dt": 0.02 * ms}, 2),
    "axons, exponential": (axons, {"dt": 0.02 * ms, "solver": sf.ExponentialEuler()}, 8),
    "axons, Rosenbrock": (axons, {"solver": sf.Rosenbrock(), "dtype": "float64"}, 2),
    "noise that drives": (noises, {"solver": sf.ExponentialEuler()}, 8),
    "noise in equations, and chance": (equations, {"solver": sf.EulerMaruyama()}, 2),
    "Poisson inputs": (inputs, {}, 8),
    "graded synapses and wirings": (graded, {"solver": sf.ExponentialEuler()}, 2),
    "the same, exponential, double": (
        graded,
        {"solver": sf.ExponentialEuler(), "dtype": "float64"},
        8,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FEATURES)
def test_a_row_has_the_bits_of_a_run_alone(kind: str) -> None:
    build, given, count = FEATURES[kind]
    jobs = [job(build(k), 10 + k, **given) for k in range(5)]
    wanted = [alone(build(k), 10 + k, **given) for k in range(5)]
    assert rows_of(jobs[0]) > 1
    for found, one in zip(run_together(jobs, count), wanted, strict=True):
        same(found, one)
    assert len({str(one.to_xarray()) for one in wanted}) == 5


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_has_the_same_bits_whoever_is_beside_it(dtype: str) -> None:
    every = [noises(k) for k in range(7)]
    jobs = [job(parts, k, dtype=dtype) for k, parts in enumerate(every)]
    wanted = run_together(jobs, 7)
    for count in (1, 3, 17):
        for order in (list(range(7)), [5, 2, 2, 6]):
            found = run_together([jobs[place] for place in order], count)
            for place, one in zip(order, found, strict=True):
                same(one, wanted[place])


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "counts"), [("float32", (3, 17)), ("float64", (3,))])
def test_a_lobe_in_a_row_has_the_bits_of_one_alone(dtype: str, counts: tuple[int, ...]) -> None:
    given = LOBE | {"dtype": dtype}
    jobs = [job(lobe(k), k, **given) for k in range(3)]
    wanted = [alone(lobe(k), k, **given) for k in range(3)]
    assert rows_of(jobs[0]) > 1
    assert min(len(one[name]) for one in wanted for name in ("PN.spikes", "LN.spikes")) > 0
    for count in counts:
        for found, one in zip(run_together(jobs, count), wanted, strict=True):
            all_same(found, one)


@pytest.mark.slow
def test_lobes_of_one_wiring_share_its_matrix_and_others_do_not() -> None:
    asked = [(0, 0), (1, 0), (2, 5), (0, 9)]
    jobs = [job(lobe(*one), 7, **LOBE) for one in asked]
    wanted = [alone(lobe(*one), 7, **LOBE) for one in asked]
    for chosen in ([0, 1], [0, 1, 2, 3], [3]):
        found = run_together([jobs[k] for k in chosen], 4)
        for k, one in zip(chosen, found, strict=True):
            all_same(one, wanted[k])
    shared, apart = (_rows_of_arrays([jobs[k] for k in chosen]) for chosen in ([0, 1], [0, 2]))
    assert [one["weight"].ndim for one in shared] == [2, 2]
    assert [one["weight"].ndim for one in apart] == [3, 3]
    assert [one["scale"].shape[0] for one in (*shared, *apart)] == [2, 2, 2, 2]


def _rows_of_arrays(jobs: list[Job]) -> list[dict[str, Any]]:
    """Return the arrays of the synapses of some runs as rows of one program."""
    systems = [compile_job(one).system for one in jobs]
    batch = compile_job(jobs[0], rows=len(jobs)).system
    wired = len({abreast.likeness(system).counts for system in systems}) == 1
    return abreast.stacked(batch, systems, wired).parameters.sums


@pytest.mark.slow
def test_a_row_that_blows_up_says_so_and_leaves_the_others_alone() -> None:
    text = "dx/dt = a*x*x : 1"

    def parts(a: float) -> Parts:
        own = sf.Population("p", 2, sf.Equations.parse(text, a=a / ms, x=np.array([0.5, 1.0])))
        return sf.Network(own), [own["x"].every(1 * ms)]

    rates = (-0.1, 0.2, 0.01)
    found = run_together([job(parts(a), 0, 10.0) for a in rates], 4)
    assert isinstance(found[1], NonFiniteState)
    with pytest.raises(NonFiniteState) as told:
        alone(parts(0.2), 0, 10.0)
    assert str(found[1]) == str(told.value)
    assert "p.x[1]" in str(found[1])
    for place in (0, 2):
        same(found[place], alone(parts(rates[place]), 0, 10.0))


@pytest.mark.slow
def test_one_compilation_serves_all_of_a_structure() -> None:
    jobs = [job(graded(k), k, 5.0, solver=sf.ExponentialEuler()) for k in range(5)]
    first = run_together(jobs[:2], 2)
    later = run_together(jobs[2:], 2)
    assert isinstance(first[0], Solution)
    assert not any(one.statistics["compiled"] for one in later if isinstance(one, Solution))


def test_what_cannot_be_a_row_is_run_by_itself() -> None:
    own = cells(0)
    given = {"solver": sf.ExponentialEuler()}
    batch = {"l": {"v": np.full((2, 5), -60.0) * mV}}
    parts = sf.Network(own), [own["v"].every(1 * ms)]
    asked = job(parts, 0, 3.0, initial=batch, **given)
    assert rows_of(asked) == 1
    same(run_together([asked], 4)[0], alone(parts, 0, 3.0, initial=batch, **given))


@pytest.mark.slow
def test_cells_that_spikes_reach_are_run_by_themselves() -> None:
    jobs = [job(spiking(k), k, 10.0) for k in range(3)]
    assert [rows_of(one) for one in jobs] == [1, 1, 1]
    for k, found in enumerate(run_together(jobs, 4)):
        same(found, alone(spiking(k), k, 10.0))


def test_kinds_of_few_runs_have_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, int]] = []

    def noted(runs: Sequence[Any], count: int) -> list[Any]:
        taken.append((len(runs), count))
        return [None for _ in runs]

    monkeypatch.setattr(rows, "_abreast", noted)
    one, other = [job(noises(k), k, 5.0) for k in range(3)], job(inputs(0), 0, 5.0)
    run_together([*one, other], 16)
    run_together(one, 16)
    assert taken == [(3, 4), (1, 2), (3, 16)]


@pytest.mark.slow
def test_runs_of_other_stimuli_and_structures_are_kept_apart() -> None:
    def parts(start: float, size: int) -> Parts:
        own = sf.Population("c", size, sf.load("hodgkin_huxley_1952"))
        clamp = sf.CurrentClamp(own, 10 * uA / cm**2, start=start * ms, stop=4 * ms)
        return sf.Network(own, clamp), [own["v"].every(0.5 * ms)]

    asked = [(1.0, 2), (2.0, 2), (1.0, 3), (1.5, 3)]
    given = {"dt": 0.02 * ms}
    found = run_together([job(parts(*one), 0, 5.0, **given) for one in asked], 2)
    for one, numbers in zip(found, asked, strict=True):
        same(one, alone(parts(*numbers), 0, 5.0, **given))
