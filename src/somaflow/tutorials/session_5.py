"""Checks of session 5."""

from somaflow.tutorials.checking import Check

CHECKS: dict[str, Check] = {}
