"""How costs are measured: processor time of one thread, beside a reference in the same process."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import somaflow as sf
from somaflow.units import ms

DT = 0.1


class Point(NamedTuple):
    """A point of a curve.

    Attributes:
        curve: Its name.
        size: Where on the curve.
        cost: What it costs.
        reference: What the reference costs, or what is allowed; None where there is none.
        limit: How many times the reference it may cost; None where nothing is asked.
        unit: Of both.
        what: What the reference is.
    """

    curve: str
    size: float
    cost: float
    reference: float | None
    limit: float | None
    unit: str
    what: str

    @property
    def ratio(self) -> float | None:
        """Cost by reference."""
        return None if self.reference is None else self.cost / self.reference

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        return None if self.limit is None or self.ratio is None else self.ratio <= self.limit

    def __str__(self) -> str:
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        text = f"{verdict:7s}{self.curve}, {self.size:,.0f}: {self.cost:,.4g} {self.unit}"
        if self.reference is not None:
            text += f"; {self.what} {self.reference:,.4g}: {self.ratio:.2f}"
        return text + ("" if self.met is None else f" (limit {self.limit:g})")


def seconds(function: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def a_step(network: sf.Network, steps: int, **settings: Any) -> Callable[[], float]:
    """Return what measures the microseconds of a step, without what a run costs beside them."""

    def run(count: int) -> sf.Solution:
        return sf.simulate(network, count * DT * ms, dt=DT * ms, **settings)

    run(10)

    def measured() -> float:
        beside = seconds(lambda: run(10))
        return (seconds(lambda: run(10 + steps)) - beside) / steps * 1e6

    return measured


def paired(
    ours: Callable[[], float], reference: Callable[[], float], rounds: int
) -> tuple[float, float]:
    """Return the costs in the round with the median ratio; both are measured in turn."""
    found = sorted(
        ((ours(), reference()) for _ in range(rounds)), key=lambda pair: pair[0] / pair[1]
    )
    return found[rounds // 2]
