"""A batch: every problem gives what it gives alone, with steps and events of its own."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf

pytestmark = pytest.mark.slow

SOLVERS = (sf.Tsitouras(), sf.Rosenbrock())


def lorenz(t: Any, y: Any, p: Any) -> Any:
    return {
        "x": 10.0 * (y["y"] - y["x"]),
        "y": y["x"] * (p["r"] - y["z"]) - y["y"],
        "z": y["x"] * y["y"] - 8 / 3 * y["z"],
    }


def van_der_pol(t: Any, y: Any, p: Any) -> Any:
    return {"x": y["y"], "y": p["mu"] * (1 - y["x"] * y["x"]) * y["y"] - y["x"]}


def ball(t: Any, y: Any, p: Any) -> Any:
    return {"h": y["v"], "v": -p["g"] + 0 * y["v"]}


BOUNCE = sf.Event(
    lambda t, y, p: y["h"],
    lambda t, y, p: {"h": 0 * y["h"], "v": -p["e"] * y["v"]},
    direction="down",
)
FAST = sf.Event(lambda t, y, p: y["v"] + p["fast"], terminal=True)
FALLING = {"t1": 2.0, "every": 0.125, "events": {"bounce": BOUNCE, "fast": FAST}}  # compiled once


def alone(f: Any, y0: dict[str, Any], args: dict[str, Any], row: int, **given: Any) -> sf.Solution:
    """Solve one row as a batch of one."""
    own = {key: value[row : row + 1] for key, value in y0.items()}
    return sf.solve(
        f, own, args={key: v[row : row + 1] for key, v in args.items()}, batch=1, **given
    )


def compare(f: Any, y0: dict[str, Any], args: dict[str, Any], close: float, **given: Any) -> Any:
    together = sf.solve(f, y0, args=args, batch=1, **given)
    for row in range(len(next(iter(y0.values())))):
        one = alone(f, y0, args, row, **given)
        for key in y0:
            np.testing.assert_allclose(
                together[key][:, row],
                one[key][:, 0],
                rtol=close,
                atol=close,
                err_msg=f"{key} {row}",
            )
        for what in ("accepted", "rejected", "evaluations"):
            assert together.statistics[what][row] == one.statistics[what], (what, row)
        assert together.statistics["smallest_step"][row] == pytest.approx(
            one.statistics["smallest_step"], rel=1e-6
        )
        for name, found in together.events.items():
            times = found.times[found.problems[:, 0] == row]
            np.testing.assert_allclose(times, one.events[name].times, rtol=1e-11)
    return together


@pytest.mark.parametrize(
    "solver",
    [
        pytest.param(solver, marks=() if solver == SOLVERS[0] else pytest.mark.slow)
        for solver in SOLVERS
    ],
    ids=lambda s: s.name,
)
def test_rows_of_the_lorenz_system_take_steps_of_their_own(solver: Any) -> None:
    y0 = {"x": np.array([1.0, 8.0, -3.0]), "y": np.ones(3), "z": np.array([1.0, 30.0, 20.0])}
    args = {"r": np.array([14.0, 28.0, 90.0])}
    run = compare(lorenz, y0, args, 1e-11, t1=2.0, every=0.25, rtol=1e-5, solver=solver)
    steps = run.statistics["accepted"]
    assert steps.shape == (3,)
    assert len(set(steps.tolist())) == 3
    assert steps[2] > 1.5 * steps[0]


@pytest.mark.slow
def test_rows_of_different_stiffness() -> None:
    y0 = {"x": np.full(3, 2.0), "y": np.zeros(3)}
    args = {"mu": np.array([1.0, 50.0, 1000.0])}
    run = compare(
        van_der_pol, y0, args, 1e-9, t1=20.0, every=2.0, rtol=1e-6, solver=sf.Rosenbrock()
    )
    assert len(set(run.statistics["accepted"].tolist())) == 3


def test_rows_with_different_numbers_of_bounces() -> None:
    y0 = {"h": np.array([1.0, 10.0, 0.3]), "v": np.zeros(3)}
    args = {"g": np.array([9.81, 1.6, 9.81]), "e": np.array([0.9, 0.9, 0.8])}
    run = compare(ball, y0, args | {"fast": np.full(3, 100.0)}, 1e-10, **FALLING)
    found = run.events["bounce"]
    counts = np.bincount(found.problems[:, 0], minlength=3)
    first = np.sqrt(2 * y0["h"] / args["g"])
    for row, count in enumerate(counts):
        powers = args["e"][row] ** np.arange(1, 100)
        exact = first[row] * (1 + 2 * np.concatenate([[0], np.cumsum(powers)]))
        times = found.times[found.problems[:, 0] == row]
        assert count == (exact < 2.0).sum()
        np.testing.assert_allclose(times, exact[:count], rtol=1e-9)
    assert len(set(counts)) == 3


def test_one_row_ends_at_a_terminal_event_while_the_others_bounce_on() -> None:
    y0 = {"h": np.array([1.0, 10.0, 0.3]), "v": np.zeros(3)}
    args = {"g": np.full(3, 9.81), "e": np.array([0.95, 0.9, 0.9]), "fast": np.full(3, 5.0)}
    run = compare(ball, y0, args, 1e-10, **FALLING)
    assert run.events["fast"].problems.tolist() == [[1]]
    np.testing.assert_allclose(run.events["fast"].times, 5 / 9.81, rtol=1e-9)
    assert run.status == "1 of 3 problems stopped by a terminal event"
    assert np.isnan(run["h"][:, 1]).sum() == 12
    assert np.isfinite(run["h"][:, ::2]).all()


def test_a_row_that_ends_leaves_the_others_alone() -> None:
    y0 = {"x": np.array([1.0, 1.0, 1.0])}
    args = {"a": np.array([1.0, -1.0, 2.0])}
    double = sf.Event(lambda t, y, p: y["x"] - 2.0, terminal=True)
    run = compare(
        lambda t, y, p: {"x": p["a"] * y["x"]},
        y0,
        args,
        1e-12,
        t1=3.0,
        every=0.25,
        events={"double": double},
    )
    assert run.status == "2 of 3 problems stopped by a terminal event"
    np.testing.assert_allclose(run.events["double"].times, [np.log(2), np.log(2) / 2], rtol=1e-6)
    late = run.time > np.log(2)
    assert np.isnan(run["x"][late, 0]).all()
    np.testing.assert_allclose(run["x"][:, 1], np.exp(-run.time), rtol=1e-5)


def test_a_row_that_blows_up_is_named_and_leaves_the_others_alone() -> None:
    run = compare(
        lambda t, y, p: {"x": y["x"] ** 2 * p["a"]},
        {"x": np.array([-1.0, 1.0])},
        {"a": np.ones(2)},
        1e-9,
        t1=2.0,
        at=[0.5, 1.5, 2.0],
    )
    assert run.status.startswith("1 of 2 problems stopped early; problem 1 stopped at t = 1")
    np.testing.assert_allclose(run["x"][:, 0], [-1 / 1.5, -1 / 2.5, -1 / 3], rtol=1e-5)
    assert np.isnan(run["x"][1:, 1]).all()


def test_two_axes_of_a_batch_and_a_vector_in_each_problem() -> None:
    y0 = {"x": np.arange(1.0, 13.0).reshape(2, 3, 2)}
    args = {"a": np.linspace(0.5, 3.0, 6).reshape(2, 3, 1)}
    big = sf.Event(lambda t, y, p: y["x"][..., 0] - 4.0)
    run = sf.solve(
        lambda t, y, p: {"x": -p["a"] * y["x"]},
        y0,
        t1=1.0,
        at=[1.0],
        args=args,
        batch=2,
        rtol=1e-9,
        events={"big": big},
    )
    np.testing.assert_allclose(run["x"][0], y0["x"] * np.exp(-args["a"]), rtol=1e-7)
    assert run.events["big"].problems.tolist() == [[0, 2], [1, 0], [1, 1], [1, 2]]
    exact = np.log(y0["x"][..., 0] / 4) / args["a"][..., 0]
    np.testing.assert_allclose(run.events["big"].times, exact[(exact > 0) & (exact < 1)], rtol=1e-8)
