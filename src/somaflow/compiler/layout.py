"""Layout: which row of a population's packed block holds which state."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from somaflow.numerics.device import LANES
from somaflow.numerics.rows import rows_of


def padded(size: int) -> int:
    """Return the size of a block's last axis for so many cells."""
    return -(-size // LANES) * LANES


def pad(value: ArrayLike, size: int) -> np.ndarray:
    """Repeat the last cell's value up to the padded size; scalars stay as they are.

    The cells that fill the block are copies of a real one, so that they stay finite.
    """
    array = np.asarray(value, np.float64)
    if array.ndim == 0 or array.shape[-1] == 1 != size:
        return array
    widths = [(0, 0)] * (array.ndim - 1) + [(0, padded(size) - size)]
    return np.pad(array, widths, mode="edge")


@dataclass(frozen=True)
class Layout:
    """A population's packed block: `[n_states, ..., padded size]`.

    Attributes:
        name: The population.
        size: Its number of cells.
        start: Where its cells begin in the row of crossings, padding included.
        states: Name of each row.
    """

    name: str
    size: int
    start: int
    states: tuple[str, ...]

    @property
    def padded(self) -> int:
        """Length of the block's last axis."""
        return padded(self.size)

    def unpack(self, block: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the rows of a block by name."""
        return dict(zip(self.states, rows_of(block), strict=True))
