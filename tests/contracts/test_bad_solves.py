"""What `solve` cannot do is refused in a sentence of ours, before anything is compiled."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.errors import (
    EquationError,
    MissingValueError,
    NonFiniteState,
    RunError,
    SomaflowError,
    TraceError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.numerics import programs
from somaflow.units import mS, ms, mV, nA, nF

LOG: list[int] = []
COUNT = 0
RNG = np.random.default_rng(1)
CONSTANT = tf.constant(2.0, tf.float64)
WEIGHT = tf.Variable(2.0, dtype=tf.float64)


def decay(t: Any, y: Any) -> Any:
    return {"x": -y["x"], "v": -2.0 * y["v"]}


def changed(x: Any = None, v: Any = None) -> Callable[..., Any]:
    """A right-hand side with another function of the state for one part."""

    def f(t: Any, y: Any) -> Any:
        made = decay(t, y)
        return {
            "x": made["x"] if x is None else x(t, y),
            "v": made["v"] if v is None else v(t, y),
        }

    return f


def appends(t: Any, y: Any) -> Any:
    LOG.append(1)
    return decay(t, y)


def counts(t: Any, y: Any) -> Any:
    global COUNT  # noqa: PLW0603 - what is refused
    COUNT += 1
    return decay(t, y)


class Counter:
    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, t: Any, y: Any) -> Any:
        self.calls += 1
        return decay(t, y)


def counts_in_a_closure() -> Callable[..., Any]:
    calls = 0

    def f(t: Any, y: Any) -> Any:
        nonlocal calls
        calls += 1
        return decay(t, y)

    return f


def writes_into_its_state(t: Any, y: Any) -> Any:
    y["x"] = 2.0 * y["x"]
    return decay(t, y)


def takes_apart(t: Any, y: Any) -> Any:
    x, v = y
    return tf.stack([v, -x])


def draws_within(t: Any, y: Any) -> Any:
    noise = tf.cond(
        y["x"] > 0, lambda: tf.random.normal([], dtype=tf.float64), lambda: 0.0 * y["x"]
    )
    return {"x": noise, "v": y["v"]}


def assigns(t: Any, y: Any) -> Any:
    WEIGHT.assign_add(1.0)
    return decay(t, y)


def decomposes(t: Any, y: Any) -> Any:
    both, _ = tf.linalg.lu(tf.linalg.diag(y["v"] + 1.0))
    return {"x": y["x"], "v": tf.linalg.matvec(both, y["v"])}


LEAK = sf.Equations.parse("dv/dt = (E - v)/tau : mV", E=-65 * mV, tau=10 * ms, v=-60)
SQUARE = sf.Equations.parse("dv/dt = (E - v)/tau + v**2/(mV*ms) : mV", E=0 * mV, tau=10 * ms, v=1)
NOISY = sf.Equations.parse("dx/dt = -x/tau + s*xi : 1", tau=10 * ms, s="0.1 ms**-0.5", x=1)
CELL = sf.Equations.parse(
    "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA", E=-60 * mV, g=1 * mS, C=1 * nF, v=-60
)
TEXT: dict[str, Any] = {"f": LEAK, "y0": None, "t1": 1 * ms, "dt": 0.1 * ms}
ADAPTIVE: dict[str, Any] = {"dt": None}
GOOD: dict[str, Any] = {"f": decay, "y0": {"x": 1.0, "v": np.ones(3)}, "t1": 1.0, "dt": 0.1}
ROWS: dict[str, Any] = {"y0": {"x": np.arange(1.0, 6.0)}, "batch": 1}


def event(condition: Any = lambda t, y: y["x"] - 0.5, change: Any = None, **rest: Any) -> Any:
    return {"events": {"hit": sf.Event(condition, change, **rest)}}


def state(**parts: Any) -> dict[str, Any]:
    return {"y0": {"x": 1.0, "v": np.ones(3)} | parts}


def noise(g: Any, **rest: Any) -> dict[str, Any]:
    return {"noise": g, "solver": sf.EulerMaruyama()} | rest


Case = tuple[dict[str, Any], type[SomaflowError], str]

RESULTS: dict[str, Case] = {
    "a part is missing": (
        {"f": lambda t, y: {"x": -y["x"]}},
        RunError,
        r"\['v', 'x'\].*same structure",
    ),
    "a list": ({"f": lambda t, y: [-y["x"], -y["v"]]}, RunError, "same structure"),
    "no nest": ({"f": lambda t, y: -y["x"]}, RunError, "same structure; it returned one value"),
    "nothing": ({"f": lambda t, y: None}, RunError, "same structure; it returned None"),
    "None for a part": ({"f": lambda t, y: {**decay(t, y), "x": None}}, RunError, "None for 'x'"),
    "a text": ({"f": lambda t, y: {**decay(t, y), "x": "a"}}, RunError, "'a' for 'x'"),
    "an object": ({"f": lambda t, y: {**decay(t, y), "x": object()}}, RunError, "object .*for 'x'"),
    "a quantity": ({"f": lambda t, y: {**decay(t, y), "x": 1 * mV}}, RunError, "with a unit"),
    "another shape": (
        {"f": changed(v=lambda t, y: y["v"][:2])},
        RunError,
        r"shape \(2,\) for 'v', whose state has shape \(3,\)",
    ),
    "a larger shape": ({"f": changed(x=lambda t, y: y["v"])}, RunError, r"shape \(3,\) for 'x'"),
    "another precision": (
        {"f": changed(v=lambda t, y: tf.cast(y["v"], tf.float32))},
        RunError,
        "float32 for 'v', whose state is float64",
    ),
    "whole numbers": (
        {"f": changed(v=lambda t, y: tf.cast(y["v"], tf.int32))},
        RunError,
        "int32 for 'v'",
    ),
    "a truth value": ({"f": changed(x=lambda t, y: y["x"] > 0)}, RunError, "bool for 'x'"),
    "complex": ({"f": changed(x=lambda t, y: 1j)}, RunError, "complex128 for 'x'"),
}

FUNCTIONS: dict[str, Case] = {
    "None": ({"f": None}, WrongTypeError, r"function f\(t, y\) or sf\.Equations"),
    "text": ({"f": "dx/dt = -x : 1"}, WrongTypeError, r"or sf\.Equations, not 'dx/dt"),
    "time last": (
        {"f": lambda X, t: X}, RunError, r"as \(X, t\); the time comes first .*as \(t, X\)"),
    "time last, with args": (
        {"f": lambda y, t, p: y, "args": 1.0}, RunError, r"write it as \(t, y, p\)"),
    "an array as a list": (
        {"y0": np.ones(2), "f": lambda t, y: [y[1], -y[0]]}, RunError,
        r"one array of shape \(2,\): return tf\.stack\(\[\.\.\.\]\), or give y0 as a list"),
    "a list as a tuple": (
        {"y0": [1.0, 2.0], "f": lambda t, y: (y[1], -y[0])}, RunError, "y0 is a list: return a li"),
    "a tuple as an array": (
        {"y0": (1.0, 2.0), "f": lambda t, y: tf.stack([y[1], -y[0]])}, RunError,
        r"y0 is a tuple: return a tuple, or give y0 as one array"),
    "an array taken apart": (
        {"y0": np.ones(2), "f": takes_apart}, RunError, r"x, v = tf\.unstack\(y\), or give y0"),
    "too few arguments": ({"f": lambda y: y}, RunError, r"cannot be called as f\(t, y\)"),
    "too many arguments": ({"f": lambda t, y, a, b: y}, RunError, "missing .*'a'"),
    "args that are missing": ({"f": lambda t, y, p: y}, RunError, "missing .*'p'"),
    "args that nobody takes": ({"args": 1.0}, RunError, r"takes only \(t, y\)"),
    "args of text": ({"f": lambda t, y, p: y, "args": "a"}, UnitError, "'args' is 'a'"),
    "args of objects": (
        {"f": lambda t, y, p: y, "args": {"a": object()}}, WrongTypeError, r"'args\.a'"),
    "args not finite": (
        {"f": lambda t, y, p: y, "args": {"a": tf.constant(np.nan)}}, MissingValueError,
        r"args\.a is nan"),
    "a name that is not there": ({"f": changed(x=lambda t, y: y["z"])}, RunError, "KeyError: 'z'"),
    "appends": ({"f": appends}, RunError, "f changes 'LOG'.*once.*every= or at="),
    "counts in a global": ({"f": counts}, RunError, "f changes 'COUNT'"),
    "counts in a closure": ({"f": counts_in_a_closure()}, RunError, "f changes 'calls'"),
    "counts in an object": ({"f": Counter()}, RunError, r"f changes 'f\.calls'"),
    "writes into its state": ({"f": writes_into_its_state}, RunError, "put new values into a new"),
    "NumPy of the state": (
        {"f": changed(x=lambda t, y: np.sin(y["x"]))}, RunError, r"calls NumPy.*sf\.math"),
    "NumPy of the time": (
        {"f": changed(x=lambda t, y: np.sin(t))}, RunError, r"calls NumPy.*sf\.math"),
    "a NumPy array of the state": (
        {"f": changed(x=lambda t, y: np.asarray(y["x"]))}, RunError, "calls NumPy"),
    "the number in a tensor": (
        {"f": changed(x=lambda t, y: y["x"].numpy())}, RunError, "needs the number in a state"),
    "float": ({"f": changed(x=lambda t, y: float(y["x"]))}, RunError, r"float\(\).*none when f"),
    "if": (
        {"f": changed(x=lambda t, y: 1.0 if y["x"] > 0 else 0.0)}, RunError,
        r"sf\.math\.where\(condition, a, b\)"),
    "max": ({"f": changed(x=lambda t, y: max(y["x"], 0.0))}, RunError, r"sf\.math\.maximum"),
    "py_function": (
        {"f": changed(x=lambda t, y: tf.py_function(lambda a: a, [y["x"]], tf.float64))},
        RunError, r"Python or NumPy code through TensorFlow \(EagerPyFunc\)"),
    "numpy_function": (
        {"f": changed(x=lambda t, y: tf.numpy_function(np.sin, [y["x"]], tf.float64))},
        RunError, "PyFunc"),
    "tf.print": (
        {"f": changed(x=lambda t, y: tf.print(t) or y["x"])}, RunError, "PrintV2.*acts beyond"),
    "tf.random": (
        {"f": changed(x=lambda t, y: tf.random.normal([], dtype=tf.float64))}, RunError,
        "RandomStandardNormal.*noise="),
    "tf.random in a branch": ({"f": draws_within}, RunError, "RandomStandardNormal"),
    "random of NumPy": (
        {"f": changed(x=lambda t, y: np.random.normal())}, RunError, "Python or NumPy.*noise="),
    "random of Python": ({"f": changed(x=lambda t, y: random.random())}, RunError, "random numb"),
    "a random generator": (
        {"f": lambda t, y: {**decay(t, y), "x": RNG.normal()}}, RunError, "changes 'RNG'"),
    "a variable": (
        {"f": lambda t, y: {**decay(t, y), "x": WEIGHT * y["x"]}}, RunError,
        r"tf\.Variable.*pass the variable in args="),
    "assigns": ({"f": assigns}, RunError, "Assign"),
}  # fmt: skip

TIMES: dict[str, Case] = {
    "t1 is t0": ({"t0": 1.0}, RunError, "t1 is 1, the same as t0"),
    "t1 is no number": ({"t1": float("nan")}, MissingValueError, "'t1' is nan"),
    "t1 is infinite": ({"t1": float("inf")}, MissingValueError, "'t1' is inf"),
    "t1 is None": ({"t1": None}, WrongTypeError, r"t1 is a time such as 1\.0, not None"),
    "t1 is text": ({"t1": "soon"}, WrongTypeError, "t1 is a time"),
    "t1 is a list": ({"t1": [1.0, 2.0]}, WrongTypeError, "'t1' must be one number"),
    "t1 is a voltage": ({"t1": 1 * mV, "dt": 1 * ms}, UnitError, "'t1' is in ms, not mV"),
    "dt is text": ({"dt": "x"}, WrongTypeError, r"such as 0\.01, not 'x'"),
    "dt is negative": ({"dt": -0.1}, RunError, r"dt is -0\.1; it must be greater than 0"),
    "dt is 0": ({"dt": 0.0}, RunError, "dt is 0; it must be greater"),
    "dt does not divide": ({"dt": 0.3}, RunError, r"t1 - t0 is 1, .* dt = 0\.3; use 0\.9"),
    "dt does not divide ms": (
        {"t1": 1 * ms, "dt": 0.3 * ms}, RunError, r"t1 - t0 is 1 ms, .* dt = 0\.3 ms"),
    "dt does not divide every": ({"every": 0.25}, RunError, r"every is 0\.25"),
    "every is 0": ({"every": 0.0}, RunError, "every is 0;"),
    "every is longer": ({"every": 2.0}, RunError, "every is 2, longer than the whole solve"),
    "at is outside": ({"at": [0.5, 2.0]}, RunError, "at contains 2, outside of t0 = 0 to t1 = 1"),
    "at is not ascending": ({"at": [0.5, 0.2]}, RunError, r"ascending .*; 0\.2 is not"),
    "at is not descending": (
        {"at": [-0.5, -0.2], "t1": -1.0}, RunError, r"descending .*; -0\.2 is not"),
    "at is repeated": ({"at": [0.5, 0.5]}, RunError, r"at contains 0\.5 twice"),
    "at is no number": ({"at": [0.5, float("nan")]}, MissingValueError, "'at' is nan"),
    "at is an array not finite": ({"at": np.array([0.5, np.inf])}, MissingValueError, "'at' is in"),
    "at is empty": ({"at": []}, RunError, "list of times"),
    "at has two axes": ({"at": np.ones((2, 2))}, RunError, "list of times"),
    "at is an object": ({"at": object()}, WrongTypeError, "'at' must be"),
    "jumps is empty": (ADAPTIVE | {"jumps": []}, RunError, "jumps is a list of times"),
    "jumps is text": (ADAPTIVE | {"jumps": ["soon"]}, SomaflowError, "'jumps'"),
    "jumps not finite": (ADAPTIVE | {"jumps": [np.nan]}, MissingValueError, "'jumps' is nan"),
    "jumps without a unit": (
        {"t1": 1 * ms, "dt": 0.1 * ms, "jumps": [0.5]}, RunError, r"jumps is 0\.5, without a unit"),
    "jumps too near": (
        ADAPTIVE | {"jumps": [0.5, 0.5000001], "dtype": "float32"}, RunError,
        "nearer to each other than times in float32"),
    "jumps and noise": (
        {"noise": lambda t, y: y, "solver": sf.EulerMaruyama(), "jumps": [0.5]}, RunError,
        "no jumps="),
    "max_step is 0": (ADAPTIVE | {"max_step": 0.0}, RunError, "max_step is 0; it must be greater"),
    "max_step is a voltage": (
        ADAPTIVE | {"t1": 1 * ms, "max_step": 1 * mV}, UnitError, "'max_step' is in ms, not mV"),
    "max_step and dt": ({"max_step": 0.5}, RunError, "with dt= all are dt"),
    "first_step and dt": ({"first_step": 0.5}, RunError, "with dt= all are dt"),
    "first_step is too long": (
        ADAPTIVE | {"first_step": 2.0}, RunError, "first_step is 2, longer than the whole so"),
    "first_step is longer than max_step": (
        ADAPTIVE | {"first_step": 0.5, "max_step": 0.1}, RunError, r"longer than max_step, 0\.1"),
    "max_steps is 0": (ADAPTIVE | {"max_steps": 0}, RunError, "max_steps is 0; it is at least 1"),
    "max_steps no number": (ADAPTIVE | {"max_steps": 1e6}, WrongTypeError, "whole number such as"),
    "max_steps and dt": ({"max_steps": 10}, RunError, "max_steps= is for steps that follow"),
    "at and every": ({"at": [0.5], "every": 0.1}, RunError, "not both"),
    "a unit and none": ({"t1": 1 * ms}, RunError, r"dt is 0\.1, without a unit"),
    "none and a unit": ({"dt": 0.1 * ms}, RunError, r"t1 is 1\.0, without a unit"),
    "at without a unit": (
        {"t1": 1 * ms, "dt": 0.1 * ms, "at": [0.5]}, RunError, r"at is 0\.5, without a unit"),
}  # fmt: skip

TOLERANCES: dict[str, Case] = {
    "rtol is 0": (ADAPTIVE | {"rtol": 0.0}, RunError, "rtol is 0; in float64 it cannot be below"),
    "rtol is negative": (ADAPTIVE | {"rtol": -1.0}, RunError, "rtol is -1; .*cannot be below"),
    "rtol below epsilon": (ADAPTIVE | {"rtol": 1e-16}, RunError, "rtol is 1e-16"),
    "rtol for float32": (
        ADAPTIVE | {"rtol": 1e-7, "dtype": "float32"}, RunError, "in float32 it cannot be below 1"),
    "rtol is a list": (ADAPTIVE | {"rtol": [1e-3, 1e-3]}, WrongTypeError, "'rtol' must be one"),
    "rtol is no number": (ADAPTIVE | {"rtol": float("nan")}, MissingValueError, "'rtol' is nan"),
    "rtol is text": (ADAPTIVE | {"rtol": "a"}, SomaflowError, "'rtol' is 'a'"),
    "atol is negative": (ADAPTIVE | {"atol": -1.0}, RunError, "atol of 'v' is -1"),
    "atol lacks a part": (ADAPTIVE | {"atol": {"x": 1.0}}, RunError, "atol has another structure"),
    "atol of another shape": (
        ADAPTIVE | {"atol": {"x": 1e-3, "v": np.ones(2)}}, RunError, "atol of 'v' has 2 numbers"),
    "atol of another unit": (ADAPTIVE | {"atol": 1 * mV}, UnitError, "'atol' is in 1, not mV"),
    "atol is an object": (ADAPTIVE | {"atol": object()}, WrongTypeError, "'atol' must be"),
    "dt and rtol": ({"rtol": 1e-3}, RunError, "not both"),
    "dt and atol": ({"atol": 1e-3}, RunError, "not both"),
}  # fmt: skip

STATES: dict[str, Case] = {
    "None": ({"y0": None}, RunError, "initial state y0"),
    "an empty dict": ({"y0": {}}, RunError, "y0 is empty"),
    "an empty array": ({"y0": np.zeros((0,)), "f": lambda t, y: -y}, RunError, r"'y' is empty"),
    "an object": ({"y0": object(), "f": lambda t, y: -y}, WrongTypeError, "'y' of y0 must be"),
    "text": (state(x="a"), UnitError, "'x' of y0 is 'a'"),
    "a whole number": (state(x=1), WrongTypeError, r"y0 'x' is 1, .* write 1\.0"),
    "a truth value": (state(x=True), WrongTypeError, "y0 'x' is True"),
    "whole numbers": (state(v=np.ones(3, int)), WrongTypeError, r"y0 'v' .*astype\(float\)"),
    "a whole tensor": (state(x=tf.constant(1)), WrongTypeError, "y0 'x' is of int32"),
    "complex": (state(x=1j), WrongTypeError, "y0 'x' is 1j; a state is real"),
    "a complex tensor": (
        state(x=tf.constant(1j)), WrongTypeError, "'x' is of complex128; a state is real: int"),
    "complex args": (
        {"f": lambda t, y, p: y, "args": {"a": 1j}}, WrongTypeError, r"args\.a is 1j; numbers are"),
    "a complex tensor in args": (
        {"f": lambda t, y, p: y, "args": {"a": tf.constant(1j)}}, WrongTypeError,
        r"args\.a is of complex128; numbers are real"),
    "a ragged list": (
        {"y0": tf.ragged.constant([[1.0], [1.0, 2.0]]), "f": lambda t, y: -y}, SomaflowError, "y"),
    "no number": (state(x=float("nan")), MissingValueError, "'x' of y0 is nan"),
    "infinite": (state(v=np.array([1, np.inf, 1])), MissingValueError, r"'v' of y0 is inf .*\[1\]"),
    "an infinite tensor": (
        state(v=tf.constant([1, np.inf, 1])), MissingValueError, r"'v' of y0 is inf .*\[1\]"),
    "keys of two kinds": (
        {"y0": {1: 1.0, "a": 2.0}, "f": lambda t, y: y}, RunError, "keys of a dict"),
    "one name twice": (
        {"y0": {"a.b": 1.0, "a": {"b": 2.0}}, "f": lambda t, y: y}, RunError, r"called 'a\.b'"),
    "batch negative": ({"batch": -1}, WrongTypeError, "batch is a number of leading axes"),
    "batch no number": ({"batch": 1.0}, WrongTypeError, "batch is a number of leading axes"),
    "batch a truth value": ({"batch": True}, WrongTypeError, "batch is a number of leading axes"),
    "batch of more axes": ({"batch": 2}, RunError, r"the shapes are v: \(3,\), x: \(\)"),
    "batches that differ": (
        {"batch": 1, "y0": {"x": np.ones(2), "v": np.ones(3)}}, RunError, r"v: \(3,\), x: \(2,\)"),
    "dtype": ({"dtype": "float16"}, WrongTypeError, "'float64' or 'float32', not 'float16'"),
    "dtype of tf": ({"dtype": tf.float32}, WrongTypeError, "write dtype='float32'"),
    "dtype of NumPy": ({"dtype": np.float64}, WrongTypeError, "write dtype='float64'"),
    "seed": ({"seed": 1.5}, WrongTypeError, "a seed is an integer"),
}  # fmt: skip

COUPLED = {
    "the mean": lambda t, y: {"x": y["x"] - tf.reduce_mean(y["x"])},
    "a neighbour": lambda t, y: {"x": tf.roll(y["x"], 1, 0) - y["x"]},
    "the mirror": lambda t, y: {"x": -y["x"][::-1]},
    "a sum so far": lambda t, y: {"x": -tf.cumsum(y["x"])},
}

SOLVERS: dict[str, Case] = {
    "a class": ({"solver": sf.EulerMaruyama}, WrongTypeError, r"such as sf\.RK4\(\)"),
    "a function": ({"solver": sf.RK4}, WrongTypeError, r"write solver=sf\.RK4\(\)"),
    "another function": ({"solver": max}, WrongTypeError, r"such as sf\.RK4\(\), not <built-in"),
    "text": ({"solver": "RK4"}, WrongTypeError, r"such as sf\.RK4\(\), not 'RK4'"),
    "RK4 without dt": (ADAPTIVE | {"solver": sf.RK4()}, RunError, r"give dt=.*sf\.Tsitouras"),
    "exponential without dt": (ADAPTIVE | {"solver": sf.ExponentialEuler()}, RunError, "give dt="),
    "stochastic without dt": (noise(lambda t, y: y, dt=None), RunError, r"give dt=\.$"),
    "stochastic without noise": ({"solver": sf.Milstein()}, RunError, "is for noise"),
    "noise by default": ({"noise": lambda t, y: y}, RunError, r"sf\.EulerMaruyama\(\).*Ito"),
    "xi with RK4": (TEXT | {"f": NOISY, "solver": sf.RK4()}, RunError, "need a stochastic solver"),
    "xi and noise=": (TEXT | {"f": NOISY, "noise": decay}, RunError, "noise= goes with a function"),
    "noise and events": (noise(decay) | event(), RunError, "there are no events"),
    "noise between steps": (noise(decay, at=[0.15]), RunError, "samples lie on whole steps"),
    "noise no function": (noise(3), WrongTypeError, "noise is a function"),
    "noise of args": (noise(lambda t, y, p: y), RunError, "noise.*cannot be called as noise"),
    "noise of another structure": (
        noise(lambda t, y: y["x"]), RunError, "noise must return.*same structure"),
    "noise of another shape": (
        noise(lambda t, y: {"x": y["x"], "v": y["v"][:1]}), RunError, r"noise.*shape \(1,\)"),
    "exponential of a square": (
        {"f": changed(x=lambda t, y: y["x"] ** 2), "solver": sf.ExponentialEuler()}, RunError,
        r"Exponential Euler needs .* 'x' is not .*x\*\*2"),
    "exponential of a square in text": (
        TEXT | {"f": SQUARE, "solver": sf.ExponentialMidpoint()}, RunError,
        r"Exponential midpoint needs .* 'v' is not"),
    "exponential of what cannot be seen": (
        {"f": changed(x=lambda t, y: tf.sin(y["x"])), "solver": sf.ExponentialEuler()}, TraceError,
        "cannot be traced"),
}  # fmt: skip

EVENTS: dict[str, Case] = {
    "an object": ({"events": object()}, WrongTypeError, r"events is a dict such as .*sf\.Event"),
    "a list": ({"events": [sf.Event(decay)]}, WrongTypeError, "events is a dict"),
    "a function": ({"events": {"hit": decay}}, WrongTypeError, "events is a dict"),
    "text of a function": (event("x > 0"), WrongTypeError, "text, which goes with equations"),
    "a vector": (event(lambda t, y: y["v"]), RunError, r"shape \(3,\); it must be one number"),
    "a nest": (event(lambda t, y: y), RunError, "event 'hit': the condition returned {"),
    "a truth value": (event(lambda t, y: y["x"] > 0), RunError, r"y\['x'\] - 1 in place"),
    "nothing": (event(lambda t, y: None), RunError, "the condition returned None"),
    "NumPy": (event(lambda t, y: np.sin(y["x"])), RunError, "the condition calls NumPy"),
    "too many arguments": (event(lambda t, y, p: y["x"]), RunError, "missing .*'p'"),
    "a side effect": (
        event(lambda t, y: LOG.append(1) or y["x"]), RunError, "the condition changes 'LOG'"),
    "a variable": (event(lambda t, y: WEIGHT * y["x"]), RunError, "the condition.*in args="),
    "a change to another structure": (
        event(change=lambda t, y: y["x"]), RunError, "the change must return.*same structure"),
    "a change to another shape": (
        event(change=lambda t, y: {"x": y["x"], "v": y["v"][:2]}), RunError, r"change.*\(2,\)"),
    "a change to nothing": (event(change=lambda t, y: None), RunError, "same structure"),
    "a change by NumPy": (
        event(change=lambda t, y: {**y, "x": np.sin(y["x"])}), RunError, "the change calls NumPy"),
    "a change in place": (event(change=writes_into_its_state), RunError, "the change changes"),
    "text without a comparison": (TEXT | event("v - 3*mV"), EquationError, "comparison"),
    "text of another name": (TEXT | event("q > 3*mV"), UnknownNameError, "'q' is not defined"),
    "text of another unit": (TEXT | event("v > 3*ms"), UnitError, "mV compared with ms"),
    "text with a direction": (
        TEXT | event("v > -62*mV", direction="up"), RunError, "has a direction already"),
    "text that changes no state": (
        TEXT | event("v > -62*mV", "q = 3*mV"), EquationError, "'q' is not a state"),
}  # fmt: skip

EQUATIONS: dict[str, Case] = {
    "of a network": (TEXT | {"f": CELL}, RunError, "belong in a network"),
    "an unknown state": (TEXT | {"y0": {"q": 1.0}}, RunError, r"y0 names 'q'; .*\['v'\]"),
    "a number for all": (TEXT | {"y0": 1.0}, WrongTypeError, "y0 of equations is a dict"),
    "an array for all": (TEXT | {"y0": np.ones(2)}, WrongTypeError, "y0 of equations is a dict"),
    "a state in another unit": (TEXT | {"y0": {"v": 1 * ms}}, UnitError, "'v' is in mV, not ms"),
    "a state not finite": (
        TEXT | {"y0": {"v": tf.constant(np.nan)}}, MissingValueError, "'v' of y0 is nan"),
    "a complex tensor": (
        TEXT | {"y0": {"v": tf.constant(1j)}}, WrongTypeError, "'v' of y0 is of complex128"),
    "a parameter in another unit": (
        TEXT | {"args": {"tau": 1 * mV}}, UnitError, "'tau' is in ms, not mV"),
    "an unknown parameter": (TEXT | {"args": {"tua": 1 * ms}}, RunError, "Did you mean 'tau'"),
    "args no dict": (TEXT | {"args": [1.0]}, WrongTypeError, "args of equations is a dict"),
    "shapes that do not fit": (
        TEXT | {"y0": {"v": np.ones(2)}, "args": {"tau": np.ones(3)}}, RunError, "do not fit"),
    "another batch": (TEXT | {"batch": 2}, RunError, "each of the 0 axes"),
}  # fmt: skip

ALL = {
    f"{title}: {name}": case
    for title, cases in {
        "result": RESULTS, "function": FUNCTIONS, "time": TIMES, "tolerance": TOLERANCES,
        "state": STATES, "solver": SOLVERS, "event": EVENTS, "equations": EQUATIONS,
        "batch": {
            name: (ROWS | {"f": f}, RunError, "act on each other.*smaller batch=")
            for name, f in COUPLED.items()
        },
    }.items()
    for name, case in cases.items()
}  # fmt: skip


class Compiled(Exception):  # noqa: N818 - not an error of anybody's
    """Something was compiled by XLA."""


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tf.function

    def refuse(*given: Any, jit_compile: bool = False, **rest: Any) -> Any:
        if jit_compile:
            raise Compiled
        return trace(*given, **rest)

    monkeypatch.setattr(tf, "function", refuse)
    programs.clear()


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(("change", "kind", "message"), ALL.values(), ids=ALL.keys())
def test_bad_input_gets_a_sentence_before_anything_is_compiled(
    change: dict[str, Any], kind: type[SomaflowError], message: str
) -> None:
    with pytest.raises(kind, match=f"(?s){message}"):
        sf.solve(**GOOD | change)


FINE: dict[str, dict[str, Any]] = {
    "as it is": {},
    "adaptive": ADAPTIVE,
    "text": TEXT,
    "a quantity of a whole number": TEXT | {"y0": {"v": -65 * mV}},
    "a state with a unit": {"y0": {"x": 1 * nA, "v": np.ones(3) * mV}},
    "constants for slopes": {"f": lambda t, y: {"x": 1, "v": np.ones(3)}},
    "an event": event(lambda t, y: y["x"] - 0.5, lambda t, y: y, terminal=True, direction="down"),
    "rows": ROWS | {"f": lambda t, y: {"x": -y["x"] ** 2}},
    "rows of vectors": {
        "f": lambda t, y: {"x": tf.matmul(y["x"], tf.ones([3, 3], tf.float64))},
        "y0": {"x": np.ones((4, 3))},
        "batch": 1,
    },
    "a coupled vector": {"f": COUPLED["the mean"], "y0": {"x": np.arange(1.0, 6.0)}},
    "a tf.function": {"f": tf.function(decay)},
    "a tensor it refers to": {"f": changed(x=lambda t, y: CONSTANT * y["x"])},
    "at as a tensor": {"at": tf.constant([0.1, 0.2], tf.float64)},
}  # fmt: skip


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("change", FINE.values(), ids=FINE.keys())
def test_good_input_comes_as_far_as_the_compiler(change: dict[str, Any]) -> None:
    with pytest.raises(Compiled):
        sf.solve(**GOOD | change)


WRONG = [object(), [object()], int, 1j, {"a": object()}]
WRONG_NAMES = ["object", "list", "class", "complex", "dict"]


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("name", ["f", "y0", "t0", "t1", "dt", "every", "at", "args", "solver"])
@pytest.mark.parametrize("wrong", WRONG, ids=WRONG_NAMES)
def test_nonsense_is_answered_with_our_own_error(name: str, wrong: Any) -> None:
    if name == "f" and wrong is int:  # which can be called
        return
    with pytest.raises(SomaflowError) as caught:
        sf.solve(**GOOD | {name: wrong})
    assert len(str(caught.value)) > 10


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    "name",
    [
        "rtol",
        "atol",
        "events",
        "noise",
        "seed",
        "dtype",
        "batch",
        "jumps",
        "max_step",
        "first_step",
        "max_steps",
    ],
)
@pytest.mark.parametrize("wrong", WRONG, ids=WRONG_NAMES)
def test_nonsense_is_answered_in_an_adaptive_solve(name: str, wrong: Any) -> None:
    with pytest.raises(SomaflowError) as caught:
        sf.solve(**GOOD | ADAPTIVE | {name: wrong})
    assert len(str(caught.value)) > 10


def test_an_operation_that_xla_lacks_is_named() -> None:
    for change in ({}, ADAPTIVE):
        with pytest.raises(RunError, match=r"XLA does not compile: Lu.*tf\.linalg\.solve"):
            sf.solve(**GOOD | change | {"f": decomposes})


def test_solve_inside_a_compiled_function_is_refused() -> None:
    @tf.function
    def inside(x: Any) -> Any:
        return sf.solve(lambda t, y: -y, x, t1=1.0, dt=0.1).y

    with pytest.raises(Exception, match=r"RunError: solve was called inside a tf\.function"):
        inside(tf.constant(1.0))


def test_a_state_that_blows_up_names_the_time_and_the_part() -> None:
    with pytest.raises(NonFiniteState, match=r"^x is nan at t = 0\.1 .*dt = 0\.1 too large"):
        sf.solve(**GOOD | {"f": changed(x=lambda t, y: tf.math.log(-y["x"]))})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"condition": None}, r"condition is a function of \(t, y\).*not None"),
        ({"change": 3}, "change is a function"),
        ({"terminal": "yes"}, "terminal is True or False"),
        ({"direction": "left"}, "'up', 'down' or 'both', not 'left'"),
        ({"direction": ["up"]}, "'up', 'down' or 'both'"),
    ],
)
def test_an_event_of_nonsense_cannot_be_described(arguments: Any, message: str) -> None:
    with pytest.raises(WrongTypeError, match=message):
        sf.Event(**{"condition": lambda t, y: y} | arguments)


class Constants:
    rate = 1.0


def test_a_constant_that_has_changed_is_read_again() -> None:
    def f(t: Any, y: Any) -> Any:
        return Constants.rate * tf.ones_like(y)

    for rate in (1.0, 2.0):
        Constants.rate = rate
        assert sf.solve(f, 0.0, t1=1.0, dt=0.5)["y"].values[-1] == pytest.approx(rate, rel=1e-14)


def test_a_tensor_of_another_shape_is_not_spread_over_a_part() -> None:
    with pytest.raises(RunError, match=r"shape \(\) for 'x', whose state has shape \(3,\)"):
        sf.solve(lambda t, y: {"x": -tf.reduce_sum(y["x"])}, {"x": np.ones(3)}, t1=1.0)


def test_parts_with_other_numbers_of_axes_have_no_common_time_in_a_batch() -> None:
    with pytest.raises(RunError, match="same number of axes"):
        sf.solve(
            lambda t, y: {"a": -y["a"], "b": -y["b"]},
            {"a": np.ones((3, 3)), "b": np.ones(3)},
            t1=1.0,
            batch=1,
        )
