"""Maps: states that a step makes anew, and what goes with them."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import EquationError, NetworkError, NonFiniteState, RunError, UnitError
from somaflow.numerics import programs
from somaflow.units import ms, mV, nA

# Rulkov NF (2002) Modeling of spiking-bursting neural behavior using two-dimensional map. Physical
# Review E 65:041922, doi:10.1103/PhysRevE.65.041922, equation 1 with a current.
RULKOV = """
x[n+1] = alpha/(1 + x[n]**2) + y[n] + I_stim : 1
y[n+1] = y[n] - mu*(x[n] - sigma) : 1
I_stim : 1
"""
NUMBERS: dict[str, Any] = {"mu": 0.001, "sigma": -1.0, "alpha": [4.1, 4.15, 4.2, 4.3]}
START = {"x": -1.0, "y": [-2.9, -2.8, -2.85, -2.9]}
WEIGHT = np.array([[0, 1, 0, 1], [1, 0, 2, 0], [0, 2, 0, 1], [1, 0, 1, 0]]) * 0.02


def cells(**settings: Any) -> sf.Population:
    numbers = NUMBERS | {key: settings.pop(key) for key in [*settings] if key in NUMBERS}
    return sf.Population("cells", 4, sf.Equations.parse(RULKOV, **numbers, **START), **settings)


def coupled(population: sf.Population, **settings: Any) -> sf.Projection:
    text = "x_pre : 1\nx_post : 1\nI = w*(x_post - x_pre) : 1"
    synapse = sf.Equations.parse(text, w=1)
    return sf.Projection(population, population, synapse, weight=WEIGHT, **settings)


def run(network: sf.Network, steps: int, **settings: Any) -> sf.Solution:
    first = network.populations[0]
    record = [first[name] for name in first.equations.states if name != "y"]
    record += [first.spikes] if first.spiking else []
    return sf.simulate(network, steps * ms, dt=1 * ms, **{"record": record, **settings})


@pytest.mark.parametrize("delay", [0, 3])
def test_a_network_of_maps_is_iterated(delay: int) -> None:
    """Each iteration is that of NumPy; of chaos, rounding leaves no more after some hundreds."""
    population = cells()
    network = sf.Network(population, coupled(population, delay=delay * ms, name="both"))
    found = run(network, 400, record=[population["x"], population["y"]])
    x, y = (found[f"cells.{name}"].values for name in "xy")
    late = x[np.maximum(np.arange(400) - delay, 0)]
    current = (WEIGHT * (late[:, :, None] - x[:-1, None])).sum(1)
    wanted = np.array(NUMBERS["alpha"]) / (1 + x[:-1] ** 2) + y[:-1] + current
    np.testing.assert_allclose(x[1:], wanted, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(y[1:], y[:-1] - 0.001 * (x[:-1] + 1), rtol=1e-13)
    assert np.ptp(x[:, 1]) > 2
    assert found.time[-1] == 400


def test_a_map_alone_has_the_bits_of_numpy_and_spikes_at_whole_steps() -> None:
    """x = 2x without rounding: what an iteration gives is not touched afterwards."""
    text = "x[n+1] = 2*x[n] if x[n] < 0.5 else 2*x[n] - 1 : 1"
    start = np.random.default_rng(3).integers(1, 1 << 50, 5) / (1 << 50)
    doubling = sf.Population("cells", 5, sf.Equations.parse(text, x=start), threshold="x >= 0.5")
    found = run(sf.Network(doubling), 40)
    x, wanted = start, [start]
    for _ in range(40):
        x = np.where(x < 0.5, 2 * x, 2 * x - 1)
        wanted.append(x)
    np.testing.assert_array_equal(found["cells.x"].values, wanted)
    above = np.array(wanted) >= 0.5
    steps, _ = np.nonzero(above[1:] & ~above[:-1])
    np.testing.assert_array_equal(found["cells.spikes"].times, steps + 1)


def test_a_reset_and_a_refractory_period_are_of_whole_iterations() -> None:
    text = "x[n+1] = x[n] + 1 : 1"
    population = sf.Population(
        "cells", 1, sf.Equations.parse(text, x=0), threshold="x > 2.5", reset="x = 0",
        refractory=2 * ms,
    )  # fmt: skip
    found = run(sf.Network(population), 12)
    wanted = [0, 1, 2, 0, 0, 0, 1, 2, 0, 0, 0, 1, 2]
    np.testing.assert_array_equal(found["cells.x"].values[:, 0], wanted)
    np.testing.assert_array_equal(found["cells.spikes"].times, [3, 8])


def test_spikes_inputs_and_parts_of_runs_go_with_maps() -> None:
    text = "x[n+1] = 0.5*x[n] + I_stim/nA : 1\nI_stim : nA"
    made = sf.Equations.parse(text, x=0)
    source = sf.Population("source", 1, sf.SpikeSourceArray([2, 5] * ms))
    cell = sf.Population("cell", 1, made)
    kick = sf.Equations.parse("x_post : 1\non spike: x_post += w", w=1)
    network = sf.Network(
        cell,
        source,
        sf.Projection(source, cell, kick, name="kick"),
        sf.Projection(source, cell, sf.load("exponential_current")(tau=1 * ms), weight=1 * nA),
        sf.CurrentClamp(cell, 1 * nA, start=4 * ms),
    )
    whole = run(network, 9)["cell.x"].values[:, 0]
    # A spike at 2 ms is in the step that begins there; a current that decays is its mean in a step.
    x, current, wanted = 0.0, 0.0, [0.0]
    for n in range(1, 10):
        x = 0.5 * x + current * (1 - np.exp(-1)) + (n - 1 >= 4)
        current *= np.exp(-1)
        if n in (3, 6):
            x, current = x + 1, current + np.exp(-1)
        wanted.append(x)
    np.testing.assert_allclose(whole, wanted, rtol=1e-12)
    first = run(network, 1)
    rest = run(network, 8, initial=first.final)["cell.x"].values[:, 0]
    np.testing.assert_array_equal(rest, whole[1:])


def test_rows_of_a_batch_float32_and_other_numbers() -> None:
    programs.clear()
    one = run(sf.Network(cells()), 30)["cells.x"].values
    count = programs.count()
    other = run(sf.Network(cells(sigma=-0.9)), 30)["cells.x"].values
    assert programs.count() == count
    both = run(sf.Network(cells(sigma=[[-1.0], [-0.9]])), 30)["cells.x"].values
    np.testing.assert_array_equal(both, np.stack([one, other], axis=1))
    narrow = run(sf.Network(cells()), 30, dtype="float32")["cells.x"].values
    np.testing.assert_allclose(narrow[:8], one[:8], atol=1e-3)


def test_the_text_of_a_map_is_one_for_all_ways_to_write_it() -> None:
    first = sf.Equations.parse("x [n + 1] = f : 1\nf = a*x[n] : 1", a=2, x=1)
    second = sf.Equations.parse("x[n+1] = f : 1\nf = a*x : 1", a=2, x=1)
    assert first == second
    assert "x[n+1] = f : 1" in first.text
    assert sf.Equations.parse(first.text, a=2, x=1) == first
    assert sf.Equations.parse("dx/dt = f : 1\nf = a*x : 1", a=2, x=1) != first
    population = sf.Population("cells", 1, first)
    assert "a map: one iteration a step" in sf.Network(population).explain()


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("x[n+1] = x[n] : 1\ndy/dt = -y/ms : 1", EquationError, "is a map and 'y' has a deriv"),
        ("x[n+1] = x[n]/ms : 1", UnitError, "but x must be"),
        ("x[n+1] = x[n] + xi : 1", EquationError, "a map cannot depend on the white noise xi"),
        ("x[n+1] = y[n+1] : 1\ny[n+1] = x[n] : 1", EquationError, "what was before it"),
        ("x_{n+1} = x : 1", EquationError, r"is written 'x\[n\+1\] = ... : unit'"),
        ("x[t+1] = x : 1", EquationError, r"is written 'x\[n\+1\] = ... : unit'"),
        ("x = 2*x : 1", EquationError, r"A map, .*, is written 'x\[n\+1\] = ...'"),
    ],
)
def test_what_is_no_map_is_refused_with_what_is_one(text: str, kind: Any, said: str) -> None:
    with pytest.raises(kind, match=said):
        sf.Equations.parse(text)


def test_what_does_not_go_with_maps_is_refused() -> None:
    population = cells()
    with pytest.raises(RunError, match="which RK4 does not make"):
        run(sf.Network(population), 1, solver=sf.RK4())
    flowing = sf.Population("lif", 1, sf.load("lif"))
    with pytest.raises(RunError, match="are all maps, or none is"):
        run(sf.Network(population, flowing), 1)
    with pytest.raises(RunError, match="no population of this network is one"):
        run(sf.Network(flowing), 1, solver=sf.Map())
    text = "x_pre : 1\nI = w*g : 1\ndg/dt = (x_pre - g)/ms : 1"
    gate = sf.Projection(population, population, sf.Equations.parse(text, w=1, g=0))
    with pytest.raises(NetworkError, match=r"states \(g\) with derivatives"):
        run(sf.Network(population, gate), 1)
    mapped = sf.Equations.parse("x_pre : 1\nI = w*g : 1\ng[n+1] = x_pre : 1", w=1, g=0)
    with pytest.raises(NetworkError, match="a synapse has no map"):
        run(sf.Network(population, sf.Projection(population, population, mapped)), 1)
    with pytest.raises(RunError, match=r"is a map, which sf\.solve does not make"):
        sf.solve(sf.Equations.parse("x[n+1] = 2*x[n] : 1", x=1), t1=1 * ms)


def test_a_map_that_grows_is_told_by_its_cell_and_iteration() -> None:
    square = sf.Equations.parse("v[n+1] = v[n]**2/mV : mV", v=[1, 10] * mV)
    population = sf.Population("cells", 2, square)
    with pytest.raises(NonFiniteState, match=r"cells.v\[1\] is inf at .* after 9 iterations"):
        run(sf.Network(population), 20)


def test_events_of_maps_are_at_the_ends_of_steps_as_spikes_are() -> None:
    counting = sf.Equations.parse("y[n+1] = y + 1 : 1", y=0)
    events: Any = {"early": "y > 2.25", "late": ("y > 4.25", "y = 0")}
    cells = sf.Population("cells", 1, counting, threshold="y > 2.25", events=events)
    record = [cells.spikes, cells.event("early"), cells.event("late")]
    run = sf.simulate(sf.Network(cells), 8 * ms, dt=1 * ms, record=record)
    assert run["cells.spikes"].times == pytest.approx([3.0, 8.0])
    assert run["cells.early"].times == pytest.approx([3.0, 8.0])
    assert run["cells.late"].times == pytest.approx([5.0])
