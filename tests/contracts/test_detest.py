"""DETEST: the 25 problems of Hull, Enright, Fellen and Sedgwick, against SciPy.

Hull TE, Enright WH, Fellen BM, Sedgwick AE (1972) Comparing numerical methods for ordinary
differential equations. SIAM Journal on Numerical Analysis 9:603-637. Every problem starts at t = 0
and ends at t = 20.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import solve_ivp

import somaflow as sf

END = 20.0


def bidiagonal(rates: np.ndarray) -> np.ndarray:
    """Each part decays into the next; the last one keeps all."""
    return np.diag(-np.append(rates, 0.0)) + np.diag(rates, -1)


def heat(n: int) -> np.ndarray:
    return np.diag(-2 * np.ones(n)) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)


def linear(matrix: np.ndarray) -> Callable[..., Any]:
    return lambda xp, t, y: xp.tensordot(matrix, y, 1)


def first(n: int) -> list[float]:
    return [1.0] + [0.0] * (n - 1)


# The sun and the five outer planets; the first row are positions, the second velocities.
GRAVITY, SUN = 2.95912208286, 1.00000597682
MASSES = np.array(
    [0.000954786104043, 0.000285583733151, 0.0000437273164546, 0.0000517759138449, 2.77777777778e-6]
)
PLANETS = [
    [
        [3.42947415189, 3.35386959711, 1.35494901715],
        [6.64145542550, 5.97156957878, 2.18231499728],
        [11.2630437207, 14.6952576794, 6.27960525067],
        [-30.1552268759, 1.65699966404, 1.43785752721],
        [-21.1238353380, 28.4465098142, 15.3882659679],
    ],
    [
        [-0.557160570446, 0.505696783289, 0.230578543901],
        [-0.415570776342, 0.365682722812, 0.169143213293],
        [-0.325325669158, 0.189706021964, 0.0877265322780],
        [-0.0240476254170, -0.287659532608, -0.117219543175],
        [-0.176860753121, -0.216393453025, -0.0148647893090],
    ],
]


def planets(xp: Any, t: Any, y: Any) -> Any:
    place, others = y[0], 1 - np.eye(5)
    towards = place[None] - place[:, None]
    distances = xp.einsum("jki,jki->jk", towards, towards) + np.eye(5)
    radius = xp.einsum("ji,ji->j", place, place) ** 1.5
    pull = xp.einsum("jk,jki->ji", MASSES * others / distances**1.5, towards)
    frame = xp.einsum("jk,ki->ji", MASSES * others / radius[None], place)
    central = -((SUN + MASSES) / radius)[:, None] * place
    return xp.stack([y[1], GRAVITY * (central + pull - frame)])


def torus(xp: Any, t: Any, y: Any) -> Any:
    r = xp.sqrt(y[0] ** 2 + y[1] ** 2)
    return xp.stack([-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r])


def orbit(xp: Any, t: Any, y: Any) -> Any:
    cube = (y[0] ** 2 + y[1] ** 2) ** 1.5
    return xp.stack([y[2], y[3], -y[0] / cube, -y[1] / cube])


def perihelion(eccentricity: float) -> list[float]:
    speed = ((1 + eccentricity) / (1 - eccentricity)) ** 0.5
    return [1 - eccentricity, 0.0, 0.0, speed]


def bessel(xp: Any, t: Any, y: Any) -> Any:
    return xp.stack([y[1], -(y[1] / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y[0])])


# Right-hand side, with the module that computes it, and initial state.
PROBLEMS: dict[str, tuple[Callable[..., Any], Any]] = {
    "A1": (lambda xp, t, y: -y, [1.0]),
    "A2": (lambda xp, t, y: -(y**3) / 2, [1.0]),
    "A3": (lambda xp, t, y: y * xp.cos(t), [1.0]),
    "A4": (lambda xp, t, y: y / 4 * (1 - y / 20), [1.0]),
    "A5": (lambda xp, t, y: (y - t) / (y + t), [4.0]),
    "B1": (
        lambda xp, t, y: xp.stack([2 * (y[0] - y[0] * y[1]), -(y[1] - y[0] * y[1])]),
        [1.0, 3.0],
    ),
    "B2": (linear(np.array([[-1.0, 1, 0], [1, -2, 1], [0, 1, -1]])), [2.0, 0.0, 1.0]),
    "B3": (lambda xp, t, y: xp.stack([-y[0], y[0] - y[1] ** 2, y[1] ** 2]), [1.0, 0.0, 0.0]),
    "B4": (torus, [3.0, 0.0, 0.0]),
    "B5": (
        lambda xp, t, y: xp.stack([y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]]),
        [0.0, 1.0, 1.0],
    ),
    "C1": (linear(bidiagonal(np.ones(9))), first(10)),
    "C2": (linear(bidiagonal(np.arange(1.0, 10.0))), first(10)),
    "C3": (linear(heat(10)), first(10)),
    "C4": (linear(heat(51)), first(51)),
    "C5": (planets, PLANETS),
    **{f"D{k}": (orbit, perihelion((2 * k - 1) / 10)) for k in range(1, 6)},
    "E1": (bessel, [0.6713967071418030, 0.09540051444747446]),
    "E2": (lambda xp, t, y: xp.stack([y[1], (1 - y[0] ** 2) * y[1] - y[0]]), [2.0, 0.0]),
    "E3": (
        lambda xp, t, y: xp.stack([y[1], y[0] ** 3 / 6 - y[0] + 2 * xp.sin(2.78535 * t)]),
        [0.0, 0.0],
    ),
    "E4": (lambda xp, t, y: xp.stack([y[1], 0.032 - 0.4 * y[1] ** 2]), [30.0, 0.0]),
    "E5": (lambda xp, t, y: xp.stack([y[1], xp.sqrt(1 + y[1] ** 2) / (25 - t)]), [0.0, 0.0]),
}
# What is lost on the way from t = 0 to 20, in units of the tolerance of one step.
# SciPy's pairs of the same orders lose as much. An orbit loses most: errors of its period add up.
MULTIPLES = {
    5: {"A": 10, "B": 30, "C": 15, "D": 2000, "E": 25},
    3: {"A": 120, "B": 300, "C": 60, "D": 600, "E": 25},
}
FAST = {"A3", "B4", "C5", "D3", "E2"}
# The default on every problem, the others on one of each class.
CASES = [(sf.Tsitouras(), name) for name in PROBLEMS if name not in FAST]
CASES += [(s, name) for s in (sf.DormandPrince(), sf.BogackiShampine()) for name in sorted(FAST)]


def reference(name: str) -> np.ndarray:
    f, y0 = PROBLEMS[name]
    start = np.array(y0)

    def flat(t: float, y: np.ndarray) -> np.ndarray:
        return np.reshape(f(np, t, y.reshape(start.shape)), -1)

    done = solve_ivp(flat, (0, END), start.ravel(), method="DOP853", rtol=1e-12, atol=1e-14)
    return done.y[:, -1].reshape(start.shape)


def errors(name: str, solver: Any) -> list[float]:
    """Return the largest error at the end in units of rtol, for two of them."""
    f, y0 = PROBLEMS[name]
    exact, found = reference(name), []

    def slope(t: Any, y: Any) -> Any:
        return f(tf, t, y)

    for rtol in (1e-6, 1e-8):
        run = sf.solve(slope, np.array(y0), t1=END, at=[END], rtol=rtol, atol=rtol, solver=solver)
        assert run.status == "reached t1 = 20"
        wrong = np.abs(run["y"].values[-1] - exact) / np.maximum(np.abs(exact), 1)
        found.append(float(wrong.max() / rtol))
    return found


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in ("A3", "B4") else pytest.mark.slow) for n in sorted(FAST)],
)
def test_one_of_each_class(name: str) -> None:
    assert max(errors(name, sf.Tsitouras())) < MULTIPLES[5][name[0]]


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "name"), CASES, ids=lambda case: getattr(case, "name", case))
def test_the_error_at_the_end_is_a_multiple_of_the_tolerance(solver: Any, name: str) -> None:
    assert max(errors(name, solver)) < MULTIPLES[solver.order][name[0]]


def test_there_are_five_problems_in_each_class() -> None:
    assert sorted(PROBLEMS) == [f"{kind}{k}" for kind in "ABCDE" for k in range(1, 6)]
