"""Time in a clocked run is a whole number of steps."""

from somaflow.errors import RunError


def whole_steps(duration: float, dt: float, what: str) -> int:
    """Return how many steps a duration is.

    Args:
        duration: In ms.
        dt: In ms.
        what: What the duration is, for the message.

    Raises:
        RunError: It is not a whole number of steps, or not positive.
    """
    steps = round(duration / dt)
    # Decimal times carry an error of one rounding each; a real mismatch is far above this.
    if steps < 1 or abs(duration / dt - steps) > 1e-6:
        raise RunError(
            f"{what} is {duration:g} ms, which is not a whole number of steps of dt = {dt:g} ms; "
            f"use {max(steps, 1) * dt:g} ms, or another dt."
        )
    return steps
