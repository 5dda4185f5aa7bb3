"""What of a solve has to fit its model: the method, the tolerances, the steps."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow import given, units
from somaflow.compiler.noise import refuse_shared
from somaflow.compiler.ode import OdeModel
from somaflow.errors import RunError
from somaflow.solvers import catalogue
from somaflow.solvers.base import Solver
from somaflow.solvers.map import Map
from somaflow.solvers.runge_kutta import RK4, Tsitouras


def choose_solver(solver: Solver | None, adaptive: bool, model: OdeModel) -> Solver:
    """Return the method of a solve.

    Args:
        solver: The method that was asked for, or None.
        adaptive: Whether steps follow the tolerances.
        model: The model.

    Raises:
        RunError: It does not go with such steps, or with the noise.
    """
    default = Tsitouras if adaptive else RK4
    chosen = default() if solver is None else solver
    if model.diffusions and chosen.calculus is None:
        raise RunError(
            "equations with noise need a stochastic solver, which also sets how the noise is read: "
            "sf.EulerMaruyama() or sf.Milstein() for Ito, sf.StochasticHeun() for Stratonovich."
        )
    if not model.diffusions and chosen.calculus is not None:
        raise RunError(f"{chosen.name} is for noise; give noise=, or use sf.RK4().")
    if isinstance(chosen, Map):
        raise RunError(
            "sf.Map() makes iterations of maps, x[n+1] = ..., of a sf.Population by sf.simulate; "
            "for dx/dt = ... give another solver, such as sf.RK4()."
        )
    if model.equations is not None:
        refuse_shared(chosen, model.equations.noises, "the equations")
    if adaptive and chosen.error_order is None:
        own = [m for m in catalogue.METHODS if m.steps == "own"]
        explicit, stiff = ([m for m in own if m.stiff is is_stiff] for is_stiff in (False, True))
        others = (
            f" Methods with steps of their own are {catalogue.spoken(*explicit)}, and for stiff "
            f"equations {catalogue.spoken(*stiff)}."
        )
        raise RunError(
            f"{chosen.name} takes fixed steps: give dt=.{'' if chosen.calculus else others}"
        )
    return chosen


def refuse_rowwise(model: OdeModel, lockstep: bool) -> None:
    """Refuse what steps of each problem's own cannot do.

    Raises:
        RunError: So it is.
    """
    if model.diffusions and not lockstep:
        raise RunError(
            "with noise, samples lie on whole steps, and there are no events and no jumps=."
        )
    if not lockstep and model.blocks.batch and len({len(s) for s in model.blocks.shapes}) > 1:
        raise RunError(
            "with batch= every problem has a time of its own, which has to fit every part of y0: "
            "give all parts the same number of axes, such as [rows, 1] beside [rows, 5]; they "
            f"have {[len(s) + len(model.blocks.batch) for s in model.blocks.shapes]}."
        )


def tolerances(
    rtol: float | None, atol: object, model: OdeModel, floats: tf.DType
) -> tuple[float, NDArray[np.float64]]:
    """Return the relative tolerance, and the absolute one of each component, [n, 1].

    Raises:
        RunError: They are too small, or do not fit the state.
        UnitError, MissingValueError, WrongTypeError: One of them is no number.
    """
    epsilon = float(np.finfo(np.dtype(floats.name)).eps)
    relative = (1e-6 if floats == tf.float64 else 1e-4) if rtol is None else rtol
    relative = units.scalar(relative, "1", "rtol")
    if relative < 10 * epsilon:
        raise RunError(
            f"rtol is {relative:g}; in {floats.name} it cannot be below {10 * epsilon:.1g}. Where "
            "the solution passes zero, atol sets the precision."
        )
    blocks = model.blocks
    given.check_depth(atol, "atol")
    if tf.nest.is_nested(atol):
        try:
            tf.nest.assert_same_structure(model.state, atol)
        except (TypeError, ValueError) as error:
            raise RunError(f"atol has another structure than y0, {list(blocks.names)}.") from error
        leaves = tf.nest.flatten(atol)
    else:
        leaves = [1e-3 * relative if atol is None else atol] * len(blocks.names)
    rows = []
    for leaf, name, unit, size in zip(leaves, blocks.names, model.units, blocks.sizes, strict=True):
        own = unit if isinstance(leaf, units.Quantity) else "1"
        limit = units.parameter(leaf, own, "atol")
        if (limit.value < 0).any():
            raise RunError(f"atol of {name!r} is {limit}; it cannot be negative.")
        if limit.value.size not in (1, size):
            raise RunError(
                f"atol of {name!r} has {limit.value.size} numbers; it is one number, or one for "
                f"each of the {size} components of a problem."
            )
        rows.append(np.broadcast_to(np.reshape(limit.value, -1), [size]))
    return relative, np.concatenate(rows)[:, None]
