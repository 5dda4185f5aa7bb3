"""Links: names in the equations of a population that stand for variables of other cells."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from somaflow import units
from somaflow.equations.equations import Equations, starts
from somaflow.equations.expression import Name
from somaflow.equations.noise import listed
from somaflow.errors import NetworkError, UnitError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import shown
from somaflow.network.neuron import CURRENT_INPUT
from somaflow.network.recorder import Recorder, uncalled

if TYPE_CHECKING:
    from somaflow.network.population import Population

_WHOLE = ("mean", "sum")  # of all the cells that are meant; elsewhere each cell has one
_LIKE = "such as other['x'], other[[0]]['x'] or other['x'].mean()"


class Link(NamedTuple):
    """What a name in the equations of a population stands for.

    Attributes:
        target: The population whose equations read it.
        name: The name there.
        read: Whose variable it is, of which cells, and whether it is their mean or sum.
    """

    target: str
    name: str
    read: Recorder


def checked_links(name: str, equations: Equations, links: object) -> dict[str, Recorder]:
    """Return the links of a population, in the order of its equations.

    Args:
        name: Of the population.
        equations: Its equations.
        links: What was given: by the name in the equations what it stands for.

    Raises:
        WrongTypeError: They are no recorders by name.
        NetworkError: The equations do not declare a name, or a recorder is of more than the value
            of a variable at one time.
    """
    if not isinstance(links, Mapping):
        raise WrongTypeError(
            f"links of {name!r} are a dict such as {{'H': other['h']}}, not {shown(links)}."
        )
    for key, read in links.items():
        if not isinstance(key, str) or not isinstance(read, Recorder):
            raise WrongTypeError(
                f"links of {name!r}: a name in its equations stands for a variable of other cells, "
                f"{_LIKE}, not {shown(key)} for {uncalled(read) or shown(read)}."
            )
        if key == CURRENT_INPUT:
            raise NetworkError(
                f"{CURRENT_INPUT!r} of {name!r} is what stimuli and synapses drive; call what is "
                "read of other cells otherwise."
            )
        if key not in equations.inputs:
            raise NetworkError(
                f"the equations of {name!r} do not declare the link {key!r}: add a line such as "
                f"'{key} : mV', with the unit of {read.key!r}."
            )
        _check_read(name, key, read)
    for state, tree in starts(equations).items():
        for bad in sorted(equations.depends(tree) & links.keys()):
            raise NetworkError(
                f"the initial value of {state!r} of {name!r} depends on the link {bad!r}, which "
                "has no value before a run begins."
            )
    return {key: links[key] for key in equations.inputs if key in links}


def _check_read(name: str, key: str, read: Recorder) -> None:
    """Refuse a recorder of what cells have no value of at one time."""
    what = None
    if read.of_projection:
        what = "a projection, and cells are read"
    elif read.of_spikes:
        what = "spikes, and a variable is read; let a state jump at spikes, and link that"
    elif read.interval is not None:
        what = "samples, and a link has a value at all times; leave every() out"
    elif read.reduction not in (None, *_WHOLE):
        what = f"a {read.reduction}; a variable, its mean() or its sum() is read"
    elif read.name is not None:
        what = "a recording with a name of its own; leave as_() out"
    elif read.cells is not None and not len(read.cells):
        what = "no cells"
    if what is not None:
        raise NetworkError(f"the link {key!r} of {name!r} is of {what}.")


def readable(population: "Population") -> dict[str, str]:
    """Return the unit of each variable that the states of all cells tell, without inputs or noise.

    These are states, links, and definitions made of them, of parameters and of the time.
    """
    equations, links = population.equations, population.links
    if population.source is not None:
        return {}
    unknown = {*equations.inputs} - {*links} | {*listed(equations.noises)}
    found = {name: variable.unit for name, variable in equations.states.items()}
    found |= {name: equations.inputs[name] for name in links}
    return found | {
        name: variable.unit
        for name, variable in equations.definitions.items()
        if not equations.depends(variable.expression) & unknown
    }


def in_order(populations: Sequence["Population"]) -> tuple[Link, ...]:
    """Return the links of populations, each after those that it needs.

    Raises:
        UnknownNameError: One reads a population or a variable that there is not.
        UnitError: A variable has another unit than the line in the equations.
        NetworkError: Cells do not fit, a variable depends on an input or a noise, or links need
            each other.
    """
    owners = {population.name: population for population in populations}
    links = [Link(p.name, name, read) for p in populations for name, read in p.links.items()]
    needs = {(link.target, link.name): _needed(link, owners) for link in links}
    try:
        order = [*TopologicalSorter(needs).static_order()]
    except CycleError as error:
        circle = " -> ".join(f"{owner}.{name}" for owner, name in reversed(error.args[1]))
        raise NetworkError(
            f"these links need each other: {circle}. At one time only states are known; let one of "
            "the definitions that they read follow as a state."
        ) from None
    known = {(link.target, link.name): link for link in links}
    return tuple(known[key] for key in order)


def _needed(link: Link, owners: Mapping[str, "Population"]) -> list[tuple[str, str]]:
    """Return the links on which one depends, once it is checked."""
    read, place = link.read, f"the link {link.name!r} of {link.target!r}"
    if read.owner not in owners:
        raise UnknownNameError(
            f"{place} reads the population {read.owner!r}, which the network has not."
            f"{nearest(read.owner, owners)}"
        )
    source, target = owners[read.owner], owners[link.target]
    known = readable(source)
    if read.variable not in known:
        raise _unknown(place, source, read.variable, known)
    unit, wanted = known[read.variable], target.equations.inputs[link.name]
    if units.dimensions(unit) != units.dimensions(wanted):
        raise UnitError(
            f"{place} is declared in {wanted}, but {read.variable!r} of {source.name!r} is in "
            f"{unit}."
        )
    cells = np.arange(source.size) if read.cells is None else read.cells
    for bad in cells[(cells < 0) | (cells >= source.size)][:1]:
        raise NetworkError(
            f"{place} reads cell {bad} of {source.name!r}: there are {source.size} (0 to "
            f"{source.size - 1})."
        )
    if read.reduction is None and len(cells) not in (1, target.size):
        raise NetworkError(
            f"{place} reads {len(cells)} cells of {source.name!r} for {target.size}: give one for "
            "each, one for all, or their mean()."
        )
    own = source.equations.depends(Name(read.variable)) & source.links.keys()
    return [(source.name, name) for name in sorted(own)]


def _unknown(
    place: str, source: "Population", variable: str, known: Mapping[str, str]
) -> NetworkError | UnknownNameError:
    equations = source.equations
    if source.source is None and variable in {**equations.definitions, **equations.inputs}:
        return NetworkError(
            f"{place} reads {variable!r} of {source.name!r}, which depends on an input or a noise "
            "and is not known from the states of the cells; read a state that it drives."
        )
    return UnknownNameError(
        f"{place} reads {variable!r}, which {source.name!r} has not.{nearest(variable, known)}"
    )
