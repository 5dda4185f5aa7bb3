"""The facade of differential equations: `solve`.

Arguments are checked before TensorFlow is loaded, which takes seconds.
"""

# Annotations stay text: `Solver` would load TensorFlow.
from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from somaflow.compiler.event import Event
from somaflow.elsewhere import checked
from somaflow.equations.equations import Equations
from somaflow.network.random import check_seed
from somaflow.numerics.types import Tensor
from somaflow.quiet import late
from somaflow.settings import Duration, float_type, method
from somaflow.solving import arguments
from somaflow.storage.solution import Solution

if TYPE_CHECKING:
    from somaflow.solvers.base import Solver
    from somaflow.solving import integration
else:
    integration = late("somaflow.solving.integration")


@checked
def solve(
    f: Equations | Callable[..., object],
    y0: object = None,
    *,
    t1: Duration | Tensor,
    t0: Duration | Tensor = 0.0,
    dt: Duration | Tensor | None = None,
    rtol: float | None = None,
    atol: object = None,
    every: Duration | Tensor | None = None,
    at: Sequence[Duration] | Tensor | None = None,
    solver: Solver | None = None,
    args: object = None,
    events: Mapping[str, Event] | None = None,
    noise: Callable[..., object] | None = None,
    jumps: Sequence[Duration] | Tensor | None = None,
    max_step: Duration | Tensor | None = None,
    first_step: Duration | Tensor | None = None,
    max_steps: int | None = None,
    seed: int = 0,
    dtype: str = "float64",
    batch: int | None = None,
) -> Solution:
    """Solve a system of ordinary or stochastic differential equations.

    Steps are fixed where `dt` is given; otherwise they follow the tolerances. With tensors or
    variables in `y0` or `args`, `solution.y` and the events' `t` are differentiable under an eager
    `tf.GradientTape`.

    Args:
        f: `f(t, y)` or `f(t, y, args)` with the derivative in the structure of `y`, using Python
            operators, `sf.math` or `tf`; or `Equations`.
        y0: Initial state: any nest of numbers, arrays, quantities or tensors. For equations, a
            dict of the states whose initial value is not that of the equations.
        t1: End; before `t0` the solve goes backwards.
        t0: Start.
        dt: Fixed step; `t1 - t0` is a whole number of steps.
        rtol: Relative tolerance of a step's error; default 1e-6, in float32 1e-4.
        atol: Absolute tolerance: a number, or a nest like `y0`; default a thousandth of `rtol`.
        every: Interval of the samples; default: every fixed step, or a hundredth of the span.
        at: Times of the samples, ascending in the direction of the solve.
        solver: Default `RK4()` with `dt`, else `Tsitouras()`.
        args: Passed to `f`, `noise` and events; for equations a dict of parameters.
        events: A dict of `sf.Event`.
        noise: `g(t, y)` or `g(t, y, args)`, the factor of each variable's white noise, for a
            stochastic solver, which sets how it is read: Ito or Stratonovich.
        jumps: Times at which `f` jumps, such as the start and end of a pulse, in any order: steps
            end there, and the next one begins with the value behind the jump.
        max_step: The longest step that follows the tolerances; without it a step grows as long as
            nothing happens, and may pass over what is shorter than itself.
        first_step: The first such step.
        max_steps: The most such steps, rejected ones included, of each problem; default 1,000,000.
        seed: Of the noise.
        dtype: `"float64"` or `"float32"`.
        batch: How many leading axes of every part of `y0` number independent problems, each of
            which has steps and events of its own. Default 0; all axes for equations.

    Returns:
        `sol["x"]` for each part of the state, labelled (the state itself, where it is not a
        dict, is called `"y"`); `sol.time`; `sol.y`, tensors in the structure of `y0` with samples
        along the first axis; `sol.events`; `sol.statistics`; `sol.status`, a sentence.

    Raises:
        RunError: Times, tolerances or functions that do not fit, with what would.
        WrongTypeError: An argument of another kind.
        NonFiniteState: With fixed steps, the state became infinite or not a number.
    """
    times = {"t0": t0, "t1": t1, "dt": dt, "every": every, "at": at, "jumps": jumps}
    times |= {"max_step": max_step, "first_step": first_step}
    if "tensorflow" in sys.modules:  # else none of them is a tensor
        times = integration.numbers(times)
    floats, number, chosen = float_type(dtype), check_seed(seed), method(solver)
    axes = arguments.batch_axes(batch)
    arguments.check_tolerances(dt, rtol, atol)
    when = arguments.read_times(f, **times)
    most = arguments.step_limit(max_steps, when)
    return integration.integrate(
        arguments.SolveArguments(
            f, y0, args, noise, events, axes, chosen, rtol, atol, when, most, number, floats
        )
    )
