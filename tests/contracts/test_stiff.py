"""Stiff equations: what the stiff methods promise, and what an explicit one says."""

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.errors import RunError

LATE = 10.0 ** np.arange(-1.0, 12.0)
START = {"a": 1.0, "b": 0.0, "c": 0.0}


def robertson(t: Any, y: Any) -> Any:
    """Robertson HH (1966) The solution of a set of reaction rate equations."""
    first, second, third = 0.04 * y["a"], 1e4 * y["b"] * y["c"], 3e7 * y["b"] * y["b"]
    return {"a": second - first, "b": first - second - third, "c": third}


def van_der_pol(t: Any, y: Any, mu: Any) -> Any:
    return {"x": y["y"], "y": mu * (1 - y["x"] * y["x"]) * y["y"] - y["x"]}


def reference(f: Any, y0: dict[str, float], at: np.ndarray, atol: Any, *args: Any) -> np.ndarray:
    def flat(t: float, y: np.ndarray) -> list[float]:
        return list(f(t, dict(zip(y0, y, strict=True)), *args).values())

    def jacobian(t: float, y: np.ndarray) -> np.ndarray:
        """Forward differences are too coarse for 1e-10; a complex step is exact."""
        columns = [np.imag(flat(t, y + 1e-30j * unit)) / 1e-30 for unit in np.eye(len(y))]
        return np.stack(columns, axis=1)

    done = solve_ivp(
        flat,
        (0, at[-1]),
        list(y0.values()),
        method="Radau",
        rtol=1e-10,
        atol=atol,
        t_eval=at,
        jac=jacobian,
    )
    assert done.success
    return done.y


@pytest.mark.slow
def test_robertson_to_a_time_of_1e11() -> None:
    exact = reference(robertson, START, LATE, [1e-17, 1e-21, 1e-12])
    # Mazzia F, Magherini C (2008) Test set for initial value problem solvers, release 2.4.
    published = [0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050]
    np.testing.assert_allclose(exact[:, -1], published, rtol=1e-7)
    atol = {"a": 1e-14, "b": 1e-19, "c": 1e-10}
    errors, steps = [], []
    for rtol in (1e-4, 1e-6):
        run = sf.solve(
            robertson, START, t1=LATE[-1], at=LATE, rtol=rtol, atol=atol, solver=sf.Rosenbrock()
        )
        assert run.status == "reached t1 = 1e+11"
        found = np.stack([run[key].values for key in START])
        np.testing.assert_allclose(found.sum(axis=0), 1.0, rtol=1e-13)  # the sum is linear
        errors.append(float((np.abs(found - exact) / np.abs(exact)).max()))
        steps.append(run.statistics["accepted"] + run.statistics["rejected"])
    assert errors[0] < 1e-3
    assert errors[1] < 1e-5
    assert steps[1] < 3000  # an explicit method would need 1e14


@pytest.mark.slow
def test_van_der_pol_with_a_stiffness_of_1000() -> None:
    at, y0, mu = np.array([500.0, 800.0, 807.0, 1200.0, 1600.0, 2000.0]), {"x": 2.0, "y": 0.0}, 1e3
    exact = reference(van_der_pol, y0, at, 1e-12, mu)
    run = sf.solve(
        van_der_pol, y0, t1=2000.0, at=at, rtol=1e-7, atol=1e-9, args=mu, solver=sf.Rosenbrock()
    )
    assert run.status == "reached t1 = 2000"
    np.testing.assert_allclose(run["x"], exact[0], rtol=1e-4)
    np.testing.assert_allclose(run["y"], exact[1], rtol=1e-3)
    assert run.statistics["accepted"] < 20_000


@pytest.mark.parametrize("solver", [sf.ImplicitEuler(), sf.Rosenbrock()], ids=lambda s: s.name)
def test_a_huge_step_lands_on_the_slow_solution(solver: Any) -> None:
    def f(t: Any, y: Any) -> Any:
        return {"fast": -1e6 * (y["fast"] - y["slow"]), "slow": -0.1 * y["slow"]}

    run = sf.solve(f, {"fast": 5.0, "slow": 1.0}, t1=2.0, dt=0.5, solver=solver)
    np.testing.assert_allclose(run["slow"].values[-1], np.exp(-0.2), rtol=0.01)
    np.testing.assert_allclose(run["fast"].values[2:], run["slow"].values[2:], rtol=1e-4)


def test_a_blow_up_stops_with_time_variable_and_cause() -> None:
    run = sf.solve(
        lambda t, y: {"calm": -y["calm"], "wild": y["wild"] ** 2},
        {"calm": 1.0, "wild": 1.0},
        t1=2.0,
        at=[0.5, 0.9, 1.5, 2.0],
    )
    found = re.match(r"stopped at t = (\S+):", run.status)
    assert found
    assert float(found[1]) == pytest.approx(1.0, abs=1e-4)
    assert "'wild'" in run.status
    assert "grows without bound" in run.status
    assert "Rosenbrock" not in run.status  # a pole is none of stiffness
    assert "  " not in run.status
    np.testing.assert_allclose(run["wild"].values[:2], [2.0, 10.0], rtol=1e-4)
    assert np.isnan(run["wild"].values[2:]).all()
    assert np.isnan(run["calm"].values[2:]).all()


def test_a_stiff_method_does_not_recommend_itself() -> None:
    run = sf.solve(lambda t, y: {"x": y["x"] ** 2}, {"x": 1.0}, t1=2.0, solver=sf.Rosenbrock())
    assert re.match(r"stopped at t = 1(\.0000\d*)?:", run.status)
    assert "Rosenbrock" not in run.status


def test_a_slope_that_is_not_a_number_at_the_start_stops_at_once() -> None:
    run = sf.solve(lambda t, y: {"x": sf.math.sqrt(1.0 - y["x"])}, {"x": 2.0}, t1=5.0)
    assert run.status.startswith("stopped at t = 0:")
    assert run.statistics["accepted"] == 0


# ------------------------------------------------------------------ large systems


def wave(t: Any, y: Any, p: Any) -> Any:
    """FitzHugh-Nagumo on a line: two variables, which act on their neighbours and on each other."""
    u, v = y["u"], y["v"]
    padded = tf.concat([u[..., :1], u, u[..., -1:]], axis=-1)
    spread = padded[..., 2:] - 2 * u + padded[..., :-2]
    return {"u": p * spread + u - u**3 / 3 - v, "v": 0.08 * (u + 0.7 - 0.8 * v)}


def mixed(t: Any, y: Any, p: Any) -> Any:
    """The same, in a form that does not tell who acts on whom."""
    found = wave(t, y, p)
    return {
        "u": found["u"] + 0 * tf.reduce_sum(y["v"]),
        "v": found["v"] + 0 * tf.reduce_sum(y["u"]),
    }


PLACES = np.linspace(-3, 3, 20)
FRONT = {"u": 2 * np.tanh(PLACES), "v": 0.3 * np.sin(PLACES)}
BAND, FULL = "banded, 2 below and 2 above the diagonal, from 4 products", "full, from 40 products"


@pytest.mark.slow
@pytest.mark.parametrize("solver", [sf.ImplicitEuler(), sf.Rosenbrock()], ids=lambda s: s.name)
def test_a_band_gives_what_the_full_matrix_gives(solver: Any) -> None:
    found = []
    for f, words in ((wave, BAND), (mixed, FULL)):
        p, start = tf.Variable(9.0, dtype=tf.float64), tf.Variable(FRONT["u"])
        with tf.GradientTape() as tape:
            run = sf.solve(
                f, {"u": start, "v": FRONT["v"]}, args=p, t1=2.0, dt=0.25, at=[2.0], solver=solver
            )
            loss = tf.reduce_sum(run.y["u"][-1] * np.cos(PLACES))
        assert run.statistics["jacobian"] == words
        found.append([run["u"].values[-1], *map(np.asarray, tape.gradient(loss, [p, start]))])
    for band, full in zip(*found, strict=True):
        np.testing.assert_allclose(band, full, rtol=1e-9, atol=1e-11)

    def ends(p: float) -> Any:
        args, start = tf.Variable(p, dtype=tf.float64), tf.Variable(FRONT["u"])
        with tf.GradientTape():  # so that it is what was compiled above
            run = sf.solve(
                wave, {"u": start, "v": FRONT["v"]}, args=args, t1=2.0, dt=0.25, at=[2.0],
                solver=solver,
            )  # fmt: skip
        assert not run.statistics["compiled"]
        return (run["u"].values[-1] * np.cos(PLACES)).sum()

    slope = (ends(9.0 + 1e-4) - ends(9.0 - 1e-4)) / 2e-4
    assert found[0][1] == pytest.approx(slope, rel=1e-6)


@pytest.mark.slow
def test_rows_and_float32_of_a_large_system() -> None:
    rows = {"u": np.stack([FRONT["u"], 0.5 * FRONT["u"]]), "v": np.zeros((2, 20))}
    given: dict[str, Any] = {"t1": 2.0, "at": [1.0, 2.0], "solver": sf.Rosenbrock()}
    many = sf.solve(wave, rows, args=9.0, batch=1, **given)
    one = sf.solve(wave, {"u": rows["u"][1:], "v": np.zeros((1, 20))}, args=9.0, batch=1, **given)
    np.testing.assert_allclose(many["u"][:, 1], one["u"][:, 0], rtol=1e-12)
    assert many.statistics["accepted"][1] == one.statistics["accepted"]
    single = sf.solve(
        wave, {"u": rows["u"][1], "v": np.zeros(20)}, args=9.0, dtype="float32", **given
    )
    np.testing.assert_allclose(single["u"], many["u"][:, 1], atol=2e-3)
    exact = solve_ivp(
        lambda t, y: np.concatenate(
            list(map(np.asarray, wave(t, {"u": y[:20], "v": y[20:]}, 9.0).values()))
        ),
        (0, 2),
        np.concatenate([rows["u"][1], np.zeros(20)]),
        method="LSODA",
        rtol=1e-9,
        atol=1e-11,
    )
    np.testing.assert_allclose(many["u"].values[-1, 1], exact.y[:20, -1], atol=1e-4)


def test_methods_that_need_a_diagonal_take_many_components() -> None:
    start = np.linspace(0.0, 1.0, 200)
    gates = sf.solve(
        lambda t, y: 1.0 - 3.0 * y, start, t1=1.0, dt=0.25, at=[1.0], solver=sf.ExponentialEuler()
    )
    exact = 1 / 3 + (start - 1 / 3) * np.exp(-3)
    np.testing.assert_allclose(gates["y"].values[-1], exact, rtol=1e-13)
    given: dict[str, Any] = {"t1": 1.0, "dt": 0.25, "noise": lambda t, y: 0.5 * y, "seed": 3}
    one, rows = (
        sf.solve(lambda t, y: -y, start, solver=sf.Milstein(), batch=batch, **given)
        for batch in (0, 1)
    )
    np.testing.assert_allclose(one["y"], rows["y"], rtol=1e-12)


def test_a_full_matrix_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RunError, match=r"Jacobian of 100,000 components.*full.*by slices"):
        sf.solve(lambda t, y: -y * tf.reduce_mean(y), np.ones(100_000), t1=1.0, dt=0.5,
                 solver=sf.ImplicitEuler())  # fmt: skip


HEAT = """
import resource
import numpy as np
import tensorflow as tf
import somaflow as sf

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

x = np.linspace(0.0, 1.0, 2002)[1:-1]
before = peak()

def heat(t, u):
    padded = tf.pad(u, [[1, 1]])
    return (padded[2:] - 2 * u + padded[:-2]) / (x[1] - x[0]) ** 2

run = sf.solve(heat, np.sin(np.pi * x), t1=0.1, at=[0.1], solver=sf.Rosenbrock())
found = run["y"].values[-1]
print(peak() - before, np.abs(found - np.exp(-0.1 * np.pi**2) * np.sin(np.pi * x)).max())
"""


@pytest.mark.slow
def test_the_memory_of_two_thousand_points_is_small() -> None:
    command = [sys.executable, "-c", HEAT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    megabytes, error = map(float, done.stdout.split())
    assert error < 3e-7
    assert megabytes < 500, megabytes  # a hundred points took 750 before, one by one
