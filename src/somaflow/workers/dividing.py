"""Dividing: which cells each worker has, and in how many steps they exchange their spikes."""

from collections.abc import Collection, Sequence

from somaflow.network.groups import Drawn
from somaflow.network.projection import Projection
from somaflow.network.shares import Bounds, shares
from somaflow.network.ties import (
    Division,
    Held,
    goes_by_spikes,
    leaves_little,
    shortest_delay,
    together,
)
from somaflow.running.job import Job
from somaflow.solvers.exponential import ExponentialEuler, ExponentialMidpoint
from somaflow.solvers.map import Map
from somaflow.solvers.rosenbrock import RosenbrockW
from somaflow.solvers.runge_kutta import ExplicitRungeKutta
from somaflow.solvers.stochastic import EulerMaruyama, StochasticHeun
from somaflow.workers.stages import exchanges, staged_of

# Numbers of the list of crossings of an interval; longer ones are made of several.
_MOST = 4_000_000
# Steps from one exchange to the next at most.
STEPS = 10_000
# Methods that compute each cell by itself; others iterate until all have arrived.
_CELLWISE = (
    *(ExplicitRungeKutta, ExponentialEuler, ExponentialMidpoint, Map),
    *(EulerMaruyama, StochasticHeun, RosenbrockW),
)


def interval_of(job: Job, staged: Collection[str] = (), drawn: int | None = None) -> int:
    """Return in how many steps no spike arrives in another share: the smallest delay.

    Args:
        job: The run.
        staged: Projections whose cells are told something within each step.
        drawn: The smallest of the delays that differ between synapses, in steps; None where they
            are not drawn yet, and may be as short as their distribution says.
    """
    if staged:
        return 1
    network, dt = job.network, job.dt
    delays = [
        shortest_delay(p, dt)
        for p in network.projections
        if goes_by_spikes(p, dt) and (drawn is None or p.one_delay is not None)
    ]
    cells = sum(p.size for p in network.populations)
    known = [] if drawn is None else [drawn]
    return min([*delays, *known, max(1, _MOST // cells), STEPS])


def shortest_drawn(projections: Sequence[Projection], synapses: Drawn, dt: float) -> int:
    """Return the smallest of the delays that differ between synapses, in steps."""
    pairs = zip(projections, synapses, strict=True)
    varied = [parts for p, parts in pairs if p.one_delay is None and goes_by_spikes(p, dt)]
    delays = [p.delay.min() for parts in varied for p in parts if len(p)]
    return round(min([*delays, STEPS * dt]) / dt)


def held_of(job: Job, staged: bool = False) -> list[Held]:
    """Return the populations of a run that are whole in one share, and why.

    Args:
        job: The run.
        staged: Whether workers tell each other within a step what they can.
    """
    if type(job.solver) in _CELLWISE:
        return together(job.network, job.recorders, job.dt, staged)
    reason = f"{job.solver.name} computes all cells at once"
    return [Held(tuple(p.name for p in job.network.populations), (reason,))]


def bounds_of(job: Job, count: int) -> list[Bounds]:
    """Return the cells of each of some workers; all are the first one's where they must be.

    Cells that meet within a step are together, unless one worker has nearly all of them then.
    """
    whole, told = (
        shares(job.network, count, [held.names for held in held_of(job, staged)])
        for staged in (False, True)
    )
    return told if leaves_little(whole) and not leaves_little(told) else whole


def division_of(job: Job, count: int) -> Division:
    """Return how some workers share a run."""
    bounds = bounds_of(job, count)
    staged = staged_of(job, bounds)
    cells = tuple({n: e - b for n, (b, e) in own.items()} for own in bounds)
    steps = min(interval_of(job, staged), job.n_steps)
    longer = steps < min(interval_of(job, staged, STEPS), job.n_steps)
    held = tuple(held_of(job, bool(staged)))
    many = exchanges(job, staged) if staged else 0
    told = tuple(sorted(staged))
    return Division(cells, steps, steps * job.dt, held, longer, told, many)
