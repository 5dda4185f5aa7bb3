"""Needs: which definitions must have a value before one has."""

from collections.abc import Container, Mapping

from somaflow.equations.expression import Node, names


def in_need(name: str, definitions: Mapping[str, Node], known: Container[str]) -> list[str]:
    """Return the definitions that one needs and that are not known, each after those it needs.

    Whoever evaluates them in this order finds what one needs, however long their chain is.

    Args:
        name: The one, which is the last.
        definitions: All of them, none of which need each other.
        known: Those that have a value already.
    """
    order: dict[str, None] = {}
    opened: set[str] = set()
    waiting = [name]
    while waiting:
        key = waiting[-1]
        if key in opened:
            order.setdefault(waiting.pop())
            continue
        opened.add(key)
        waiting += [
            other
            for other in names(definitions[key])
            if other in definitions and other not in opened and other not in known
        ]
    return list(order)
