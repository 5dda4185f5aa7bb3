"""Closed forms of linear states equal the matrix exponential."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.linalg import expm

import somaflow as sf
from somaflow.compiler.linear import Linear
from somaflow.equations.algebras import NumberAlgebra
from somaflow.equations.expression import evaluate
from somaflow.errors import EquationError
from somaflow.numerics.device import cast

TIME = 0.7
SYSTEMS = {
    "decay": ("dx/dt = -0.3*x/ms : 1", [[-0.3]], [0.0]),
    "decay to a level": ("dx/dt = (2 - x)*0.4/ms : 1", [[-0.4]], [0.8]),
    "two alone, one constant": (
        "dx/dt = -0.3*x/ms : 1\ndy/dt = 0*y/ms : 1",
        [[-0.3, 0], [0, 0]],
        [0.0, 0.0],
    ),
    "growth of a constant": ("dx/dt = 0.5/ms : 1", [[0.0]], [0.5]),
    "a chain of equal rates": (
        "dx/dt = (y - x)*0.5/ms : 1\ndy/dt = -0.5*y/ms : 1",
        [[-0.5, 0.5], [0, -0.5]],
        [0.0, 0.0],
    ),
    "a chain of three with a level": (
        "dx/dt = (0.9*y - 0.2*x)/ms : 1\ndy/dt = (z - 0.7*y)/ms : 1\ndz/dt = (0.3 - z)/ms : 1",
        [[-0.2, 0.9, 0], [0, -0.7, 1], [0, 0, -1]],
        [0.0, 0.0, 0.3],
    ),
    "both ways": (
        "dx/dt = (0.5*y - 0.9*x)/ms : 1\ndy/dt = (0.4*x - 0.6*y)/ms : 1",
        [[-0.9, 0.5], [0.4, -0.6]],
        [0.0, 0.0],
    ),
}


def made(text: str, states: int) -> tuple[Linear, Any]:
    equations = sf.Equations.parse(text, **{name: 0 for name in "xyz"[:states]})
    linear = Linear(equations, list(equations.states))
    algebra = NumberAlgebra({"ms": 1.0})
    return linear, linear.values(lambda node: tf.constant(evaluate(node, algebra), tf.float64))


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> tuple:
    text, a, b = SYSTEMS[request.param]
    return *made(text, len(b)), np.array(a, float), np.array(b)


def exact(a: np.ndarray, b: np.ndarray, z: np.ndarray, time: float) -> np.ndarray:
    whole = np.zeros((len(b) + 1, len(b) + 1))
    whole[:-1, :-1], whole[:-1, -1] = a, b
    return (expm(whole * time) @ np.vstack([z, np.ones(z.shape[1])]))[:-1]


@pytest.mark.parametrize("time", [0.0, 1e-9, 0.05, TIME])
def test_states_after_some_time_are_those_of_the_matrix_exponential(
    system: tuple, time: float
) -> None:
    linear, values, a, b = system
    z = np.random.default_rng(3).normal(size=(len(b), 5))
    given = {s: tf.constant(row) for s, row in zip(linear.states, z, strict=True)}
    found = linear.advance(values, given, time)
    wanted = exact(a, b, z, time)
    np.testing.assert_allclose([found[s] for s in linear.states], wanted, rtol=2e-15, atol=1e-14)


@pytest.mark.parametrize("time", [3.0, 30.0])
def test_times_of_many_time_constants_are_reached_by_doubling(system: tuple, time: float) -> None:
    linear, values, a, b = system
    linear.reach(values, time)
    z = np.random.default_rng(3).normal(size=(len(b), 5))
    given = {s: tf.constant(row) for s, row in zip(linear.states, z, strict=True)}
    found = linear.advance(values, given, time)
    np.testing.assert_allclose(
        [found[s] for s in linear.states], exact(a, b, z, time), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("time", [1e-9, TIME, 30.0])
def test_what_jumps_sweep_is_their_integral(system: tuple, time: float) -> None:
    linear, values, a, b = system
    linear.reach(values, time)
    n = len(b)
    both = np.zeros((2 * n, 2 * n))  # dz/dt = A z and dw/dt = z
    both[:n, :n], both[n:, :n] = a, np.eye(n)
    z = np.random.default_rng(3).normal(size=n)
    jumps = {s: tf.constant([x]) for s, x in zip(linear.states, z, strict=True)}
    grown, areas = linear.swept(values, jumps, tf.constant(time, tf.float64))
    wanted = expm(both * time)[:, :n] @ z
    found = [float(part[s][0]) for part in (grown, areas) for s in linear.states]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_each_element_can_have_a_time_of_its_own(system: tuple) -> None:
    linear, values, a, b = system
    times = np.array([0.0, 0.3, TIME])
    z = np.random.default_rng(3).normal(size=(len(b), 3))
    given = {s: tf.constant(row) for s, row in zip(linear.states, z, strict=True)}
    found = linear.advance(values, given, tf.constant(times))
    wanted = np.hstack([exact(a, b, z[:, k : k + 1], t) for k, t in enumerate(times)])
    np.testing.assert_allclose([found[s] for s in linear.states], wanted, rtol=2e-15, atol=1e-14)


def test_what_a_jump_becomes_knows_nothing_of_levels(system: tuple) -> None:
    linear, values, a, b = system
    last = linear.states[-1]
    found = linear.impulse(values, {last: tf.constant([2.0], tf.float64)}, TIME)
    z = np.zeros((len(b), 1))
    z[-1] = 2.0
    np.testing.assert_allclose(
        [found[s] for s in linear.states], exact(a, 0 * b, z, TIME), rtol=2e-15, atol=1e-14
    )


def test_exponentials_are_taken_where_they_are_enough() -> None:
    diagonal = [name for name, (text, _, b) in SYSTEMS.items() if made(text, len(b))[0].diagonal]
    assert diagonal == ["decay", "decay to a level", "two alone, one constant"]


def test_a_state_without_a_derivative_is_constant() -> None:
    linear, _ = made("dx/dt = -0.3*x/ms : 1\ndy/dt = 0*y/ms : 1", 2)
    assert not linear.parts.constant("x")
    assert linear.parts.constant("y")
    assert not made("dx/dt = 0.5/ms : 1", 1)[0].parts.constant("x")


def test_the_fastest_rate_is_the_largest_row_sum() -> None:
    linear, values = made(SYSTEMS["a chain of three with a level"][0], 3)
    assert linear.fastest(values) == pytest.approx(1.7, rel=1e-15)


@pytest.mark.parametrize("text", ["dx/dt = -x*x/ms : 1", "dx/dt = -exp(x)/ms : 1"])
def test_what_is_not_linear_is_refused(text: str) -> None:
    with pytest.raises(EquationError):
        made(text, 1)


def test_a_product_of_states_is_refused() -> None:
    with pytest.raises(EquationError):
        made("dx/dt = -x*y/ms : 1\ndy/dt = -y/ms : 1", 2)


def test_a_number_keeps_its_last_digits() -> None:
    assert float(cast(np.e, tf.float64)) == np.e
    assert float(cast(tf.constant(np.e, tf.float64), tf.float64)) == np.e
    assert cast(np.e, tf.float32).dtype == tf.float32
