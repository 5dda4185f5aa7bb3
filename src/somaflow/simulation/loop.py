"""The compiled loop: the only place that makes a `tf.function`.

Two nested loops: the outer goes from sample to sample, the inner from step to step. The inner one
knows nothing of recorders, so no recording can change a bit of the trajectory; for the same reason
what recordings over time keep of each step is taken behind a barrier. Both trip counts are
arguments, so one compilation serves every chunk length; numbers of the model are too, so it serves
all runs of one structure.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from somaflow.numerics import programs
from somaflow.numerics.device import compiled, following, held, materialize, traced
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation import memory
from somaflow.simulation.crossings import Crossings, Keeping, Kept, keeping
from somaflow.simulation.system import (
    Array,
    Blocks,
    Carry,
    Context,
    Field,
    Inputs,
    Parameters,
    Prepared,
    System,
)
from somaflow.simulation.within import states_within
from somaflow.solvers.base import Problem, Solver, Time
from somaflow.solvers.stages import Stages, nodes_of

Packed = TypeVar("Packed")  # a nest
Arguments = tuple[Carry, Nest, Inputs, Tensor, Tensor, Tensor]
Stepped = tuple[Carry, Tensor | None, Tensor | None]
Program = Callable[[*Arguments], tuple[Carry, Tensor, Kept, dict[str, Tensor]]]


@dataclass(frozen=True)
class Schedule:
    """The fixed sizes of a compiled loop.

    Attributes:
        stride: Steps from a sample to the next.
        rows: The most samples in one chunk.
        steps: The most steps in one chunk.
    """

    stride: int
    rows: int
    steps: int


class Samples(NamedTuple):
    """What a chunk leaves.

    Attributes:
        observed: For each key an array `[rows, ...]`; rows beyond those asked for are not set.
        steps: Steps that were made: as many as were asked for, or fewer where there was no room
            for more crossings.
        crossings: Finds the crossings, which takes a while; None for a system without events.
        ended: Whether the run is over with the last step.
    """

    observed: dict[str, Array]
    steps: int
    crossings: Callable[[], Crossings] | None
    ended: bool = False


def pack(prepared: Packed, dtype: tf.DType) -> Callable[[], Packed]:
    """Put all scalars of a nest into one tensor, and return what takes them out again.

    A kernel's cost grows with the number of its arguments, and scalars are most of them.
    """
    leaves = tf.nest.flatten(prepared)
    alike: dict[tuple[int | None, ...], list[int]] = {}
    for place, leaf in enumerate(leaves):
        if not (isinstance(leaf, tf.Tensor) and leaf.dtype == dtype):
            continue
        # Of runs side by side each has its own, `[n_runs, 1]`.
        if leaf.shape.rank == 0 or (leaf.shape.rank == 2 and leaf.shape[-1] == 1):
            alike.setdefault(tuple(leaf.shape.as_list()), []).append(place)
    if not alike:
        return lambda: prepared
    packed = [tf.stack([leaves[place] for place in places]) for places in alike.values()]

    def unpack() -> Packed:
        taken = list(leaves)
        for places, vector in zip(alike.values(), packed, strict=True):
            for place, part in zip(places, tf.unstack(vector), strict=True):
                taken[place] = part
        return tf.nest.pack_sequence_as(prepared, taken)

    return unpack


def stepper(
    system: System[Parameters, Prepared, Context], solver: Solver, dt: float, stages: Stages
) -> Callable[[Carry, Tensor, Inputs, Tensor, Prepared], Stepped]:
    """Return one step: `(carry, step, drive, t, prepared) -> (carry, since, kept)`."""

    def one_step(
        carry: Carry, step: Tensor, drive: Inputs, t: Tensor, prepared: Prepared
    ) -> Stepped:
        context = system.arrive(carry, step, drive.steps, prepared)

        def at_node(field: Field[Context, Prepared]) -> Callable[[Time, Blocks], Blocks]:
            def f(offset: Time, y: Blocks) -> Blocks:
                k = stages.number(offset)
                time = t + stages.nodes[k] * dt
                return field(k, time, y, drive.nodes[k], context, prepared)

            return f

        local = None if system.local is None else at_node(system.local)
        diffusion = None if system.diffusion is None else at_node(system.diffusion)
        problem = Problem(at_node(system.vector_field), local, diffusion)
        y = carry.flow
        noise = None if system.increments is None else system.increments(y, context)
        if carry.memory:
            remembered = memory.recalled(carry.memory, solver, problem, y)
        else:
            remembered = solver.init(problem, 0.0, y)
        end = solver.step(problem, 0.0, dt, y, remembered, noise)
        if system.passed is not None:
            flows = states_within(y, end, solver.order, stages.nodes)
            context = system.passed(flows, drive.nodes, context, prepared)
        after = system.jump(carry, end.y, context, prepared)
        left = carry.memory and memory.noted(carry.memory, solver, end.memory, end.y, after.flow)
        return Carry(after.flow, after.event, carry.kept, left), after.since, after.kept

    return one_step


def keeping_of(
    system: System, schedule: Schedule, dtype: tf.DType, every: bool = False
) -> Keeping | None:
    """Return how a system's crossings are kept; None for one without events.

    Args:
        system: The system.
        schedule: Sizes of the buffers.
        dtype: Of the run.
        every: Whether there is room for all, so that no chunk ends early.
    """
    if system.crossings is None:
        return None
    # What others hear of has the times of the run.
    kinds = dtype, tf.float32 if system.elsewhere is None else dtype
    return keeping(system.crossings, schedule.steps, system.alongside, *kinds, every=every)


def chunk_of(
    system: System,
    solver: Solver,
    dt: float,
    schedule: Schedule,
    dtype: tf.DType,
    every: bool = False,
) -> Program:
    """Return what is compiled: `(carry, parameters, drive, first, start, counts) -> ...`.

    Args:
        system: The model.
        solver: A fixed-step method.
        dt: The step.
        schedule: Sizes of the buffers.
        dtype: Of the run.
        every: Whether there is room for all crossings.
    """
    stages = Stages(solver, dt)
    one_step = stepper(system, solver, dt, stages)
    keeps = keeping_of(system, schedule, dtype, every)

    def chunk(
        carry: Carry,
        parameters: Nest,
        drive: Inputs,
        first: Tensor,
        start: Tensor,
        counts: Tensor,
    ) -> tuple[Carry, Tensor, Kept, dict[str, Tensor]]:
        n_steps, n_rows, lead = tf.unstack(counts)
        prepared = system.prepare(parameters, dt, stages.nodes)
        unpack = pack(prepared, dtype)

        kept = () if keeps is None else keeps.empty()
        most = len(kept)  # behind that is whether the run has ended

        def start_of(local: Tensor) -> Inputs:
            return Inputs(drive.nodes[local, 0], drive.steps[local])

        def made(local: Tensor) -> Tensor:
            # Counted beside the place in the chunk, it would be a kernel of its own in each step.
            # It is no index of a slice: that would be compiled anew for each chunk.
            return first + tf.cast(local, tf.int64)

        def observe(carry: Carry, local: Tensor) -> dict[str, Tensor]:
            return system.observe(carry, made(local), start_of(local), prepared)

        def behind(carry: Carry) -> Carry:
            # XLA must not fuse the step with what looks at it: its bits could change.
            flow, event = tf.nest.map_structure(materialize, (carry.flow, carry.event))
            return carry._replace(flow=flow, event=event)

        def follow(carry: Carry, local: Tensor) -> Carry:
            if system.follow is None:
                return carry
            kept = system.follow(behind(carry), made(local), start_of(local), unpack())
            return carry._replace(kept=kept)

        def inner(local: Tensor, carry: Carry, kept: Kept) -> tuple[Tensor, Carry, Kept]:
            t = start + tf.cast(local, dtype) * dt
            at = Inputs(*(table[local] for table in drive))
            carry, since, values = one_step(carry, made(local), at, t, unpack())
            if keeps is not None:
                kept = keeps.after(kept[:most], local, since, values) + kept[most:]
            local = following(local, carry.flow)
            if system.until is not None:
                at = made(local), start_of(local), unpack()
                kept = (*kept[:most], system.until(behind(carry), materialize(since), *at))
            return local, follow(carry, local), kept

        def goes_on(end: Tensor, local: Tensor, kept: Kept) -> Tensor:
            # No room left, or an end, stops all loops; what is observed then is not given out.
            goes = local < end if keeps is None else (local < end) & keeps.holds(kept[:most])
            return goes if system.until is None else goes & ~kept[most]

        def outer(
            row: Tensor, local: Tensor, carry: Carry, kept: Kept, out: dict[str, Tensor]
        ) -> tuple[Tensor, Tensor, Carry, Kept, dict[str, Tensor]]:
            ahead = tf.where((row == 0) & (lead == 1), 0, schedule.stride)
            end = tf.minimum(local + ahead, n_steps)
            local, carry, kept = tf.while_loop(
                lambda local, _, kept: goes_on(end, local, kept), inner, (local, carry, kept)
            )
            local, carry, kept = held((local, carry, kept))
            seen = observe(carry, local)
            out = {
                # A recording of nothing, as of no synapse, stays as it is: TensorFlow refuses to
                # write to an empty array.
                key: tf.tensor_scatter_nd_update(out[key], [[row]], [value])
                if value.shape.num_elements()
                else out[key]
                for key, value in seen.items()
            }
            return row + 1, local, carry, kept, out

        zero = tf.constant(0)
        shapes = observe(carry, zero)
        out = {
            key: tf.zeros([schedule.rows + 1, *value.shape], value.dtype)
            for key, value in shapes.items()
        }
        if system.until is not None:
            kept = (*kept, tf.constant(False))
        _, local, carry, kept, out = tf.while_loop(
            lambda row, *_: row < n_rows, outer, (zero, zero, carry, kept, out)
        )
        return carry, local, kept, out

    return chunk


class Advance:
    """A compiled loop with the parameters and inputs of one run.

    Attributes:
        parameters: Those of the model, as tensors; others of their shapes may take their place.
        fresh: Whether something was compiled for it.
    """

    def __init__(
        self,
        system: System,
        solver: Solver,
        dt: float,
        schedule: Schedule,
        dtype: tf.DType,
        key: Hashable,
    ) -> None:
        self._system, self._solver, self._dt = system, solver, dt
        self._schedule, self._dtype, self._key = schedule, dtype, key
        self.parameters: Any = tf.nest.map_structure(tf.constant, system.parameters)
        self._program: Program | None = None
        self.fresh = False

    def opened(self, carry: Carry) -> Carry:
        """Return a state as the functions of the system take it."""
        return carry

    def __call__(
        self, carry: Carry, step: int, n_steps: int, n_rows: int, lead: bool
    ) -> tuple[Carry, Samples]:
        """Go on from a state.

        Args:
            carry: The state.
            step: Steps made before.
            n_steps: Steps to make; fewer are made where more would spike than there is room for.
            n_rows: Samples to take, one after every `stride` steps.
            lead: Whether the first sample is taken before the first step.
        """
        arguments = self.arguments(carry, step, n_steps, n_rows, lead)
        if self._program is None:
            self._program = self._compiled(arguments)
        carry, made, kept, out = self._program(*arguments)
        # Views, where `.numpy()` would copy: tables are as long as of the longest chunk.
        observed = {key: np.asarray(memoryview(value))[:n_rows] for key, value in out.items()}
        steps, keeps = int(made), keeping_of(self._system, self._schedule, self._dtype)
        *kept, ended = kept if self._system.until is not None else (*kept, False)
        crossings = None if keeps is None else cache(partial(keeps.found, tuple(kept), steps))
        return carry, Samples(observed, steps, crossings, bool(ended))

    def arguments(
        self, carry: Carry, step: int, n_steps: int, n_rows: int, lead: bool
    ) -> Arguments:
        """Return what the compiled function takes, given what a call does."""
        steps = step + np.arange(n_steps + 1, dtype=np.int64)
        tables = self._system.inputs(steps, nodes_of(self._solver), self._dt)
        drive = Inputs(*(tf.constant(self._table(table), self._dtype) for table in tables))
        counts = tf.constant([n_steps, n_rows, int(lead)], tf.int32)
        start = tf.constant(step * self._dt, self._dtype)
        return carry, self.parameters, drive, tf.constant(step, tf.int64), start, counts

    def _table(self, table: Array) -> Array:
        """Return a table of inputs in the length of the longest chunk."""
        if len(table) > self._schedule.steps:
            return table
        whole = np.zeros((self._schedule.steps + 1, *table.shape[1:]))
        whole[: len(table)] = table
        return whole

    def _compiled(self, arguments: Arguments) -> Program:
        parts = self._system, self._solver, self._dt, self._schedule, self._dtype
        if self._key is None or tf.config.functions_run_eagerly():
            self.fresh = True
            return compiled(chunk_of(*parts))
        shapes = tf.nest.map_structure(lambda leaf: (leaf.dtype, tuple(leaf.shape)), arguments)
        key = "loop", self._key, repr(shapes), self._dt, self._schedule, self._dtype
        program, self.fresh = programs.kept(key, lambda: traced(chunk_of(*parts), *arguments))
        return program


def build(
    system: System,
    solver: Solver,
    dt: float,
    schedule: Schedule,
    dtype: tf.DType,
    key: Hashable = None,
) -> Advance:
    """Compile a system and a solver into one function, or take what was compiled before.

    Args:
        system: The model.
        solver: A fixed-step method.
        dt: The step in ms (or in the system's own time).
        schedule: Sizes of the buffers.
        dtype: `tf.float64` or `tf.float32`.
        key: All that the functions of the system and the solver depend on beside their arguments;
            None where nobody knows, and it is compiled anew.
    """
    return Advance(system, solver, dt, schedule, dtype, key)
