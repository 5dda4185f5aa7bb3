"""Wrong answers of session 7."""

WRONG: dict[str, list[str]] = {}
