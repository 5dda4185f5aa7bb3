"""Time in runs of float32: what depends on it is right, however far from zero it is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.compiler.lower import Lowered
from somaflow.units import Hz, ms, second

TURN = 6.283185307179586
FAR = 1e5


def at(population: sf.Population, begin: float, names: tuple[str, ...], **options: Any) -> Any:
    """Return what is recorded of 20 ms that begin so late, in float32, and the times."""
    network = sf.Network(population)
    record = [population[name].every(0.1 * ms) for name in names]
    options = {"dt": 0.1 * ms, "dtype": "float32", "progress": False, "record": record} | options
    first = sf.simulate(network, 0.1 * ms, **options).final
    assert first is not None
    run = sf.simulate(network, 20 * ms, **options, initial=replace(first, steps=round(begin * 10)))
    values = [run[f"{population.name}.{name}"].values.astype(float) for name in names]
    return *values, begin + 0.1 * np.arange(201)[:, None]


@pytest.mark.parametrize("begin", [0.0, 1e6, 5e6])
def test_a_sine_of_the_time_has_its_phase(begin: float) -> None:
    text = f"""
        dx/dt = (s - x)/tau : 1
        w = {TURN}*f : Hz
        s = sin(w*t + phase) : 1
        both = sin(w*t + x) : 1
        ramp = (t - start)/tau : 1
        late = where(t > start + 5.05*ms, x + 1, 0) : 1
    """
    phases = np.array([0, 0.4, 3.0])
    model = sf.Equations.parse(
        text, f=[10, 10, 9.7] * Hz, phase=phases, tau=10 * ms, start=begin * ms, x=0.1
    )
    cells = sf.Population("cells", 3, model)
    s, both, x, ramp, late, t = at(cells, begin, ("s", "both", "x", "ramp", "late"))
    angle = TURN * np.array([10, 10, 9.7]) / 1000 * t
    assert np.abs(s - np.sin(angle + phases)).max() < 2e-7
    assert np.abs(both - np.sin(angle + x)).max() < 2e-7
    assert np.abs(ramp - (t - begin) / 10).max() < 2e-7
    np.testing.assert_array_equal(late != 0, np.broadcast_to(t - begin > 5.05, x.shape))


def test_a_driven_cell_follows_far_from_zero() -> None:
    # dx/dt = (sin(w*t) - x)/tau has the solution of the same equation in float64.
    text = f"dx/dt = (sin({TURN}*f*t) - x)/tau : 1"
    cells = sf.Population("cells", 1, sf.Equations.parse(text, f=50 * Hz, tau=10 * ms, x=0))
    single, _ = at(cells, 5e6, ("x",))
    double, _ = at(cells, 5e6, ("x",), dtype="float64")
    assert np.abs(double).max() > 0.1
    assert np.abs(single - double).max() < 2e-6


def test_the_tree_of_a_float64_run_stays_as_it_is() -> None:
    model = sf.Equations.parse("dx/dt = (sin(w*t) - x)/tau : 1", w=1 / ms, tau=10 * ms)
    plain, single = Lowered(model, frozenset()), Lowered(model, frozenset(), single=True)
    assert plain.exact({"w": 1.0, "tau": 2.0}) == {}
    assert single.exact({"w": 1.0, "tau": 2.0}) == {"exact w": 1.0}
    still = sf.Equations.parse("dx/dt = -x/tau : 1", tau=10 * ms)
    trees = [Lowered(still, frozenset(), single=s).derivative("x") for s in (False, True)]
    assert trees[0] == trees[1]


def test_a_state_that_holds_a_time_is_warned_of() -> None:
    model = sf.Equations.parse("dlast/dt = (t - last)/tau : ms", tau=10 * ms, last=0)
    cells = sf.Population("cells", 1, model)
    with pytest.warns(UserWarning, match=r"'last' of 'cells' is a time.*lie 0\.5 ms apart"):
        at(cells, 5e6, ("last",))
    at(cells, 1e3, ("last",))


# ---------------------------------------------------------------------------- sf.solve


def error(sol: sf.Solution, scale: float = 1.0) -> float:
    times = np.asarray(sol.time) * scale
    found = np.ravel(sol["y"].values)
    return float(np.abs(found - np.sin(times) * np.ones_like(found)).max())


def given(t: Any) -> dict[str, Any]:
    return {"y": np.sin(t)}


FIELDS: dict[str, Callable[..., Any]] = {
    "tf": lambda t, y: {"y": tf.cos(t)},
    "math": lambda t, y: {"y": sf.math.cos(t) + 0 * y["y"]},
    "constant": lambda t, y: {"y": tf.constant(1.0, t.dtype) * tf.cos(t)},
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("end", [FAR + 10, FAR - 10])
def test_a_function_of_time_far_from_zero(name: str, end: float) -> None:
    sol = sf.solve(FIELDS[name], given(FAR), t0=FAR, t1=end, dtype="float32")
    assert sol.statistics["accepted"] + sol.statistics["rejected"] < 25
    assert error(sol) < 2e-4


@pytest.mark.parametrize("solver", [sf.Rosenbrock(), sf.ImplicitEuler(), sf.RK4()])
def test_every_kind_of_step_far_from_zero(solver: Any) -> None:
    field = FIELDS["math"]
    options = {"t0": FAR, "t1": FAR + 2, "dt": 0.01, "solver": solver}
    single, double = (
        sf.solve(field, given(FAR), dtype=dtype, **options)["y"].values
        for dtype in ("float32", "float64")
    )
    assert np.abs(single - double).max() < 1e-5


def test_equations_far_from_zero_and_over_a_long_time() -> None:
    model = sf.Equations.parse("dy/dt = w*cos(w*t) : 1", w=1 / second)
    begin = {"y": np.sin(FAR)}
    sol = sf.solve(model, begin, t0=FAR * second, t1=(FAR + 10) * second, dtype="float32")
    assert sol.statistics["accepted"] < 35
    assert error(sol, 1e-3) < 2e-4
    steps = sf.solve(
        model, begin, t0=FAR * second, t1=(FAR + 1) * second, dt=10 * ms, dtype="float32"
    )
    assert error(steps, 1e-3) < 1e-5
    long = sf.solve(
        sf.Equations.parse("dy/dt = (cos(w*t) - y)/tau : 1", w=1.0 / ms, tau=1 * ms),
        {"y": 0.5},
        t1=1e5 * ms,
        at=np.arange(99990, 100001) * ms,
        dt=0.05 * ms,
        dtype="float32",
    )
    # The periodic solution of y' = cos t - y is (cos t + sin t)/2.
    t = np.asarray(long.time)
    assert np.abs(long["y"].values - (np.cos(t) + np.sin(t)) / 2).max() < 1e-5


def test_a_crossing_far_from_zero_is_found_where_it_is() -> None:
    events = {
        "up": sf.Event(lambda t, y: y["y"], direction="up"),
        "clock": sf.Event(lambda t, y: sf.math.sin(t) + 0 * y["y"], direction="up"),
    }
    sol = sf.solve(
        FIELDS["math"], given(FAR), t0=FAR, t1=FAR + 20, rtol=1e-5, events=events, dtype="float32"
    )
    turns = np.arange(np.ceil(FAR / TURN), np.floor((FAR + 20) / TURN) + 1) * TURN
    for name, allowed in (("up", 1e-4), ("clock", 1e-5)):
        assert np.abs(np.asarray(sol.events[name].t) - turns).max() < allowed
    model = sf.Equations.parse("dy/dt = w*cos(w*t) : 1", w=1 / ms)
    text = sf.solve(
        model,
        given(FAR),
        t0=FAR * ms,
        t1=(FAR + 20) * ms,
        dtype="float32",
        events={"clock": sf.Event("sin(w*t) > 0*y")},
    )
    assert np.abs(np.asarray(text.events["clock"].t) - turns).max() < 1e-5


def test_a_derivative_far_from_zero() -> None:
    rate = tf.Variable(1.0)

    def field(t: Any, y: Any, p: Any) -> Any:
        return {"y": p["r"] * tf.cos(t)}

    with tf.GradientTape() as tape:
        sol = sf.solve(field, given(FAR), t0=FAR, t1=FAR + 5, args={"r": rate}, dtype="float32")
        end = sol.y["y"][-1]
    assert abs(float(tape.gradient(end, rate)) - (np.sin(FAR + 5) - np.sin(FAR))) < 3e-4
    model = sf.Equations.parse("dy/dt = r*w*cos(w*t) : 1", w=1 / ms, r=1)
    for solver in ({"dt": 0.05 * ms}, {}):
        with tf.GradientTape() as tape:
            sol = sf.solve(
                model,
                given(FAR),
                t0=FAR * ms,
                t1=(FAR + 5) * ms,
                args={"r": rate},
                dtype="float32",
                **solver,
            )
            end = sol.y["y"][-1]
        assert abs(float(tape.gradient(end, rate)) - (np.sin(FAR + 5) - np.sin(FAR))) < 3e-4


def test_rows_have_times_of_their_own_shape() -> None:
    def field(t: Any, y: Any) -> Any:
        return {"y": sf.math.cos(t) + 0 * y["y"]}

    begin = {"y": np.full((3, 5), np.sin(FAR))}
    sol = sf.solve(field, begin, t0=FAR, t1=FAR + 10, batch=1, dtype="float32")
    wanted = np.sin(np.asarray(sol.time))[:, None, None]
    assert np.abs(sol["y"].values - wanted).max() < 2e-4


def test_what_cannot_be_computed_in_float64_is_warned_of_far_from_zero() -> None:
    table = tf.constant([1.0], tf.float32)

    def field(t: Any, y: Any) -> Any:
        return {"y": table[0] * y["y"] * 0 + tf.cast(tf.cos(t), tf.float32)}

    with pytest.warns(UserWarning, match=r"near 100010 lie 0\.0078 apart, while steps are about"):
        sf.solve(field, given(FAR), t0=FAR, t1=FAR + 10, dtype="float32")
    assert error(sf.solve(field, {"y": 0.0}, t1=10, dtype="float32")) < 2e-4


def test_a_function_without_time_is_computed_in_float32() -> None:
    def field(t: Any, y: Any, p: Any) -> Any:
        assert y["y"].dtype == p["a"].dtype == tf.float32
        return {"y": -p["a"] * y["y"]}

    # Were it thought to look at the time, it would be warned of.
    sol = sf.solve(field, {"y": 1.0}, t0=FAR, t1=FAR + 1, args={"a": 2.0}, dtype="float32")
    assert abs(float(sol["y"].values[-1]) - np.exp(-2)) < 1e-4
