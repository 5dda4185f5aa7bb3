"""Checks of session 7."""

from somaflow.tutorials.checking import Check

CHECKS: dict[str, Check] = {}
