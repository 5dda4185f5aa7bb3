"""The types of what is computed with."""

from typing import Any

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing
Nest = (
    object  # a number, array or tensor, or lists, tuples and dicts of such, as tf.nest takes them
)
