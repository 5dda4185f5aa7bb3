"""What is measured: which method of which library solves which problem at which settings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import problems

# By kind: fixed steps of an order, fixed steps without a limit of stability, or tolerances.
METHODS: dict[str, dict[str, str]] = {
    "somaflow": {
        "Euler": "order1",
        "Midpoint": "order2",
        "Heun": "order2",
        "RK4": "order4",
        "ThreeEighths": "order4",
        "BogackiShampine": "adaptive",
        "DormandPrince": "adaptive",
        "Tsitouras": "adaptive",
        "ExponentialEuler": "implicit",
        "ExponentialMidpoint": "implicit",
        "ImplicitEuler": "implicit",
        "Rosenbrock": "adaptive",
    },
    "diffrax": {
        "RK4": "order4",
        "RK4 (tableau)": "order4",
        "Tsit5": "adaptive",
        "Dopri5": "adaptive",
        "Kvaerno3": "adaptive",
        "Kvaerno5": "adaptive",
    },
    "torchdiffeq": {"rk4": "order4", "dopri5": "adaptive"},
    "SciPy": {
        "RK45": "adaptive",
        "DOP853": "adaptive",
        "LSODA": "adaptive",
        "Radau": "adaptive",
        "BDF": "adaptive",
    },
}
FOR_STIFF = {"ImplicitEuler", "Rosenbrock", "Kvaerno3", "Kvaerno5", "LSODA", "Radau", "BDF"}
NEEDS_AFFINE = {"ExponentialEuler", "ExponentialMidpoint"}
# How many settings of torchdiffeq: it is eager, and takes ten seconds where others take ten ms.
EAGER = {"lorenz": 2, "hodgkin_huxley": 2, "stiff_cell": 1, "robertson": 0}
ROWS = 10_000
SINGLES = ("lorenz", "hodgkin_huxley", "stiff_cell", "robertson")


@dataclass(frozen=True)
class Point:
    """One method at one setting; see `peer`."""

    problem: str
    rows: int
    library: str
    method: str
    dt: float | None = None
    rtol: float | None = None
    layout: str = "vmap"

    @property
    def label(self) -> str:
        """The method, and whether all rows take the same steps."""
        return self.method + (", one step for all" if self.layout == "shared" else "")

    @property
    def setting(self) -> str:
        """The step or the tolerance."""
        return f"dt {self.dt:g}" if self.dt else f"rtol {self.rtol:g}"

    def job(self, reference: list[list[float]], repeats: int, budget: float) -> dict[str, Any]:
        """Return the job for a peer."""
        return {
            "problem": self.problem,
            "rows": self.rows,
            "method": self.method,
            "dt": self.dt,
            "rtol": self.rtol,
            "layout": self.layout,
            "reference": reference,
            "repeats": repeats,
            "budget": budget,
        }


def _settings(name: str, library: str, method: str, kind: str) -> tuple[float, ...]:
    """Return the steps or tolerances of a method on one row of a problem."""
    problem = problems.PROBLEMS[name]
    chosen = problem.rtols if kind == "adaptive" else problem.steps.get(kind, ())
    if library == "torchdiffeq":
        return chosen[: EAGER[name]]
    if not problem.stiff or method in FOR_STIFF:
        return chosen
    if method in NEEDS_AFFINE or library == "SciPy":
        return ()  # an equation with a square of itself; explicit steps that take seconds
    return chosen[:1]


def single(name: str) -> Iterator[Point]:
    """Yield the points of one row of a problem."""
    for library, methods in METHODS.items():
        for method, kind in methods.items():
            for value in _settings(name, library, method, kind):
                if kind == "adaptive":
                    yield Point(name, 1, library, method, rtol=value)
                else:
                    yield Point(name, 1, library, method, dt=value)


def fixed_rows(name: str, dt: float, scipy_rtol: float) -> list[Point]:
    """Return RK4 over many rows, and SciPy, which has none, at a tolerance of like error."""
    return [
        Point(name, ROWS, "somaflow", "RK4", dt=dt),
        Point(name, ROWS, "diffrax", "RK4", dt=dt),
        Point(name, ROWS, "diffrax", "RK4 (tableau)", dt=dt),
        Point(name, ROWS, "torchdiffeq", "rk4", dt=dt),
        Point(name, ROWS, "SciPy", "RK45", rtol=scipy_rtol),
    ]


def adaptive_rows(name: str, rtol: float) -> list[Point]:
    """Return the adaptive pairs of order 5 over many rows at one tolerance."""
    return [
        Point(name, ROWS, "somaflow", "Tsitouras", rtol=rtol),
        Point(name, ROWS, "diffrax", "Tsit5", rtol=rtol),
        Point(name, ROWS, "somaflow", "DormandPrince", rtol=rtol),
        Point(name, ROWS, "diffrax", "Dopri5", rtol=rtol),
        Point(name, ROWS, "diffrax", "Tsit5", rtol=rtol, layout="shared"),
        Point(name, ROWS, "torchdiffeq", "dopri5", rtol=rtol),
        Point(name, ROWS, "SciPy", "RK45", rtol=rtol),
    ]


LORENZ_FIXED = fixed_rows("lorenz", 0.005, 1e-7)
LORENZ_ADAPTIVE = adaptive_rows("lorenz", 1e-6)
LORENZ = [*LORENZ_FIXED, *LORENZ_ADAPTIVE]
CELLS = [
    *fixed_rows("hodgkin_huxley", 0.02, 1e-6),
    Point("hodgkin_huxley", ROWS, "somaflow", "ExponentialEuler", dt=0.02),
    Point("hodgkin_huxley", ROWS, "somaflow", "ExponentialMidpoint", dt=0.02),
    *adaptive_rows("hodgkin_huxley", 1e-6)[:-1],  # SciPy's is the one above
]


@dataclass(frozen=True)
class Target:
    """How many times as fast as another point one of ours is to be, at least."""

    ours: Point
    theirs: Point
    least: float


TARGETS = [
    Target(LORENZ_FIXED[0], LORENZ_FIXED[1], 1.0),
    Target(LORENZ_FIXED[0], LORENZ_FIXED[2], 1.0),
    Target(LORENZ_FIXED[0], LORENZ_FIXED[3], 5.0),
    Target(LORENZ_FIXED[0], LORENZ_FIXED[4], 50.0),
    Target(LORENZ_ADAPTIVE[0], LORENZ_ADAPTIVE[1], 0.8),
    Target(LORENZ_ADAPTIVE[2], LORENZ_ADAPTIVE[3], 0.8),
]
