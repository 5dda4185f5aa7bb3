"""Closed forms of states that obey linear equations with constant coefficients between events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from somaflow.equations.equations import Equations
from somaflow.equations.expression import Node
from somaflow.equations.linear import LinearParts

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing
States = dict[str, Any]

# Terms of the exponential series of a coupled system. With rates of at most 1 per step the first
# term that is left out is 1/19!, below the rounding of float64.
_TERMS = 18


class Linear:
    """The closed form of dz/dt = A z + b for some states of a synapse.

    Attributes:
        parts: A and b as trees.
        states: The names of the states.
        diagonal: Whether each state depends on itself alone, so that exponentials are enough.

    Raises:
        EquationError: An equation is not linear in the states.
    """

    def __init__(self, equations: Equations, states: Sequence[str]) -> None:
        self.parts = LinearParts(equations, states)
        self.states, self.diagonal = self.parts.states, self.parts.diagonal

    def values(self, value: Callable[[Node], Any]) -> dict[str, Any]:
        """Evaluate the coefficients and offsets."""
        return {
            "a": {key: value(node) for key, node in self.parts.coefficients.items()},
            "b": {key: value(node) for key, node in self.parts.offsets.items()},
        }

    def advance(self, values: Mapping[str, Any], z: Mapping[str, Any], time: Any) -> States:
        """Return the states after some time without an event.

        Args:
            values: What `values` returned.
            z: The states, tensors.
            time: A number or a tensor that broadcasts with them.
        """
        a, b = values["a"], values["b"]
        if self.diagonal:
            made = {}
            for state in self.states:
                if (state, state) not in a:
                    made[state] = z[state]
                    continue
                decay = tf.exp(a[state, state] * time)
                if state in b:
                    level = -b[state] / a[state, state]
                    made[state] = level + (z[state] - level) * decay
                else:
                    made[state] = z[state] * decay
            return made
        total, term = dict(z), dict(z)
        for k in range(1, _TERMS + 1):
            following = {}
            for row in self.states:
                parts = [a[row, column] * term[column] for r, column in a if r == row]
                if k == 1 and row in b:
                    parts.append(b[row])
                following[row] = sum(parts) * (time / k) if parts else tf.zeros_like(z[row])
            term = following
            total = {state: total[state] + term[state] for state in self.states}
        return total

    def impulse(self, values: Mapping[str, Any], jumps: Mapping[str, Any], time: Any) -> States:
        """Return what jumps have become after some time, the rest of the states left aside."""
        homogeneous = {"a": values["a"], "b": {}}
        given = next(iter(jumps.values()))
        z = {state: jumps.get(state, tf.zeros_like(given)) for state in self.states}
        return self.advance(homogeneous, z, time)

    def swept(
        self, values: Mapping[str, Any], jumps: Mapping[str, Any], time: Any
    ) -> tuple[States, States]:
        """Return what jumps have become after some time, and their integrals over it.

        The integrals are by the trapezoidal rule.
        """
        nothing = tf.zeros_like(next(iter(jumps.values())))
        if not self.diagonal:
            grown = self.impulse(values, jumps, time)
            areas = {s: time * (jumps.get(s, nothing) + grown[s]) / 2 for s in self.states}
            return grown, areas
        # No product is added to anything here: XLA may contract the two or not, and rows of a batch
        # would differ in their last bits from a run alone.
        ones = {state: tf.ones_like(nothing) for state in self.states}
        decays = self.impulse(values, ones, time)
        given = {state: jumps.get(state, nothing) for state in self.states}
        areas = {s: given[s] * (time * (1 + decays[s]) / 2) for s in self.states}
        return {s: given[s] * decays[s] for s in self.states}, areas

    def fastest(self, values: Mapping[str, Any]) -> float:
        """Return the largest row sum of |A|, per ms."""
        rows = {state: 0.0 for state in self.states}
        for (row, _), value in values["a"].items():
            rows[row] += abs(float(value))
        return max(rows.values(), default=0.0)
