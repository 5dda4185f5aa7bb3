"""The types of what is computed with."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing
# What `tf.nest` takes apart: tensors, or arrays, in tuples, lists and dicts.
Nest: TypeAlias = Tensor | tuple["Nest", ...] | list["Nest"] | Mapping[str, "Nest"]
