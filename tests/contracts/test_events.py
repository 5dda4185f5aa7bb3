"""Events: where they are found, what they change, and what they leave alone."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.errors import RunError
from somaflow.units import ms, mV, nA

G, LOSS, HEIGHT = 9.81, 0.8, 10.0
FALL = float(np.sqrt(2 * HEIGHT / G))


def ball(t: Any, y: Any) -> Any:
    return {"h": y["v"], "v": -G + 0 * y["v"]}


def hit(t: Any, y: Any) -> Any:
    return y["h"]


def thrown_back(t: Any, y: Any) -> Any:
    return {"h": 0 * y["h"], "v": -LOSS * y["v"]}


BOUNCE = sf.Event(hit, thrown_back, direction="down")
START = {"h": HEIGHT, "v": 0.0}


def bounces(count: int) -> np.ndarray:
    powers = LOSS ** np.arange(1, count)
    return FALL * (1 + 2 * np.concatenate([[0], np.cumsum(powers)]))


def oscillator(t: Any, y: Any) -> Any:
    return {"x": y["v"], "v": -y["x"]}


WAYS = {
    "Tsitouras": {"solver": sf.Tsitouras()},
    "Rosenbrock": {"solver": sf.Rosenbrock()},
    "RK4 of fixed steps": {"solver": sf.RK4(), "dt": 0.25},
    "ImplicitEuler of fixed steps": {"solver": sf.ImplicitEuler(), "dt": 2.0**-11},
}


@pytest.mark.parametrize(
    "way",
    [pytest.param(w, marks=() if w in list(WAYS)[:3:2] else pytest.mark.slow) for w in WAYS],
)
def test_a_ball_bounces_when_it_should(way: str) -> None:
    run = sf.solve(ball, START, t1=10.0, at=[10.0], events={"bounce": BOUNCE}, **WAYS[way])
    found, exact = run.events["bounce"], bounces(7)
    assert run.status == "reached t1 = 10"
    assert len(found) == 7
    tolerance = 0.02 if way.startswith("Implicit") else 1e-9
    np.testing.assert_allclose(found.times, exact, rtol=tolerance)
    speeds = -G * FALL * LOSS ** np.arange(7)  # before each change
    np.testing.assert_allclose(found.y["v"], speeds, rtol=tolerance)
    np.testing.assert_allclose(found.y["h"], 0, atol=1e-8)
    speed, left = -speeds[-1] * LOSS, 10.0 - exact[-1]
    np.testing.assert_allclose(
        run["h"].values[-1],
        speed * left - G * left**2 / 2,
        rtol=1e-6,
        atol=100 * (tolerance - 1e-9),
    )


def test_samples_on_both_sides_of_a_change_are_of_their_own_side() -> None:
    first = bounces(1)[0]
    at = [first - 1e-6, first + 1e-6]
    run = sf.solve(ball, START, t1=2.0, at=at, events={"bounce": BOUNCE})
    speed = G * FALL
    np.testing.assert_allclose(run["v"], [-speed, LOSS * speed], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_a_direction_is_that_along_the_way(backwards: bool) -> None:
    """The state starts on the event, which is none; a change of sign on the way is one."""
    end = -10.0 if backwards else 10.0
    events = {way: sf.Event(lambda t, y: y["x"], direction=way) for way in ("up", "down", "both")}
    run = sf.solve(oscillator, {"x": 0.0, "v": 1.0}, t1=end, rtol=1e-10, atol=1e-11, events=events)
    zeros = np.sign(end) * np.pi * np.arange(1, 4)
    # Forwards x sets out upwards, backwards downwards.
    first, second = ("up", "down") if backwards else ("down", "up")
    np.testing.assert_allclose(run.events["both"].times, zeros, rtol=1e-8)
    np.testing.assert_allclose(run.events[first].times, zeros[::2], rtol=1e-8)
    np.testing.assert_allclose(run.events[second].times, zeros[1::2], rtol=1e-8)


def test_a_terminal_event_ends_the_solve_there() -> None:
    floor = sf.Event(hit, terminal=True)
    run = sf.solve(ball, START, t1=4.0, every=0.5, events={"floor": floor})
    assert run.status == f"stopped at t = {FALL:.10g} by a terminal event"
    before = run.time < FALL
    np.testing.assert_allclose(run["h"][before], HEIGHT - G * run.time[before] ** 2 / 2, rtol=1e-9)
    assert np.isnan(run["h"].values[~before]).all()
    assert np.isnan(run["v"].values[~before]).all()


@pytest.mark.slow
@pytest.mark.parametrize("given", [{}, {"dt": 0.25}], ids=["adaptive", "fixed"])
def test_a_recorded_event_changes_no_bit(given: dict[str, Any]) -> None:
    def at_level(level: float) -> sf.Event:
        return sf.Event(lambda t, y: y["x"] - level)

    y0 = {"x": 0.0, "v": 1.0}
    never = sf.solve(oscillator, y0, t1=10.0, every=0.5, events={"e": at_level(5.0)}, **given)
    often = sf.solve(oscillator, y0, t1=10.0, every=0.5, events={"e": at_level(0.5)}, **given)
    assert (len(never.events["e"]), len(often.events["e"])) == (0, 4)
    for key in y0:
        np.testing.assert_array_equal(never[key], often[key])
    if not given:  # without events fixed steps take another loop
        plain = sf.solve(oscillator, y0, t1=10.0, every=0.5)
        np.testing.assert_array_equal(plain["x"], often["x"])
        assert plain.statistics["accepted"] == often.statistics["accepted"]


def test_several_events_in_one_step_happen_in_their_order() -> None:
    events = {
        "low": sf.Event(lambda t, y: y["x"] - 0.25, lambda t, y: {"x": y["x"] + 0.125}),
        "middle": sf.Event(lambda t, y: y["x"] - 0.5),
        "high": sf.Event(lambda t, y: y["x"] - 0.75, lambda t, y: {"x": y["x"] - 0.5}),
    }
    run = sf.solve(lambda t, y: {"x": 1.0 + 0 * y["x"]}, {"x": 0.0}, t1=1.0, dt=1.0, events=events)
    # Up from 0 to 0.25, on from 0.375 to 0.75, on from 0.25, which is no crossing.
    np.testing.assert_allclose(run.events["low"].times, [0.25], rtol=1e-12)
    np.testing.assert_allclose(run.events["middle"].times, [0.375, 0.875], rtol=1e-12)
    np.testing.assert_allclose(run.events["high"].times, [0.625], rtol=1e-12)
    np.testing.assert_allclose(run["x"].values[-1], 0.625, rtol=1e-12)


@pytest.mark.parametrize("given", [{}, {"dt": 0.5}], ids=["adaptive", "fixed"])
def test_events_that_pile_up_end_the_solve(given: dict[str, Any]) -> None:
    run = sf.solve(ball, START, t1=50.0, every=5.0, events={"bounce": BOUNCE}, **given)
    rest = FALL * (1 + 2 * LOSS / (1 - LOSS))
    assert run.status.startswith(f"stopped at t = {rest:.5f}"[:-1])
    assert run.status.endswith("events follow each other without end")
    times = run.events["bounce"].times
    assert (np.diff(times) > 0).all()
    assert len(times) > 50
    np.testing.assert_allclose(times[:50], bounces(50), rtol=1e-9)
    assert np.isnan(run["h"].values[run.time > rest]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{"dt": 1 / 49}, {}],
    ids=["fixed", "adaptive"],
)
def test_no_event_lies_behind_the_end(given: dict[str, Any]) -> None:
    """49 steps of 1/49 are a little less than 1; there is no fiftieth."""
    late = sf.Event(lambda t, y: y["x"] - 1.01, terminal=True)
    run = sf.solve(
        lambda t, y: {"x": 1.0 + 0 * y["x"]},
        {"x": 0.0},
        t1=1.0,
        at=[0.301, 1.0],
        events={"late": late},
        **given,
    )
    assert run.status == "reached t1 = 1"
    assert len(run.events["late"]) == 0
    np.testing.assert_allclose(run["x"], [0.301, 1.0], rtol=1e-12)
    if given:
        assert run.statistics["accepted"] == 49


def test_an_event_of_time_alone() -> None:
    events = {"noon": sf.Event(lambda t, y: t - 0.6, lambda t, y: {"x": y["x"] + 1.0})}
    run = sf.solve(lambda t, y: {"x": -y["x"]}, {"x": 1.0}, t1=1.0, rtol=1e-9, events=events)
    np.testing.assert_allclose(run.events["noon"].times, [0.6], rtol=1e-12)
    exact = (np.exp(-0.6) + 1) * np.exp(-0.4)
    np.testing.assert_allclose(run["x"].values[-1], exact, rtol=1e-7)


LIF = """
dv/dt = (E_L - v + R*I)/tau : mV
"""


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"rtol": 1e-9}, {"dt": 0.5 * ms}], ids=["adaptive", "fixed"])
def test_spikes_of_text_equations_come_at_the_closed_intervals(given: dict[str, Any]) -> None:
    lif = sf.Equations.parse(
        LIF, E_L=-65 * mV, R=10 * mV / nA, tau=20 * ms, I=np.array([1.0, 2.0, 3.0]) * nA, v=-65 * mV
    )
    spike = sf.Event("v > -50*mV", "v = -65*mV")
    run = sf.solve(lif, t1=100 * ms, every=10 * ms, events={"spike": spike}, **given)
    found = run.events["spike"]
    drive = np.array([10.0, 20.0, 30.0])
    assert not (found.problems[:, 0] == 0).any()  # 1 nA leads to -55 mV
    for row in (1, 2):
        interval = 20 * np.log(drive[row] / (drive[row] - 15))
        times = found.times[found.problems[:, 0] == row]
        assert len(times) == int(100 / interval)
        rtol = 1e-8 if "rtol" in given else 1e-6
        np.testing.assert_allclose(times, interval * np.arange(1, len(times) + 1), rtol=rtol)
    np.testing.assert_allclose(found.y["v"], -50, rtol=1e-9)
    assert run["v"].attrs["units"] == "mV"


def test_a_text_with_a_direction_takes_no_other() -> None:
    lif = sf.Equations.parse(LIF, E_L=-65 * mV, R=10 * mV / nA, tau=20 * ms, I=2 * nA, v=-65 * mV)
    down = sf.Event("v > -50*mV", direction="down")
    with pytest.raises(RunError, match="has a direction already"):
        sf.solve(lif, t1=1 * ms, events={"e": down})


def test_a_text_can_cross_downwards() -> None:
    falling = sf.Equations.parse("dv/dt = -v/tau : mV", tau=10 * ms, v=10 * mV)
    run = sf.solve(falling, t1=20 * ms, rtol=1e-10, events={"low": sf.Event("v < 5*mV")})
    np.testing.assert_allclose(run.events["low"].times, [10 * np.log(2)], rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("behind", [0.0, 1e-12, 1e-9])
def test_events_that_come_together_all_happen(behind: float) -> None:
    """Two equal cells, each with a reset of its own, written so that rounding tells them apart."""

    def up(t: Any, y: Any) -> Any:
        return {"a": 1.0 + 0 * y["a"], "b": 1.0 + 0 * y["b"]}

    resets = {
        "a": sf.Event(lambda t, y: y["a"] - 1, lambda t, y: y | {"a": 0 * y["a"]}, direction="up"),
        "b": sf.Event(
            lambda t, y: 2 * y["b"] - 2, lambda t, y: y | {"b": 0 * y["b"]}, direction="up"
        ),
    }
    run = sf.solve(up, {"a": 0.0, "b": -behind}, t1=5.5, events=resets)
    assert [len(run.events[name]) for name in "ab"] == [5, 5]
    assert run.status == "reached t1 = 5.5"
    np.testing.assert_allclose([run[name].values[-1] for name in "ab"], 0.5, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [{}, {"dt": 0.1}], ids=["adaptive", "fixed"])
def test_an_event_beside_a_reset_is_noted(steps: dict) -> None:
    events = {
        "reset": sf.Event(lambda t, y: y - 3, lambda t, y: 0 * y, direction="up"),
        "clock": sf.Event(lambda t, y: t - 3),
    }
    run = sf.solve(lambda t, y: 1 + 0 * y, 0.0, t1=10.0, events=events, **steps)
    np.testing.assert_allclose(run.events["reset"].times, [3, 6, 9], atol=1e-7)
    np.testing.assert_allclose(run.events["clock"].times, [3], atol=1e-7)
    assert run.statistics["smallest_step"] > 1e-6


@pytest.mark.parametrize("steps", [{}, {"dt": 0.01}], ids=["adaptive", "fixed"])
def test_a_solve_goes_on_behind_its_last_sample(steps: dict) -> None:
    half = {"half": sf.Event(lambda t, y: y - 0.5, terminal=True)}
    run = sf.solve(lambda t, y: -y, 1.0, t1=2.0, at=[0.1], events=half, **steps)
    assert run.status.startswith("stopped at t = 0.6931")
    assert len(run.events["half"]) == 1
    np.testing.assert_allclose(run["y"].values, [np.exp(-0.1)], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "wanted"),
    [("x > 1 and t > 2", 2.0), ("x > 1 or t > 2", 1.0), ("not (x < 3 or t < 2)", 3.0)],
)
def test_a_text_of_several_comparisons_is_crossed_where_it_begins_to_hold(
    condition: str, wanted: float
) -> None:
    ramp = sf.Equations.parse("dx/dt = 1 : 1", x=0)
    run = sf.solve(ramp, t1=5.0, events={"up": sf.Event(condition)})
    assert run.events["up"].times == pytest.approx([wanted], abs=1e-6)


def cubic(t: Any, y: Any) -> Any:
    """The slope of (t - 1)(t - 2)(t - 9), which is -18 at 0."""
    return (t - 2) * (t - 9) + (t - 1) * (t - 9) + (t - 1) * (t - 2) + 0 * y


@pytest.mark.slow
@pytest.mark.parametrize("given", [{}, {"dt": 10.0}], ids=["adaptive", "fixed"])
def test_of_several_crossings_in_a_step_the_first_counts(given: dict[str, Any]) -> None:
    events = {"zero": sf.Event(lambda t, y: y, terminal=True)}
    run = sf.solve(cubic, -18.0, t1=10.0, events=events, **given)
    assert run.status == "stopped at t = 1 by a terminal event"
    np.testing.assert_allclose(run.events["zero"].times, [1.0], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", [{}, pytest.param({"dt": 10.0}, marks=pytest.mark.slow)], ids=["adaptive", "fixed"]
)
def test_all_crossings_in_a_step_are_noted_and_have_derivatives(given: dict[str, Any]) -> None:
    """Of y(t) + c: each zero moves by -1/y'. A change behind them cuts the step."""
    events = {
        "zero": sf.Event(lambda t, y: y),
        "up": sf.Event(lambda t, y: y, direction="up"),
        "late": sf.Event(lambda t, y: t - 9.5, lambda t, y: 0 * y + 1.0),
    }
    start = tf.constant([-18.0, -18.0], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(start)
        run = sf.solve(cubic, start, t1=10.0, events=events, batch=1, **given)
        zero, up = run.events["zero"], run.events["up"]
    np.testing.assert_allclose(zero.times, [1, 2, 9] * 2, rtol=1e-9)
    np.testing.assert_array_equal(zero.problems[:, 0], [0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(up.times, [1, 9] * 2, rtol=1e-9)
    assert len(run.events["late"]) == 2
    slopes = np.array([8.0, -7.0, 56.0])
    weights = tf.constant([1.0, 2.0, 4.0, 0.0, 0.0, 0.0], tf.float64)
    found = tape.gradient(zero.t, start, output_gradients=weights)
    np.testing.assert_allclose(found, [-(np.array([1, 2, 4]) / slopes).sum(), 0], rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"dt": 0.1}, {"dt": 0.5}, {}], ids=str)
def test_a_margin_of_zero_at_a_steps_end_does_not_lose_the_next_crossing(given: Any) -> None:
    """(t - 0.5)(0.6 - t) is exactly 0 at 0.5, where it goes up."""
    events = {"e": sf.Event(lambda t, y: (t - 0.5) * (0.6 - t), direction="down")}
    run = sf.solve(lambda t, y: 0 * y, 0.0, t1=1.0, at=[1.0], events=events, max_step=None
                   if "dt" in given else 0.4, **given)  # fmt: skip
    np.testing.assert_allclose(run.events["e"].times, [0.6], rtol=1e-9)
