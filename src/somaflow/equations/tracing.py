"""Tracing: a Python function is called with symbols, and trees come out."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from somaflow.equations.algebras import Symbol, as_node
from somaflow.equations.expression import Name, Node, render
from somaflow.errors import TraceError


def trace_derivatives(
    function: Callable[..., object], states: Iterable[str], parameters: Iterable[str]
) -> dict[str, Node]:
    """Trace `f(t, y)` or `f(t, y, p)`, where `y`, `p` and what it returns are dicts.

    Returns:
        The derivative of each state, in the order of `states`.

    Raises:
        TraceError: The function does something that cannot be traced, or returns something else.
    """
    y = {key: Symbol(Name(key)) for key in states}
    p = {key: Symbol(Name(key)) for key in parameters}
    name = getattr(function, "__name__", "the function")
    try:
        count = len(inspect.signature(function).parameters)
        derivatives = function(*(Symbol(Name("t")), y, p)[: max(2, min(count, 3))])
    except TraceError:
        raise
    except Exception as error:
        raise TraceError(
            f"{name} cannot be traced into equations ({type(error).__name__}: {error}). "
            "Use Python operators and sf.math, or pass it to sf.solve, which runs it as it is."
        ) from error
    if not isinstance(derivatives, Mapping) or set(derivatives) != set(y):
        raise TraceError(f"{name} must return a dict with a derivative for each of {sorted(y)}.")
    return {key: as_node(derivatives[key]) for key in y}


def trace_components(function: Callable[..., object], y: object, args: object = None) -> list[Node]:
    """Trace a function of `sf.solve` into one tree for each component of its state.

    A component stands for all elements of its array: what a function does to single elements, such
    as `y[0]`, cannot be traced.

    Args:
        function: `f(t, y)`, or `f(t, y, args)` where args are given.
        y: A state: dicts, lists and tuples of anything. Only its structure matters.
        args: The arguments, likewise; each is a name that begins with `args`.

    Returns:
        The derivatives, in the order of `component_names(y)`.

    Raises:
        TraceError: The function cannot be traced, or returns another structure.
    """
    name = getattr(function, "__name__", "the function")
    names = component_names(y)
    others = {"t", *(component_names(args, "args") if args is not None else ())}
    if len(set(names)) < len(names) or others & set(names):
        raise TraceError(
            f"an exponential method needs one name for each part of the state; {name} has "
            f"{', '.join(names)}, beside {', '.join(sorted(others))}. Rename what occurs twice."
        )
    symbols = (_symbols(y, "y"),) if args is None else (_symbols(y, "y"), _symbols(args, "args"))
    try:
        found = _flatten(y, function(Symbol(Name("t")), *symbols))
        if found is not None:
            return [as_node(value) for value in found]
    except Exception as error:
        raise TraceError(
            f"an exponential method needs to see the equations, but {name} cannot be traced "
            f"({type(error).__name__}: {error}). Write it with Python operators and sf.math, or "
            "as text by sf.Equations.parse."
        ) from error
    raise TraceError(
        f"{name} must return a derivative for each of {', '.join(names)}, in the structure of "
        "the state."
    )


def component_names(nest: object, single: str = "y") -> list[str]:
    """Return the name of each component of a nest, such as `a.b`; dicts are sorted by key.

    Args:
        nest: Dicts, lists and tuples of anything.
        single: The name of a nest that is one component; other roots than `y` begin each name.
    """
    leaves = _flatten(nest, _symbols(nest, single)) or ()
    return [render(as_node(leaf)) for leaf in leaves]


def _symbols(nest: object, root: str) -> object:
    """Return a nest of the same structure, with a symbol for each component."""

    def build(item: object, path: tuple[str, ...]) -> Any:
        if isinstance(item, Mapping):
            return {key: build(value, (*path, str(key))) for key, value in item.items()}
        if isinstance(item, (list, tuple)):
            parts = [build(value, (*path, str(k))) for k, value in enumerate(item)]
            return type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)
        return Symbol(Name(".".join(path) or root))

    return build(nest, () if root == "y" else (root,))


def _flatten(like: object, nest: object) -> list[object] | None:
    """Return the components of a nest, or None where its structure is not that of `like`."""
    if isinstance(like, Mapping):
        if not isinstance(nest, Mapping) or set(nest) != set(like):
            return None
        pairs = [(like[key], nest[key]) for key in sorted(like)]
    elif isinstance(like, (list, tuple)):
        if not isinstance(nest, (list, tuple)) or len(nest) != len(like):
            return None
        pairs = list(zip(like, nest, strict=True))
    else:
        return [nest]
    leaves: list[object] = []
    for part, value in pairs:
        below = _flatten(part, value)
        if below is None:
            return None
        leaves += below
    return leaves
