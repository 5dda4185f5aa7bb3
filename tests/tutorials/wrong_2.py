"""Wrong answers of session 2."""

_LOOP = "lambda y, level, dt: tf.while_loop(lambda k, y: {}, lambda k, y: (k + 1, {}), [{}, y])[{}]"

WRONG: dict[str, list[str]] = {
    "2.1": ["(5, 1)", "(3, 5)", "(5,)", "15", "(5.9, 3.2)"],
    "2.2": ["7", "3", "4", "6"],
    "2.3": [
        _LOOP.format("y >= level", "y - dt*y", "1", "0"),
        _LOOP.format("y >= level", "y - dt*y", "0", "1"),
        _LOOP.format("y > level", "y - dt*y", "0", "0"),
        _LOOP.format("y < level", "y - dt*y", "0", "0"),
        _LOOP.format("y >= level", "y*tf.exp(-dt)", "0", "0"),
        "lambda y, level, dt: tf.math.ceil(tf.math.log(y/level)/dt)",
    ],
    "2.4": [
        "np.ptp(found[:, :, 0], axis=0)",
        "np.ptp(found[1000:, :, 1], axis=0)",
        "np.ptp(found[:1000, :, 0], axis=0)",
        "found[1000:, :, 0].max(axis=0)",
        "np.ptp(found[1000:, :, 0], axis=1)",
    ],
    "2.5": ["0.5", "0.2", "1.5", "41.0", "[0.5]"],
    "2.6": ["1e6", "np.inf", "-1e9", "2.0**20"],
}
