"""Equations as text or function: expression trees, and algebras to evaluate them over."""

from somaflow.equations import math as math
