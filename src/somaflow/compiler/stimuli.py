"""Stimuli: those of one kind on one input of a population, side by side in one table.

Where no cell has two of them, each cell takes its own course, or draws its own number, and the
table adds one term to the input. So many stimuli on views of a population cost what one costs.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from somaflow.compiler.columns import Columns, Fill, course_of, width_of
from somaflow.compiler.layout import padded
from somaflow.compiler.states import DriveContext, States, Tensors, Tick
from somaflow.network.noise import Noise, OrnsteinUhlenbeck, WhiteNoise
from somaflow.network.stimuli import Stimulus
from somaflow.network.waveforms import Course, Step, Waveform, Windowed, shares
from somaflow.numerics.device import materialize
from somaflow.numerics.random import Key, normal_of
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array

NoiseT = TypeVar("NoiseT", WhiteNoise, OrnsteinUhlenbeck)


def side_by_side(stimuli: Sequence[Stimulus]) -> list[list[int]]:
    """Return which stimuli share a table: of one kind, on one population, and on different cells.

    What a cell gets from the tables, in their order, it gets in the order of the stimuli; so no sum
    depends on what is put together.

    Args:
        stimuli: Those of a network.

    Returns:
        Of each table the numbers of its stimuli.
    """
    tables: dict[tuple[str, str], list[list[int]]] = {}
    # Of each table the cells that have one of its stimuli.
    taken: dict[tuple[str, str], list[Array]] = {}
    order: list[list[int]] = []
    for number, stimulus in enumerate(stimuli):
        owner, cells = stimulus.target.population, stimulus.target.cells
        key = owner.name, stimulus.into
        known, masks = tables.setdefault(key, []), taken.setdefault(key, [])
        place = len(known)
        for earlier in reversed(range(len(known))):
            if masks[earlier][cells].any():
                break
            if _kind(stimuli[known[earlier][0]]) == _kind(stimulus):
                place = earlier
        if place == len(known):
            known.append([])
            masks.append(np.zeros(owner.size, np.bool_))
            order.append(known[place])
        known[place].append(number)
        masks[place][cells] = True
    return order


def _kind(stimulus: Stimulus) -> tuple[object, bool]:
    match stimulus.waveform:
        case WhiteNoise():
            return WhiteNoise, False
        case OrnsteinUhlenbeck() as noise:
            return OrnsteinUhlenbeck, noise.reversal is not None
        case course:
            # Within a step they do not change, so one number a step does for all its nodes.
            return "known", isinstance(course, (Step, Waveform))


class _Table:
    """Stimuli of one kind on one input of a population, of which each cell has one at most.

    Args:
        target: Index of the population.
        stimuli: The stimuli.
    """

    unseen = ("stimuli",)

    def __init__(self, target: int, stimuli: Sequence[Stimulus]) -> None:
        self.target, self.stimuli = target, stimuli
        self.into, self.membrane = stimuli[0].into, stimuli[0].membrane
        owner, self.several = stimuli[0].target.population, len(stimuli) > 1
        self.size, self.first = owner.size, owner.first

    def of_cell(self, cell: int) -> Stimulus | None:
        """Return what drives a cell, if anything does."""
        return next((s for s in self.stimuli if cell in s.target.cells), None)

    def spread(self, value: Callable[[Stimulus], ArrayLike]) -> Array:
        """Return what each cell's stimulus says, 0 where there is none, `[padded size]`."""
        whole = np.zeros(padded(self.size))
        for stimulus in self.stimuli:
            whole[stimulus.target.cells] = value(stimulus)
        return whole


class KnownTable(_Table):
    """Stimuli whose courses are known beforehand.

    Args:
        target: Index of the population.
        stimuli: The stimuli.
        nodes: The table of what holds at each node of a step.
        steps: The table of what holds for a whole step.
        dt: The step in ms.
    """

    unseen = (*_Table.unseen, "parts")

    def __init__(
        self,
        target: int,
        stimuli: Sequence[Stimulus],
        nodes: Columns,
        steps: Columns,
        dt: float,
    ) -> None:
        super().__init__(target, stimuli)
        _, self.held = _kind(stimuli[0])
        columns = steps if self.held else nodes
        begin, courses = columns.width, map(_course, stimuli)
        steady = [course for course in courses if isinstance(course, Step)]
        if steady:
            columns.add(len(steady), _windows(steady, dt))
        places = iter(range(begin, columns.width))
        self.parts = []  # of each stimulus its columns
        for stimulus in stimuli:
            waveform, cells, size = _course(stimulus), stimulus.target.cells, self.size
            if self.several:  # each cell picks its column, so only cells that are driven need one
                cells, size = np.arange(len(cells)), len(cells)
            if isinstance(waveform, Step):
                place = next(places)
                self.parts.append(slice(place, place + 1))
            else:
                fill = course_of(waveform, cells, size, dt)
                self.parts.append(columns.add(width_of(waveform, size), fill))
        self.columns = slice(begin, columns.width)

    def parameters(self) -> dict[str, Array]:
        """Return the amplitude of each cell and, of several stimuli, which column is its own."""
        found = {"amplitude": self.spread(lambda s: _course(s).amplitude.value)}
        if self.several:
            column = np.zeros(padded(self.size), np.int32)
            for stimulus, part in zip(self.stimuli, self.parts, strict=True):
                cells = stimulus.target.cells
                begin, width = part.start - self.columns.start, part.stop - part.start
                column[cells] = begin + (np.arange(len(cells)) if width > 1 else 0)
            found["column"] = column
        return found

    def current(
        self, states: Sequence[States], drive: Tensor, context: DriveContext, values: Tensors
    ) -> Tensor:
        """Return the inward current into each cell of the population."""
        row = context.given if self.held else drive
        course = row[self.columns]
        if self.several:
            course = materialize(tf.gather(course, values["column"]))
        return values["amplitude"] * course


class NoiseTable(_Table):
    """Noises: a number in each step for each cell that has one.

    Args:
        target: Index of the population.
        stimuli: The stimuli.
        numbers: Their places among the noises of the network.
        steps: The table of what holds for a whole step.
        dt: The step in ms.

    Attributes:
        key: What it is called in the compiled functions.
        rest: Its state before it begins.
    """

    unseen = (*_Table.unseen, "driven", "places")
    rest: float

    def __init__(
        self,
        target: int,
        stimuli: Sequence[Stimulus],
        numbers: Sequence[int],
        steps: Columns,
        dt: float,
    ) -> None:
        super().__init__(target, stimuli)
        self.numbers, self.dt, self.key = numbers, dt, f"noise {numbers[0]}"
        self.driven = np.sort(np.concatenate([s.target.cells for s in stimuli]))
        self.whole = len(self.driven) == self.size
        self.width = padded(max(len(self.driven), 1))
        self.places = np.zeros(padded(self.size), np.int32)
        self.places[self.driven] = np.arange(len(self.driven))
        # Of each noise the part of each step in which it acts.
        self.windows = steps.add(len(stimuli), _windows([_noise(s) for s in stimuli], dt))

    def parameters(self) -> dict[str, Array]:
        """Return what the compiled functions take as arguments."""
        found = dict[str, Array]()
        if self.several:
            window = np.zeros(padded(self.size), np.int32)
            for number, stimulus in enumerate(self.stimuli):
                window[stimulus.target.cells] = number
            found["window"] = window
            found["number"] = self.packed(np.asarray(self.numbers, np.int32)[window])
        if not self.whole:
            # A number belongs to its cell, whatever else is driven.
            cells = np.arange(self.first, self.first + padded(self.size), dtype=np.int32)
            found |= {"drawn": self.packed(cells)}
            found |= {"places": self.places}
        return found

    def packed(self, values: Array) -> Array:
        """Return values of all cells for those that have a noise, `[width]`."""
        packed = np.zeros(self.width, values.dtype)
        packed[: len(self.driven)] = values[self.driven]
        return packed

    def places_of(self, stimulus: Stimulus) -> Array:
        """Return where the state of one of the noises stands in that of all."""
        return self.places[stimulus.target.cells]

    def key_of(self, keys: Key, values: Tensors) -> Key:
        """Return the key of the random numbers, or one for each cell that has a noise.

        Args:
            keys: Of all noises of the network.
            values: The parameters.
        """
        low, high = keys
        if self.several:
            low, high = (tf.gather(word, values["number"]) for word in keys)
            if low.shape.rank > 1:  # of networks side by side, `[width, n_networks, 1]`
                low, high = (tf.transpose(tf.squeeze(word, -1)) for word in (low, high))
            return low, high
        return low[self.numbers[0]], high[self.numbers[0]]

    def standard(self, tick: Tick, values: Tensors, key: Key, dtype: np.dtype) -> Tensor:
        """Return a standard normal number for each cell that has a noise."""
        index = values.get("drawn")
        if index is None:
            index = tf.range(self.first, self.first + self.width)
        return normal_of(key, tick.step, index, dtype)

    def placed(self, drawn: Tensor, values: Tensors) -> Tensor:
        """Return a number for each cell of the population; of those without noise, any."""
        return drawn if self.whole else tf.gather(drawn, values["places"], axis=-1)

    def window(self, context: DriveContext, values: Tensors) -> Tensor:
        """Return the part of a step in which each cell's noise acts."""
        parts = context.given[self.windows]
        return tf.gather(parts, values["window"]) if self.several else parts

    def drawn(self, last: Tensor, tick: Tick, values: Tensors, key: Key, dtype: np.dtype) -> Tensor:
        """Return the state in a step from that in the last one."""
        raise NotImplementedError

    def current(
        self, states: Sequence[States], drive: Tensor, context: DriveContext, values: Tensors
    ) -> Tensor:
        """Return the inward current into each cell of the population."""
        raise NotImplementedError


class WhiteTable(NoiseTable):
    """White noises: a number of its own in each step."""

    rest = 0.0

    def parameters(self) -> dict[str, Array]:
        """Return what the compiled functions take as arguments."""
        return super().parameters() | {
            "mean": self.spread(lambda s: _of(WhiteNoise, s).mean.value),
            "sd": self.spread(lambda s: _of(WhiteNoise, s).sd.value / np.sqrt(self.dt)),
        }

    def drawn(self, last: Tensor, tick: Tick, values: Tensors, key: Key, dtype: np.dtype) -> Tensor:
        """Return new numbers; as a state they are computed once a step, not in every kernel."""
        return self.standard(tick, values, key, dtype)

    def current(
        self, states: Sequence[States], drive: Tensor, context: DriveContext, values: Tensors
    ) -> Tensor:
        """Return the inward current into each cell of the population."""
        part, drawn = self.window(context, values), context.noise[self.key]
        # Over a part of a step, the variance of the integral is that part of a step's.
        return values["mean"] * part + values["sd"] * drawn * tf.sqrt(part)


class OrnsteinTable(NoiseTable):
    """Ornstein-Uhlenbeck processes; their states have mean 0 and variance 1."""

    rest = np.nan  # a process that has not begun

    def parameters(self) -> dict[str, Array]:
        """Return what the compiled functions take as arguments."""

        def steps(stimulus: Stimulus) -> Array:
            tau = _of(OrnsteinUhlenbeck, stimulus).tau.value
            return np.broadcast_to(self.dt / tau, stimulus.target.cells.shape)

        found = super().parameters() | {
            "mean": self.spread(lambda s: _of(OrnsteinUhlenbeck, s).mean.value),
            "sd": self.spread(lambda s: _of(OrnsteinUhlenbeck, s).sd.value),
            "kept": self.packed(self.spread(lambda s: np.exp(-steps(s)))),
            "new": self.packed(self.spread(lambda s: np.sqrt(-np.expm1(-2 * steps(s))))),
        }
        reversals = {s: _of(OrnsteinUhlenbeck, s).reversal for s in self.stimuli}
        given = {s: reversal.value for s, reversal in reversals.items() if reversal is not None}
        return found | ({"reversal": self.spread(lambda s: given[s])} if given else {})

    def drawn(self, last: Tensor, tick: Tick, values: Tensors, key: Key, dtype: np.dtype) -> Tensor:
        """Return the state in a step from that in the last one."""
        z = self.standard(tick, values, key, dtype)
        # The first number is stationary by itself.
        return tf.where(tf.math.is_nan(last), z, values["kept"] * last + values["new"] * z)

    def current(
        self, states: Sequence[States], drive: Tensor, context: DriveContext, values: Tensors
    ) -> Tensor:
        """Return the inward current into each cell of the population."""
        found = values["mean"] + values["sd"] * context.noise[self.key]
        found = found * self.window(context, values)
        if "reversal" not in values:
            return found
        return tf.nn.relu(found) * (values["reversal"] - states[self.target][self.membrane])


def _course(stimulus: Stimulus) -> Course:
    waveform = stimulus.waveform
    assert isinstance(waveform, Course)
    return waveform


def _noise(stimulus: Stimulus) -> Noise:
    waveform = stimulus.waveform
    assert isinstance(waveform, Noise)
    return waveform


def _windows(things: Sequence[Windowed], dt: float) -> Fill:
    """Return what fills columns with the parts of each step in which things act."""

    def fill(times: Array, middle: Array) -> Array:
        return shares(things, middle, dt)

    return fill


def _of(kind: type[NoiseT], stimulus: Stimulus) -> NoiseT:
    waveform = stimulus.waveform
    assert isinstance(waveform, kind)
    return waveform
