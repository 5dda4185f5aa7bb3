"""Told: what a share is told of the cells of others within a step.

A step has points at which shares tell each other what their cells show. It is traced once for each
point: what has been told up to there is an argument, and where nothing more is, the trace stops and
gives out what own cells show next. The last trace is told everything, and makes the step.
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from somaflow.numerics.device import materialize
from somaflow.numerics.types import Tensor
from somaflow.simulation.stops import Label, Untold


class Told:
    """What is told from one point to the next, as a step is traced.

    Args:
        vectors: What all cells show at each point that is known.
        dtype: The type of the run.
    """

    def __init__(self, vectors: Sequence[Tensor], dtype: tf.DType) -> None:
        self.vectors, self.dtype, self.passed = vectors, dtype, 0

    def of_all(
        self, own: Mapping[Label, Tensor], wanted: Mapping[Label, int]
    ) -> dict[Label, Tensor]:
        """Return what all cells show at the next point.

        Args:
            own: What own cells show, `[width]` each, padding included.
            wanted: How many cells there are of each that this share needs, padding included.

        Returns:
            Of each of `wanted` what all its cells show, `[width]`.

        Raises:
            Untold: Nothing is told of this point.
        """
        point = self.passed
        self.passed += 1
        if point == len(self.vectors):
            stored = [materialize(value) for value in own.values()]
            shown = tf.concat([tf.zeros([0], self.dtype), *stored], axis=0)
            raise Untold(
                shown, {name: value.shape[-1] for name, value in own.items()}, dict(wanted)
            )
        parts = tf.split(self.vectors[point], list(wanted.values())) if wanted else []
        return dict(zip(wanted, parts, strict=True))
