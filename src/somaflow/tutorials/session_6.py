"""Checks of session 6."""

from somaflow.tutorials.checking import Check

CHECKS: dict[str, Check] = {}
