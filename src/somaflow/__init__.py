"""somaflow: large simulations of biological neural networks, on TensorFlow.

Names are imported on first use, so that describing a network does not load TensorFlow.
"""

from typing import Any

import lazy_loader

from somaflow.quiet import loaded

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    return loaded(_load, name)
