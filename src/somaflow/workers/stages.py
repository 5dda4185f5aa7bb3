"""Stages: what workers tell each other within a step, where the right-hand side reads it.

A step has points at which all say what their cells show and hear of those of all: one for each time
that the method looks at the right-hand side, and one at the step's end where spikes act at once.
The share is compiled once for each of them, up to it (`simulation/stops.py`), and once for the
whole step; so stages are made again for each point behind them, and the bits are those of one
process.
"""

import pickle
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from somaflow.errors import RunError
from somaflow.network.forms import take_apart
from somaflow.network.junctions import both_ways
from somaflow.network.projection import Projection
from somaflow.network.shares import Bounds
from somaflow.network.ties import goes_by_spikes, told_within
from somaflow.numerics.types import Tensor
from somaflow.running.job import Job
from somaflow.simulation.chunks import Chunk
from somaflow.simulation.interval import Interval
from somaflow.simulation.stops import Label
from somaflow.simulation.system import Array, Carry, Seen
from somaflow.solvers.base import Problem, Solver, Time
from somaflow.workers.exchange import Message, Part
from somaflow.workers.hearing import Mine

_MOST = 64  # points of a step


def staged_of(job: Job, bounds: Sequence[Bounds]) -> frozenset[str]:
    """Return the projections whose cells, in several shares, are told something within a step."""
    whole = {p.name: (0, p.size) for p in job.network.populations}

    def apart(projection: Projection) -> bool:
        ends = projection.pre.population.name, projection.post.population.name
        return not any(all(own.get(name) == whole[name] for name in ends) for own in bounds)

    return frozenset(str(p.name) for p in told_of(job) if apart(p))


def told_of(job: Job) -> list[Projection]:
    """Return the projections that workers can share if they tell each other within each step."""
    every = both_ways(job.network.projections)
    return [p for p in every if not goes_by_spikes(p, job.dt) and told_within(p, job.dt)]


def exchanges(job: Job, staged: Collection[str]) -> int:
    """Return how many exchanges a step has, given the projections for which it has some."""
    every = [take_apart(p) for p in told_of(job) if str(p.name) in staged]
    at_end = any(not form.shown for form in every)
    at_end += any(form.shown and form.acts for form in every)
    looks = evaluations(job.solver) if any(form.shown for form in every) else 0
    return looks + at_end + 1  # the last is of spikes for later steps


def evaluations(solver: Solver) -> int:
    """Return how often a method looks at the right-hand side in a step."""
    seen: list[Time] = []

    def f(t: Time, y: Tensor) -> Tensor:
        seen.append(t)
        return -y

    y = tf.ones([1, 1], tf.float64)
    problem = Problem(f, f, lambda t, y: tf.zeros_like(y))
    solver.step(problem, 0.0, 1.0, y, solver.init(problem, 0.0, y), tf.zeros_like(y))
    return len(seen)


class Stages:
    """What a share says and hears within its steps.

    Args:
        mine: The share.
        advance: Its compiled loop, of chunks of one step.

    Attributes:
        points: Those of a step: of each number that is heard its place among those of all workers.
        looks: Those where somebody looks at a state; at most one.
    """

    def __init__(self, mine: Mine, advance: Interval) -> None:
        self.mine, self.advance = mine, advance
        self.kind = tf.as_dtype(mine.job.dtype)
        self.points: list[Array] = []
        self.looks: list[Array] = []

    def built(self, carry: Carry) -> Part[None]:
        """Find the points, and compile what is shown at each.

        Args:
            carry: A state.

        Raises:
            RunError: Shares do not have the same.
        """
        for look, places in ((False, self.points), (True, self.looks)):
            while True:
                zeros = self._zeros(places)
                seen = Seen((), zeros) if look else Seen(zeros)
                _, found = self.advance.shown(carry, 0, seen, look)
                heard = yield Message(pickle.dumps(found and found[0]))
                every = [pickle.loads(data) for data in heard]
                if len({own is None for own in every}) > 1 or len(places) >= _MOST:
                    raise RunError(
                        f"{self.mine.job.solver.name} looks at the right-hand side more often in "
                        "some workers than in others, and they cannot tell each other what they "
                        "need; leave workers out."
                    )
                if found is None:
                    break
                places.append(self._order(found[1], every))
        self.advance.seen = Seen(self._zeros(self.points), self._zeros(self.looks))

    def _zeros(self, places: list[Array]) -> tuple[Tensor, ...]:
        return tuple(tf.zeros([len(order)], self.kind) for order in places)

    def _order(self, wanted: dict[Label, int], every: list[dict[Label, int]]) -> Array:
        """Return of each number that is wanted its place among what all workers show."""
        begins: dict[Label, list[Array]] = {}
        begin = 0
        for bounds, own in zip(self.mine.bounds, every, strict=True):
            for name, width in own.items():
                first, last = bounds[name[0].partition(".")[0]]
                begins.setdefault(name, []).append(begin + np.arange(last - first))
                begin += width
        found = [np.zeros(0, np.int64)]
        for name, width in wanted.items():
            cells = np.concatenate(begins[name])
            found.append(np.pad(cells, (0, width - len(cells)), mode="edge"))
        return np.concatenate(found)

    def told(self, carry: Carry, done: int) -> Part[None]:
        """Have all told within the next step what they need.

        Args:
            carry: The state at its start.
            done: Steps of the run made before; somebody looks at the state before the first too.
        """
        if not self.points or done == self.mine.job.n_steps:
            return
        step, look = self.mine.job.begin + done, self._zeros(self.looks)
        if not done:
            look = yield from self._looked(carry, step)
        vectors: tuple[Tensor, ...] = ()
        for order in self.points:
            own, _ = self.advance.shown(carry, step, Seen(vectors), False)
            vectors = (*vectors, (yield from self._heard(own, order)))
        self.advance.seen = Seen(vectors, look)

    def _looked(self, carry: Carry, step: int) -> Part[tuple[Tensor, ...]]:
        """Have all told what who looks at a state needs, and return it."""
        vectors: tuple[Tensor, ...] = ()
        for order in self.looks:
            own, _ = self.advance.shown(carry, step, Seen((), vectors), True)
            vectors = (*vectors, (yield from self._heard(own, order)))
        return vectors

    def seen(self, chunk: Chunk) -> Part[Chunk]:
        """Return a chunk with what is seen of the state at its end, where somebody looks."""
        done = chunk.step + chunk.steps
        if not self.looks or done % self.mine.job.stride:
            return chunk
        step = chunk.start + done
        look = yield from self._looked(chunk.carry, step)
        self.advance.seen = self.advance.seen._replace(look=look)
        _, samples = self.advance(chunk.carry, step, 0, 1, True)
        observed = {
            key: np.concatenate([values[:-1], samples.observed[key]])
            for key, values in chunk.samples.observed.items()
        }
        return replace(chunk, samples=chunk.samples._replace(observed=observed))

    def _heard(self, own: Array, order: Array) -> Part[Tensor]:
        heard = yield Message(own.tobytes())
        every = np.concatenate([np.frombuffer(data, self.kind.as_numpy_dtype) for data in heard])
        return tf.constant(every[order])


def stages_of(mine: Mine, advance: Interval, carry: Carry) -> Part[Stages]:
    """Return what a share says and hears within its steps, which may be nothing.

    Args:
        mine: The share.
        advance: Its compiled loop.
        carry: A state.
    """
    stages = Stages(mine, advance)
    if mine.staged:
        yield from stages.built(carry)
    return stages
