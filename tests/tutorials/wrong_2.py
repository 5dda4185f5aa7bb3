"""Wrong answers of session 2."""

WRONG: dict[str, list[str]] = {}
