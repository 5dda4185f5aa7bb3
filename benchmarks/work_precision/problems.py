"""The problems of the work-precision benchmark, each written once for every framework.

A right-hand side is `field(t, y, p, xp)`: `y` and `p` are dicts of states and parameters, and `xp`
offers `exp`, `sin` and `where` (`sf.math`, `jax.numpy`, `torch`, `numpy`, or `Scalars` for plain
Python floats). So a difference in speed or in error is a difference between programs and never
between equations. A guarded quotient is used where the textbook writes x/(exp(x) - 1): without a
guard an integer voltage meets 0/0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

State = dict[str, Any]
Field = Callable[[Any, State, State, Any], State]

SAMPLED = 8  # rows whose error is measured, of 10,000: the reference costs seconds for each
SEED = 20


class Scalars:
    """The functions over plain floats, much faster than NumPy's for a single problem."""

    sin = staticmethod(math.sin)

    @staticmethod
    def exp(x: float) -> float:
        """Return e to the power x; infinite where `math.exp` would raise."""
        return math.exp(x) if x < 700.0 else math.inf

    @staticmethod
    def where(condition: bool, a: float, b: float) -> float:
        """Return `a` where the condition holds, else `b`."""
        return a if condition else b


@dataclass(frozen=True)
class Problem:
    """A system and how it is measured.

    Attributes:
        field: The right-hand side.
        y0: Initial state.
        parameters: The equations' constants.
        t1: The end; all begin at 0.
        scale: What an error of each state is divided by: its size, roughly.
        steps: Fixed steps by kind of method: `"order1"`, `"order2"`, `"order4"`, and `"implicit"`
            for exponential and implicit methods.
        rtols: Relative tolerances of the adaptive methods.
        atol: Absolute tolerance, as a factor of the relative one.
        stiff: Whether explicit methods are limited by stability to the end.
    """

    field: Field
    y0: dict[str, float]
    parameters: dict[str, float]
    t1: float
    scale: dict[str, float]
    steps: dict[str, tuple[float, ...]]
    rtols: tuple[float, ...] = (1e-4, 1e-6, 1e-8)
    atol: float = 1.0
    stiff: bool = False


# ---------------------------------------------------------------------- right-hand sides


def lorenz(t: Any, y: State, p: State, xp: Any) -> State:
    """Return the slope of Lorenz (1963) J Atmos Sci 20:130-141, with his parameters."""
    return {
        "x": p["s"] * (y["y"] - y["x"]),
        "y": y["x"] * (p["r"] - y["z"]) - y["y"],
        "z": y["x"] * y["y"] - p["b"] * y["z"],
    }


def robertson(t: Any, y: State, p: State, xp: Any) -> State:
    """Return the slope of Robertson (1966); Hairer and Wanner, Solving ODEs II, eq. IV.1.4."""
    first = p["k1"] * y["a"]
    second = p["k2"] * y["b"] * y["b"]
    third = p["k3"] * y["b"] * y["c"]
    return {"a": third - first, "b": first - third - second, "c": second}


def exprel(x: Any, xp: Any) -> Any:
    """Return (exp(x) - 1)/x, by its series near 0, where the two agree to 4e-11."""
    small = abs(x) < 1e-3
    safe = xp.where(small, 1.0, x)
    return xp.where(small, 1.0 + x * (0.5 + x / 6.0), (xp.exp(safe) - 1.0) / safe)


def squid_rates(v: Any, xp: Any) -> dict[str, tuple[Any, Any]]:
    """Return opening and closing rates in 1/ms, Hodgkin and Huxley (1952) J Physiol 117:500-544.

    At rest the axon is at -65 mV, at 6.3 degrees Celsius.
    """
    return {
        "m": (1.0 / exprel(-(v + 40.0) / 10.0, xp), 4.0 * xp.exp(-(v + 65.0) / 18.0)),
        "h": (0.07 * xp.exp(-(v + 65.0) / 20.0), 1.0 / (1.0 + xp.exp(-(v + 35.0) / 10.0))),
        "n": (0.1 / exprel(-(v + 55.0) / 10.0, xp), 0.125 * xp.exp(-(v + 65.0) / 80.0)),
    }


def hodgkin_huxley(t: Any, y: State, p: State, xp: Any) -> State:
    """Return the slope of a squid axon with a step of current from t = 0 on.

    In ms, mV, mS/cm2 and uA/cm2.
    """
    v = y["v"]
    sodium = 120.0 * y["m"] * y["m"] * y["m"] * y["h"] * (v - 50.0)
    potassium = 36.0 * y["n"] * y["n"] * y["n"] * y["n"] * (v + 77.0)
    slope = {"v": p["I"] - sodium - potassium - 0.3 * (v + 54.3)}
    for gate, (opening, closing) in squid_rates(v, xp).items():
        slope[gate] = opening * (1.0 - y[gate]) - closing * y[gate]
    return slope


_PHI = 3.0 ** ((22.0 - 36.0) / 10.0)
_PHI_A = 3.0 ** ((36.0 - 23.5) / 10.0)


def lobe_rates(v: Any, xp: Any) -> dict[str, tuple[Any, Any]]:
    """Return rates of the channels of Traub and Miles (1991), shifted by -50 mV, at 22 degrees."""
    u = v + 50.0
    return {
        "m": (
            _PHI * 1.28 / exprel((13.0 - u) / 4.0, xp),
            _PHI * 1.4 / exprel((u - 40.0) / 5.0, xp),
        ),
        "h": (
            _PHI * 0.128 * xp.exp((17.0 - u) / 18.0),
            _PHI * 4.0 / (1.0 + xp.exp((40.0 - u) / 5.0)),
        ),
        "n": (_PHI * 0.1 / exprel((15.0 - u) / 5.0, xp), _PHI * 0.5 * xp.exp((10.0 - u) / 40.0)),
    }


def transient(v: Any, xp: Any) -> dict[str, tuple[Any, Any]]:
    """Return steady state and time constant in ms of I_A as printed in 2022 (`ka_psst2022`).

    The constant 0.37 stands inside the fraction: a slip, and kept here, because it makes the cell
    stiff. At +40 mV the gate's time constant is 5.3 us instead of 99 us. The time
    constant of its inactivation jumps at -63 mV, as published.
    """
    rate = xp.exp((v + 35.82) / 19.69) + xp.exp(-(v + 79.69) / 12.7)
    slow = xp.exp((v + 46.05) / 5.0) + xp.exp(-(v + 238.4) / 37.45)
    return {
        "a": (1.0 / (1.0 + xp.exp(-(v + 60.0) / 8.5)), 1.0 / (rate + 0.37) / _PHI_A),
        "b": (
            1.0 / (1.0 + xp.exp((v + 78.0) / 6.0)),
            xp.where(v < -63.0, 1.0 / slow, 19.0 + 0.0 * v) / _PHI_A,
        ),
    }


def stiff_cell(t: Any, y: State, p: State, xp: Any) -> State:
    """Return the slope of a projection neuron whose I_A carries the slip of 2022.

    Mohanta and Assisi (2022), doi:10.51628/001c.37893; units as in `hodgkin_huxley`.
    """
    v = y["v"]
    sodium = 100.0 * y["m"] * y["m"] * y["m"] * y["h"] * (v - 50.0)
    rectifier = 10.0 * y["n"] * y["n"] * y["n"] * y["n"]
    transient_a = 10.0 * y["a"] * y["a"] * y["a"] * y["a"] * y["b"]
    leaks = 0.15 * (v + 55.0) + 0.05 * (v + 95.0)
    slope = {"v": p["I"] - sodium - (rectifier + transient_a) * (v + 95.0) - leaks}
    for gate, (opening, closing) in lobe_rates(v, xp).items():
        slope[gate] = opening * (1.0 - y[gate]) - closing * y[gate]
    for gate, (steady, constant) in transient(v, xp).items():
        slope[gate] = (steady - y[gate]) / constant
    return slope


def hundred_lines(t: Any, y: State, p: State, xp: Any) -> State:
    """Compute 100 lines: 20 states, and for each four lines and its derivative."""
    names = list(y)
    slope = {}
    for k, name in enumerate(names):
        x, other, third = y[name], y[names[k - 1]], y[names[k - 7]]
        drive = xp.sin(0.1 * (k + 1) * t) * other - 0.3 * x * third
        gate = 1.0 / (1.0 + xp.exp(-(x + 0.01 * k) / 0.7))
        current = (0.5 + 0.02 * k) * gate * gate * (x - other) + 0.1 * third
        damping = (1.0 + x * x) / (2.0 + other * other + third * third)
        slope[name] = drive - current - damping * x
    return slope


# ---------------------------------------------------------------------- with their numbers


def _at_rest(v: float, rates: dict[str, tuple[float, float]]) -> dict[str, float]:
    return {"v": v} | {gate: a / (a + b) for gate, (a, b) in rates.items()}


def _cell_scale(*gates: str) -> dict[str, float]:
    return {"v": 100.0} | dict.fromkeys(gates, 1.0)


_NEURON = {
    "order1": (0.02, 0.005, 0.00125),
    "order2": (0.04, 0.01, 0.0025),
    "order4": (0.04, 0.02, 0.01),
    "implicit": (0.04, 0.01, 0.0025),
}

PROBLEMS: dict[str, Problem] = {
    "lorenz": Problem(
        lorenz,
        y0={"x": 1.0, "y": 1.0, "z": 1.0},
        parameters={"s": 10.0, "r": 28.0, "b": 8.0 / 3.0},
        t1=5.0,
        scale={"x": 10.0, "y": 10.0, "z": 10.0},
        steps={
            "order1": (0.002, 0.0005, 0.000125),
            "order2": (0.01, 0.0025, 0.000625),
            "order4": (0.02, 0.005, 0.00125),
            "implicit": (0.002, 0.0005, 0.000125),
        },
    ),
    "hodgkin_huxley": Problem(
        hodgkin_huxley,
        y0=_at_rest(-65.0, squid_rates(-65.0, Scalars)),
        parameters={"I": 10.0},
        t1=20.0,
        scale=_cell_scale("m", "h", "n"),
        steps=_NEURON,
        atol=1e-2,
    ),
    "stiff_cell": Problem(
        stiff_cell,
        y0=_at_rest(-70.0, lobe_rates(-70.0, Scalars))
        | {gate: steady for gate, (steady, _) in transient(-70.0, Scalars).items()},
        parameters={"I": 10.0},
        t1=50.0,
        scale=_cell_scale("m", "h", "n", "a", "b"),
        # At +49 mV the gate m of I_A holds RK4 below 0.0095 or so, and Euler below 0.007.
        steps={
            "order1": (0.005, 0.00125),
            "order2": (0.005, 0.00125),
            "order4": (0.01, 0.005, 0.0025),
            "implicit": (0.04, 0.01, 0.0025),
        },
        atol=1e-2,
    ),
    "robertson": Problem(
        robertson,
        y0={"a": 1.0, "b": 0.0, "c": 0.0},
        parameters={"k1": 0.04, "k2": 3e7, "k3": 1e4},
        t1=40.0,
        scale={"a": 1.0, "b": 1e-5, "c": 1.0},
        # Stability holds RK4 below 8e-4 to the end.
        steps={"order4": (0.0005,), "implicit": (0.1, 0.02, 0.004)},
        atol=1e-5,
        stiff=True,
    ),
    "hundred_lines": Problem(
        hundred_lines,
        y0={f"x{k}": 0.05 * k for k in range(20)},
        parameters={"unused": 0.0},
        t1=1.0,
        scale={f"x{k}": 1.0 for k in range(20)},
        steps={"order4": (0.01,)},
    ),
}


def many(name: str, rows: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return initial states and parameters of one row (floats) or of many (arrays).

    Args:
        name: Of the problem.
        rows: Number of independent copies, which differ in their start (Lorenz) or in the current
            (cells).
    """
    problem = PROBLEMS[name]
    y0: dict[str, Any] = dict(problem.y0)
    parameters: dict[str, Any] = dict(problem.parameters)
    if rows == 1:
        return y0, parameters
    generator = np.random.default_rng(SEED)
    y0 = {key: np.full(rows, value) for key, value in y0.items()}
    if "I" in parameters:
        parameters["I"] = generator.uniform(5.0, 20.0, rows)
    else:
        for key, scale in problem.scale.items():
            y0[key] = y0[key] + scale * generator.uniform(-0.9, 0.9, rows)
    return y0, parameters


def row(nest: dict[str, Any], number: int) -> dict[str, float]:
    """Return the numbers of one row."""
    return {key: float(value[number] if np.ndim(value) else value) for key, value in nest.items()}


@cache
def over_floats(name: str) -> Callable[..., list[float]]:
    """Return `f(t, y, p)` for SciPy, over a vector of one problem's states."""
    chosen = PROBLEMS[name]
    names = tuple(chosen.y0)

    def f(t: float, y: np.ndarray, p: dict[str, float]) -> list[float]:
        state = dict(zip(names, y.tolist(), strict=True))
        try:
            return list(chosen.field(t, state, p, Scalars).values())
        except ZeroDivisionError:  # where a trial step went far off: rejected, as arrays would be
            return [math.nan] * len(names)

    return f


def error(name: str, final: np.ndarray, reference: list[list[float]]) -> float:
    """Return the error at the end: the largest among the states, the median over sampled rows.

    Args:
        name: Of the problem.
        final: States at the end, [n_states, n_rows], at least the sampled rows.
        reference: The same, converged.
    """
    right = np.array(reference)
    scale = np.array(list(PROBLEMS[name].scale.values()))[:, None]
    worst = (np.abs(final[:, : right.shape[1]] - right) / scale).max(axis=0)
    return float(np.median(worst))


@dataclass
class References:
    """Converged final states, each computed once.

    Attributes:
        known: Those found so far.
    """

    known: dict[tuple[str, int], list[list[float]]] = field(default_factory=dict)

    def of(self, name: str, rows: int) -> list[list[float]]:
        """Return the final states of the sampled rows by SciPy, [n_states][n_sampled]."""
        if (name, rows) not in self.known:
            from scipy.integrate import solve_ivp  # noqa: PLC0415 - the peers need none of it

            problem = PROBLEMS[name]
            y0, parameters = many(name, rows)
            found = []
            for number in range(min(rows, SAMPLED)):
                start = np.array(list(row(y0, number).values()))
                solution = solve_ivp(
                    over_floats(name),
                    (0.0, problem.t1),
                    start,
                    method="Radau" if problem.stiff else "DOP853",
                    rtol=1e-12,
                    atol=1e-14 * np.array(list(problem.scale.values())),
                    t_eval=[problem.t1],
                    args=(row(parameters, number),),
                )
                found.append(solution.y[:, -1])
            self.known[name, rows] = np.stack(found, axis=1).tolist()
        return self.known[name, rows]
