"""Butcher tableaux of explicit Runge-Kutta methods; each checks itself when it is made."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Tableau:
    """The numbers of an explicit Runge-Kutta method.

    Attributes:
        name: The method.
        order: Its order, verified against the order conditions up to 4.
        a: Row i holds the weights of stages 0 to i - 1 in stage i + 1.
        b: Weights of the stages in the result.
        c: Fraction of the step at which each stage is evaluated.
        reference: Where the numbers stand.

    Raises:
        ArithmeticError: The numbers contradict each other or the order.
    """

    name: str
    order: int
    a: tuple[tuple[Fraction | int, ...], ...]
    b: tuple[Fraction | int, ...]
    c: tuple[Fraction | int, ...]
    reference: str

    def __post_init__(self) -> None:
        stages = len(self.b)
        matrix = np.full((stages, stages), Fraction(0), dtype=object)
        for row, weights in enumerate(self.a, 1):
            if len(weights) != row:
                raise ArithmeticError(f"{self.name}: row {row} of a has {len(weights)} numbers.")
            matrix[row, :row] = weights
        b, c = np.array(self.b, dtype=object), np.array(self.c, dtype=object)
        if any(matrix.sum(axis=1) != c):
            raise ArithmeticError(f"{self.name}: the rows of a do not sum to c.")
        ac = matrix.dot(c)
        # Hairer, Norsett and Wanner (1993) Solving Ordinary Differential Equations I, table II.2.1
        conditions = [
            (1, b.sum(), Fraction(1)),
            (2, b.dot(c), Fraction(1, 2)),
            (3, b.dot(c * c), Fraction(1, 3)),
            (3, b.dot(ac), Fraction(1, 6)),
            (4, b.dot(c * c * c), Fraction(1, 4)),
            (4, b.dot(c * ac), Fraction(1, 8)),
            (4, b.dot(matrix.dot(c * c)), Fraction(1, 12)),
            (4, b.dot(matrix.dot(ac)), Fraction(1, 24)),
        ]
        for order, found, wanted in conditions:
            if order <= self.order and found != wanted:
                raise ArithmeticError(f"{self.name}: order condition {wanted} gives {found}.")


_half, _third, _sixth = Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)

EULER = Tableau(
    "Euler",
    1,
    (),
    (1,),
    (0,),
    "Euler L (1768) Institutiones calculi integralis, vol. 1, section 650",
)
RK4 = Tableau(
    "RK4",
    4,
    ((_half,), (0, _half), (0, 0, 1)),
    (_sixth, _third, _third, _sixth),
    (0, _half, _half, 1),
    "Kutta W (1901) Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen",
)
