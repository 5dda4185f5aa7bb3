"""Reach: how strongly synapses may pull at a cell in one step, which a solver tells by trial.

A conductance g on a capacity C pulls at the rate g/C. An explicit method is unstable where dt times
that rate is beyond a number of its own, and what comes out may stay finite and be nonsense. So a
run ends where that happens. What cells give each other through gap junctions is explicit in all
methods; that is known before the run.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.compiler.arrivals import Part
from somaflow.compiler.graded import GradedConstants, follows_cells
from somaflow.compiler.states import Parameters, Tensors
from somaflow.compiler.step import FlowState, NetworkDynamics
from somaflow.errors import NetworkError
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array
from somaflow.solvers.base import Problem, Solver

# dt times the rate, at which a method is tried; none of them matters beyond.
_TRIED = np.geomspace(0.01, 1000.0, 2302)
_ROUNDING = 1e-9
# How far from it a cell may answer to a current that it and its neighbour get alike.
_ANSWER = 0.1


def decay_reach(solver: Solver) -> float:
    """Return dt times the rate up to which a decay does not grow; infinite where it never does."""
    rates = tf.constant(_TRIED[None])
    end = _stepped(solver, Problem(lambda t, y: -rates * y), tf.ones_like(rates))
    return _first(~(np.abs(end[0]) <= 1 + _ROUNDING))


def pair_reach(solver: Solver) -> float:
    """Return dt times the rate up to which two cells that pull at each other come out right.

    Their difference must not grow; and to a current that both get alike they must answer
    as if there were no gap junction, but for a tenth.
    """
    rates = tf.constant(_TRIED[None, :, None])

    def f(y: Tensor, drive: float, hold: Callable[[Tensor], Tensor]) -> Tensor:
        return rates * (hold(tf.reverse(y, [-1])) - y) + drive

    def end(drive: float, start: list[list[list[float]]]) -> Array:
        y = tf.constant(start, tf.float64) * tf.ones_like(rates)
        problem = Problem(
            lambda t, y: f(y, drive, tf.identity), lambda t, y: f(y, drive, tf.stop_gradient)
        )
        return _stepped(solver, problem, y)[0, :, 0]

    apart, alike = end(0.0, [[[1.0, -1.0]]]), end(1.0, [[[0.0, 0.0]]])
    bad = ~(np.abs(apart) <= 1 + _ROUNDING) | ~(np.abs(alike - 1) <= _ANSWER)
    return _first(bad)


def _stepped(solver: Solver, problem: Problem, y: Tensor) -> Array:
    return solver.step(problem, 0.0, 1.0, y, solver.init(problem, 0.0, y)).y.numpy()


def _first(bad: NDArray[np.bool_]) -> float:
    return float(_TRIED[max(int(np.argmax(bad)) - 1, 0)]) if bad.any() else np.inf


def check_gaps(
    dynamics: NetworkDynamics, parameters: Parameters, flow: FlowState, solver: Solver, dt: float
) -> None:
    """Refuse gap junctions that are too strong for the step.

    Args:
        dynamics: The functions of the network.
        parameters: Their parameters, as arrays.
        flow: The flow state at the start, as arrays.
        solver: The method.
        dt: The step in ms.

    Raises:
        NetworkError: What comes out would be wrong.
    """
    # They follow the presynaptic cell's variables without a state between.
    gaps = [
        (c, coupling)
        for c, coupling in enumerate(dynamics.couplings)
        if follows_cells(coupling) and not coupling.rows
    ]
    if not gaps:
        return
    constants = dynamics.prepare(tf.nest.map_structure(tf.constant, parameters), dt, (0.0,))
    states = dynamics.states(tuple(tf.constant(block) for block in flow))
    states = dynamics.linked(states, tf.constant(0.0, tf.float64), constants)
    reach = pair_reach(solver)
    for k, population in enumerate(dynamics.populations):
        parts: dict[str, list[Part]] = {}
        names = []
        for c, coupling in gaps:
            numbers = constants.sums[c]
            assert isinstance(numbers, GradedConstants)
            nothing = tf.zeros([coupling.wiring.width], dynamics.tables.dtype)
            sums = [numbers.fixed.get(n, nothing) for n in range(len(coupling.form.terms))]
            for route in coupling.group.routes:
                if route.target == k and route.into is not None:
                    parts.setdefault(route.into, []).append((coupling, route, sums))
                    names.append(repr(route.projection))
        rates: Tensors = {}
        for into in parts.keys() & dynamics.arrivals.pushes[k].keys():
            slopes = dynamics.arrivals.slopes(k, into, states[k] | {"t": 0.0}, constants)
            rate, _ = dynamics.arrivals.rate(
                k, parts[into], states[k], slopes, constants, lambda k, state, change: change
            )
            for state in slopes if rate is not None else ():
                rates[state] = rates.get(state, 0.0) + rate
        if not rates:
            continue
        pull = -reduce(np.minimum, map(np.asarray, rates.values()))
        pull = pull.reshape(-1, pull.shape[-1])[:, : population.size]
        cell = int(np.argmax(pull.max(axis=0)))
        fastest = float(pull.max())
        if fastest * dt > reach:
            raise NetworkError(
                f"the gap junctions of projection {', '.join(names)} pull at cell {cell} of "
                f"{population.name!r} with {fastest:.3g} per ms. Every method is explicit in what "
                f"cells give each other, and {solver.name} is right while dt times that is at most "
                f"{reach:.2g}: take dt <= {_below(reach / fastest):g} ms, or smaller weights."
            )


def _below(value: float) -> float:
    """Return a number rounded down to two digits."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / unit) * unit)
