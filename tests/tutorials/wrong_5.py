"""Wrong answers of session 5."""

WRONG: dict[str, list[str]] = {}
