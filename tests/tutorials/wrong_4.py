"""Wrong answers of session 4."""

WRONG: dict[str, list[str]] = {}
