"""Diagnosis: why a state that was finite is not so any more."""
