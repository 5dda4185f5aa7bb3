"""Wrong answers of session 6."""

WRONG: dict[str, list[str]] = {
    "6.1": ["-4.5", "0.6 * (-55 + 70)", "0.6 * 0.5 * -55", "0.6 * 0.5 * (-55 - 70)"],
    "6.2": [
        "lambda times: 1 / np.mean(np.diff(times))",
        "lambda times: np.mean(np.diff(times))",
        "lambda times: 1000 * len(times) / (times[-1] - times[0])",
        "lambda times: 1000 * len(times) / times[-1]",
        "lambda times: np.mean(1000 / np.diff(times))",
        "lambda times: 1000 / np.median(np.diff(times))",
    ],
    "6.3": [
        "loop(0.6)",
        "loop(0.6, beta=0.3)",
        "loop(2.0)",
        "loop(0.6, excitation=0.0)",
        "loop(0.0, excitation=0.0, to_ln=4.4)",
    ],
    "6.4": [
        "lambda network, names: network",
        "lambda network, names: picrotoxin(network)",
        "lambda network, names: sf.Network("
        "*(p for p in network.parts if not isinstance(p, sf.Projection)))",
        "lambda network, names: names",
    ],
    "6.5": [
        "time_constants(40.0)",
        "longest[::-1]",
        "tuple(2.785 * tau for tau in at_rest)",
        "0.27",
    ],
    "6.6": ["changed", "own_lobe(odours, kc_weight=0.2)", "control"],
}
