"""What every solver promises of a solve, over the list of all solvers."""

import types
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.compiler.reading import signature
from somaflow.errors import RunError
from somaflow.numerics import programs
from somaflow.simulation import stretches
from somaflow.solvers import catalogue
from somaflow.solving import integration as integrate

# Of differential equations; what is for maps is in tests/compiler/test_maps.py.
SOLVERS = {method.name: method.make for method in catalogue.METHODS if method.steps != "map"}
EXPONENTIAL = ("ExponentialEuler", "ExponentialMidpoint")
STOCHASTIC = tuple(method.name for method in catalogue.METHODS if method.steps == "noise")
PLAIN = tuple(name for name in SOLVERS if name not in STOCHASTIC)
# One of each family, for what no method's own numbers can change.
FAMILIES = ("RK4", "Tsitouras", "ExponentialMidpoint", "ImplicitEuler", "Rosenbrock")
# Steps of the coarsest of three grids, by order.
COARSEST = {1: 400, 2: 100, 3: 50, 4: 20, 5: 12}


def order_without_noise(name: str) -> int:
    return {"EulerMaruyama": 1, "Milstein": 1, "StochasticHeun": 2}.get(
        name, int(SOLVERS[name]().order)
    )


def silence(name: str) -> dict[str, Any]:
    """A stochastic method needs a noise; this one is zero."""
    if name not in STOCHASTIC:
        return {}
    return {"noise": lambda t, y: tf.nest.map_structure(tf.zeros_like, y)}


def lorenz(t: Any, y: Any) -> Any:
    return {
        "x": 10.0 * (y["y"] - y["x"]),
        "y": y["x"] * (28.0 - y["z"]) - y["y"],
        "z": y["x"] * y["y"] - 8 / 3 * y["z"],
    }


def decay(t: Any, y: Any) -> Any:
    return {"x": -1.3 * y["x"]}


def wave(t: Any, y: Any) -> Any:
    return {"x": sf.math.sin(y["x"] * t)}


def season(t: Any, y: Any) -> Any:
    """Each variable is affine in itself, and nothing is constant."""
    return {"w": y["x"] - y["w"], "x": sf.math.cos(3 * t) - y["x"] * (1 + y["w"] ** 2)}


def reference(f: Callable, y0: dict[str, float], t0: float, at: list[float]) -> np.ndarray:
    """Return the solution at some times, ascending from t0 on, one row each."""
    keys = list(y0)

    def flat(t: float, values: np.ndarray) -> list[float]:
        slope = f(t, dict(zip(keys, values, strict=True)))
        return [float(slope[key]) for key in keys]

    done = solve_ivp(
        flat, (t0, at[-1]), list(y0.values()), method="DOP853", rtol=1e-13, atol=1e-15, t_eval=at
    )
    return done.y.T


def power(counts: list[int], errors: list[float]) -> float:
    return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


def values(run: sf.Solution) -> np.ndarray:
    return np.stack([run[key].values for key in run], axis=-1)


class Case(NamedTuple):
    """Right-hand side, initial state, end, and steps of the coarsest of three grids by order."""

    f: Callable[..., Any]
    y0: dict[str, float]
    end: float
    steps: dict[int, int]


WAVE = Case(wave, {"x": 3.0}, 3.0, {1: 2000, 2: 400, 3: 800, 4: 160, 5: 40})
LORENZ = Case(
    lorenz,
    {"x": -8.0, "y": -8.0, "z": 27.0},
    1.0,
    {1: 16_000, 2: 2000, 3: 400, 4: 160, 5: 100},
)


def observed_order(name: str, case: Case) -> float:
    exact = reference(case.f, case.y0, 0.0, [case.end])[0]
    coarsest = case.steps[order_without_noise(name)]
    counts = [coarsest, coarsest * 3 // 2, coarsest * 2]
    errors = []
    for n in counts:
        run = sf.solve(
            case.f,
            case.y0,
            t1=case.end,
            dt=case.end / n,
            every=case.end,
            solver=SOLVERS[name](),
            **silence(name),
        )
        errors.append(float(np.linalg.norm(values(run)[-1] - exact)))
    return power(counts, errors)


# ---------------------------------------------------------------------- order


# There the leading error of Tsitouras's method is so small that the next power shows.
MOST = {"Tsitouras": 1.1}


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in EXPONENTIAL])
def test_order_of_convergence_on_a_wave(name: str) -> None:
    found = observed_order(name, WAVE) - order_without_noise(name)
    assert -0.1 < found < MOST.get(name, 0.1)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in (*EXPONENTIAL, "Tsitouras") else pytest.mark.slow)
        for name in SOLVERS
    ],
)
def test_order_of_convergence_on_the_lorenz_system(name: str) -> None:
    assert observed_order(name, LORENZ) == pytest.approx(order_without_noise(name), abs=0.1)


@pytest.mark.parametrize("name", EXPONENTIAL)
def test_an_exponential_method_solves_a_linear_decay_exactly(name: str) -> None:
    run = sf.solve(decay, {"x": 2.0}, t1=20.0, dt=5.0, solver=SOLVERS[name]())
    np.testing.assert_allclose(run["x"], 2 * np.exp(-1.3 * run.time), rtol=1e-12)


@pytest.mark.parametrize("name", EXPONENTIAL)
def test_an_exponential_method_names_the_variable_that_is_not_affine_in_itself(name: str) -> None:
    with pytest.raises(RunError, match="'x' is not of that form"):
        sf.solve(wave, {"x": 1.0}, t1=2.0, dt=0.1, solver=SOLVERS[name]())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("RK4", "Rosenbrock") else pytest.mark.slow)
        for name in PLAIN
    ],
)
def test_between_steps_and_backwards_the_order_is_the_same(name: str) -> None:
    begin, end = 1.5, 0.1  # t1 before t0
    late = reference(season, {"w": 1.0, "x": 0.4}, 0.0, [end, begin])
    y0 = dict(zip(("w", "x"), late[1], strict=True))
    counts = [2 * COARSEST[order_without_noise(name)] * 2**k for k in range(3)]
    errors = []
    for n in counts:
        dt = (begin - end) / n
        places = [begin - (begin - end) / 2 - 0.37 * dt, end + 0.41 * dt, end]
        exact = reference(season, {"w": 1.0, "x": 0.4}, 0.0, places[::-1])[::-1]
        run = sf.solve(season, y0, t0=begin, t1=end, dt=dt, at=places, solver=SOLVERS[name]())
        errors.append(float(np.abs(values(run) - exact).max()))
    assert power(counts, errors) > order_without_noise(name) - 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Tsitouras", "Rosenbrock"])
def test_a_solve_there_and_back_gives_the_start_again(name: str) -> None:
    y0, solver = {"w": -0.3, "x": 1.0}, SOLVERS[name]()
    there = sf.solve(season, y0, t1=2.0, rtol=1e-9, atol=1e-11, solver=solver)
    last = {key: there[key].values[-1] for key in y0}
    back = sf.solve(season, last, t0=2.0, t1=0.0, rtol=1e-9, atol=1e-11, solver=solver)
    assert back.time[0] == 2.0
    assert back.time[-1] == 0.0
    np.testing.assert_allclose(values(back)[-1], list(y0.values()), atol=1e-6)
    np.testing.assert_allclose(values(back)[::-1], values(there), atol=1e-6)


# ---------------------------------------------------------------------- the state


@pytest.mark.parametrize("name", [*FAMILIES, *STOCHASTIC])
def test_a_solver_keeps_the_structure_and_dtype_of_the_state(name: str) -> None:
    y0 = {"a": np.ones((2, 1)), "b": {"c": 1.0, "d": [2.0, np.zeros(3)]}}

    def f(t: Any, y: Any) -> Any:
        return {"a": -y["a"], "b": {"c": -y["b"]["c"], "d": [-y["b"]["d"][0], y["b"]["d"][1] + 1]}}

    run = sf.solve(f, y0, t1=0.3, dt=0.1, solver=SOLVERS[name](), dtype="float32", **silence(name))
    assert run.keys() == ["a", "b.c", "b.d.0", "b.d.1"]
    assert [run[key].shape for key in run] == [(4, 2, 1), (4,), (4,), (4, 3)]
    assert {run[key].dtype.name for key in run} == {"float32"}
    tf.nest.assert_same_structure(run.y, y0)
    np.testing.assert_array_equal(run.y["b"]["d"][1], run["b.d.1"])
    np.testing.assert_allclose(run["a"][-1], np.full((2, 1), np.exp(-0.3)), rtol=0.06)


@pytest.mark.parametrize(
    "name",
    ["Tsitouras", pytest.param("Rosenbrock", marks=pytest.mark.slow)],
)
def test_single_precision_follows_its_tolerance(name: str) -> None:
    y0 = {"w": -0.3, "x": 1.0}
    run = sf.solve(season, y0, t1=2.0, at=[1.0, 2.0], dtype="float32", solver=SOLVERS[name]())
    exact = reference(season, y0, 0.0, [1.0, 2.0])
    np.testing.assert_allclose(values(run), exact, atol=5e-4)


def test_every_public_solver_is_in_the_list() -> None:
    stub = Path(sf.__file__).with_name("__init__.pyi").read_text().splitlines()
    public = {line.split()[-1] for line in stub if line.startswith("from .solvers.")}
    assert public == {*SOLVERS, "Map"}


def test_the_list_tells_of_each_what_it_is() -> None:
    for method in catalogue.METHODS:
        solver = method.make()
        assert solver == getattr(sf, method.name)()
        own = solver.error_order is not None
        steps = "noise" if solver.calculus else "own" if own else "fixed"
        steps = "map" if method.name == "Map" else steps
        assert (steps, solver.stiff and own) == (method.steps, method.stiff and own), method
    page = (Path(__file__).parents[2] / "docs/howto/choose-a-solver.md").read_text()
    words = {"fixed": "fixed", "own": "own or fixed", "noise": "fixed", "map": "fixed"}
    for method in catalogue.METHODS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `sf.{method.name}()`"))
        assert f"| {words[method.steps]} |" in row, row


# ---------------------------------------------------------------------- statistics


@pytest.mark.parametrize("name", PLAIN)
def test_evaluations_are_calls_of_the_right_hand_side(name: str) -> None:
    calls = count()

    def f(t: Any, y: Any) -> Any:
        next(calls)
        return {"x": -y["x"]}

    made, runs = [], []
    tf.config.run_functions_eagerly(True)  # so that every evaluation is a call
    try:
        for end in (0.5, 0.5, 1.0):  # in the first one, functions are checked
            before = next(calls)
            given = {"t1": end, "dt": 0.125, "solver": SOLVERS[name]()}
            runs.append(sf.solve(f, {"x": 1.0}, **given))
            made.append(next(calls) - before - 1)
    finally:
        tf.config.run_functions_eagerly(False)
        programs.clear()
    assert [run.statistics["accepted"] for run in runs] == [4, 4, 8]
    if name == "ImplicitEuler":  # the iteration sets how many
        assert "evaluations" not in runs[0].statistics
        return
    found = [run.statistics["evaluations"] for run in runs]
    assert found[2] - found[1] == made[2] - made[1]
    assert found[1] in (made[1], made[1] - (name in EXPONENTIAL))  # these trace it once more


def test_statistics_of_an_adaptive_solve_add_up() -> None:
    def van_der_pol(t: Any, y: Any) -> Any:
        return {"x": y["y"], "y": 10.0 * (1 - y["x"] ** 2) * y["y"] - y["x"]}

    run = sf.solve(van_der_pol, {"x": 2.0, "y": 0.0}, t1=40.0, solver=sf.DormandPrince())
    found = run.statistics
    assert found["accepted"] > 100
    assert found["rejected"] > 0
    assert found["evaluations"] == 1 + 6 * (found["accepted"] + found["rejected"])
    assert 0 < found["smallest_step"] < 40.0 / found["accepted"]


# ---------------------------------------------------------------------- chunks


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make calls of compiled functions short, and their buffers small."""

    def cut(steps: int, numbers: int) -> None:
        programs.clear()
        monkeypatch.setattr(stretches, "_STRETCH", steps)
        monkeypatch.setattr(integrate, "_NUMBERS", numbers)

    yield cut
    programs.clear()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("Tsitouras", "Milstein") else pytest.mark.slow)
        for name in (*FAMILIES, "Milstein")
    ],
)
def test_the_length_of_a_compiled_call_changes_no_bit(name: str, in_pieces: Any) -> None:
    given: dict[str, Any] = {"t1": 1.0, "dt": 1 / 64, "solver": SOLVERS[name]()}
    if name in STOCHASTIC:
        given |= {"noise": lambda t, y: {"x": 0.3 * y["x"], "w": 0.1 + 0.0 * y["w"]}, "seed": 3}
    whole = sf.solve(season, {"w": 0.5, "x": 1.0}, **given)
    in_pieces(7, 32)
    pieces = sf.solve(season, {"w": 0.5, "x": 1.0}, **given)
    np.testing.assert_array_equal(values(pieces), values(whole))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Rosenbrock", "Tsitouras"])
def test_the_length_of_a_compiled_call_changes_no_bit_of_an_adaptive_solve(
    name: str, in_pieces: Any
) -> None:
    turn = sf.Event(lambda t, y: y["x"] - 0.1)
    given: dict[str, Any] = {"t1": 8.0, "every": 0.3, "solver": SOLVERS[name](), "rtol": 1e-5}
    whole = sf.solve(season, {"w": 0.5, "x": 1.0}, events={"turn": turn}, **given)
    in_pieces(5, 16)
    pieces = sf.solve(season, {"w": 0.5, "x": 1.0}, events={"turn": turn}, **given)
    assert len(whole.events["turn"]) > 2
    np.testing.assert_array_equal(pieces.events["turn"].times, whole.events["turn"].times)
    np.testing.assert_array_equal(values(pieces), values(whole))
    counts = ("accepted", "rejected", "evaluations", "smallest_step")
    assert [pieces.statistics[c] for c in counts] == [whole.statistics[c] for c in counts]


# ---------------------------------------------------------------------- compiled once

LEVEL = 1.0


class Settings:
    """Constants that live on a class."""

    level = 1.0


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("level",)


FIXED, ADAPTED = {"dt": 0.25}, {"rtol": 1e-5}
AGAIN = {"fixed": (FIXED, {"dt": 0.125}), "adaptive": (ADAPTED, {"rtol": 1e-8, "atol": 1e-9})}


@pytest.mark.parametrize("kind", ["fixed", pytest.param("adaptive", marks=pytest.mark.slow)])
def test_other_arguments_ends_and_tolerances_do_not_compile_again(kind: str) -> None:
    traces = count()

    def f(t: Any, y: Any, p: Any) -> Any:
        next(traces)
        return {"x": p["rate"] * y["x"]}

    def run(rate: float, end: float, **given: Any) -> sf.Solution:
        return sf.solve(f, {"x": 1.0}, t1=end, every=0.5, args={"rate": rate}, **given)

    low = {"low": sf.Event(lambda t, y, p: y["x"] - 0.9)}
    for events in (None, low):
        before, after = ({**given, "events": events} for given in AGAIN[kind])
        assert run(-1.0, 1.0, **before).statistics["compiled"]
        made = next(traces)
        again = run(0.5, 2.0, **after)
        assert not again.statistics["compiled"]
        assert next(traces) == made + 1
        np.testing.assert_allclose(again["x"].values[-1], np.e, rtol=1e-4)


class Inheriting(Settings):
    def __call__(self, t: Any, y: Any) -> Any:
        return {"x": self.level + 0 * y["x"]}


class Static:
    def __call__(self, t: Any, y: Any) -> Any:
        return self.told(y)

    @staticmethod
    def told(y: Any) -> Any:
        return {"x": LEVEL + 0 * y["x"]}


class OfClass(Static):
    @classmethod
    def told(cls, y: Any) -> Any:
        return {"x": LEVEL + 0 * y["x"]}


class Hidden:
    __slots__ = ("__level",)

    def __init__(self) -> None:
        self.set(1.0)

    def set(self, level: float) -> None:
        self.__level = level

    def __call__(self, t: Any, y: Any) -> Any:
        return {"x": self.__level + 0 * y["x"]}


def changing(kind: str) -> tuple[Callable[..., Any], Callable[[], None]]:
    """Return a right-hand side with the constant 1, and what makes it 2."""
    held: dict[str, Any] = {"level": 1.0}
    array, level = np.ones(2), 1.0
    module = types.ModuleType("constants")
    module.level = 1.0  # type: ignore[attr-defined]
    slotted = Slotted()
    slotted.level = 1.0

    def helper() -> float:
        return held["level"]

    def from_closure(t: Any, y: Any) -> Any:
        return {"x": level + 0 * y["x"]}

    def closure() -> None:
        nonlocal level
        level = 2.0

    def from_global(t: Any, y: Any) -> Any:
        return {"x": LEVEL + 0 * y["x"]}

    def from_default(t: Any, y: Any, *, level: float = 1.0) -> Any:
        return {"x": level + 0 * y["x"]}

    def from_object(t: Any, y: Any) -> Any:
        return {"x": namespace.level + 0 * y["x"]}

    namespace = types.SimpleNamespace(level=1.0)
    hidden = Hidden()

    def attributed(t: Any, y: Any) -> Any:
        return {"x": attributed.level + 0 * y["x"]}

    attributed.level = 1.0
    table: dict[str, tuple[Callable[..., Any], Callable[[], Any]]] = {
        "closure": (from_closure, closure),
        "global": (from_global, lambda: globals().update(LEVEL=2.0)),
        "array": (lambda t, y: {"x": array[0] + 0 * y["x"]}, lambda: array.fill(2.0)),
        "dict": (lambda t, y: {"x": held["level"] + 0 * y["x"]}, lambda: held.update(level=2.0)),
        "helper": (lambda t, y: {"x": helper() + 0 * y["x"]}, lambda: held.update(level=2.0)),
        "object": (from_object, lambda: setattr(namespace, "level", 2.0)),
        "keyword": (from_default, lambda: setattr(from_default, "__kwdefaults__", {"level": 2.0})),
        "class": (
            lambda t, y: {"x": Settings.level + 0 * y["x"]},
            lambda: setattr(Settings, "level", 2.0),
        ),
        "module": (
            lambda t, y: {"x": module.level + 0 * y["x"]},
            lambda: setattr(module, "level", 2.0),
        ),
        "slots": (
            lambda t, y: {"x": slotted.level + 0 * y["x"]},
            lambda: setattr(slotted, "level", 2.0),
        ),
        "partial": (partial(from_closure), closure),
        "base": (Inheriting(), lambda: setattr(Settings, "level", 2.0)),
        "static": (Static(), lambda: globals().update(LEVEL=2.0)),
        "class method": (OfClass(), lambda: globals().update(LEVEL=2.0)),
        "function": (attributed, lambda: setattr(attributed, "level", 2.0)),
        "private slot": (hidden, lambda: hidden.set(2.0)),
    }
    return table[kind]


CHANGING = ["closure", "global", "array", "dict", "helper", "object", "class", "slots", "partial"]
CHANGING += ["keyword", "module", "base", "static", "class method", "function", "private slot"]


@pytest.mark.parametrize("kind", CHANGING)
def test_a_constant_that_changed_is_seen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "level", 1.0)
    monkeypatch.setitem(globals(), "LEVEL", 1.0)
    f, change = changing(kind)
    before = signature(f)
    assert signature(f) == before
    change()
    assert signature(f) != before


def test_the_modules_of_libraries_are_not_searched() -> None:
    def f(t: Any, y: Any) -> Any:
        assert y["x"] is not None  # pytest makes of it a call into its own modules
        return {"x": np.interp(0.5, [0.0, 1.0], [0.0, 1.0]) + pytest.approx(1.0).expected}

    assert len(signature(f)) < 10


def test_a_constant_that_changed_compiles_again() -> None:
    f, change = changing("closure")
    runs = [sf.solve(f, {"x": 0.0}, t1=1.0, dt=0.5, solver=sf.Euler()) for _ in range(2)]
    change()
    runs.append(sf.solve(f, {"x": 0.0}, t1=1.0, dt=0.5, solver=sf.Euler()))
    assert [run["x"].values[-1] for run in runs] == [1.0, 1.0, 2.0]
    assert [run.statistics["compiled"] for run in runs] == [True, False, True]


class Decay:
    def __init__(self, rate: float) -> None:
        self.rate, self.places = rate, np.ones(2)

    def __call__(self, t: Any, y: Any) -> Any:
        return {"x": self.rate * y["x"] * self.places[0]}

    def slope(self, t: Any, y: Any) -> Any:
        return self(t, y)


def faded(rate: float, t: Any, y: Any) -> Any:
    return {"x": rate * y["x"]}


def defined(rate: float) -> Callable[..., Any]:
    return lambda t, y: {"x": rate * y["x"]}


ALIKE: dict[str, Callable[[float], dict[str, Any]]] = {
    "method": lambda rate: {"f": Decay(rate).slope},
    "object": lambda rate: {"f": Decay(rate)},
    "lambda": lambda rate: {"f": defined(rate)},
    "partial": lambda rate: {"f": partial(faded, rate)},
    "event": lambda rate: {
        "f": defined(1.0),
        "events": {"low": sf.Event(lambda t, y: y["x"] - 3 + rate)},
    },
}


@pytest.mark.parametrize("kind", ALIKE)
def test_other_functions_of_the_same_code_and_values_do_not_compile_again(kind: str) -> None:
    programs.clear()

    def run(rate: float) -> sf.Solution:
        return sf.solve(y0={"x": 1.0}, t1=1.0, dt=0.125, **ALIKE[kind](rate))

    runs = [run(rate) for rate in (1.0, 1.0, 1.25, 1.0)]
    assert [found.statistics["compiled"] for found in runs] == [True, False, True, False]
    np.testing.assert_array_equal(values(runs[0]), values(runs[1]))
    rate = 1.0 if kind == "event" else 1.25
    np.testing.assert_allclose(runs[2]["x"].values[-1], np.exp(rate), rtol=1e-4)


def test_the_way_backwards_is_that_of_the_function_that_is_given() -> None:
    """What was compiled belongs to an object that has changed since."""
    programs.clear()
    first = Decay(1.0)
    sf.solve(first.slope, {"x": 1.0}, t1=1.0, dt=0.125)
    first.rate = 2.0
    x = tf.Variable(1.0, dtype=tf.float64)
    with tf.GradientTape() as tape:
        end = sf.solve(Decay(1.0).slope, {"x": x}, t1=1.0, dt=0.125).y["x"][-1]
    np.testing.assert_allclose(tape.gradient(end, x), end, rtol=1e-12)


# ---------------------------------------------------------------------- both loops


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_steps_together_and_steps_of_its_own_give_the_same(name: str) -> None:
    y0 = {"w": np.linspace(-1, 1, 3), "x": np.linspace(0.5, 1.5, 3)}
    given: dict[str, Any] = {"t1": 3.0, "dt": 1 / 16, "batch": 1, "solver": SOLVERS[name]()}
    together = sf.solve(season, y0, **given)
    never = sf.Event(lambda t, y: y["x"] + 100.0)
    alone = sf.solve(season, y0, events={"never": never}, **given)
    np.testing.assert_allclose(values(alone), values(together), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(alone.statistics["accepted"], together.statistics["accepted"])
