"""The type of what is computed with."""

from typing import Any

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing
