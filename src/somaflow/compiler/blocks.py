"""Blocks: any nest of tensors as one block `[n, R]`, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from somaflow.equations.tracing import component_names
from somaflow.errors import RunError
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.system import Array

_ROWS = 256  # components up to which a block is put together row by row


@dataclass(frozen=True)
class Blocks:
    """How a nest is laid out in a block: a row for each component, a column for each problem.

    Attributes:
        nest: The structure, with None in place of each leaf.
        names: Of the leaves, such as `x` or `a.b`.
        shapes: Of the leaves, without the axes of the batch.
        batch: Shape of the batch.
    """

    nest: Nest
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    batch: tuple[int, ...]

    @classmethod
    def of(cls, state: Nest, batch: int) -> "Blocks":
        """Lay out a nest of arrays whose first `batch` axes number independent problems.

        Raises:
            RunError: The parts have batches of different shapes.
        """
        flat, names = tf.nest.flatten(state), component_names(state)
        shapes = [tuple(np.shape(leaf)) for leaf in flat]
        rows = {shape[:batch] for shape in shapes}
        if len(rows) != 1 or any(len(shape) < batch for shape in shapes):
            pairs = ", ".join(f"{n}: {s}" for n, s in zip(names, shapes, strict=True))
            raise RunError(
                f"batch={batch} says that the first {batch} axes of every part of y0 number the "
                f"problems, but the shapes are {pairs}."
            )
        inner = tuple(shape[batch:] for shape in shapes)
        empty = tf.nest.map_structure(lambda _: None, state)
        return cls(empty, tuple(names), inner, rows.pop())

    @property
    def columns(self) -> int:
        """Number of problems."""
        return int(np.prod(self.batch, initial=1))

    @property
    def sizes(self) -> list[int]:
        """Number of components of each leaf."""
        return [int(np.prod(shape, initial=1)) for shape in self.shapes]

    def component(self, row: int) -> str:
        """Return the name of a row of the block, such as `x` or `a[1, 2]`."""
        for name, shape, size in zip(self.names, self.shapes, self.sizes, strict=True):
            if row < size:
                index = ", ".join(str(int(k)) for k in np.unravel_index(row, shape))
                return f"{name}[{index}]" if shape else name
            row -= size
        raise IndexError(row)

    def pack(self, nest: Nest) -> Tensor:
        """Return a nest of tensors as a block."""
        parts = []
        for leaf, size in zip(tf.nest.flatten(nest), self.sizes, strict=True):
            part = tf.reshape(leaf, [1, self.columns] if size == 1 else [self.columns, size])
            parts.append(part if size == 1 else _turned(part))
        if len(parts) == 1:
            return parts[0]
        if sum(self.sizes) > _ROWS:
            return tf.concat(parts, axis=0)
        # Row by row: TensorFlow lacks the second derivative of a concatenation under XLA, and a
        # Rosenbrock method is differentiated twice.
        return tf.stack([row for part in parts for row in tf.unstack(part)])

    def unpack(self, block: Tensor) -> Nest:
        """Return a block, with any axes before its two, as a nest of tensors."""
        lead = block.shape[:-2]
        if not lead and len(self.names) > 1 and sum(self.sizes) == len(self.names):
            rows = [
                tf.reshape(row, [*self.batch, *shape])
                for row, shape in zip(tf.unstack(block), self.shapes, strict=True)
            ]
            return tf.nest.pack_sequence_as(self.nest, rows)
        leaves, row = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            part = block if len(self.names) == 1 else block[..., row : row + size, :]
            if size > 1:
                part = _turned(part)
            leaves.append(tf.reshape(part, [*lead, *self.batch, *shape]))
            row += size
        return tf.nest.pack_sequence_as(self.nest, leaves)

    def pack_arrays(self, nest: Nest) -> Array:
        """Return a nest of NumPy arrays as a block; TensorFlow takes longer than a small solve."""
        leaves = zip(tf.nest.flatten(nest), self.sizes, strict=True)
        return np.concatenate([np.reshape(x, [self.columns, size]).T for x, size in leaves])

    def unpack_arrays(self, block: Array) -> list[Array]:
        """Return a block with one axis before its two as a list of leaves."""
        leaves, row = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            part = np.swapaxes(block[:, row : row + size], 1, 2)
            leaves.append(part.reshape([len(block), *self.batch, *shape]))
            row += size
        return leaves

    def time(self, t: Tensor) -> Tensor:
        """Return time in a shape that broadcasts against the leaves: a scalar, or the batch's."""
        if t.shape.rank == 0:
            return t
        ranks = {len(shape) for shape in self.shapes}
        ones = [1] * (ranks.pop() if len(ranks) == 1 and self.batch else 0)
        return tf.reshape(t, [*self.batch, *ones])


def _turned(part: Tensor) -> Tensor:
    """Exchange the last two axes; a transposition in a loop cannot be differentiated under XLA."""
    if 1 in part.shape[-2:]:
        return tf.reshape(part, [*part.shape[:-2], part.shape[-1], part.shape[-2]])
    return tf.einsum("...ij->...ji", part)


def spread(leaves: Sequence[Tensor], blocks: Blocks, dtype: tf.DType) -> list[Tensor]:
    """Return derivatives in the full shape of their leaves."""
    return [
        tf.broadcast_to(tf.convert_to_tensor(leaf, dtype), [*blocks.batch, *shape])
        for leaf, shape in zip(leaves, blocks.shapes, strict=True)
    ]
