"""The course: its notebooks, and what checks the answers to its exercises."""

from somaflow.tutorials.checking import check
from somaflow.tutorials.copying import copied, notebooks

__all__ = ["check", "copied", "notebooks"]
