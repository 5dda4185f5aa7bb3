"""Wrong answers of session 1."""

WRONG: dict[str, list[str]] = {}
