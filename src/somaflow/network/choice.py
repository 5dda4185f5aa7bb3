"""How sums over synapses are computed, by a table of costs."""

import tomllib
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@cache
def costs() -> dict[str, float]:
    """Return the cost table, nanoseconds by name."""
    text = resources.files("somaflow.network").joinpath("costs.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


class Choice(NamedTuple):
    """How the sums of a group are computed.

    Attributes:
        form: `dense`, `gathered` or `loop`; `table` where each synapse is computed by itself.
        nanoseconds: Predicted cost in each form that is possible: of a step where only spikes
            add something, else of each stage of the solver.
        bytes: Size of its arrays, nearly.
        synapses: Number of synapses.
        staged: Whether each stage of the solver computes them again.
    """

    unseen = ("nanoseconds", "bytes", "synapses", "staged")

    form: str
    nanoseconds: dict[str, float]
    bytes: int
    synapses: int
    staged: bool = False

    def __str__(self) -> str:
        others = ", ".join(
            f"{form} {time / 1000:,.2f}"
            for form, time in self.nanoseconds.items()
            if form != self.form
        )
        said = {
            "dense": "sums over a matrix",
            "gathered": "sums over lists of presynaptic cells",
            "loop": "a loop over the cells that spiked",
            "table": "each by itself in every step",
        }[self.form]
        return (
            f"{self.synapses:,} synapses in {self.bytes:,} bytes: {said}, about "
            f"{self.nanoseconds[self.form] / 1000:,.2f} us "
            + ("for each stage of the solver" if self.staged else "a step")
            + (f" ({others})" if others else "")
        )


class Degrees(NamedTuple):
    """How many synapses reach the postsynaptic cells of a group.

    Attributes:
        cells: How many cells there are.
        most: The largest number that reaches one of them.
        all: The number of all.
    """

    cells: int
    most: int
    all: int

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> "Degrees":
        """Return them of the number of synapses of each cell."""
        return cls(len(counts), int(counts.max(initial=0)), int(counts.sum()))


def choose(
    degrees: Degrees,
    n_pre: int,
    events: bool,
    single: bool,
    item_bytes: int,
    terms: int = 1,
) -> Choice:
    """Choose the form of a sum from the properties of the whole group.

    Args:
        degrees: How many synapses reach the postsynaptic cells.
        n_pre: Number of presynaptic cells.
        events: Whether few cells have something to add in a step.
        single: Whether synapses must be visited one by one, as only the loop can: their delays
            differ, or they are plastic.
        item_bytes: Size of a weight.
        terms: How many sums there are over the same synapses.
    """
    cost, width, synapses = costs(), degrees.cells, degrees.all
    most = max(1, degrees.most)
    sizes = {
        "gathered": most * width * (item_bytes + 4),
        "dense": n_pre * width * item_bytes,
        "loop": synapses * (item_bytes + 4),
    }
    found = {
        "gathered": cost["gathered_term"] * most * width,
        "dense": cost["dense_term"] * n_pre * width,
    }
    # What does not fit into the cache is fetched from memory by every sum.
    far = {form: max(size - cost["cache_bytes"], 0.0) for form, size in sizes.items()}
    found = {form: terms * (time + cost["far_byte"] * far[form]) for form, time in found.items()}
    if events or single:
        active = n_pre * cost["active_cells"]
        busy = -np.expm1(-active)  # share of steps in which any cell spikes
        delivered = cost["delivered"] * synapses * cost["active_cells"]
        searched = cost["loop"] + cost["searched_cell"] * n_pre
        found = {form: value * busy for form, value in found.items()}
        found["loop"] = searched * busy + delivered
    found = {form: round(float(value), 1) for form, value in found.items()}
    if single:
        found = {"loop": found["loop"]}
    form = min(found, key=lambda form: found[form])
    return Choice(form, found, sizes[form], synapses, staged=not events)


def table(degrees: Degrees, closed: int, flowing: int, item_bytes: int) -> Choice:
    """Say what a projection costs whose synapses are computed each by itself.

    Args:
        degrees: How many synapses reach the postsynaptic cells.
        closed: How many states of a synapse have closed forms.
        flowing: How many the solver integrates.
        item_bytes: Size of a number.
    """
    cost, synapses = costs(), degrees.all
    most = max(1, degrees.most)
    each = cost["table_synapse"] + cost["table_state"] * (closed + flowing)
    time = each * synapses + cost["gathered_term"] * most * degrees.cells
    size = synapses * (8 + item_bytes * (closed + flowing))
    size += most * degrees.cells * (item_bytes + 4)
    return Choice("table", {"table": round(float(time), 1)}, size, synapses)
