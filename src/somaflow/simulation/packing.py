"""Packing: a nest of tensors in few, for a compiled function that is called often.

A call takes some 20 us of the processor for each tensor that goes in or comes out, whatever is in
it (docs/design/workers.md); to copy a small one takes less.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.numerics.device import materialize
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array

_SMALL = 1 << 16  # bytes of a tensor that is copied


class Packing:
    """How a nest of tensors is given in few: the small ones of a type stand in a row.

    Args:
        like: A nest of tensors or arrays of these types and shapes.

    Attributes:
        count: How many tensors it is given in.
        shapes: The types and shapes of all, on which it depends where each stands in the few.
    """

    def __init__(self, like: Any) -> None:
        leaves = tf.nest.flatten(like)
        self._like = tf.nest.map_structure(lambda _: 0, like)
        self._shapes = [tuple(map(int, leaf.shape)) for leaf in leaves]
        self._rows: dict[tf.DType, list[int]] = {}
        self._alone: list[int] = []
        for place, leaf in enumerate(leaves):
            kind = tf.as_dtype(leaf.dtype)
            if kind.size * math.prod(self._shapes[place]) <= _SMALL:
                self._rows.setdefault(kind, []).append(place)
            else:
                self._alone.append(place)
        self.shapes = str([(leaf.dtype, tuple(leaf.shape)) for leaf in leaves])
        self.count = len(self._rows) + len(self._alone)

    def packed(self, nest: Any) -> tuple[Tensor, ...]:
        """Return a nest as few tensors."""
        leaves = tf.nest.flatten(nest)
        rows = [
            tf.concat([tf.reshape(leaves[place], [-1]) for place in places], 0)
            for places in self._rows.values()
        ]
        return *rows, *(tf.convert_to_tensor(leaves[place]) for place in self._alone)

    def unpacked(self, few: Sequence[Tensor]) -> Any:
        """Return the nest again; what was copied stands behind a barrier, as arguments do."""
        leaves: dict[int, Tensor] = {}
        for vector, places in zip(few, self._rows.values(), strict=False):
            parts = tf.split(vector, [math.prod(self._shapes[place]) for place in places])
            for place, part in zip(places, parts, strict=True):
                leaf = tf.reshape(part, self._shapes[place])
                leaves[place] = leaf if tf.executing_eagerly() else materialize(leaf)
        leaves |= zip(self._alone, few[len(self._rows) :], strict=True)
        return tf.nest.pack_sequence_as(self._like, [leaves[k] for k in range(len(leaves))])

    def views(self, few: Sequence[Tensor]) -> Any:
        """Return the nest as arrays that share the memory of the few."""
        arrays: list[Array] = [np.asarray(memoryview(tensor)) for tensor in few]
        leaves: dict[int, Array] = {}
        for vector, places in zip(arrays, self._rows.values(), strict=False):
            begin = 0
            for place in places:
                end = begin + math.prod(self._shapes[place])
                leaves[place] = vector[begin:end].reshape(self._shapes[place])
                begin = end
        leaves |= zip(self._alone, arrays[len(self._rows) :], strict=True)
        return _nested(self._like, iter([leaves[k] for k in range(len(leaves))]))


def _nested(like: Any, leaves: Iterator[Array]) -> Any:
    """Return arrays in a nest, as `tf.nest` does in several times as long."""
    if isinstance(like, dict):
        found = {key: _nested(like[key], leaves) for key in sorted(like)}
        return {key: found[key] for key in like}
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*(_nested(part, leaves) for part in like))
    if isinstance(like, (tuple, list)):
        return type(like)(_nested(part, leaves) for part in like)
    return next(leaves)
