"""Stochastic equations through `solve`: known moments, and noise that depends on nothing else."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import RunError
from somaflow.numerics import programs
from somaflow.simulation import stretches
from somaflow.solving import integration as integrate
from somaflow.units import ms

PATHS = 4000
METHODS = (sf.EulerMaruyama(), sf.Milstein(), sf.StochasticHeun())


def still(t: Any, y: Any) -> Any:
    return {"x": -y["x"], "z": 0.5 * y["x"]}


def kick(t: Any, y: Any) -> Any:
    return {"x": 0.3 + 0 * y["x"], "z": 0.2 * y["z"]}


def paths(rows: int = 5, seed: int = 1, **given: Any) -> np.ndarray:
    y0 = {"x": np.ones(rows), "z": np.ones(rows)}
    run = sf.solve(
        still,
        y0,
        t1=1.0,
        dt=1 / 64,
        noise=kick,
        seed=seed,
        batch=1,
        solver=given.pop("solver", sf.Milstein()),
        **given,
    )
    return np.stack([run["x"].values, run["z"].values])


@pytest.mark.parametrize("solver", METHODS[::2], ids=lambda s: s.name)
def test_the_variance_of_an_ornstein_uhlenbeck_process(solver: Any) -> None:
    tau, sigma, dt = 10.0, 1.5, 0.5
    text = sf.Equations.parse(
        "dx/dt = -x/tau + sigma*sqrt(2/tau)*xi_x : 1", tau=tau * ms, sigma=sigma, x=np.zeros(PATHS)
    )
    run = sf.solve(text, t1=100 * ms, dt=dt * ms, every=50 * ms, seed=4, solver=solver)
    x, ratio = run["x"].values, dt / tau
    # The stationary variance of the method itself, which at dt = 0 is that of the process.
    factor = 1 - ratio if solver.name == "Euler-Maruyama" else 1 - ratio + ratio**2 / 2
    push = 1.0 if solver.name == "Euler-Maruyama" else 1 - ratio / 2
    exact = sigma**2 * 2 * ratio * push**2 / (1 - factor**2)
    assert exact == pytest.approx(sigma**2, rel=0.03)
    for late in x[1:]:
        assert late.var() == pytest.approx(exact, rel=4 * np.sqrt(2 / PATHS))
        assert abs(late.mean()) < 4 * sigma / np.sqrt(PATHS)
    correlation = np.corrcoef(x[1], x[2])[0, 1]
    assert correlation == pytest.approx(np.exp(-50 / tau), abs=4 / np.sqrt(PATHS))


def test_text_and_function_have_the_same_noise() -> None:
    given = {"dt": 0.5, "seed": 9, "solver": sf.EulerMaruyama()}
    text = sf.Equations.parse(
        "dx/dt = -x/tau + sigma*sqrt(2/tau)*xi_x : 1", tau=10 * ms, sigma=1.5, x=np.zeros(4)
    )
    written = sf.solve(text, t1=20 * ms, **given | {"dt": 0.5 * ms})
    called = sf.solve(
        lambda t, y: {"x": -y["x"] / 10},
        {"x": np.zeros(4)},
        t1=20.0,
        batch=1,
        noise=lambda t, y: {"x": 1.5 * np.sqrt(2 / 10) + 0 * y["x"]},
        **given,
    )
    np.testing.assert_allclose(written["x"], called["x"], rtol=1e-12, atol=1e-13)
    assert called["x"].values[1:].std() > 0.3


@pytest.mark.parametrize("solver", METHODS, ids=lambda s: s.name)
def test_ito_and_stratonovich_have_means_of_their_own(solver: Any) -> None:
    drift, spread = 0.3, 0.7
    run = sf.solve(
        lambda t, y: {"x": drift * y["x"]},
        {"x": np.ones(2 * PATHS)},
        t1=1.0,
        dt=1 / 64,
        every=1.0,
        batch=1,
        noise=lambda t, y: {"x": spread * y["x"]},
        seed=2,
        solver=solver,
    )
    end = run["x"].values[-1]
    error = end.std() / np.sqrt(len(end))
    means = {"Ito": np.exp(drift), "Stratonovich": np.exp(drift + spread**2 / 2)}
    assert abs(end.mean() - means.pop(solver.calculus)) < 3.5 * error
    assert abs(end.mean() - means.popitem()[1]) > 10 * error
    logarithms = np.log(end)
    assert logarithms.var() == pytest.approx(spread**2, rel=0.06)


def test_the_seed_sets_the_noise() -> None:
    first = paths()
    np.testing.assert_array_equal(paths(), first)
    for other in (2, 1 + 2**32):
        again = paths(seed=other)
        np.testing.assert_array_equal(again[:, 0], first[:, 0])
        assert (again[0, 1:] != first[0, 1:]).all()
        assert abs(np.corrcoef((again - first)[0, -1], first[0, -1])[0, 1]) < 1


def test_the_noise_of_a_row_does_not_know_the_others() -> None:
    np.testing.assert_array_equal(paths(rows=9)[:, :, :5], paths(rows=5))


def test_rows_and_variables_have_noises_of_their_own() -> None:
    run = sf.solve(
        lambda t, y: {"x": 0 * y["x"], "z": 0 * y["z"]},
        {"x": np.zeros((PATHS, 2)), "z": np.zeros((PATHS, 1))},
        t1=2.0,
        dt=1.0,
        batch=1,
        noise=lambda t, y: {"x": 1.0 + 0 * y["x"], "z": 1.0 + 0 * y["z"]},
        solver=sf.EulerMaruyama(),
    )
    walk = np.concatenate([run["x"].values, run["z"].values], axis=2)
    steps = np.diff(walk, axis=0)  # of two steps, PATHS rows and three variables
    columns = steps.transpose(0, 2, 1).reshape(6, PATHS)
    neighbours = np.concatenate([columns[:, :-1], columns[:1, 1:]])
    found = np.corrcoef(neighbours) - np.eye(7)
    found[0, 6] = found[6, 0] = abs(np.corrcoef(columns[0, :-1], columns[0, 1:])[0, 1])
    assert np.abs(found).max() < 5 / np.sqrt(PATHS)
    np.testing.assert_allclose(columns.var(axis=1), 1, atol=5 * np.sqrt(2 / PATHS))


def test_the_noise_does_not_depend_on_the_length_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = paths()
    monkeypatch.setattr(stretches, "_STRETCH", 7)
    np.testing.assert_array_equal(paths(), whole)
    monkeypatch.setattr(integrate, "_NUMBERS", 64)
    programs.clear()
    np.testing.assert_array_equal(paths(), whole)
    programs.clear()


def test_where_samples_are_taken_does_not_change_the_noise() -> None:
    np.testing.assert_array_equal(paths(every=0.25), paths()[:, ::16])
    np.testing.assert_array_equal(paths(at=[0.5, 1.0]), paths()[:, [32, 64]])


@pytest.mark.slow
def test_weak_order_of_one() -> None:
    """The mean of geometric Brownian motion, with so little noise that it can be told."""
    errors, drift = [], 1.0
    for steps in (4, 8, 16):
        run = sf.solve(
            lambda t, y: {"x": drift * y["x"]},
            {"x": np.ones(20_000)},
            t1=1.0,
            dt=1 / steps,
            every=1.0,
            batch=1,
            noise=lambda t, y: {"x": 0.1 * y["x"]},
            solver=sf.EulerMaruyama(),
        )
        errors.append(np.exp(drift) - run["x"].values[-1].mean())
    order = -np.polyfit(np.log([4, 8, 16]), np.log(errors), 1)[0]
    assert order == pytest.approx(np.log2(0.276 / 0.081) / 2, abs=0.1)  # (1 + 1/n)**n for e


def test_noise_needs_whole_steps_and_no_events() -> None:
    with pytest.raises(RunError, match="whole steps"):
        paths(at=[0.3])
    with pytest.raises(RunError, match="no events"):
        paths(events={"e": sf.Event(lambda t, y: y["x"])})


def test_noise_and_method_belong_together() -> None:
    with pytest.raises(RunError, match="stochastic solver"):
        paths(solver=sf.RK4())
    with pytest.raises(RunError, match="is for noise"):
        sf.solve(still, {"x": 1.0, "z": 1.0}, t1=1.0, dt=0.5, solver=sf.Milstein())
