"""somaflow: large simulations of biological neural networks, on TensorFlow.

Names are imported on first use, so that describing a network does not load TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
