"""Solving: differential equations without a network, for `sf.solve`."""
