"""Wrong answers of session 7."""

WRONG: dict[str, list[str]] = {
    "7.1": [
        "(8 * 0.95, 20)",
        "(20, 5.93)",
        "(5.93, 8)",
        "(1 / 0.95, 1.05)",
        "(5.93, 0.05)",
        "(6.1, 20)",
    ],
    "7.2": ["20_000", "[20_000]", "500", "800", "200", "round(2000 / 0.1 / 40)"],
    "7.3": [
        "lambda parts: sum(in_a_row(values) for _, values in parts)",
        "lambda parts: np.sum(np.concatenate([values for _, values in parts]))",
        "lambda parts: in_a_row(np.concatenate([values for _, values in parts]))",
        "lambda parts: in_a_row(np.sort(np.concatenate([values for _, values in parts])))",
        "lambda parts: in_a_row(parts[0][1])",
        "lambda parts: np.array([total(parts)])",
    ],
    "7.4": ["'B'", "'C'", "'A, B'", "['B']", "['A', 'B']"],
    "7.5": [
        "{'cells': 4_000, 'rate': 5, 'delay': 1.5}",
        "{'cells': 300_000, 'rate': 50, 'delay': 1.5}",
        "{'cells': 10**9, 'rate': 1, 'delay': 10}",
        "{'cells': 300_000, 'rate': 0, 'delay': 1.5}",
    ],
}
