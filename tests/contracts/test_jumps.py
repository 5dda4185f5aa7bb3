"""Right-hand sides that jump at set times, and limits of the steps that follow the tolerances."""

import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.units import ms, mV, second

ON, OFF, RATE = 50.0, 51.0, 0.1
EXACT = (1 - np.exp(-RATE * (OFF - ON))) / RATE * np.exp(-RATE * (100.0 - OFF))  # 0.0070864


def pulse(t: Any, y: Any) -> Any:
    """Decay, driven by 1 from 50 to 51."""
    inside = tf.logical_and(t >= ON, t < OFF)
    return -RATE * y + tf.where(inside, tf.ones_like(y), tf.zeros_like(y))


WAYS: dict[str, tuple[dict[str, Any], float]] = {
    "Tsitouras": ({}, 1e-6),
    "Rosenbrock": ({"solver": sf.Rosenbrock()}, 1e-5),
    "RK4, on and between steps": ({"dt": 0.4}, 1e-6),
    "Tsitouras of fixed steps": ({"dt": 0.4, "solver": sf.Tsitouras()}, 1e-9),
    "implicit Euler": ({"dt": 2.0**-6, "solver": sf.ImplicitEuler()}, 0.01),
    "float32": ({"dtype": "float32"}, 1e-3),
}


@pytest.mark.parametrize(
    "way", [pytest.param(w, marks=() if k in (0, 2) else pytest.mark.slow)
            for k, w in enumerate(WAYS)],
)  # fmt: skip
def test_a_pulse_that_a_step_could_pass_over_is_seen(way: str) -> None:
    given, rtol = WAYS[way]
    run = sf.solve(pulse, 0.0, t1=100.0, at=[50.0, 100.0], jumps=[OFF, ON, 120.0, 51.0], **given)
    assert abs(EXACT - 0.0070864) < 1e-7
    np.testing.assert_allclose(run["y"].values, [0.0, EXACT], rtol=rtol, atol=1e-12)


def test_without_the_jumps_the_pulse_is_not_seen() -> None:
    """What makes the tests above tests: the longest step is longer than the pulse."""
    assert sf.solve(pulse, 0.0, t1=100.0, at=[100.0])["y"].values[0] == 0.0
    run = sf.solve(pulse, 0.0, t1=100.0, at=[100.0], max_step=0.5)
    np.testing.assert_allclose(run["y"].values, EXACT, rtol=1e-4)
    assert run.statistics["accepted"] >= 200


SIDES = {
    "from the jump on": lambda t: t >= 0.3,
    "behind the jump": lambda t: t > 0.3,
    "a sum that rounding moves": lambda t: t - 0.2 >= 0.1,
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("t0", [0.0, 1.0], ids=["forwards", "backwards"])
def test_it_does_not_matter_to_which_side_the_jump_itself_belongs(side: str, t0: float) -> None:
    def f(t: Any, y: Any) -> Any:
        return tf.where(SIDES[side](t), 2.0 * tf.ones_like(y), -1.0 * tf.ones_like(y))

    rise = 2 * 0.7 - 0.3
    for steps in ({"dt": 0.1}, {"dt": 0.25}, {}):
        run = sf.solve(f, 0.0, t0=t0, t1=1.0 - t0, at=[1.0 - t0], jumps=[0.1 + 0.2], **steps)
        assert run["y"].values[-1] == pytest.approx(rise * (1 - 2 * t0), rel=1e-13)


def test_fixed_steps_keep_their_order_over_a_jump_between_two_of_them() -> None:
    def f(t: Any, y: Any) -> Any:
        return tf.where(t < 0.437, tf.cos(t) * y, -2.0 * y)

    exact = np.exp(np.sin(0.437) - 2 * (1 - 0.437))
    errors, without = [], []
    for steps in (8, 16, 32, 64):
        run = sf.solve(f, 1.0, t1=1.0, dt=1 / steps, at=[1.0], jumps=[0.437])
        errors.append(abs(run["y"].values[-1] - exact))
        assert run.statistics["accepted"] == steps + 1
        run = sf.solve(f, 1.0, t1=1.0, dt=1 / steps, at=[1.0])
        without.append(abs(run["y"].values[-1] - exact))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 4.0, atol=0.5)
    assert min(without) > 100 * errors[0]


@pytest.mark.slow
def test_backwards_over_a_pulse() -> None:
    run = sf.solve(pulse, EXACT, t0=100.0, t1=0.0, rtol=1e-10, at=[50.5, 0.0], jumps=[ON, OFF])
    half = (1 - np.exp(-RATE / 2)) / RATE
    np.testing.assert_allclose(run["y"].values, [half, 0.0], atol=1e-7)


@pytest.mark.slow
def test_jumps_of_a_batch_with_events_and_derivatives() -> None:
    """A drive of 1 from 2 to 3, 0 elsewhere: each row crosses its level in its own time."""
    rates, level = tf.constant([0.1, 0.2, 0.4], tf.float64), tf.constant(0.5, tf.float64)

    def f(t: Any, y: Any, p: Any) -> Any:
        drive = tf.where((t >= 2.0) & (t < 3.0), tf.ones_like(y), tf.zeros_like(y))
        return -p[0] * y + drive

    events = {"level": sf.Event(lambda t, y, p: y - p[1], direction="up")}
    for steps in ({"rtol": 1e-9}, {"dt": 0.07}):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([rates, level])
            run = sf.solve(
                f, np.zeros(3), args=[rates, level], t1=7.0, at=[2.5, 7.0], jumps=[2.0, 3.0],
                batch=1, events=events, **steps,
            )  # fmt: skip
            end = run.y[1]
            inside = run.y[0]
            when = run.events["level"].t
        k = rates.numpy()
        crossed = 2 - np.log(1 - k * 0.5) / k
        np.testing.assert_allclose(when, crossed, rtol=1e-6)
        np.testing.assert_allclose(inside, (1 - np.exp(-k / 2)) / k, rtol=1e-5)  # a cubic
        np.testing.assert_allclose(end, (1 - np.exp(-k)) / k * np.exp(-4 * k), rtol=1e-6)
        grown, size = 1 - np.exp(-k), np.exp(-4 * k)
        by_rate = size * (np.exp(-k) / k - grown / k**2 - 4 * grown / k)
        np.testing.assert_allclose(tape.gradient(end, rates), by_rate, rtol=1e-5)
        by_level = (1 / (1 - k * 0.5)).sum()
        np.testing.assert_allclose(tape.gradient(when, level), by_level, rtol=1e-5)


def test_jumps_of_equations_have_units() -> None:
    def f(t: Any, y: Any) -> Any:  # in ms
        return {"v": tf.where(t < 20.0, -0.1 * y["v"], 0.0 * y["v"])}

    run = sf.solve(f, {"v": 1.0 * mV}, t1=0.1 * second, rtol=1e-9, jumps=[20 * ms])
    assert run["v"].values[-1] == pytest.approx(np.exp(-2), rel=1e-7)


def test_a_first_step_is_the_one_that_was_asked_for() -> None:
    run = sf.solve(lambda t, y: -y, 1.0, t1=1.0, first_step=2.0**-20, max_step=0.125)
    assert run.statistics["smallest_step"] == 2.0**-20
    assert run.statistics["accepted"] > 8
    assert run["y"].values[-1] == pytest.approx(np.exp(-1), rel=1e-6)


# ------------------------------------------------------------------------ where a solve ends early

ENDS: dict[str, tuple[dict[str, Any], str]] = {
    "f is not a number": (
        {"f": lambda t, y: -tf.sqrt(y), "y0": 1.0, "t1": 3.0},
        r"t = 2\.0000\d+: f is nan for 'y' at t = 2\.0000\d+, where y = -\d\.",
    ),
    "f is not a number at the start": (
        {"f": lambda t, y: {"x": tf.math.log(y["x"]), "v": y["x"]}, "y0": {"x": -1.0, "v": 2.0}},
        "t = 0: f is nan for 'x' at t = 0, where v = 2, x = -1$",
    ),
    "a pole of the solution": (
        {"f": lambda t, y: y**2, "y0": 1.0, "t1": 2.0},
        "because of 'y'; the solution grows without bound there$",
    ),
    "a pole of f": (
        {"f": lambda t, y: 1 / (1 - t) + 0 * y, "y0": 1.0, "t1": 2.0},
        "because of 'y'; f grows without bound there$",
    ),
    "a jump of f": (
        {
            "f": lambda t, y: tf.where(t < 0.3, tf.ones_like(y), -1e6 * tf.ones_like(y)),
            "y0": 1.0, "rtol": 1e-13, "atol": 1e-18,
        },
        r"t = 0\.3: .*because of 'y'; f jumps there: name a set time in jumps=",
    ),
    "time far from 0": (
        {"f": lambda t, y: 1e7 * tf.cos(1e7 * t) + 0 * y, "y0": 1.0, "t0": 1e9, "t1": 1e9 + 1},
        "so far from 0 steps below 4e-06 cannot be told apart: let time begin near 0",
    ),
    "chattering": (
        {"f": lambda t, y: -tf.sign(y), "y0": 0.5, "max_steps": 5000},
        r"t = 0\.5000\d+: 5000 steps were taken \(max_steps=\).*of 'y'; f jumps there",
    ),
    "stiff": (
        {"f": lambda t, y: -1e6 * (y - tf.cos(t)), "y0": 1.0, "max_steps": 1000},
        r"1000 steps were taken .*may be stiff \(try sf\.Rosenbrock\(\)\)",
    ),
    "too tight": (
        {
            "f": lambda t, y: {"x": 1e3 * y["v"], "v": -1e3 * y["x"]},
            "y0": {"x": 1.0, "v": 0.0}, "rtol": 3e-15, "atol": 0.0, "max_steps": 20_000,
        },
        "20000 steps were taken .*rtol = 3e-15 asks for all digits",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if k in (0, 6) else pytest.mark.slow)
             for k, c in enumerate(ENDS)],
)  # fmt: skip
def test_the_status_blames_what_is_to_blame(case: str) -> None:
    given, message = ENDS[case]
    run = sf.solve(**{"t1": 1.0} | given)
    assert run.status.startswith("stopped at t = ")
    assert re.search(message, run.status), run.status
    assert np.isnan(next(iter(run.y.values())) if isinstance(run.y, dict) else run.y)[-1]


@pytest.mark.slow
def test_a_run_without_end_ends_by_itself() -> None:
    run = sf.solve(lambda t, y: -tf.sign(y), np.array([0.5, 5.0]), t1=2.0, batch=1)
    assert run.statistics["accepted"][0] + run.statistics["rejected"][0] == 1_000_000
    assert run.status.startswith("1 of 2 problems stopped early; problem 0 stopped at t = 0.5")
    assert run["y"].values[-1, 1] == pytest.approx(3.0, rel=1e-9)
