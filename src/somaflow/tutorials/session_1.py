"""Checks of session 1."""

from somaflow.tutorials.checking import Check

CHECKS: dict[str, Check] = {}
