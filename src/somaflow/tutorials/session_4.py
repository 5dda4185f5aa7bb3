"""Checks of session 4."""

from somaflow.tutorials.checking import Check

CHECKS: dict[str, Check] = {}
