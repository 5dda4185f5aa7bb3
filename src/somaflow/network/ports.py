"""Ports: what a synapse reads and drives in the cells that it joins, and whether they have it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations.algebras import NumberAlgebra, Numbers
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Name, evaluate
from somaflow.errors import NetworkError, UnitError, nearest
from somaflow.network.connections import Connections
from somaflow.network.inputs import chosen_input, inputs_of
from somaflow.network.intervals import check_synapse_rules
from somaflow.network.links import readable
from somaflow.network.population import Population
from somaflow.network.random import threefry
from somaflow.network.wiring import Indices
from somaflow.units import Parameter


def check_ports(
    place: str,
    synapse: str,
    equations: Equations,
    ends: dict[str, Population],
    into: str | None = None,
) -> None:
    """Refuse a synapse that does not fit the populations at its ends.

    Args:
        place: What has the synapse, for messages.
        synapse: The synapse's name.
        equations: The synapse's equations.
        ends: The populations, by `"pre"` and `"post"`; without `"pre"` nothing is presynaptic.
        into: The input of the postsynaptic cells that it drives, or None.

    Raises:
        NetworkError: A population lacks what the synapse reads, waits for or drives.
        UnitError: It has it in another unit.
    """
    if ends["post"].source is not None and not ("pre" in ends and equations.on_post_spike):
        raise NetworkError(
            f"{place}: {ends['post'].name!r} is made of spike sources, which can be "
            "presynaptic only, or postsynaptic where a synapse learns from their spikes by an "
            "'on post spike:' line."
        )
    check_synapse_rules(place, equations)
    for port, unit in equations.inputs.items():
        variable, _, side = port.rpartition("_")
        owner = ends.get(side)
        states = _readable(owner, side) if owner else {}
        if variable not in states:
            where = f"population {owner.name!r}" if owner else "a pre or post population"
            known = states if owner else ("v_pre", "v_post")
            hint = nearest(variable or port, known)
            if not owner:
                hint += (
                    f" A parameter or a weight has no line of its own: leave '{port} : {unit}' out "
                    f"and give {port}=... to Equations.parse."
                )
            raise NetworkError(
                f"{place}: synapse {synapse!r} reads {port!r}, but "
                f"{where} has no state {variable or port!r}.{_why(owner, variable, side) or hint}"
            )
        cell_unit = states[variable]
        if units.dimensions(cell_unit) != units.dimensions(unit):
            raise UnitError(
                f"{place}: synapse {synapse!r} reads {port!r} in "
                f"{unit}, but {variable!r} of {ends[side].name!r} is in {cell_unit}."
            )
    for assignment in (*equations.on_spike, *equations.on_post_spike):
        if (linked := assignment.name.removesuffix("_post")) in ends["post"].links:
            raise NetworkError(
                f"{place}: synapse {synapse!r} assigns to {assignment.name!r}, but {linked!r} of "
                f"{ends['post'].name!r} is a variable of other cells; only states can be assigned "
                "to."
            )
    waits = {"pre": equations.uses_pulse or equations.on_spike, "post": equations.on_post_spike}
    for side, waiting in waits.items():
        if waiting and side in ends and not spikes(ends[side]):
            raise NetworkError(
                f"{place}: synapse {synapse!r} waits for spikes, but "
                f"{ends[side].name!r} has no threshold."
            )
    _check_current(place, synapse, equations, ends["post"], into)


def _readable(owner: Population, side: str) -> dict[str, str]:
    """Return the units of what synapses read: states, links, of presynaptic cells definitions."""
    known = readable(owner)
    if side == "pre":
        return known
    return {name: unit for name, unit in known.items() if name not in owner.equations.definitions}


def _why(owner: Population | None, variable: str, side: str) -> str:
    """Say why a definition of a cell is not read; nothing where it has none of that name."""
    if owner is None or variable not in getattr(owner.equations, "definitions", {}):
        return ""
    if side == "post":
        return f" Of the postsynaptic cell states are read: write what {variable!r} is made of."
    return f" {variable!r} is defined by an input or a noise, which is not known when it is read."


def spikes(population: Population) -> bool:
    """Tell whether a population has spikes."""
    return population.spiking


def _check_current(
    place: str, synapse: str, equations: Equations, target: Population, into: str | None
) -> None:
    if target.source is not None:
        return
    if "I" not in equations.definitions:
        if any(a.name in equations.inputs for a in (*equations.on_spike, *equations.on_post_spike)):
            return
        raise NetworkError(
            f"synapse {synapse!r} defines no current I, and assigns to no variable of the "
            "postsynaptic cell, as in 'on spike: v_post += w'."
        )
    inputs = inputs_of(target)
    input_unit = inputs[chosen_input(target.name, inputs, into, "a synapse")]
    unit = equations.definitions["I"].unit
    if units.dimensions(unit) != units.dimensions(input_unit):
        raise UnitError(
            f"{place}: synapse {synapse!r} gives a current in {unit}, but {target.name!r} takes "
            f"{input_unit} ({into}). Use the variant of the synapse whose name ends, or does not "
            "end, in _density."
        )


BACK = "I_pre"  # the current out of the presynaptic cell, where a text says it itself


def check_back(place: str, equations: Equations, both: bool) -> None:
    """Refuse a text that says what leaves the presynaptic cell where that cannot be.

    Args:
        place: What has the synapse, for messages.
        equations: The synapse's equations.
        both: Whether its pairs are given both ways.

    Raises:
        NetworkError: So it is.
    """
    if BACK not in equations.definitions:
        return
    if equations.states or equations.on_spike or equations.on_post_spike:
        raise NetworkError(
            f"{place}: a synapse with a line '{BACK} = ...' carries current both ways, and has no "
            "states and no 'on spike:' lines."
        )
    if both:
        raise NetworkError(
            f"{place}: its current is the same both ways, and within one population pairs are "
            f"given both ways, as sf.Mutual does; leave the line '{BACK} = ...' out."
        )


def is_gap_junction(equations: Equations) -> bool:
    """Tell whether a synapse is a gap junction.

    It has no state and waits for no spike, and its current changes sign, and nothing else, where
    the two cells are exchanged; so a graded synapse without a state is none.
    """
    return not equations.states and _turns(equations)


def looks_mutual(equations: Equations) -> bool:
    """Tell whether a synapse were a gap junction if it had no states: it acts one way, as it is."""
    return bool(equations.states) and _turns(equations)


def _turns(equations: Equations) -> bool:
    """Tell whether exchanging the cells changes a current's sign alone, and no spike acts."""
    sides = {port: port.rpartition("_") for port in equations.inputs}
    variables = {side: {v for v, _, s in sides.values() if s == side} for side in ("pre", "post")}
    if (
        equations.on_spike
        or equations.on_post_spike
        or equations.uses_pulse
        or "I" not in equations.definitions
        or not variables["pre"]
        or variables["pre"] != variables["post"]
    ):
        return False
    rng = np.linspace(-80.0, 40.0, 7)
    there, back = rng, np.roll(rng, 3)
    forward = _current(equations, {p: there if s[2] == "pre" else back for p, s in sides.items()})
    reverse = _current(equations, {p: back if s[2] == "pre" else there for p, s in sides.items()})
    scale = np.abs(forward).max()
    return bool(scale > 0 and np.abs(forward + reverse).max() <= 1e-9 * scale)


def _current(equations: Equations, inputs: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    # 1 for each parameter: one that is 0 by its own value would hide the current's form.
    known = (*equations.parameters, *equations.states)
    table: dict[str, Numbers] = {key: np.ones(()) for key in known}
    table |= {"t": np.zeros(())} | inputs
    with np.errstate(all="ignore"):
        for key, definition in equations.definitions.items():
            table[key] = evaluate(definition.expression, NumberAlgebra(table))
        return np.nan_to_num(np.asarray(evaluate(Name("I"), NumberAlgebra(table)), np.float64))


class Symmetry:
    """Finds out whether all pairs exist in both directions, in memory for the cells alone.

    Sums of a hash of each pair and its numbers, over those that leave a cell and over those that
    reach it, agree where the two are the same.

    Args:
        size: How many cells there are.
        count: How many numbers a pair has.
    """

    def __init__(self, size: int, count: int) -> None:
        self._leaving = np.zeros((count, size), np.uint64)
        self._reaching = np.zeros((count, size), np.uint64)

    def add(self, pre: Indices, post: Indices, numbers: Iterable[NDArray[np.float64]]) -> None:
        """Take some synapses into account."""
        for k, values in enumerate(numbers):
            np.add.at(self._leaving[k], pre, _hash(pre, post, values))
            np.add.at(self._reaching[k], post, _hash(post, pre, values))

    def uneven(self) -> int | None:
        """Return the first cell that is not reached alike by those that it reaches, or None."""
        cells = np.flatnonzero((self._leaving != self._reaching).any(axis=0))
        return int(cells[0]) if len(cells) else None


def uneven(parts: Iterable[Connections], cell: int, unit: str) -> str:
    """Say what is uneven about a cell of a gap junction.

    Args:
        parts: All synapses.
        cell: The cell, of `Symmetry.uneven`.
        unit: In which to show weights.
    """
    leaving: dict[int, list[tuple[float, ...]]] = {}
    reaching: dict[int, list[tuple[float, ...]]] = {}
    for part in parts:
        for side, here, there in (
            (leaving, part.pre, part.post),
            (reaching, part.post, part.pre),
        ):
            for k in np.flatnonzero(here == cell):
                numbers = float(part.coherent[k]), *(float(v[k]) for v in part.own.values())
                side.setdefault(int(there[k]), []).append(numbers)
    for other in sorted({*leaving, *reaching}):
        out, back = sorted(leaving.get(other, [])), sorted(reaching.get(other, []))
        pair = (cell, other) if len(out) >= len(back) else (other, cell)
        if len(out) != len(back) and not (out and back):
            return (
                f"a gap junction joins both ways, but the pair {pair} is given in one direction "
                f"only; give {pair[::-1]} too."
            )
        if len(out) != len(back):
            more, fewer = max(len(out), len(back)), min(len(out), len(back))
            return (
                f"a gap junction joins both ways, but the pair {pair} is given {more} times, and "
                f"{pair[::-1]} {fewer} times."
            )
        if [numbers[0] for numbers in out] != [numbers[0] for numbers in back]:
            there, here = (Parameter(np.asarray(side[0][0]), unit) for side in (out, back))
            return (
                f"a gap junction has one weight both ways, but the pair {(cell, other)} has "
                f"{there} and {(other, cell)} has {here}."
            )
        if out != back:
            return (
                f"a gap junction has the same parameters both ways, but the pair {(cell, other)} "
                f"has others than {(other, cell)}."
            )
    raise AssertionError("all pairs are even")


def _hash(first: Indices, second: Indices, weight: NDArray[np.float64]) -> NDArray[np.uint64]:
    bits = np.ascontiguousarray(weight).view(np.uint64)
    low, high = threefry((0, 0), (first, second))
    mixed = threefry((1, 0), (low ^ bits.astype(np.uint32), high ^ (bits >> np.uint64(32))))
    return (mixed[0].astype(np.uint64) << np.uint64(32)) | mixed[1]
