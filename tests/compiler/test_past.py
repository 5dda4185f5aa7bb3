"""Synapses that read what the presynaptic cell was a delay ago."""

from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError, RunError
from somaflow.numerics import programs
from somaflow.simulation import chunks
from somaflow.units import ms, mV, nA, nS

CELL = sf.Equations.parse("dx/dt = I_stim : 1\nI_stim : 1/ms", x=1)
DELAYED = sf.Equations.parse("x_pre : 1\nI = w*x_pre/ms : 1/ms", w=1)


def series(t: Any) -> Any:
    """The solution of x' = -x(t - 1) with x = 1 before 0, by the method of steps."""
    terms = [(-1) ** k * (t - k + 1) ** k / factorial(k) * (t > k - 1) for k in range(1, 8)]
    return 1 + sum(terms)


def error(solver: Any, n: int, delay: Any) -> float:
    cell = sf.Population("cell", 1, CELL)
    itself = sf.Projection(cell, cell, DELAYED, delay=delay)
    settings: Any = {"dt": ms / n, "solver": solver, "record": cell["x"]}
    x = sf.simulate(sf.Network(cell, itself), 5 * ms, **settings)["cell.x"].values[:, 0]
    return float(np.abs(x - series(np.arange(len(x)) / n)).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "order", "delay"),
    [
        (sf.RK4(), 4, 1 * ms),
        (sf.RK4(), 4, [[1]] * ms),
        (sf.Midpoint(), 2, 1 * ms),
        (sf.Rosenbrock(), 3, 1 * ms),
        (sf.ExponentialEuler(), 1, [[1]] * ms),
    ],
)
def test_a_delay_keeps_the_order_of_the_method(solver: Any, order: int, delay: Any) -> None:
    coarse, fine = (error(solver, n, delay) for n in (10, 20))
    assert np.log2(coarse / fine) == pytest.approx(order, abs=0.1)


# ------------------------------------------------------- a network, and the same in NumPy

DT, N_PRE, N_POST = 0.1, 3, 4
RNG = np.random.default_rng(5)
WEIGHT = RNG.normal(0, 0.3, (2, N_PRE, N_POST))
# Those of the second projection differ: some are none, some end between two steps.
DELAYS = np.array([[0, 0.31, 2.0, 0.1], [0.5, 1.0, 0, 0.72], [0.04, 1.5, 0.3, 1.1]])
START = RNG.uniform(-1, 1, N_PRE)


def network(scale: float = 1.0, delay: float = 1.2) -> tuple[sf.Network, list[sf.Recorder]]:
    """Oscillators that fold, read late in three ways: a gate, a definition, each synapse."""
    model = "dx/dt = y/tau : 1\ndy/dt = -x/tau : 1\nF = scale*sin(3*x) : 1"
    pre = sf.Population(
        "pre", N_PRE, sf.Equations.parse(model, tau=2 * ms, scale=scale, x=START, y=0.5)
    )
    post = sf.Population(
        "post", N_POST, sf.Equations.parse("dv/dt = I_stim - v/ms : 1\nI_stim : 1/ms", v=0)
    )
    gate = sf.Equations.parse(
        "F_pre : 1\nv_post : 1\nI = w*g*(v_post - 2)/ms : 1/ms\ndg/dt = (F_pre - g)/(3*ms) : 1",
        w=1,
        g=0.2,
    )
    angle = sf.Equations.parse("x_pre : 1\nv_post : 1\nI = w*sin(v_post - x_pre)/ms : 1/ms", w=1)
    first = sf.Projection(pre, post, gate, weight=WEIGHT[0], delay=delay * ms, name="gate")
    second = sf.Projection(pre, post, angle, weight=WEIGHT[1], delay=DELAYS * ms, name="angle")
    return sf.Network(pre, post, first, second), [post["v"], pre["x"]]


def plain(steps: int) -> np.ndarray:
    """Euler's method, with lists of what was."""
    x, y, g, v = START, np.full(N_PRE, 0.5), np.full(N_PRE, 0.2), np.zeros(N_POST)
    xs, found = [x], [v]
    steps_of, cells = np.rint(DELAYS / DT).astype(int), np.arange(N_PRE)[:, None]
    for n in range(steps):
        late = np.sin(3 * xs[max(n - 12, 0)])
        each = np.array(xs)[np.maximum(n - steps_of, 0), cells]
        current = (WEIGHT[0] * g[:, None] * (v - 2)).sum(0)
        current = current + (WEIGHT[1] * np.sin(v - each)).sum(0)
        v, g = v - DT * (current + v), g + DT * (late - g) / 3
        x, y = x + DT * y / 2, y - DT * x / 2
        xs.append(x)
        found.append(v)
    return np.array(found)


def run(duration: float = 6.0, **settings: Any) -> sf.Solution:
    made, record = network(**settings.pop("numbers", {}))
    settings = {"dt": DT * ms, "solver": sf.Euler(), "record": record} | settings
    return sf.simulate(made, duration * ms, **settings)


@pytest.fixture(scope="module")
def whole() -> sf.Solution:
    return run(solver=sf.RK4())


def test_what_is_read_late_is_what_was_there() -> None:
    np.testing.assert_allclose(run()["post.v"].values, plain(60), rtol=1e-12, atol=1e-12)


def test_float32_is_near(whole: sf.Solution) -> None:
    narrow = run(solver=sf.RK4(), dtype="float32")["post.v"].values
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, whole["post.v"].values, atol=1e-5)


def test_bits_do_not_depend_on_chunks_or_parts(
    whole: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 7)
    first = run(2.3, solver=sf.RK4())
    rest = run(3.7, solver=sf.RK4(), initial=first.final)
    both = np.concatenate([first["post.v"].values, rest["post.v"].values[1:]])
    np.testing.assert_array_equal(both, whole["post.v"].values)


def test_rows_of_a_batch_have_the_bits_of_runs_alone(whole: sf.Solution) -> None:
    rows = np.stack([START, START / 2])
    batch = run(solver=sf.RK4(), initial={"pre": {"x": rows}})["post.v"].values
    alone = run(solver=sf.RK4(), initial={"pre": {"x": START / 2}})["post.v"].values
    np.testing.assert_array_equal(batch[:, 0], whole["post.v"].values)
    np.testing.assert_array_equal(batch[:, 1], alone)


def test_other_numbers_need_no_other_program() -> None:
    programs.clear()
    run(1.0)
    count = programs.count()
    run(1.0, numbers={"scale": 2.0})
    assert programs.count() == count


def test_a_run_goes_on_only_with_what_is_known(whole: sf.Solution) -> None:
    with pytest.raises(RunError, match=r"up to 2.5 ms late, and the state .* the last 1.2 ms"):
        run(1.0, solver=sf.RK4(), initial=whole.final, numbers={"delay": 2.5})
    with pytest.raises(RunError, match="go on with that dt and that method"):
        run(1.0, initial=whole.final)
    with pytest.raises(RunError, match="go on with that dt and that method"):
        run(1.0, solver=sf.RK4(), initial=whole.final, dt=DT / 2 * ms)


def test_a_shorter_delay_goes_on_with_the_last_of_it() -> None:
    later = run(2.0).final
    found = run(1.0, initial=later, numbers={"delay": 0.4})["post.v"].values
    other = run(1.0, initial=later)["post.v"].values
    assert np.all(found[1] == other[1]) and np.all(found[2:] != other[2:])


def test_what_is_read_before_a_run_that_goes_on_is_its_start() -> None:
    cell = sf.Population("cell", 1, CELL)
    first = sf.simulate(
        sf.Network(cell, sf.Projection(cell, cell, DELAYED)), 1 * ms, dt=0.1 * ms, record=cell["x"]
    )
    late = sf.Projection(cell, cell, DELAYED, delay=1 * ms)
    found = sf.simulate(
        sf.Network(cell, late), 1 * ms, dt=0.1 * ms, record=cell["x"], initial=first.final
    )["cell.x"].values[:, 0]
    np.testing.assert_allclose(found, found[0] * (1 - np.arange(11) / 10), atol=1e-14)


def test_a_reset_is_read_late_with_the_spike_in_its_step() -> None:
    """What is added up of a cell that is reset is the area under it, to the order of the method."""
    cell = sf.Population(
        "cell",
        1,
        sf.Equations.parse("dx/dt = 1/ms : 1", x=0),
        threshold="x > 0.999",
        reset="x = 0",
    )
    sink = sf.Population("sink", 1, sf.Equations.parse("da/dt = I_stim : 1\nI_stim : 1/ms", a=0))
    late = sf.Projection(cell, sink, DELAYED, weight=-1, delay=0.5 * ms)
    found = sf.simulate(sf.Network(cell, sink, late), 3.5 * ms, dt=0.1 * ms, record=sink["a"])
    np.testing.assert_allclose(found["sink.a"].values[[5, 15, 25, 35], 0], [0, 0.5, 1, 1.5])


# ---------------------------------------------------------------- what is said and refused


def test_an_explanation_says_what_is_read_late_and_a_plan_counts_it(tmp_path: Path) -> None:
    made, record = network()
    said = made.explain()
    assert "reads        F_pre of 1.2 ms ago; before the start, the first value" in said
    assert "reads        x_pre of the delay of each synapse ago" in said
    plan = sf.plan(made, 10 * ms, dt=DT * ms, record=record)
    # 13 and 21 steps, 3 nodes, 16 cells with padding
    assert plan.delays == (13 + 21) * 3 * 16 * 8


def refused(synapse: Any, match: str, **settings: Any) -> None:
    a, b = (sf.Population(name, 3, sf.load("lif")) for name in "ab")
    made = sf.Projection(a, b, synapse, **{"delay": 1 * ms, **settings})
    with pytest.raises(NetworkError, match=match):
        sf.simulate(sf.Network(a, b, made), 1 * ms, dt=DT * ms, record=b["v"])


def test_what_cannot_come_later_is_refused() -> None:
    refused(sf.load("gap_junction"), "conducts both ways at once, so it takes no delay")
    text = "v_pre : mV\nv_post : mV\nI = w*maximum(v_post - v_pre, 0*mV) : nA\nI_pre = -I : nA"
    refused(sf.Equations.parse(text, w=1 * nS), "conducts both ways at once")
    text = "v_post : mV\nI = w*v_post : nA"
    refused(sf.Equations.parse(text, w=1 * nS), "reads nothing of the presynaptic cell")
    text = "v_pre : mV\nI = w*g*v_pre : nA\ndg/dt = -g/ms : 1\non spike: g += 1"
    refused(sf.Equations.parse(text, w=1 * nS, g=0), "follows v_pre at all times and waits for")
    graded = sf.load("graded_conductance")
    refused(graded, "0.15 ms, which is no whole number of steps", delay=0.15 * ms)


def test_a_current_of_differences_with_a_delay_acts_one_way() -> None:
    text = "v_pre : mV\nv_post : mV\nI = w*(v_post - v_pre) : nA"
    own = sf.Equations.parse(text, w=1 * nS)
    a, b = (sf.Population(name, 3, sf.load("lif")) for name in "ab")
    late, now = sf.Projection(a, b, own, delay=1 * ms), sf.Projection(a, b, own)
    assert (late.is_gap_junction, now.is_gap_junction) == (False, True)
    weight = np.triu(np.ones((3, 3))) * nS  # pairs need no way back
    itself = sf.Projection(a, a, own, weight=weight, delay=1 * ms, name="itself")
    network = sf.Network(a, b, late, itself, sf.CurrentClamp(b, 3 * nA))
    found = sf.simulate(network, 5 * ms, dt=DT * ms, record=[a["v"], b["v"]])
    assert np.ptp(found["a.v"].values) == 0
    assert np.ptp(found["b.v"].values) > 1


def test_a_clamped_cell_is_read_late_at_its_command() -> None:
    a = sf.Population("a", 1, sf.load("lif"))
    b = sf.Population("b", 1, sf.Equations.parse("dx/dt = I_stim : mV\nI_stim : mV/ms", x=0))
    command = sf.Ramp(0 * mV, 10 * mV, 0 * ms, 10 * ms)
    text = "v_pre : mV\nI = -w*v_pre/ms : mV/ms"
    late = sf.Projection(a, b, sf.Equations.parse(text, w=1), delay=2 * ms)
    network = sf.Network(a, b, late, sf.VoltageClamp(a, command))
    x = sf.simulate(network, 12 * ms, dt=0.1 * ms, record=b["x"])["b.x"].values[:, 0]
    t = np.arange(121) / 10 - 2
    np.testing.assert_allclose(x, np.where(t > 0, t**2 / 2, 0), atol=1e-12)


def test_a_rule_that_reads_the_presynaptic_cell_takes_no_delay() -> None:
    cells = sf.Population("cells", 1, sf.Equations.parse("dx/dt = 1/ms : 1\nI_in : 1", x=0))
    text = "x_pre : 1\nI = -w*x_pre : 1\ndw/dt = 0/ms : 1\nevery 1*ms: w = x_pre"
    joined = sf.Projection(cells, cells, sf.Equations.parse(text, w=0), delay=2 * ms)
    with pytest.raises(NetworkError, match=r"reads 'x_pre'.*leave delay out"):
        sf.simulate(sf.Network(cells, joined), 5 * ms, dt=0.1 * ms)
