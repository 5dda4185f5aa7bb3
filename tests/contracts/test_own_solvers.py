"""Methods that the library does not ship: their order, delays, pulses, checkpoint and resume."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from own_solvers import AdamsBashforth2, Heun3, ThreeTimesRK4

import somaflow as sf
from somaflow.errors import RunError, StoreError
from somaflow.solvers.base import Step, combine
from somaflow.units import ms, mV, nA, uS

OWN = (AdamsBashforth2, ThreeTimesRK4, pytest.param(Heun3, marks=pytest.mark.slow))
PULSED = sf.Equations.parse(
    "v_post : mV\nI = g*o*(v_post - E) : nA\ndo/dt = a*(1 - o)*pulse(0.3*ms) - b*o : 1",
    g=0.05 * nA / mV,
    E=0 * mV,
    a=4 / ms,
    b=0.4 / ms,
    o=0,
)
SMOOTH = sf.Equations.parse("dx/dt = (cos(t/(2*ms)) - x**3)/(3*ms) : 1", x=0.2)


def smooth(solver: Any, dt: float, **settings: Any) -> sf.Solution:
    cells = sf.Population("cells", 1, SMOOTH)
    return sf.simulate(
        sf.Network(cells), 12 * ms, dt=dt * ms, solver=solver, record=cells["x"], **settings
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "coarsest"), [(AdamsBashforth2, 0.05), (Heun3, 0.2), (ThreeTimesRK4, 0.4)]
)
def test_a_method_keeps_its_order_in_a_network(own: Callable[[], Any], coarsest: float) -> None:
    exact = smooth(sf.RK4(), 0.005)["cells.x"].values[-1, 0]
    steps = (coarsest, coarsest / 2, coarsest / 4)
    errors = [abs(smooth(own(), dt)["cells.x"].values[-1, 0] - exact) for dt in steps]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, own().order, atol=0.2)


def test_a_method_remembers_from_step_to_step_and_begins_anew_after_a_reset() -> None:
    dt, tau, drive = 0.1, 10.0, 1.3
    model = sf.Equations.parse("dv/dt = (b - v)/tau : 1", b=drive, tau=tau * ms, v=[0.0, 0.95])
    cells = sf.Population("cells", 2, model, threshold="v > 1", reset="v = 0")
    run = sf.simulate(
        sf.Network(cells), 30 * ms, dt=dt * ms, solver=AdamsBashforth2(), record=cells["v"]
    )
    v, wanted, old = np.array([0.0, 0.95]), [], None
    for _ in range(301):
        wanted.append(v)
        slope = (drive - v) / tau
        past = slope if old is None else np.where(np.isnan(old), slope, old)
        v = v + dt * (1.5 * slope - 0.5 * past)
        over = v > 1
        old, v = np.where(over, np.nan, slope), np.where(over, 0.0, v)
    assert run.statistics["compiled"] in (True, False)
    np.testing.assert_allclose(run["cells.v"].values, wanted, rtol=1e-12)
    assert np.count_nonzero(np.diff(wanted, axis=0) < 0) > 2


def test_a_network_and_solve_agree() -> None:
    run = smooth(AdamsBashforth2(), 0.1)
    text = sf.solve(SMOOTH, t1=12.0, dt=0.1, solver=AdamsBashforth2())
    np.testing.assert_allclose(
        run["cells.x"].values[:, 0], text["x"].values.reshape(-1), rtol=1e-12
    )


def delayed(solver: Any, duration: float, **settings: Any) -> sf.Solution:
    """Cells that excite each other by pulses, at delays that differ."""
    cells = sf.Population("cells", 3, sf.load("lif"), refractory=1 * ms)
    pulses = sf.Projection(cells, cells, PULSED, sf.AllToAll(), delay=sf.Uniform(0.3 * ms, 4 * ms))
    jumps = sf.Projection(
        cells, cells, sf.load("exponential_current")(i=0.2 * nA), sf.AllToAll(), delay=1.7 * ms,
        name="jumps",
    )  # fmt: skip
    net = sf.Network(cells, pulses, jumps, sf.CurrentClamp(cells, np.array([3, 4, 5]) * nA), seed=3)
    chosen: dict[str, Any] = {"record": [cells["v"], cells.spikes], "progress": False}
    return sf.simulate(net, duration * ms, dt=0.1 * ms, solver=solver, **chosen | settings)


@pytest.mark.slow
def test_delays_and_pulses_are_computed_at_the_nodes_of_any_method() -> None:
    wanted = delayed(sf.RK4(), 30)["cells.spikes"].times
    assert len(wanted) > 6
    for own in (Heun3, ThreeTimesRK4):
        np.testing.assert_allclose(delayed(own(), 30)["cells.spikes"].times, wanted, atol=2e-3)


@pytest.mark.parametrize("own", OWN)
def test_two_parts_give_the_bits_of_one(own: Callable[[], Any]) -> None:
    whole, first = delayed(own(), 30), delayed(own(), 13)
    second = delayed(own(), 17, initial=first.final)
    found = np.concatenate([first["cells.v"].values, second["cells.v"].values[1:]])
    np.testing.assert_array_equal(found, whole["cells.v"].values)


@pytest.mark.slow
@pytest.mark.parametrize("own", OWN)
def test_a_run_with_a_method_of_the_user_is_resumed(
    own: Callable[[], Any], tmp_path: Path, stopping: Callable, bytes_of: Callable
) -> None:
    stored = {"checkpoint": 5 * ms, "dtype": "float32"}
    delayed(own(), 30, sink=tmp_path / "whole.zarr", **stored)
    path = tmp_path / "stopped.zarr"
    with pytest.raises(InterruptedError):
        delayed(own(), 30, sink=path, **stored | {"progress": stopping(11)})
    with pytest.raises(StoreError, match=r"a method of your own; give it: sf\.resume\(path, sol"):
        sf.resume(path)
    with pytest.raises(RunError, match=r"is of a run with .*, and solver is Midpoint"):
        sf.resume(path, solver=sf.Midpoint())
    sf.resume(path, solver=own(), progress=False)
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")
    assert sf.check(path, solver=own()).sound


def test_another_step_or_another_network_begins_the_memory_anew() -> None:
    first = smooth(AdamsBashforth2(), 0.2)
    second = smooth(AdamsBashforth2(), 0.1, initial=first.final)
    x = second["cells.x"].values[:, 0]
    slope = (np.cos(12 / 2) - x[0] ** 3) / 3
    assert x[1] == pytest.approx(x[0] + 0.1 * slope, rel=1e-12)


def test_a_state_of_other_nodes_goes_on_only_where_nothing_is_under_way() -> None:
    first = delayed(sf.RK4(), 13)
    with pytest.raises(RunError, match="a method with other nodes, and spikes are under way"):
        delayed(Heun3(), 5, initial=first.final)
    calm = delayed(sf.RK4(), 1)
    assert len(calm["cells.spikes"].times) == 0
    delayed(Heun3(), 5, initial=calm.final)


# ----------------------------------------------------------------------------- bad methods


class Unnamed(Heun3):
    name, nodes = "unnamed", (0.0, 0.5)


class TensorTime(Heun3):
    name = "tensor time"

    def step(self, problem: Any, t: Any, *rest: Any, **more: Any) -> Step:
        return super().step(problem, tf.constant(t, tf.float64), *rest, **more)


class Namesake(Heun3):
    name = sf.RK4().name


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Unnamed, r"asks for the vector field at t \+ 0\.333333\*dt, but its nodes are 0, 0\.5"),
        (TensorTime, "at a time that is a tensor"),
        (Namesake, r"is the name of sf\.RK4\(\)"),
    ],
)
def test_a_method_that_a_network_cannot_run_is_refused(method: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        smooth(method(), 0.1)


@pytest.mark.parametrize("nodes", [(0.0, 1.5), (0.5, 0.0), (0.0, 0.0), "all", (0.0, "half")])
def test_nodes_that_are_no_fractions_of_a_step_are_refused(nodes: Any) -> None:
    solver = type("Other", (Heun3,), {"name": "other", "nodes": nodes})()
    with warnings.catch_warnings(), pytest.raises(RunError, match="the nodes of other are"):
        smooth(solver, 0.1)


# ------------------------------------------------------------------------- other contracts


class Base(Heun3):
    """What a subclass inherits, and reads from this module."""

    name, nodes = "inheriting", (0.0,)

    def init(self, problem: Any, t: Any, y: Any) -> Any:
        return None

    def step(self, problem: Any, t: Any, dt: Any, y: Any, *rest: Any, **more: Any) -> Step:
        y1 = combine(y, dt, (self.weight(),), [problem.f(t, y)])
        return Step(y1, None, lambda: (y,), ())

    @staticmethod
    def weight() -> float:
        return WEIGHT


class Inheriting(Base):
    pass


WEIGHT = 1.0


def test_what_a_method_inherits_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    first = smooth(Inheriting(), 0.5)["cells.x"].values[1, 0]
    monkeypatch.setitem(globals(), "WEIGHT", 0.5)
    second = smooth(Inheriting(), 0.5)["cells.x"].values[1, 0]
    assert second - 0.2 == pytest.approx(0.5 * (first - 0.2), rel=1e-12)


class Local(Heun3):
    name = "local"

    def init(self, problem: Any, t: Any, y: Any) -> Any:
        return problem.f(t, y), problem.local(t, y) if problem.local is not None else y

    def step(self, problem: Any, t: Any, dt: Any, y: Any, memory: Any, noise: Any = None) -> Step:
        return super().step(problem, t, dt, y, memory)._replace(memory=self.left(memory))

    def left(self, memory: Any) -> Any:
        return memory


class Forgetful(Local):
    name = "forgetful"

    def left(self, memory: Any) -> Any:
        return ()


def test_a_method_may_ask_for_anything_when_it_begins() -> None:
    cells = sf.Population("cells", 3, sf.load("lif"))
    gap = sf.Projection(cells, cells, sf.load("gap_junction"), weight=0.01 * uS)
    net = sf.Network(cells, gap)
    sf.simulate(net, 1 * ms, dt=0.1 * ms, solver=Local())
    with pytest.raises(RunError, match="forgetful returns another memory from step than from init"):
        sf.simulate(net, 1 * ms, dt=0.1 * ms, solver=Forgetful())
