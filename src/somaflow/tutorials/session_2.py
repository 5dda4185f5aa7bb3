"""Checks of session 2."""

from somaflow.tutorials.checking import Check

CHECKS: dict[str, Check] = {}
