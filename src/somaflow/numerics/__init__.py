"""Numerics: functions and sums in tensor operations that XLA compiles on every device."""
