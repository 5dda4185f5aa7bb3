"""Measure the sums over synapses in each form, beside what the table of costs says of them."""

import argparse
import os
import time

os.environ["TF_NUM_INTRAOP_THREADS"] = "1"

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.network import choice
from somaflow.numerics.delivery import Part, deliver, out_lists
from somaflow.numerics.sums import dense, gathered, weighted_sum

KEPT = Path(__file__).parent / "measured.toml"
ROUNDS, STEPS = 7, 1000  # rows of what is sent
SIZES = {100: (10, 30, 100), 300: (10, 30, 300), 1_000: (10, 120, 1_000), 3_000: (10, 120, 3_000)}
SIZES[10_000] = (10, 120, 1_000)
MOST_BYTES = 200_000_000  # a matrix or lists of more are not measured


class Case(NamedTuple):
    """Cells that are joined to themselves.

    Attributes:
        size: How many.
        degree: Synapses of each.
        events: Whether only spikes are delivered, of `active_cells` of them in a step.
    """

    size: int
    degree: int
    events: bool


def cases() -> Iterator[Case]:
    """Yield what is measured."""
    for size, degrees in SIZES.items():
        for degree in degrees:
            yield from (Case(size, degree, events) for events in (False, True))


def timer(step: Callable[[Any, Any, Any], Any], arrays: Any, sent: np.ndarray) -> Any:
    """Return what measures the processor time of `(x, arrays, sent) -> x` in a compiled loop.

    Args:
        step: What is measured.
        arrays: Its arrays, arguments as in a run.
        sent: Of each step a row, from the first one on again.

    Returns:
        `steps -> nanoseconds of a step`.
    """

    @tf.function(jit_compile=True, autograph=False)
    def loop(x: tf.Tensor, arrays: Any, sent: tf.Tensor, steps: tf.Tensor) -> Any:
        def one(k: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return k + 1, step(x, arrays, sent[tf.math.floormod(k, STEPS)])

        return tf.while_loop(lambda k, _: k < steps, one, (0, x))[1]

    given = {name: tf.constant(value) for name, value in arrays.items()}
    x, rows = tf.constant(sent[0]), tf.constant(sent)

    def timed(steps: int) -> float:
        begin = time.process_time()
        loop(x, given, rows, tf.constant(steps))
        return (time.process_time() - begin) / steps * 1e9

    timed(10)
    return timed


def beyond(ours: Any, nothing: Any) -> float:
    """Return by how much a step costs more than another, measured in turn: the median of rounds."""
    steps = max(20, int(0.03 / max(ours(20) * 1e-9, 1e-7)))
    return max(median(ours(steps) - nothing(steps) for _ in range(ROUNDS)), 0.0)


def measured(case: Case) -> dict[str, float]:
    """Return the nanoseconds of a step in each form that is possible."""
    size, degree = case.size, case.degree
    rng = np.random.default_rng(1)
    if degree == size:
        pre = np.tile(np.arange(size), size)
    else:
        pre = np.sort(rng.integers(0, size, (size, degree)), axis=1).ravel()
    post, weight = np.repeat(np.arange(size), degree), rng.random(size * degree) / degree
    active = choice.costs()["active_cells"] if case.events else 1.0
    sent = np.where(rng.random((STEPS, size)) < active, rng.random((STEPS, size)), 0.0)

    def summed(x: Any, arrays: Any, sent: Any) -> Any:
        return 0.5 * x + weighted_sum(arrays["weight"], arrays.get("sources"), sent + 0.0 * x)

    def now_and_then(add: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
        def step(x: Any, arrays: Any, sent: Any) -> Any:
            total = tf.cond(
                tf.reduce_any(sent > 0), lambda: add(arrays, sent), lambda: tf.zeros_like(x)
            )
            return 0.5 * x + total

        return step

    def added(arrays: Any, sent: Any) -> Any:
        return weighted_sum(arrays["weight"], arrays.get("sources"), sent)

    empty = now_and_then(lambda arrays, x: x) if case.events else lambda x, _, sent: 0.5 * x + sent
    nothing = timer(empty, {"weight": weight[:1]}, sent)
    found = {}
    for form, fill in (("dense", dense), ("gathered", gathered)):
        if size * (size if form == "dense" else degree) * 12 > MOST_BYTES:
            continue
        step = now_and_then(added) if case.events else summed
        found[form] = beyond(timer(step, fill(pre, post, weight, size, size), sent), nothing)
    if case.events:
        part = Part(pre, post, {"weight": weight})
        lists = out_lists(lambda: [part], size, size, {"weight": np.float64})
        arrays = {"first": lists.first, "other": lists.other, **lists.columns}
        step = now_and_then(lambda arrays, x: deliver(arrays, lists.single, size, x))
        found["loop"] = beyond(timer(step, arrays, sent), nothing)
    return found


def main() -> None:
    """Measure and print, and keep what was found where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.name}")
    options = parser.parse_args()
    text = ["# Nanoseconds of a step, less those of a step without sums: see README.md."]
    print(f"{'cells':>8s}{'each':>7s}  {'':10s}{'form':10s}{'measured':>12s}{'table':>12s}   ns")
    for case in cases():
        degrees = np.full(case.size, case.degree)
        chosen = choice.choose(degrees, case.size, case.events, False, 8)
        found = measured(case)
        text.append(
            f"[[case]]\nsize = {case.size}\ndegree = {case.degree}\n"
            f"events = {str(case.events).lower()}\n"
            + "".join(f"{form} = {value:.0f}\n" for form, value in found.items())
        )
        for form, value in found.items():
            print(
                f"{case.size:8,}{case.degree:7,}  {'spikes' if case.events else 'graded':10s}"
                f"{form:10s}{value:12,.0f}{chosen.nanoseconds[form]:12,.0f}"
                f"{'   chosen' if form == chosen.form else ''}",
                flush=True,
            )
    if options.keep:
        KEPT.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
