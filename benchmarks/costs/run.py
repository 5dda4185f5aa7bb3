"""Measure the terms of the cost table: see README.md."""

import os
import time

os.environ["TF_NUM_INTRAOP_THREADS"] = "1"

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.network.choice import costs
from somaflow.numerics.delivery import Part, deliver, out_lists
from somaflow.numerics.sums import dense, gathered, weighted_sum

STEPS, ROUNDS = 1000, 7


def nanoseconds(step: Callable[[Any], Any], start: np.ndarray) -> float:
    """Return the time of a step in a compiled loop, the least of some rounds."""

    @tf.function(jit_compile=True, autograph=False)
    def loop(x: tf.Tensor) -> Any:
        return tf.while_loop(lambda k, _: k < STEPS, lambda k, x: (k + 1, step(x)), (0, x))[1]

    x = tf.constant(start)
    loop(x)
    best = np.inf
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        loop(x).numpy()
        best = min(best, time.perf_counter() - begin)
    return best / STEPS * 1e9


def wiring(n: int, degree: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return random synapses, `degree` for each postsynaptic cell."""
    rng = np.random.default_rng(1)
    pre = np.argsort(rng.random((n, n)), axis=1)[:, :degree]
    return np.sort(pre, axis=1).ravel(), np.repeat(np.arange(n), degree), np.ones(n * degree)


def main() -> None:
    """Measure and print, beside what the table says."""
    n, degree = 400, 200
    pre, post, weight = wiring(n, degree)
    found = {}
    start = np.random.default_rng(2).random(n)
    for name, fill, terms in (
        ("dense_term", dense, n * n),
        ("gathered_term", gathered, n * degree),
    ):
        arrays = {k: tf.constant(v) for k, v in fill(pre, post, weight, n, n).items()}
        sum_ = lambda x, a=arrays: weighted_sum(a["weight"], a.get("sources"), x) / degree  # noqa: E731
        found[name] = nanoseconds(sum_, start) / terms
    n, degree = 4000, 80
    pre, post, weight = wiring(n, degree)
    made = out_lists(lambda: [Part(pre, post, {"weight": weight})], n, n, {"weight": np.float64})
    arrays = {"first": made.first, "other": made.other, **made.columns}
    arrays = {k: tf.constant(v) for k, v in arrays.items()}

    def spiking(count: int) -> float:
        x = np.zeros(n)
        x[:: n // count] = 1.0
        held = tf.constant(x)
        return nanoseconds(
            lambda t: t * 0.5 + deliver(arrays, made.single, n, held + 0 * t[0])[:n], x
        )

    few, many = spiking(4), spiking(40)
    found["delivered"] = (many - few) / (36 * degree)
    found["loop and search of 4,000 cells"] = few - 4 * degree * found["delivered"]
    table = costs() | {
        "loop and search of 4,000 cells": costs()["loop"] + 4000 * costs()["searched_cell"]
    }
    print(f"{'':34s}{'measured':>10s}{'table':>10s}   ns")
    for name, value in found.items():
        print(f"{name:34s}{value:10.2f}{table[name]:10.2f}")


if __name__ == "__main__":
    main()
