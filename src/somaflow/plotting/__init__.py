"""Figures, by matplotlib's objects alone: no global state, and no display is needed."""

from somaflow.plotting.competition import competition
from somaflow.plotting.raster import raster
from somaflow.plotting.rasters import rasters
from somaflow.plotting.response import response
from somaflow.plotting.sweep import sweep

__all__ = ["competition", "raster", "rasters", "response", "sweep"]
