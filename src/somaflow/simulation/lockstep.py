"""Fixed steps of all columns together, and their derivative backwards.

One compiled function for each direction, for any number of steps: trip counts and the steps at
which samples are due are arguments.
"""

from typing import NamedTuple

import tensorflow as tf

from somaflow.numerics.device import compiled, put
from somaflow.numerics.random import normal
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.flow import Flow, outer_time
from somaflow.solvers.base import Solver, Step


class Clock(NamedTuple):
    """What a compiled stretch of steps is told of time, in few tensors: each costs a call 0.05 ms.

    Attributes:
        scales: float64 [2]: time of step 0, and dt.
        whole: int64 [5 + capacity]: steps before this stretch, steps in it, samples in it; the low
            and the high word of the seed; and after how many steps of the stretch each sample is
            due, ascending.
    """

    scales: Tensor
    whole: Tensor

    @property
    def counts(self) -> Tensor:
        """Steps before, steps, samples; int32 [3]."""
        return tf.cast(self.whole[:3], tf.int32)

    @property
    def seed(self) -> Tensor:
        """Two words, uint32 [2]."""
        return tf.cast(self.whole[3:5], tf.uint32)

    @property
    def marks(self) -> Tensor:
        """When samples are due, int32 [capacity]."""
        return tf.cast(self.whole[5:], tf.int32)


class Lockstep:
    """The compiled functions of a flow under a fixed-step method.

    Args:
        flow: The system; its conditions are not looked at.
        solver: The method.
        sign: -1 for a solve backwards in time.
        dtype: Of the state.
        capacity: The most samples of a stretch.
        length: The most steps of a stretch that is recomputed backwards.
        remembers: Whether the method hands anything but the state to its next step.
    """

    def __init__(
        self,
        flow: Flow,
        solver: Solver,
        sign: float,
        dtype: tf.DType,
        capacity: int,
        length: int,
        remembers: bool,
    ) -> None:
        self.flow, self.solver, self.sign, self.dtype = flow, solver, sign, dtype
        self.capacity, self.length, self.remembers = capacity, length, remembers
        self.start = compiled(self._start)
        self.forward = compiled(self._forward)
        self.backward = compiled(self._backward)

    def _start(self, y: Tensor, parameters: Nest, clock: Clock) -> Nest:
        """Return the solver's memory before the first step."""
        problem = self.flow.problem(parameters, clock.scales[0], self.sign)
        return self.solver.init(problem, tf.zeros((), self.dtype), y)

    def _step(
        self, y: Tensor, memory: Nest | None, parameters: Nest, clock: Clock, local: Tensor
    ) -> Step[Tensor]:
        step = clock.counts[0] + local
        dt = tf.cast(clock.scales[1], self.dtype)
        begin, t = clock.scales[0], tf.cast(step, tf.float64) * clock.scales[1]
        if self.dtype == tf.float32:  # which would round it: time begins anew with each step
            begin, t = outer_time(begin, self.sign, t), tf.zeros((), self.dtype)
        increments = self._increments(y, clock.seed, step, dt)
        problem = self.flow.problem(parameters, begin, self.sign, None, increments)
        noise = (*increments, None)[0] if len(increments) < 2 else tf.ones_like(y)
        if memory is None:
            memory = self.solver.init(problem, t, y)
        return self.solver.step(problem, t, dt, y, memory, noise)

    def _increments(self, y: Tensor, seed: Tensor, step: Tensor, dt: Tensor) -> tuple[Tensor, ...]:
        """Return the increments of the noise in a step, a block for each of the diffusions."""
        n, columns = y.shape
        # So numbered, a row's noise does not change with the number of rows.
        index = tf.range(n)[:, None] + n * tf.range(columns)[None]
        words, streams = tuple(tf.unstack(seed)), range(len(self.flow.diffusions))
        drawn = [tf.sqrt(dt) * normal(words, k, step, index, self.dtype) for k in streams]
        if self.flow.sources is None:
            return tuple(drawn)
        together = tf.concat(drawn, axis=0)
        return tuple(tf.gather(together, rows) for rows in self.flow.sources)

    def _forward(
        self, y: Tensor, memory: Nest, parameters: Nest, clock: Clock
    ) -> tuple[Tensor, Nest, Tensor]:
        """Return the state and the solver's memory after a stretch, and its samples."""
        _, n_steps, n_rows = tf.unstack(clock.counts)

        def inner(local: Tensor, y: Tensor, memory: Nest) -> tuple[Tensor, Tensor, Nest]:
            step = self._step(y, memory, parameters, clock, local)
            return local + 1, step.y, step.memory

        # One row more than there are samples: the way from the last sample to the stretch's end is
        # a row like the others, and the step stands in the compiled code once.
        def outer(
            row: Tensor, local: Tensor, y: Tensor, memory: Nest, out: Tensor
        ) -> tuple[Tensor, Tensor, Tensor, Nest, Tensor]:
            end = tf.where(row < n_rows, clock.marks[tf.minimum(row, self.capacity - 1)], n_steps)
            local, y, memory = tf.while_loop(
                lambda local, *_: local < end, inner, (local, y, memory)
            )
            return row + 1, local, y, memory, put(out, row, y)

        out = tf.zeros([self.capacity + 1, *y.shape], self.dtype)
        zero = tf.constant(0)
        _, _, y, memory, out = tf.while_loop(
            lambda row, *_: row <= n_rows, outer, (zero, zero, y, memory, out)
        )
        return y, memory, out

    def _backward(
        self, y: Tensor, parameters: Nest, clock: Clock, upstream: Tensor, later: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Take derivatives back through a stretch.

        Args:
            y: The state at its start.
            parameters: As forward.
            clock: As forward.
            upstream: Derivative by each sample, `[capacity, n, R]`.
            later: Derivative by the state at the stretch's end.

        Returns:
            Derivatives by `y`, and by each of the parameters in a flat list.
        """
        _, n_steps, n_rows = tf.unstack(clock.counts)
        flat = tf.nest.flatten(parameters)

        def again(local: Tensor, y: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            states = tf.tensor_scatter_nd_update(states, [[local]], [y])
            return local + 1, self._step(y, None, parameters, clock, local).y, states

        states = tf.zeros([self.length, *y.shape], self.dtype)
        _, _, states = tf.while_loop(
            lambda local, *_: local < n_steps, again, (tf.constant(0), y, states)
        )

        def arrived(count: Tensor, row: Tensor, bar: Tensor) -> tuple[Tensor, Tensor]:
            """Add the derivative by a sample that was taken after so many steps."""
            place = tf.maximum(row, 0)
            # A slice at an index from a loop would be a constant to XLA, and the clock with it:
            # every stretch would compile anew.
            due = (row >= 0) & (tf.gather(clock.marks, place) == count)
            sampled = tf.where(due, tf.gather(upstream, place), tf.zeros_like(bar))
            return row - tf.cast(due, tf.int32), bar + sampled

        def back(
            local: Tensor, row: Tensor, bar: Tensor, sums: list[Tensor]
        ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
            row, bar = arrived(local + 1, row, bar)
            before = states[local]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([before, *flat])
                after = self._step(before, None, parameters, clock, local).y
            bars = tape.gradient(
                after, [before, *flat], bar, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            return local - 1, row, bars[0], [s + g for s, g in zip(sums, bars[1:], strict=True)]

        _, row, bar, sums = tf.while_loop(
            lambda local, *_: local >= 0,
            back,
            (n_steps - 1, n_rows - 1, later, [tf.zeros_like(p) for p in flat]),
        )
        _, bar = arrived(tf.constant(0), row, bar)
        return bar, sums
