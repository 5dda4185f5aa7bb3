"""Wrong answers of session 5."""

WRONG: dict[str, list[str]] = {
    "5.1": ["5_000 * 120_000 * 8", "5_000 * 120_001", "5_000 * 120_001 * 4", "5_000 * 30_001 * 8"],
    "5.2": ["2", "2 * ms", "4", "2.9", "0.003", "3 * second"],
    "5.3": [
        "(straight, straight)",
        "(sf.simulate(network, 800 * ms, **settings), straight)",
        "(straight, longer)",
        "(sf.resume(folder / 'first.zarr', progress=False), whole)",
        "(longer, sf.simulate(network, 800 * ms, **{**settings, 'seed': 2}))",
    ],
    "5.4": ["-20", "20", "-12 * nA", "-17e-3"],
    "5.5": ["0.05", "0.0125", "0.05 * ms", "25", "0.2"],
    "5.6": ["'abde'", "'bd'", "'e'", "['b', 'c']"],
}
