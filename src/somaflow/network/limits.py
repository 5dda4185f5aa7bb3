"""Limits of weights: what a conductance and what a plastic weight cannot be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations.algebras import NumberAlgebra
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Call, Name, Node, evaluate, render
from somaflow.errors import NetworkError
from somaflow.network.distributions import Normal
from somaflow.network.from_scipy import FromSciPy
from somaflow.network.wiring import Pairs
from somaflow.units import Parameter

_CURRENTS = units.dimensions("uA"), units.dimensions("uA/cm**2")
_CONDUCTANCES = units.dimensions("mS"), units.dimensions("mS/cm**2")
_VOLTAGE = units.dimensions("mV")
_ROUNDING = 1e-9  # of a bound, by which one value in two units may differ
_VOLTAGES = np.linspace(-120.0, 60.0, 19)
_CLIP_HIGH = 2  # the place of the upper bound in clip(x, low, high)
_NEGATIVE = (
    "a conductance below 0 would drive the cell away from the reversal potential. An inhibitory "
    "synapse has a weight above 0, and a reversal potential below the threshold."
)


@dataclass(frozen=True)
class Limits:
    """What a weight may be, in the coherent system.

    Attributes:
        low: The least value.
        high: The greatest value.
        below: What the least value is, in words; `None` for that of a conductance.
        above: What the greatest value is, in words.
    """

    low: float = -np.inf
    high: float = np.inf
    below: str | None = None
    above: str | None = None

    def check(
        self,
        weight: NDArray[np.float64],
        unit: str,
        origin: object,
        where: str,
        pairs: Pairs | None = None,
    ) -> None:
        """Refuse weights that are beyond a limit.

        Args:
            weight: The weights.
            unit: In which to show one.
            origin: What they come from.
            where: Whose they are, for messages.
            pairs: The presynaptic and the postsynaptic cell of each, if they have any.

        Raises:
            NetworkError: One is.
        """
        low, high = (
            end - sign * _ROUNDING * abs(end) if np.isfinite(end) else end
            for end, sign in ((self.low, 1), (self.high, -1))
        )
        if not weight.size or (weight.min() >= low and weight.max() <= high):
            return
        bad = int(np.flatnonzero((weight < low) | (weight > high))[0])
        value = Parameter(np.asarray(weight[bad], np.float64), unit)
        pair = "" if pairs is None else f" of the pair {tuple(int(side[bad]) for side in pairs)}"
        raise NetworkError(
            f"{where}: the weight{pair} is {value}; {self._say(float(weight[bad]), unit, origin)}"
        )

    def _say(self, weight: float, unit: str, origin: object) -> str:
        """Say why a value is none."""
        lower = weight < self.low
        name, end = (self.below, self.low) if lower else (self.above, self.high)
        bound = Parameter(np.asarray(end), unit)
        if lower and name is None:
            reason = _NEGATIVE
        else:
            named = f"{name} = " if name and name.isidentifier() else ""
            reason = (
                f"that is {'below' if lower else 'above'} {named}{bound}, the bound that the "
                "synapse keeps it within. Start within, or give the synapse another bound."
            )
        ends = (origin.lowest, origin.highest) if isinstance(origin, (Normal, FromSciPy)) else ()
        if ends and np.isinf(ends[0 if lower else 1]):
            name = "low" if lower else "high"
            reason += f" A {type(origin).__name__} takes a bound: {name}=... in {unit}."
        return reason


class _Bound(NamedTuple):
    """A bound of a plastic weight: whether above, what it is in words, and its value."""

    is_upper: bool
    name: str
    value: float


def limits_of(equations: Equations, weight: str) -> Limits:
    """Return what a synapse's weight may be.

    A weight that is a conductance, or a number that scales one, is at least 0. A plastic weight
    starts between the bounds that its assignments keep it within, by `minimum`, `maximum` and
    `clip`, and between parameters that are called `w_min` and `w_max` where the weight is `w`.

    Args:
        equations: The synapse's.
        weight: The name of its weight.
    """
    low, below, high, above = -np.inf, None, np.inf, None
    if _is_conductance(equations, weight):
        low = 0.0
    for is_upper, name, value in _bounds(equations, weight):
        if is_upper and value < high:
            high, above = value, name
        elif not is_upper and value > low:
            low, below = value, name
    return Limits(low, high, below, above)


def _is_conductance(equations: Equations, weight: str) -> bool:
    if units.dimensions(equations.unit(weight)) in _CONDUCTANCES:
        return True
    current = equations.definitions.get("I")
    if current is None or units.dimensions(current.unit) not in _CURRENTS:
        return False
    driving = {
        port
        for port in equations.depends(Name("I")) & set(equations.inputs)
        if port.endswith("_post") and units.dimensions(equations.inputs[port]) == _VOLTAGE
    }
    return bool(driving) and _reaches(equations, weight) and _rises(equations, weight, driving)


def _reaches(equations: Equations, weight: str) -> bool:
    """Tell whether the current depends on the weight, by itself or by what spikes add."""
    used = equations.depends(Name("I"))
    return weight in used or any(
        assignment.name in used and weight in equations.depends(assignment.expression)
        for assignment in equations.on_spike
    )


def _rises(equations: Equations, weight: str, driving: set[str]) -> bool:
    """Tell whether the outward current of an open synapse rises with the voltage."""
    table: dict[str, NDArray[np.float64] | float] = {
        key: p.value for key, p in equations.parameters.items()
    }
    table |= {key: np.ones(()) for key in (*equations.states, weight)}
    table |= {key: np.zeros(()) for key in equations.inputs} | {"t": 0.0}
    table |= dict.fromkeys(driving, _VOLTAGES)
    with np.errstate(all="ignore"):
        for key, definition in equations.definitions.items():
            table[key] = evaluate(definition.expression, NumberAlgebra(table))
    current = np.broadcast_to(np.asarray(table["I"], np.float64), _VOLTAGES.shape)
    return bool(np.all(np.diff(current) > 0))


def _bounds(equations: Equations, weight: str) -> Iterator[_Bound]:
    """Iterate over the bounds of a plastic weight."""
    if weight not in equations.states:
        return
    dimensions = units.dimensions(equations.unit(weight))
    for is_upper, name in ((False, f"{weight}_min"), (True, f"{weight}_max")):
        bound = equations.parameters.get(name)
        if bound is not None and units.dimensions(bound.unit) == dimensions:
            yield _Bound(is_upper, name, float(bound.value))
    done = [item for rule in equations.rules for item in rule.assignments]
    for assignment in (*equations.on_spike, *equations.on_post_spike, *done):
        if assignment.name == weight:
            yield from _clamps(equations, assignment.expression)


def _clamps(equations: Equations, node: Node) -> Iterator[_Bound]:
    """Iterate over the constants to which the outer calls of minimum, maximum and clip cut."""
    if not isinstance(node, Call) or node.function not in ("minimum", "maximum", "clip"):
        return
    table = {key: p.value for key, p in equations.parameters.items()}
    changing = {*equations.states, *equations.inputs, "t"}
    for place, argument in enumerate(node.arguments):
        used = equations.depends(argument)
        if used & changing or used & set(equations.definitions):
            yield from _clamps(equations, argument)
        elif node.function != "clip" or place > 0:
            is_upper = node.function == "minimum" or place == _CLIP_HIGH
            value = float(evaluate(argument, NumberAlgebra(table)))
            yield _Bound(is_upper, render(argument), value)
