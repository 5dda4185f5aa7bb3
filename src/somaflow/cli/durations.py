"""Times as they are typed on a command line: `10min`, `1s`, `200ms`, `0.01ms`."""

import math
import re

from somaflow.errors import RunError, UnitError

_IN_MS = {"h": 3.6e6, "min": 6e4, "s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3}
_TIME = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s]*)\s*")


def milliseconds(text: str, option: str) -> float:
    """Return a time in ms.

    Args:
        text: A number and a unit: h, min, s, ms or us.
        option: The option it was given to, for messages.

    Raises:
        UnitError: It is not a number with a unit of time.
        RunError: It is not greater than 0.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise UnitError(f"{option} is {text!r}; write a time with its unit, such as 200ms or 1s.")
    number, unit = match.groups()
    if not unit:
        raise UnitError(f"{option} is {text!r}, which has no unit; write {text}ms or {text}s.")
    if unit not in _IN_MS:
        raise UnitError(
            f"{option} is {text!r}, and {unit!r} is not a unit of time; use h, min, s, ms or us."
        )
    # Rounded to 15 digits, so that 10us and 0.01ms are the same number.
    time = float(f"{float(number) * _IN_MS[unit]:.15g}")
    if math.isinf(time):
        raise RunError(f"{option} is {text}, which is too large to be a number.")
    if time <= 0:
        raise RunError(f"{option} is {text}; it must be greater than 0.")
    return time
