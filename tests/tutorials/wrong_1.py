"""Wrong answers of session 1."""

WRONG: dict[str, list[str]] = {
    "1.1": ["80 + 15", "80 - 3", "80 - 5*80/20", "exact(5.0)", "np.array([95.0])"],
    "1.2": ["8", "2", "4", "0.5", "[8]", "[3, 3]"],
    "1.3": [
        "midpoint",
        "euler",
        "lambda f, t, y, dt: y + dt*(f(t, y) + f(t, y + dt*f(t, y)))/2",
        "lambda f, t, y, dt: y + dt*(f(t, y) + f(t + dt, y + dt*f(t, y)))",
        "lambda f, t, y, dt: np.copyto(y, heun(f, t, y, dt)) or y",
    ],
    "1.4": [
        "lambda t, v: np.array([1 - v[0]/10 + 0.3*(v[0] - v[1]), -v[1]/10 + 0.3*(v[1] - v[0])])",
        "lambda t, v: np.array([1 - v[0]/10 + 0.3*(v[1] - v[0]), -v[1]/10])",
        "lambda t, v: 1 - v/10 + 0.3*(v[::-1] - v)",
        "lambda t, v: 1 - v[0]/10 + 0.3*(v[1] - v[0])",
        "lambda t, v: np.copyto(v, pair(t, v)) or v",
        "lambda t, v: pair(t, v) - np.array([0 if t < 5 else 1, 0])",
        "lambda t, v: pair(t, v) + np.array([t, 0])",
    ],
    "1.5": ["1.0", "2.0", "-np.log(0.22)/2", "2/np.log(0.22)"],
    "1.6": ["2.0", "4.0", "8.0", "10", "-6.0"],
}
