"""Closed forms of states that obey linear equations with constant coefficients between events."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from somaflow.compiler.lower import Scope
from somaflow.compiler.states import Coefficients, Matrix, Tensors
from somaflow.equations.equations import Equations
from somaflow.equations.linear import LinearParts
from somaflow.numerics.functions import exprel
from somaflow.numerics.types import Tensor

# Terms of the exponential series of a coupled system. With rates of at most 1 per step the first
# term that is left out is 1/19!, below the rounding of float64.
_TERMS = 18
# A sum that changes by more than this within a step is given to the solver as its mean over the
# step, so that its charge is right: with one node, and with several of them.
_SAMPLED_ONCE, _SAMPLED = 0.1, 1.0


class Linear:
    """The closed form of dz/dt = A z + b for some states of a synapse.

    States that depend on themselves alone are exponentials. Others are the exponential series of
    the whole matrix, at a time so short that nothing changes by more than itself, and then twice
    that time, again and again (scaling and squaring: Higham NJ (2008) Functions of Matrices,
    section 10.3). It needs no eigenvalues, so equal and nearly equal rates are like any others.

    Attributes:
        parts: A and b as trees.
        states: The names of the states.
        diagonal: Whether each state depends on itself alone, so that exponentials are enough.
        doublings: How often the time is doubled.
        steep: Whether states change within the longest time by more than solvers with one node, and
            with several, see well enough.

    Raises:
        EquationError: An equation is not linear in the states.
    """

    def __init__(self, equations: Equations, states: Sequence[str]) -> None:
        self.parts = LinearParts(equations, states)
        self.states, self.diagonal = self.parts.states, self.parts.diagonal
        self.doublings, self.steep = 0, (False, False)

    def values(self, value: Scope) -> Coefficients:
        """Evaluate the coefficients and offsets."""
        return Coefficients(
            {key: value(node) for key, node in self.parts.coefficients.items()},
            {key: value(node) for key, node in self.parts.offsets.items()},
        )

    def reach(self, values: Coefficients, longest: float) -> None:
        """Set the doublings for times up to the longest one, in ms."""
        change = self.fastest(values) * longest
        self.steep = change > _SAMPLED_ONCE, change > _SAMPLED
        self.doublings = 0 if self.diagonal else math.ceil(math.log2(max(change, 1.0)))

    def advance(self, values: Coefficients, z: Tensors, time: Tensor) -> Tensors:
        """Return the states after some time without an event.

        Args:
            values: What `values` returned.
            z: The states, tensors.
            time: A number or a tensor that broadcasts with them.
        """
        a, b = values
        if self.diagonal:
            later = {}
            for state in self.states:
                if (state, state) not in a:
                    later[state] = z[state]
                    continue
                decay = tf.exp(a[state, state] * time)
                if state in b:
                    level = -b[state] / a[state, state]
                    later[state] = level + (z[state] - level) * decay
                else:
                    later[state] = z[state] * decay
            return later
        if self.doublings:
            way, area = self._ways(values, next(iter(z.values())), time)
            grown, driven = self._product(way, z), self._product(area, b)
            return {s: grown[s] + driven[s] if s in driven else grown[s] for s in self.states}
        return self._series(values, z, time)[0]

    def _series(self, values: Coefficients, z: Tensors, time: Tensor) -> tuple[Tensors, Tensors]:
        """Return the states after a time that is short to them, and their integrals over it."""
        a, b = values
        total, term, area = dict(z), dict(z), dict(z)
        for k in range(1, _TERMS + 1):
            following = {}
            for row in self.states:
                parts = [a[row, column] * term[column] for r, column in a if r == row]
                if k == 1 and row in b:
                    parts.append(b[row])
                following[row] = sum(parts) * (time / k) if parts else tf.zeros_like(z[row])
            term = following
            total = {state: total[state] + term[state] for state in self.states}
            area = {state: area[state] + term[state] / (k + 1) for state in self.states}
        return total, {state: area[state] * time for state in self.states}

    def _ways(self, values: Coefficients, like: Tensor, time: Tensor) -> tuple[Matrix, Matrix]:
        """Return how each state depends on each after some time, and the integrals of that."""
        free, short = values.homogeneous, time * 0.5**self.doublings
        way: Matrix = {}
        area: Matrix = {}
        for column in self.states:
            unit = {s: tf.zeros_like(like) + float(s == column) for s in self.states}
            for matrix, states in zip((way, area), self._series(free, unit, short), strict=True):
                matrix |= {
                    (row, column): states[row]
                    for row in self.states
                    if self.parts.reaches(column, row)
                }
        for _ in range(self.doublings):
            later = self._times(way, area)
            area = {key: part + later[key] for key, part in area.items()}
            way = self._times(way, way)
        return way, area

    def _times(self, left: Matrix, right: Matrix) -> Matrix:
        columns = {c: {r: v for (r, k), v in right.items() if k == c} for c in self.states}
        return {(r, c): v for c in self.states for r, v in self._product(left, columns[c]).items()}

    @staticmethod
    def _product(matrix: Matrix, z: Tensors) -> Tensors:
        total: Tensors = {}
        for (row, column), part in matrix.items():
            if column in z:
                term = part * z[column]
                total[row] = total[row] + term if row in total else term
        return total

    def impulse(self, values: Coefficients, jumps: Tensors, time: Tensor) -> Tensors:
        """Return what jumps have become after some time, the rest of the states left aside."""
        return self.advance(values.homogeneous, self._all(jumps), time)

    def _all(self, jumps: Tensors) -> Tensors:
        like = next(iter(jumps.values()))
        return {state: jumps.get(state, tf.zeros_like(like)) for state in self.states}

    def swept(self, values: Coefficients, jumps: Tensors, time: Tensor) -> tuple[Tensors, Tensors]:
        """Return what jumps have become after some time, and their integrals over it."""
        z, free = self._all(jumps), values.homogeneous
        if self.diagonal:
            # No product is added to anything here: XLA may contract the two or not, and rows of a
            # batch would differ in their last bits from a run alone.
            ones = {state: tf.ones_like(value) for state, value in z.items()}
            decays = self.advance(free, ones, time)
            grown = {s: z[s] * decays[s] for s in self.states}
            rates = {s: free.matrix[s, s] for s in self.states if (s, s) in free.matrix}
            means = {s: exprel(rates[s] * time) if s in rates else ones[s] for s in self.states}
            return grown, {s: z[s] * (time * means[s]) for s in self.states}
        if not self.doublings:
            return self._series(free, z, time)
        way, area = self._ways(values, next(iter(z.values())), time)
        return self._product(way, z), self._product(area, z)

    def fastest(self, values: Coefficients) -> float:
        """Return the largest row sum of |A|, per ms."""
        rows = {state: 0.0 for state in self.states}
        for (row, _), value in values.matrix.items():
            rows[row] += float(np.max(np.abs(value)))
        return max(rows.values(), default=0.0)
