"""Time in a clocked run is a whole number of steps."""

from somaflow.errors import RunError

MOST_STEPS = 2**53  # whole numbers up to here are exact as floats, so that step*dt is a time


def whole_steps(duration: float, dt: float, what: str, unit: str = "ms") -> int:
    """Return how many steps a duration is.

    Args:
        duration: The duration.
        dt: The step.
        what: What the duration is, for the message.
        unit: What both are in; `"1"` for pure numbers.

    Raises:
        RunError: It is not a whole number of steps, or not positive, or too many to be counted.
    """
    suffix = "" if unit == "1" else f" {unit}"
    ratio = duration / dt
    if ratio > MOST_STEPS:
        raise RunError(
            f"{what} is {duration:g}{suffix}, which is {ratio:.3g} steps of dt = {dt:g}{suffix}; "
            f"at most {MOST_STEPS:,} can be counted."
        )
    steps = round(ratio)
    # Decimal times carry an error of one rounding each; a real mismatch is far above this.
    if steps < 1 or abs(ratio - steps) > 1e-6:
        raise RunError(
            f"{what} is {duration:g}{suffix}, which is not a whole number of steps of dt = "
            f"{dt:g}{suffix}; use {max(steps, 1) * dt:g}{suffix}, or another dt."
        )
    return steps
