"""Solvers: they see a vector field, and nothing of neurons."""
