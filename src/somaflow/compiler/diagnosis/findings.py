"""Findings: what a doctor sees."""

from dataclasses import dataclass

from somaflow.compiler.diagnosis.moments import FlowRow, Index, Stage
from somaflow.compiler.diagnosis.terms import CellEquations, Term


@dataclass(frozen=True)
class Finding:
    """A term that is not finite.

    Attributes:
        row: In whose derivative.
        index: At which cell.
        stage: Where within the step.
        cell: The cell's equations there.
        term: The term.
        inside: The definition in which it stands; None for the derivative itself.
    """

    row: FlowRow
    index: Index
    stage: Stage
    cell: CellEquations
    term: Term
    inside: str | None


@dataclass(frozen=True)
class Rate:
    """How fast a state changes with itself.

    Attributes:
        row: The state.
        rate: d(dy/dt)/dy in 1/ms.
        time: When, in ms.
    """

    row: FlowRow
    rate: float
    time: float
