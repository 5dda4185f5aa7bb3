"""Wrong answers of session 3."""

WRONG: dict[str, list[str]] = {}
