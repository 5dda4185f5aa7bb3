"""Wrong answers of session 6."""

WRONG: dict[str, list[str]] = {}
