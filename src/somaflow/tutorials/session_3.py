"""Checks of session 3."""

from somaflow.tutorials.checking import Check

CHECKS: dict[str, Check] = {}
