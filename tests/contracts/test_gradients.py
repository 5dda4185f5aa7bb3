"""Derivatives by an eager tape around `solve`, for each family of deterministic solvers.

The reference is an uncompiled loop over the same steps, of which the tape sees every operation.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.errors import RunError
from somaflow.simulation import adjoint
from somaflow.simulation.flow import polynomial
from somaflow.simulation.stretches import Outcome
from somaflow.solvers.base import Problem
from somaflow.units import ms, mV, second

pytestmark = pytest.mark.slow

# One method of each family; the test of the default has RK4, an explicit one. The pairs are looked
# at where they choose the steps; those looked at between steps are at steps too.
PAIRS = [sf.Tsitouras(), sf.Rosenbrock()]
BETWEEN = [sf.RK4(), sf.ExponentialMidpoint(), sf.ImplicitEuler()]
ZERO = tf.UnconnectedGradients.ZERO


def real(value: Any) -> Any:
    return tf.constant(value, tf.float64)


def pendulum(t: Any, y: Any, p: Any) -> Any:
    """A pendulum with friction under a force: it does not amplify."""
    return {
        "angle": y["speed"],
        "speed": -sf.math.sin(y["angle"]) - p["friction"] * y["speed"] + p["force"] * _cos(t),
    }


def _cos(t: Any) -> Any:
    return sf.math.cos(0.7 * t)


START = [1.2, 0.3]
ARGS = [0.6, 0.4]


def of_solve(**settings: Any) -> tuple[list[Any], Any]:
    """Gradients by y0 and args of a weighted sum of all samples, and the solution."""
    sources = [real(value) for value in (*START, *ARGS, 7.0)]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        angle, speed, friction, force, unused = sources
        args = {
            "friction": friction, "force": force, "unused": unused, "which": np.arange(3),
            "whole": tf.constant([1, 2]),
        }  # fmt: skip
        found = sf.solve(pendulum, {"angle": angle, "speed": speed}, args=args, **settings)
        loss = weighed(tf.stack([found.y["angle"], found.y["speed"]], axis=1)[:, :, None])[0]
    return tape.gradient(loss, sources), found


def weighed(samples: Any) -> Any:
    """The weighted sum of the samples of each column."""
    shape = (*samples.shape[:2], 1)
    weights = np.cos(np.arange(np.prod(shape))).reshape(shape)
    return tf.reduce_sum(real(weights) * samples, axis=(0, 1))


class Taken(NamedTuple):
    """A step: its start, its size, and where in it the samples lie."""

    s: float
    h: float
    at: list[float]


def by_hand(solver: Any, steps: list[Taken], sources: list[Any]) -> Any:
    """The same sums by a loop in Python, one for each column of the sources."""
    y = tf.stack(sources[:2])
    args = dict(zip(("friction", "force"), sources[2:], strict=True))

    def f(t: Any, y: Any) -> Any:
        found = pendulum(t, {"angle": y[0], "speed": y[1]}, args)
        return tf.stack([found["angle"], found["speed"]])

    problem = Problem(f)
    memory, samples = solver.init(problem, real([steps[0].s]), y), [y]
    for taken in steps:
        made = solver.step(problem, real([taken.s]), real([taken.h]), y, memory)
        for theta in taken.at:
            samples.append(made.y if theta == 1 else polynomial(made.dense(), real(theta)))
        y, memory = made.y, made.memory
    return weighed(tf.stack(samples))


def check_against_a_loop(found: list[Any], solver: Any, steps: list[Taken]) -> None:
    """Compare with the tape over the loop, and with differences of the loop.

    The columns of the loop are the solve itself, and each source a little greater and less.
    """
    width = 1e-4
    moves = np.zeros((4, 9))
    for k in range(4):
        moves[k, 2 * k + 1 : 2 * k + 3] = width, -width
    sources = [real(value) for value in (*START, *ARGS)]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        columns = [source + real(move) for source, move in zip(sources, moves, strict=True)]
        losses = by_hand(solver, steps, columns)
        loss = losses[0]
    wanted = np.array(tape.gradient(loss, sources, unconnected_gradients=ZERO))
    assert np.array(found[:4]) == pytest.approx(wanted, rel=1e-10, abs=0)
    assert found[4] == 0
    ends = losses.numpy()
    assert (ends[1::2] - ends[2::2]) / (2 * width) == pytest.approx(wanted, rel=1e-6)


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Outcome, Any]]:
    """The compiled functions, outcomes and parameters of differentiable solves."""
    found = []
    inner = adjoint.differentiable

    def spy(compiled: Any, run: Callable[..., Outcome], y: Any, parameters: Any) -> Any:
        def noted(y: Any, parameters: Any, keep: bool) -> Outcome:
            outcome = run(y, parameters, keep)
            found.append((compiled, outcome, parameters))
            return outcome

        return inner(compiled, noted, y, parameters)

    monkeypatch.setattr(adjoint, "differentiable", spy)
    return found


def accepted(compiled: Any, outcome: Outcome, parameters: Any, at: Any) -> list[Taken]:
    """The accepted steps of an adaptive solve."""
    steps = []
    for stretch in outcome.stretches:
        kept, _, count, _ = compiled.reverse._again(stretch.start, parameters, stretch.timing)
        for k in range(int(count)):
            if kept.accepted[k, 0]:
                steps.append((float(kept.s[k, 0]), float(kept.h[k, 0])))
    ends = [s for s, _ in steps[1:]] + [float(outcome.end[0])]
    return [
        Taken(s, h, [1.0 if t == end else (t - s) / h for t in at if s < t <= end])
        for (s, h), end in zip(steps, ends, strict=True)
    ]


@pytest.mark.slow
def test_fixed_steps_have_the_derivatives_of_a_loop() -> None:
    steps = [Taken(0.05 * k, 0.05, [1.0] if k % 4 == 3 else []) for k in range(8)]
    default: dict[str, Any] = {}
    for given in (default, {"solver": sf.ExponentialEuler()}):
        found, _ = of_solve(t1=0.4, dt=0.05, every=0.2, **given)
        check_against_a_loop(found, given.get("solver", sf.RK4()), steps)


@pytest.mark.slow
@pytest.mark.parametrize("solver", BETWEEN, ids=lambda solver: solver.name)
def test_samples_between_fixed_steps_have_the_derivatives_of_a_loop(solver: Any) -> None:
    found, _ = of_solve(t1=0.5, dt=0.125, at=[0.0, 0.03, 0.05, 0.25, 0.3, 0.5], solver=solver)
    places = [[0.03, 0.05], [0.25], [0.3], [0.5]]
    steps = [
        Taken(k / 8, 0.125, [1.0 if t == (k + 1) / 8 else 8 * t - k for t in at])
        for k, at in enumerate(places)
    ]
    check_against_a_loop(found, solver, steps)


@pytest.mark.slow
@pytest.mark.parametrize("solver", PAIRS, ids=lambda solver: solver.name)
def test_adaptive_steps_have_the_derivatives_of_a_loop_that_holds_them(
    solver: Any, caught: list[Any]
) -> None:
    at = np.array([0.0, 0.01, 0.4, 0.43, 1.1, 1.5])
    found, solution = of_solve(t1=1.5, at=at, solver=solver, rtol=1e-5, atol=1e-7)
    steps = accepted(*caught[0], at)
    assert len(steps) == solution.statistics["accepted"] > 5
    assert sum(len(taken.at) for taken in steps) == 5
    check_against_a_loop(found, solver, steps)


@pytest.mark.slow
def test_rejected_steps_and_many_stretches_change_nothing(caught: list[Any]) -> None:
    def f(t: Any, y: Any, p: Any) -> Any:  # its scale of time changes suddenly
        return -p * (1 + 50 * tf.exp(-200 * (t - 1) ** 2)) * (y - tf.sin(5 * t))

    def by(rate: Any) -> Any:
        return sf.solve(f, np.ones(20_000), args=rate, t1=2.0, at=[2.0], rtol=1e-7)

    rate = real(2.0)
    with tf.GradientTape() as tape:
        tape.watch(rate)
        found = by(rate)
        loss = tf.reduce_mean(found.y)
    assert found.statistics["rejected"] > 2
    assert len(caught[0][1].stretches) > 1
    ends = [by(2.0 + way * 1e-3)["y"].values.mean() for way in (1, -1)]
    assert np.asarray(tape.gradient(loss, rate)) == pytest.approx(
        (ends[0] - ends[1]) / 2e-3, rel=1e-4
    )


# ------------------------------------------------------------------------ kinds of sources


def test_any_nest_of_arrays_and_numbers_has_derivatives() -> None:
    rates, both = real([[1.0, 2.0], [3.0, 4.0]]), (real(2.0), real([1.0, 2.0, 3.0]))
    with tf.GradientTape() as tape:
        tape.watch([rates, *both])
        y0 = {"one": both[0], "inner": [both[1], tf.ones([2, 2], tf.float64)], "fixed": 3.0}

        def f(t: Any, y: Any, p: Any) -> Any:
            return {"one": -y["one"], "inner": [-y["inner"][0], -p * y["inner"][1]], "fixed": 0.0}

        end = sf.solve(f, y0, args=rates, t1=1.0, dt=0.01, at=[1.0]).y
        loss = (
            3 * end["one"][0]
            + tf.reduce_sum(end["inner"][0][0] * real([1.0, 2.0, 4.0]))
            + tf.reduce_sum(end["inner"][1][0] ** 2)
        )
    by_rates, by_one, by_array = tape.gradient(loss, [rates, *both])
    assert np.asarray(by_one) == pytest.approx(3 * np.exp(-1), rel=1e-8)
    assert by_array.numpy() == pytest.approx(np.array([1, 2, 4]) * np.exp(-1), rel=1e-8)
    assert by_rates.numpy() == pytest.approx(-2 * np.exp(-2 * rates.numpy()), rel=1e-6)


LEAK = sf.Equations.parse(
    "dv/dt = (E - v)/tau : mV\ndw/dt = -w/tau : mV", E=-65 * mV, tau=0.01 * second, v=-60, w="v/2"
)


def test_parameters_and_initial_values_of_equations_have_derivatives() -> None:
    tau, v = tf.Variable(0.02, dtype=tf.float64), real(-50.0)  # in seconds, as declared; in mV
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(v)
        end = sf.solve(LEAK, {"v": v}, args={"tau": tau}, t1=10 * ms, at=[10] * ms, dt=0.1 * ms).y
    decay = np.exp(-0.5)
    assert np.asarray(tape.gradient(end["v"], tau)) == pytest.approx(
        15 * decay * 0.01 / 0.02**2, rel=1e-7
    )
    assert np.asarray(tape.gradient(end["v"], v)) == pytest.approx(decay, rel=1e-7)
    assert np.asarray(tape.gradient(end["w"], v)) == pytest.approx(
        decay / 2, rel=1e-7
    )  # w begins at v/2


@pytest.mark.slow
def test_float32_has_derivatives_too() -> None:
    for steps in ({"dt": 0.01}, {"rtol": 1e-5}):
        y = tf.constant([1.0, 2.0])
        with tf.GradientTape() as tape:
            tape.watch(y)
            end = sf.solve(lambda t, y: -(y**2), y, t1=1.0, at=[1.0], dtype="float32", **steps).y
        found = tape.gradient(end, y)
        assert found.dtype == tf.float32
        assert found.numpy() == pytest.approx(1 / (1 + y.numpy()) ** 2, rel=1e-4)


@pytest.mark.slow
def test_backwards_in_time() -> None:
    y, rate = real(1.5), real(0.8)
    twice = sf.Event(lambda t, y, p: y - 2.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([y, rate])
        found = sf.solve(
            lambda t, y, p: -p * y + 0.0 * t, y, args=rate, t0=2.0, t1=0.5, at=[1.0, 0.5],
            events={"twice": twice}, rtol=1e-10,
        )  # fmt: skip
        end, when = found.y[-1], found.events["twice"].t[0]
    grown = np.exp(0.8 * 1.5)
    assert np.asarray(tape.gradient(end, y)) == pytest.approx(grown, rel=1e-7)
    assert np.asarray(tape.gradient(end, rate)) == pytest.approx(1.5 * 1.5 * grown, rel=1e-7)
    assert np.asarray(when) == pytest.approx(2 - np.log(2 / 1.5) / 0.8, rel=1e-7)
    assert np.asarray(tape.gradient(when, y)) == pytest.approx(1 / (1.5 * 0.8), rel=1e-6)
    assert np.asarray(tape.gradient(when, rate)) == pytest.approx(
        np.log(2 / 1.5) / 0.8**2, rel=1e-6
    )


# ------------------------------------------------------------------------ events


def ball(t: Any, y: Any, p: Any) -> Any:
    return {"h": y["v"], "v": -p["g"]}


BOUNCE = sf.Event(
    lambda t, y, p: y["h"],
    lambda t, y, p: {"h": 0.0 * y["h"], "v": -p["e"] * y["v"]},
    direction="down",
)


def bounced(h: Any, g: Any, e: Any, n: int, time: float) -> tuple[list[Any], Any]:
    """Times of n bounces, and the height after them."""
    when, speed = tf.sqrt(2 * h / g), tf.sqrt(2 * g * h)
    times = [when]
    for _ in range(n - 1):
        speed = e * speed
        when = when + 2 * speed / g
        times.append(when)
    left = time - when
    return times, e * speed * left - g / 2 * left**2


@pytest.mark.parametrize(
    "solver",
    [sf.Tsitouras(), pytest.param(sf.RK4(), marks=pytest.mark.slow)],
    ids=lambda solver: solver.name,
)
def test_a_bouncing_ball_has_the_derivatives_of_its_closed_form(solver: Any) -> None:
    sources = [real(10.0), real(9.81), real(0.8)]
    steps = {"rtol": 1e-8} if solver.error_order else {"dt": 0.25}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(sources)
        h, g, e = sources
        found = sf.solve(
            ball, {"h": h, "v": 0.0}, args={"g": g, "e": e}, t1=6.0, at=[1.0, 5.9, 6.0],
            events={"bounce": BOUNCE}, solver=solver, **steps,
        )  # fmt: skip
        times, height = bounced(h, g, e, 3, 5.9)
        when, speeds = found.events["bounce"].t, found.events["bounce"].y["v"]
        assert len(when) == 3
        pairs = [(found.y["h"][1], height), (speeds[2], -(e**2) * tf.sqrt(2 * g * h))]
        pairs += [(when[k], times[k]) for k in range(3)]
    for got, wanted in pairs:
        assert np.asarray(got) == pytest.approx(wanted.numpy(), rel=1e-9)
        for source in sources:
            ours, theirs = (
                tape.gradient(end, source, unconnected_gradients=ZERO).numpy()
                for end in (got, wanted)
            )
            assert ours == pytest.approx(theirs, rel=1e-7, abs=1e-9)


@pytest.mark.slow
def test_rows_with_different_numbers_of_events_have_their_own_derivatives() -> None:
    heights, g, e = real([1.0, 3.0, 8.0, 40.0]), 9.81, 0.8
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(heights)
        y0 = {"h": heights, "v": np.zeros(4)}
        found = sf.solve(
            ball, y0, args={"g": g, "e": e}, t1=2.75, at=[0.1, 2.75], batch=1,
            events={"bounce": BOUNCE},
        )  # fmt: skip
        end, events = found.y["h"][-1], found.events["bounce"]
        weights = real(np.arange(1.0, len(events) + 1))
        loss = tf.reduce_sum(end * real([1.0, 2.0, 3.0, 4.0])) + tf.reduce_sum(weights * events.t)
        counts = np.bincount(events.problems[:, 0], minlength=4)
        assert len(set(counts)) == 4
        assert counts[3] == 0
        wanted, k = 4 * (heights[3] - g / 2 * 2.75**2), 0
        for row in range(3):
            times, height = bounced(heights[row], real(g), real(e), int(counts[row]), 2.75)
            wanted += (row + 1) * height
            for when in times:
                wanted += (k + 1) * when
                k += 1
    assert np.asarray(loss) == pytest.approx(wanted.numpy(), rel=1e-9)
    by_hand = tape.gradient(wanted, heights).numpy()
    assert np.asarray(tape.gradient(loss, heights).numpy()) == pytest.approx(by_hand, rel=1e-7)


@pytest.mark.slow
def test_recorded_events_have_the_derivatives_of_their_times() -> None:
    zero = sf.Event(lambda t, y, p: y["x"])
    omega, phase = real(2.0), real(0.3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([omega, phase])
        y0 = {"x": tf.cos(phase), "v": -omega * tf.sin(phase)}
        found = sf.solve(
            lambda t, y, p: {"x": y["v"], "v": -p * p * y["x"]}, y0, args=omega, t1=5.0, at=[5.0],
            events={"zero": zero}, dt=0.01,
        ).events["zero"]  # fmt: skip
        assert len(found) == 3
        when, speeds = [found.t[k] for k in range(3)], [found.y["v"][k] for k in range(3)]
    for k in range(3):  # cos(omega*t + phase) = 0
        time = (np.pi * (k + 0.5) - 0.3) / 2
        assert np.asarray(when[k]) == pytest.approx(time, rel=1e-7)
        assert np.asarray(tape.gradient(when[k], omega)) == pytest.approx(-time / 2, rel=1e-6)
        assert np.asarray(tape.gradient(when[k], phase)) == pytest.approx(-1 / 2, rel=1e-6)
        assert np.asarray(tape.gradient(speeds[k], omega)) == pytest.approx(
            (-1.0) ** (k + 1), rel=1e-6
        )


@pytest.mark.slow
def test_a_terminal_event_and_samples_that_come_after_it() -> None:
    half = sf.Event(lambda t, y, p: y - 0.5, terminal=True)
    y, rate = real(2.0), real(1.5)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([y, rate])
        found = sf.solve(
            lambda t, y, p: -p * y, y, args=rate, t1=2.0, at=[0.25, 0.9, 1.5, 2.0],
            events={"half": half}, dt=0.01,
        )  # fmt: skip
        when = found.events["half"].t[0]
        before = tf.reduce_sum(tf.where(tf.math.is_finite(found.y), found.y, 0.0))
        everything = tf.reduce_sum(found.y)
    assert np.isnan(found.y.numpy()).tolist() == [False, False, True, True]
    assert np.asarray(tape.gradient(when, y)) == pytest.approx(1 / (2.0 * 1.5), rel=1e-6)
    assert np.asarray(tape.gradient(when, rate)) == pytest.approx(-np.log(4) / 1.5**2, rel=1e-6)
    wanted = np.exp(-1.5 * 0.25) + np.exp(-1.5 * 0.9)
    assert np.asarray(tape.gradient(before, y)) == pytest.approx(wanted, rel=1e-6)
    assert np.asarray(tape.gradient(everything, y)) == pytest.approx(
        wanted, rel=1e-6
    )  # NaN has none


@pytest.mark.slow
def test_the_time_of_a_tangential_crossing_has_no_derivative() -> None:
    y = real(-1.0)
    flat = {"flat": sf.Event(lambda t, y: y)}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        found = sf.solve(lambda t, y: 3 * (t - 1.0) ** 2, y, t1=2.0, at=[2.0], events=flat)
        when = found.events["flat"].t[0]
    with pytest.raises(RunError, match="touches zero there without crossing it at an angle"):
        tape.gradient(when, y)


# ------------------------------------------------------------------------ limits


def squared(x: Any) -> Any:
    return tf.reduce_sum(sf.solve(lambda t, y: -y, x, t1=1.0, dt=0.1).y[-1] ** 2)


def test_a_second_derivative_is_refused_and_not_silently_none() -> None:
    x = real([1.0, 2.0])
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = squared(x)
        first = inner.gradient(loss, x)
        norm = tf.reduce_sum(first**2)
    assert outer.gradient(loss, x).numpy() == pytest.approx(first.numpy(), rel=1e-14)
    with pytest.raises(RunError, match=r"first derivatives.* no second ones.*Hessian"):
        outer.gradient(norm, x)


def test_a_jacobian_row_by_row() -> None:
    x = real([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        end = sf.solve(lambda t, y: -y, x, t1=1.0, dt=0.1).y[-1]
    found = tape.jacobian(end, x, experimental_use_pfor=False)
    assert found.numpy() == pytest.approx(np.exp(-1) * np.eye(2), rel=1e-5)
    with pytest.raises(Exception, match="set experimental_use_pfor=False"):
        tape.jacobian(end, x)


TIMES: dict[str, Any] = {
    "t0": 0.0, "t1": 1.0, "dt": 0.1, "every": 0.5, "at": [0.5, 1.0],
    "jumps": [0.5], "max_step": 0.5, "first_step": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("name", TIMES)
def test_a_time_that_a_tape_watches_is_refused(name: str) -> None:
    """It would have no derivative, without a word."""
    value = tf.Variable(TIMES[name], dtype=tf.float64)
    y = real(1.0)
    given = {"t1": 1.0} | {name: value}
    message = f"^{name} is watched .*by y0 and args only. Write "
    with tf.GradientTape(), pytest.raises(RunError, match=message):
        sf.solve(lambda t, y: -y, y, **given)


def test_a_time_that_nobody_watches_may_be_a_variable() -> None:
    run = sf.solve(lambda t, y: -y, 1.0, t1=tf.Variable(1.0, dtype=tf.float64), at=real([0.5, 1.0]))
    assert run["y"].values == pytest.approx(np.exp([-0.5, -1.0]), rel=1e-5)


def test_a_variable_of_keras_has_a_derivative() -> None:
    keras = pytest.importorskip("keras")
    rate = keras.Variable(2.0, dtype="float64")
    with tf.GradientTape() as tape:
        end = sf.solve(lambda t, y, p: -p * y, 1.0, args=rate, t1=1.0, dt=0.02, at=[1.0]).y[0]
    assert np.asarray(tape.gradient(end, rate)) == pytest.approx(-np.exp(-2.0), rel=1e-5)


@pytest.mark.parametrize("many", [1, 200], ids=["a number", "an array"])
def test_what_is_watched_and_not_an_argument_is_refused_however_it_was_compiled(many: int) -> None:
    rate = real(np.full(many, 2.0))
    start = np.ones(many)
    level = {"half": sf.Event(lambda t, y: y[0] - 0.25 * rate[0])}
    cases: list[tuple[Any, Any]] = [
        (lambda t, y: -rate * y, None),
        (lambda t, y: -y, level),
    ]
    for f, events in cases:
        sf.solve(f, start, t1=1.0, dt=0.5, events=events)  # compiled while nobody watches
        with tf.GradientTape() as tape:
            tape.watch(rate)
            with pytest.raises(RunError, match=r"refers to 'rate', which .*pass it in args="):
                sf.solve(f, start, t1=1.0, dt=0.5, events=events)
    with tf.GradientTape() as tape:
        tape.watch(rate)
        product = 2.0 * rate
        with pytest.raises(RunError, match=r"f refers to 'product', which .*in args="):
            sf.solve(lambda t, y: -product * y, start, t1=1.0, dt=0.5)


@pytest.mark.parametrize("steps", [{"dt": 1e-3}, {"rtol": 1e-9}])
@pytest.mark.slow
def test_memory_grows_with_segments_and_not_with_steps(
    steps: dict[str, Any], caught: list[Any]
) -> None:
    kept, segments, taken = [], [], []
    length = 1.0 if "dt" in steps else 40.0
    for times in (1, 100):
        y = real([1.0, 0.0])
        with tf.GradientTape() as tape:
            tape.watch(y)
            found = sf.solve(
                lambda t, y: tf.stack([y[1], -y[0]]), y, t1=times * length, at=[times * length],
                **steps,
            )  # fmt: skip
            loss = found.y[0, 0]
        end = times * length
        assert np.asarray(tape.gradient(loss, y).numpy()) == pytest.approx(
            [np.cos(end), np.sin(end)], abs=1e-4
        )
        kept.append(adjoint.bytes_kept(caught[-1][1]))
        segments.append(adjoint.segments(caught[-1][1]))
        taken.append(found.statistics["accepted"])
    assert taken[1] == pytest.approx(100 * taken[0], rel=0.1)
    assert segments[1] == pytest.approx(taken[1] / 512, rel=0.1)
    assert kept[1] / segments[1] == kept[0] / segments[0] < 20_000


PEAK = """
import resource, sys
import tensorflow as tf
import somaflow as sf
y = tf.Variable(tf.ones([100], tf.float64))
steps = int(sys.argv[1])
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(sf.solve(lambda t, y: -y, y, t1=1.0, dt=1/steps, at=[1.0]).y)
tape.gradient(loss, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_peak_memory_of_a_hundred_times_as_many_steps_is_nearly_the_same() -> None:
    peaks = []
    for steps in (1000, 100_000):
        command = [sys.executable, "-c", PEAK, str(steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout))
    # A state is 800 bytes: the states of all steps are 80 MB, and a tape keeps many for each step.
    assert peaks[1] - peaks[0] < 30, peaks
