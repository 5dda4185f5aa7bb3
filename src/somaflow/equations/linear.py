"""Linear systems of states: dz/dt = A z + b, with coefficients that no state changes."""

from collections.abc import Callable, Sequence

from somaflow.equations.affine import ZERO, AffineAlgebra, inlined
from somaflow.equations.algebras import NumberAlgebra
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Node, evaluate, names
from somaflow.errors import EquationError


class LinearParts:
    """dz/dt = A z + b for some states of a synapse.

    Attributes:
        states: Their names.
        coefficients: The entries of A that are not 0, as trees: (row, column).
        offsets: The entries of b that are not 0, as trees.
        diagonal: Whether each state depends on itself alone, so that exponentials are enough.

    Raises:
        EquationError: An equation is not linear in the states.
    """

    def __init__(self, equations: Equations, states: Sequence[str]) -> None:
        self.states = tuple(states)
        self.coefficients: dict[tuple[str, str], Node] = {}
        self.offsets: dict[str, Node] = {}
        for row in self.states:
            tree = inlined(equations.states[row].expression, equations.definitions, set())
            for column in self.states:
                slope, tree = evaluate(tree, AffineAlgebra(column, message=because(row, column)))
                if not _is_zero(slope, equations):
                    if products := names(slope) & set(self.states):
                        raise EquationError(
                            f"d{row}/dt is not linear: {column} is multiplied by "
                            f"{', '.join(sorted(products))}."
                        )
                    self.coefficients[row, column] = slope
            if not _is_zero(tree, equations):
                self.offsets[row] = tree
        self.diagonal = all(row == column for row, column in self.coefficients) and all(
            (row, row) in self.coefficients for row in self.offsets
        )

    def constant(self, state: str) -> bool:
        """Tell whether a state stays as it is between events."""
        return state not in self.offsets and not any(row == state for row, _ in self.coefficients)

    def reaches(self, source: str, target: str) -> bool:
        """Tell whether a state moves another one, through others or not."""
        reached = {source}
        for _ in self.states:
            reached |= {row for row, column in self.coefficients if column in reached}
        return target in reached


def _is_zero(node: Node, equations: Equations) -> bool:
    """Tell whether a tree is 0 whatever the parameters: `0*nS/ms` is."""
    if node == ZERO:
        return True
    if equations.depends(node) & {*equations.parameters, *equations.states, *equations.inputs}:
        return False
    return float(evaluate(node, NumberAlgebra({}))) == 0.0


def because(row: str, column: str | None = None) -> Callable[[str], str]:
    """Return what makes the message for a derivative that is not affine in a state."""
    return lambda part: f"d{row}/dt is not affine in {column or row}, because of {part}."
