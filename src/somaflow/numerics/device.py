"""How XLA is asked to compile for a CPU. Imported before anything compiles."""

import os
from collections.abc import Callable

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

# XLA asks LLVM for 256-bit vectors even where the processor has 512-bit ones; on such a processor
# the wider ones run the antennal lobe 1.4 times as fast (docs/design/engine.md). Elsewhere the
# wish has no effect. A user's own choice stands.
_WIDTH = "--xla_cpu_prefer_vector_width"

if _WIDTH not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_WIDTH}=512".strip()

# The packed blocks are padded to a multiple of this, so that no cell is computed by the scalar
# remainder of a vector loop: its bits could differ there.
LANES = 16


@tf.custom_gradient
def materialize(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return `x`, computed once and stored, rather than again inside each kernel that reads it.

    XLA takes chains of additions for cheap and repeats them in every consumer. The barrier has no
    public name in TensorFlow, which is one reason why its version is pinned.
    """
    (held,) = xla.optimization_barrier(x)
    return held, lambda upstream: upstream
