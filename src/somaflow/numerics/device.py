"""How XLA is asked to compile for a CPU. Imported before anything compiles."""

import os

# XLA asks LLVM for 256-bit vectors even where the processor has 512-bit ones; on such a processor
# the wider ones run the antennal lobe 1.4 times as fast (docs/design/engine.md). Elsewhere the
# wish has no effect. A user's own choice stands.
_WIDTH = "--xla_cpu_prefer_vector_width"

if _WIDTH not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_WIDTH}=512".strip()

# The packed blocks are padded to a multiple of this, so that no cell is computed by the scalar
# remainder of a vector loop: its bits could differ there.
LANES = 16
