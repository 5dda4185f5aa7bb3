"""Rings: what arrives later, by slots of one step each."""

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from somaflow.compiler.wiring import Wiring
from somaflow.errors import NetworkError
from somaflow.numerics.delivery import Value, columns_of
from somaflow.numerics.places import Places, senders
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


class Ring:
    """What the synapses of a group will deliver, where their delays differ.

    Args:
        wiring: The synapses.
        height: How many values each delivers.
        batch: Leading axes of the state.

    Raises:
        NetworkError: It would be longer than places in it can be counted.
    """

    def __init__(self, wiring: Wiring, height: int, batch: tuple[int, ...]) -> None:
        self.wiring, self.shape = wiring, (height, *batch)
        self.slots = (wiring.latest or 0) + 2
        self.stride = wiring.width + 1
        size = self.slots * self.stride * int(np.prod(self.shape))
        if size >= 2**31:  # places are int32, and would begin anew
            raise NetworkError(
                f"what spikes have under way would take {size:.3g} numbers, and 2**31 is the most: "
                f"{self.slots - 2} steps of delay for {wiring.width} cells; shorten the longest "
                "delay, or divide the population."
            )

    def initial(self, dtype: np.dtype) -> np.ndarray:
        """Return an empty ring `[n_slots*(width + 1), height*batch]`."""
        return np.zeros((self.slots * self.stride, int(np.prod(self.shape))), dtype)

    def add(self, ring: Tensor, arrays: dict[str, Tensor], x: Tensor, step: Tensor) -> Tensor:
        """Add what cells send in a step, `x` `[height, ..., n_pre]`, to when it arrives."""
        mask, value, _ = columns_of(x)
        return self.add_values(ring, arrays, senders(arrays["first"], mask), value, step)

    def add_values(
        self, ring: Tensor, arrays: dict[str, Tensor], sending: Places, value: Value, step: Tensor
    ) -> Tensor:
        """Add what each of some cells sends, `value(j)` `[height*batch]`."""
        return self.wiring.later(arrays, sending, value, self._slot(step), ring)

    def emptied(self, ring: Tensor, step: Tensor) -> Tensor:
        """Return a ring without what has arrived in the step before a step.

        That slot is emptied, and then the step's own is read: were it read and emptied at once, XLA
        would copy the whole ring in each step.
        """
        old = self._slot(step - 1) * self.stride
        return replaced(ring, tf.zeros([self.stride, ring.shape[1]], ring.dtype), old)

    def arriving(self, ring: Tensor, step: Tensor) -> Tensor:
        """Return what arrives in a step, `[height, ..., width]`."""
        # A slice at a place that an argument gives would be compiled anew for each chunk.
        slots = tf.reshape(ring, [self.slots, self.stride, ring.shape[1]])
        part = tf.gather(slots, self._slot(step))
        return tf.reshape(tf.transpose(part)[:, :-1], [*self.shape, self.wiring.width])

    def take(self, ring: Tensor, step: Tensor, heard: bool) -> tuple[Tensor, Tensor]:
        """Return what arrives in a step and the ring, emptied as `emptied` does.

        Args:
            ring: The ring.
            step: The step.
            heard: Whether it stays as it is, and is emptied where spikes are heard of.
        """
        ring = ring if heard else self.emptied(ring, step)
        return self.arriving(ring, step), ring

    def _slot(self, step: Tensor) -> Tensor:
        return tf.cast(tf.math.floormod(step, self.slots), tf.int32)


def replaced(table: Tensor, rows: Tensor, start: Tensor) -> Tensor:
    """Return a table `[n, width]` with the rows from `start` on replaced."""
    if tf.executing_eagerly():
        places = start + tf.range(rows.shape[0])
        return tf.tensor_scatter_nd_update(table, places[:, None], rows)
    return xla.dynamic_update_slice(table, rows, tf.stack([start, tf.zeros_like(start)]))


def slots_of(ring: Array, width: int) -> Array:
    """Return a ring as `[n_slots, width + 1, height]`; the last column takes what leads nowhere."""
    return ring.reshape(-1, width + 1, ring.shape[-1])


def of_length(slots: Array, length: int, step: int) -> Array:
    """Return a ring, as `slots_of` does, with another number of slots.

    Args:
        slots: The ring. What arrives later than the new one can hold is nothing.
        length: How many slots there are to be.
        step: Steps made before.
    """
    known = step - 1 + np.arange(min(len(slots), length) - 1)  # what has just arrived, and the rest
    found = np.zeros((length, *slots.shape[1:]), slots.dtype)
    found[known % length] = slots[known % len(slots)]
    return found
