"""Wrong answers of session 4."""

WRONG: dict[str, list[str]] = {
    "4.1": ["('up', 'down')", "('down', 'down')", "('up', 'up')", "'down'"],
    "4.2": ["(4, 2)", "(2, 2)", "(2, 16)", "(0.5, 0.25)", "(1, 2)"],
    "4.3": ["5", "100", "5.1", "3", "4.9/1000", "100/19 - 0.1", "[5]"],
    "4.4": [
        "(300, 600, 100)",
        "(0.1*3000**2, 2*0.1*3000**2, 100*6000)",
        "(0.1*3000**2, 0.1*6000**2, 100*6000**2)",
        "(0.1*3000**2/2, 0.1*6000**2/2, 100*6000)",
    ],
    "4.5": [
        "lambda fired, dt: fired.sum(axis=0)/(len(fired)*dt)",
        "lambda fired, dt: fired.sum(axis=0)/((len(fired) - 1)*dt/1000)",
        "lambda fired, dt: fired.sum(axis=0)/len(fired)*1000",
        "lambda fired, dt: fired.sum(axis=1)/(len(fired)*dt/1000)",
        "lambda fired, dt: fired.sum()/(len(fired)*dt/1000)",
        "lambda fired, dt: fired.mean(axis=0)*dt",
    ],
    "4.6": ["(5, 2.0)", "(2.0, 12)", "(8, 1.0)", "(6, 1.2)", "(12, -2)"],
}
