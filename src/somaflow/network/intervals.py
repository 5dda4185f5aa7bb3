"""What is done at intervals to cells and to synapses: which states a rule may change and read."""

from somaflow.equations.equations import Equations
from somaflow.equations.expression import SUMS, Call, Node, names, walk
from somaflow.equations.statements import CELL
from somaflow.errors import NetworkError


def check_cell_rules(name: str, equations: Equations) -> None:
    """Refuse rules that cells cannot follow.

    Args:
        name: Of the population.
        equations: Theirs.

    Raises:
        NetworkError: One reads an input, or sums over synapses.
    """
    for node in _expressions(equations):
        if inputs := equations.depends(node) & equations.inputs.keys():
            raise NetworkError(
                f"what is done at intervals to {name!r} may use states, parameters and the time t, "
                f"not {', '.join(sorted(inputs))}."
            )
        for item in walk(node):
            if isinstance(item, Call) and item.function in SUMS:
                raise NetworkError(
                    f"{item.function}() is a sum over synapses, and {name!r} is a population: "
                    "write the rule into the equations of the synapse."
                )


def check_synapse_rules(place: str, equations: Equations) -> None:
    """Refuse rules that synapses cannot follow.

    Raises:
        NetworkError: One reads the number of a cell, of which a synapse has two.
    """
    for node in _expressions(equations):
        if CELL in names(node) and CELL not in equations.dimensions():
            raise NetworkError(
                f"{place}: what is done at intervals reads {CELL!r}, the number of a cell, and a "
                "synapse has two cells. Give it a parameter, one number for each synapse."
            )


def check_joined_rules(place: str, equations: Equations, pre: int, post: int) -> None:
    """Refuse rules of synapses between joined populations that sum over more than one part.

    Args:
        place: What has the synapses, for messages.
        equations: Theirs.
        pre: How many populations are presynaptic.
        post: How many are postsynaptic.

    Raises:
        NetworkError: A cell's synapses lie in several parts, and a rule sums over them.
    """
    used = {i.function for n in _expressions(equations) for i in walk(n) if isinstance(i, Call)}
    for function, count in (("sum_post", pre), ("sum_pre", post)):
        if count > 1 and function in used:
            raise NetworkError(
                f"{place}: {function}() sums over the synapses of one projection between two "
                "populations, and here several populations are joined on the other side; give a "
                "projection for each, or one population."
            )


def changed(equations: Equations) -> set[str]:
    """Return the states that rules assign to."""
    return {item.name for rule in equations.rules for item in rule.assignments}


def shared(equations: Equations, sums: set[str]) -> str | None:
    """Say which state a rule changes or reads that is kept as a sum over synapses, if any.

    Args:
        equations: Of a synapse.
        sums: Its states of which only the sum over the synapses of a cell would be kept.
    """
    for verb, found in (
        ("changes", changed(equations)),
        ("reads", set().union(*map(equations.depends, _expressions(equations)))),
    ):
        if both := found & sums:
            return f"what is done at intervals {verb} {min(both)} of each synapse."
    return None


def _expressions(equations: Equations) -> list[Node]:
    return [item.expression for rule in equations.rules for item in rule.assignments]
