"""What unit a parameter must have: found from the equations where a plain number was given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pint.util import UnitsContainer

from somaflow import units
from somaflow.equations.algebras import PURE, is_condition, literal
from somaflow.equations.drawing import Setting
from somaflow.equations.expression import (
    FUNCTIONS,
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    evaluate,
)
from somaflow.notation import LARGEST_POWER
from somaflow.units import Dimensions

_MOST_WORK = 2e7  # of a solve; this is advice in a message, which must not take long
_TINY = 1e-9  # of numbers that are 0 but for rounding


@dataclass(frozen=True)
class Open:
    """Dimensions times powers of dimensions that are not known.

    Attributes:
        known: What is known.
        unknown: The power of each parameter.
    """

    known: Dimensions
    unknown: dict[str, float] = field(default_factory=dict)

    def __mul__(self, other: "Open") -> "Open":
        powers = dict(self.unknown)
        for name, power in other.unknown.items():
            powers[name] = powers.get(name, 0.0) + power
        return Open(self.known * other.known, {name: p for name, p in powers.items() if p})

    def __pow__(self, exponent: float) -> "Open":
        return Open(self.known**exponent, {n: p * exponent for n, p in self.unknown.items()})


class OpenAlgebra:
    """Evaluates dimensions with some of them unknown, and collects what must be a pure number.

    Args:
        table: Dimensions of every name that is not a unit.
        unknown: The names whose dimensions are sought.

    Attributes:
        pure: Ratios that the equations make pure numbers.
    """

    def __init__(self, table: Mapping[str, Dimensions], unknown: Iterable[str]) -> None:
        self.table, self.unknown = table, set(unknown)
        self.pure: list[Open] = []

    def alike(self, one: Open, other: Open) -> None:
        """Note that two have the same unit."""
        self.pure.append(one * other**-1)

    def number(self, node: Number) -> Open:
        return Open(PURE)

    def name(self, node: Name) -> Open:
        if node.name in self.unknown:
            return Open(PURE, {node.name: 1.0})
        return Open(self.table.get(node.name) or units.dimensions(node.name))

    def negative(self, node: Negative, operand: Open) -> Open:
        return operand

    def binary(self, node: Binary, left: Open, right: Open) -> Open:
        match node.operator:
            case "*":
                return left * right
            case "/":
                return left * right**-1
            case "**":
                self.pure.append(right)
                exponent = literal(node.right)
                if exponent is not None and abs(exponent) <= LARGEST_POWER:
                    return left**exponent
                self.pure.append(left)
                return Open(PURE)
        self.alike(left, right)
        return Open(PURE) if is_condition(node) else left

    def call(self, node: Call, arguments: tuple[Open, ...]) -> Open:
        rule = FUNCTIONS[node.function][1]
        if rule == "root":
            return arguments[0] ** 0.5
        if rule in ("same", "ratio", "choose"):
            first, *rest = arguments[1:] if rule == "choose" else arguments
            for other in rest:
                self.alike(first, other)
            return Open(PURE) if rule == "ratio" else first
        wanted = PURE if rule == "pure" else units.dimensions("ms")
        self.alike(arguments[0], Open(wanted))
        return Open(PURE)


def wanted_units(
    table: Mapping[str, Dimensions],
    unknown: Iterable[str],
    sides: Iterable[tuple[Node, Dimensions | None]],
) -> dict[str, str]:
    """Return the unit of each unknown that the equations fix.

    Args:
        table: Dimensions of every name.
        unknown: The names whose dimensions are sought.
        sides: Expressions, and the dimensions that each must have, or None for any.

    Returns:
        Units by name, without those that are fixed as pure numbers; nothing where the equations
        contradict each other whatever the unknown units are.
    """
    names = sorted(set(unknown))
    algebra = OpenAlgebra(table, names)
    for node, wanted in sides:
        side = evaluate(node, algebra)
        if wanted is not None:
            algebra.alike(side, Open(wanted))
    if not names or len(algebra.pure) * len(names) ** 2 > _MOST_WORK:
        return {}
    kinds = sorted({kind for ratio in algebra.pure for kind in ratio.known.powers})
    rows = [[ratio.unknown.get(name, 0.0) for name in names] for ratio in algebra.pure]
    right = [
        [-float(cast("Any", ratio.known.powers).get(kind, 0)) for kind in kinds]
        + [-ratio.known.size]
        for ratio in algebra.pure
    ]
    matrix, negated = np.array(rows), np.array(right)
    if not rows or not (np.isfinite(matrix).all() and np.isfinite(negated).all()):
        return {}
    return _solved(names, kinds, matrix, negated)


def _solved(
    names: list[str], kinds: list[str], matrix: NDArray[np.float64], right: NDArray[np.float64]
) -> dict[str, str]:
    inverse = np.linalg.pinv(matrix, rcond=_TINY)
    powers = inverse @ right
    misfit = (matrix @ powers - right)[:, :-1]  # sizes need not agree: mV may be added to volt
    if np.abs(misfit).max(initial=0.0) > _TINY:
        return {}
    free = np.abs(np.eye(len(names)) - inverse @ matrix).max(axis=1) > _TINY
    units_of = {}
    for name, row, undecided in zip(names, powers, free, strict=True):
        exponents = {k: round(float(p), 6) for k, p in zip(kinds, row[:-1], strict=True)}
        exponents = {kind: int(p) if p == int(p) else p for kind, p in exponents.items() if p}
        if exponents and not undecided:
            units_of[name] = units.named(Dimensions(UnitsContainer(exponents), float(row[-1])))
    return units_of


def advice(parameters: Mapping[str, Setting], wanted: Mapping[str, str]) -> str:
    """Say how parameters that are plain numbers are written with their units."""
    sentences = []
    for name, unit in wanted.items():
        value = parameters[name].value
        shown = "..." if value.size > 6 else np.array2string(value, separator=", ")
        factor, _, divisors = unit.partition("/")
        written = f"{shown}*{unit}" if factor != "1" else f"{shown}/{divisors}"
        sentences.append(
            f"{name!r} is a plain number, but the equations make it {unit}: "
            f"give its unit, as in {name}={written}."
        )
    return " ".join(sentences)
