"""Butcher tableaux of explicit Runge-Kutta methods; each checks itself when it is made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement
from math import prod

import numpy as np
from numpy.typing import NDArray

Number = Fraction | int | float
Exact = NDArray[np.object_]  # of numbers
Tree = tuple["Tree", ...]  # a rooted tree is the tuple of its root's subtrees

# What rounding may leave of a condition where a paper prints decimals: weights of the dense output
# reach 90, so 16 digits leave 1e-14 of each, and a few of them are added.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Tableau:
    """The numbers of an explicit Runge-Kutta method.

    Attributes:
        name: The method.
        order: Its order, verified against the order conditions up to 5.
        a: Row i holds the weights of stages 0 to i - 1 in stage i + 1.
        b: Weights of the stages in the result.
        c: Fraction of the step at which each stage is evaluated.
        reference: Where the numbers stand.
        b_error: Weights of the embedded method, against which the error is estimated, or None.
        error_order: The embedded method's order, verified like `order`.
        dense: Weights of the stages within the step, as polynomials: row i holds the coefficients
            of theta, theta**2, ... in the weight of stage i at t + theta*dt. Empty for none.
        dense_order: The order of the solution within the step, verified as identities in theta.

    Raises:
        ArithmeticError: The numbers contradict each other or the order.
    """

    name: str
    order: int
    a: tuple[tuple[Number, ...], ...]
    b: tuple[Number, ...]
    c: tuple[Number, ...]
    reference: str
    b_error: tuple[Number, ...] | None = None
    error_order: int | None = None
    dense: tuple[tuple[Number, ...], ...] = ()
    dense_order: int | None = None

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is the next step's first."""
        return bool(self.a) and (*self.a[-1], 0) == self.b and self.c[-1] == 1

    def __post_init__(self) -> None:
        stages = len(self.b)
        matrix = np.full((stages, stages), Fraction(0), dtype=object)
        for row, weights in enumerate(self.a, 1):
            if len(weights) != row:
                raise ArithmeticError(f"{self.name}: row {row} of a has {len(weights)} numbers.")
            matrix[row, :row] = weights
        if any(not _equal(*pair) for pair in zip(matrix.sum(axis=1), self.c, strict=True)):
            raise ArithmeticError(f"{self.name}: the rows of a do not sum to c.")
        _check(self.name, matrix, self.b, self.order)
        if (self.b_error is None) != (self.error_order is None):
            raise ArithmeticError(f"{self.name}: b_error and error_order go together.")
        if self.b_error is not None and self.error_order is not None:
            _check(f"{self.name}, embedded", matrix, self.b_error, self.error_order)
        if bool(self.dense) != (self.dense_order is not None):
            raise ArithmeticError(f"{self.name}: dense and dense_order go together.")
        if self.dense_order is not None:
            self._check_dense(matrix, self.dense_order)

    def _check_dense(self, matrix: Exact, order: int) -> None:
        weights = np.array(self.dense, dtype=object)
        for stage, (end, b) in enumerate(zip(weights.sum(axis=1), self.b, strict=True)):
            if not _equal(end, b):
                raise ArithmeticError(
                    f"{self.name}, dense: stage {stage} ends with weight {end}, not {b}."
                )
        # b(theta) . Phi(tree) = theta**size / density, power by power.
        for power, column in enumerate(weights.T, 1):
            _check(f"{self.name}, dense, theta**{power}", matrix, column, order, power)


def _trees(size: int) -> Iterator[Tree]:
    """Yield the rooted trees with `size` vertices: 1, 1, 2, 4, 9, ... of them."""

    def forests(vertices: int, largest: int) -> Iterator[Tree]:
        if vertices == 0:
            yield ()
        for first in range(1, min(vertices, largest) + 1):
            for count in range(1, vertices // first + 1):
                for rest in forests(vertices - first * count, first - 1):
                    for chosen in combinations_with_replacement(tuple(_trees(first)), count):
                        yield (*chosen, *rest)

    yield from forests(size - 1, size - 1)


def _size(tree: Tree) -> int:
    return 1 + sum(map(_size, tree))


def _density(tree: Tree) -> int:
    return _size(tree) * prod(map(_density, tree))


def _elementary(tree: Tree, matrix: Exact) -> Exact:
    """Return each stage's elementary weight."""
    weight = np.full(len(matrix), Fraction(1), dtype=object)
    for child in tree:
        weight = weight * matrix.dot(_elementary(child, matrix))
    return weight


def _check(
    name: str, matrix: Exact, b: Sequence[Number] | Exact, order: int, power: int | None = None
) -> None:
    """Raise unless `b` meets the order conditions, or their part with one power of theta.

    Hairer E, Norsett SP, Wanner G (1993) Solving ordinary differential equations I, section II.2.
    """
    weights = np.array(b, dtype=object)
    for size in range(1, order + 1):
        for tree in _trees(size):
            total = weights.dot(_elementary(tree, matrix))
            wanted = Fraction(1, _density(tree)) if power in (None, size) else Fraction(0)
            if not _equal(total, wanted):
                raise ArithmeticError(f"{name}: order condition {wanted} gives {total}.")


def _equal(number: Number, wanted: Number) -> bool:
    """Compare exactly where both numbers are exact."""
    exact = isinstance(number, (int, Fraction)) and isinstance(wanted, (int, Fraction))
    return abs(number - wanted) <= (0 if exact else _ROUNDING)


_half, _third, _sixth = Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)

EULER = Tableau(
    "Euler",
    1,
    (),
    (1,),
    (0,),
    "Euler L (1768) Institutiones calculi integralis, vol. 1, section 650",
)
MIDPOINT = Tableau(
    "Midpoint",
    2,
    ((_half,),),
    (0, 1),
    (0, _half),
    "Runge C (1895) Ueber die numerische Aufloesung von Differentialgleichungen. Math Ann 46:167",
)
HEUN = Tableau(
    "Heun",
    2,
    ((1,),),
    (_half, _half),
    (0, 1),
    "Heun K (1900) Neue Methoden zur approximativen Integration der Differentialgleichungen einer"
    " unabhaengigen Veraenderlichen. Z Math Phys 45:23",
)
RK4 = Tableau(
    "RK4",
    4,
    ((_half,), (0, _half), (0, 0, 1)),
    (_sixth, _third, _third, _sixth),
    (0, _half, _half, 1),
    "Kutta W (1901) Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen",
)
THREE_EIGHTHS = Tableau(
    "3/8 rule",
    4,
    ((_third,), (-_third, 1), (1, -1, 1)),
    (Fraction(1, 8), Fraction(3, 8), Fraction(3, 8), Fraction(1, 8)),
    (0, _third, Fraction(2, 3), 1),
    "Kutta W (1901) Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen."
    " Z Math Phys 46:435",
)
BOGACKI_SHAMPINE = Tableau(
    "Bogacki-Shampine 3(2)",
    3,
    (
        (_half,),
        (0, Fraction(3, 4)),
        (Fraction(2, 9), _third, Fraction(4, 9)),
    ),
    (Fraction(2, 9), _third, Fraction(4, 9), 0),
    (0, _half, Fraction(3, 4), 1),
    "Bogacki P, Shampine LF (1989) A 3(2) pair of Runge-Kutta formulas. Appl Math Lett 2:321",
    b_error=(Fraction(7, 24), Fraction(1, 4), _third, Fraction(1, 8)),
    error_order=2,
    # The cubic through both ends and slopes.
    dense=(
        (1, Fraction(-4, 3), Fraction(5, 9)),
        (0, 1, Fraction(-2, 3)),
        (0, Fraction(4, 3), Fraction(-8, 9)),
        (0, -1, 1),
    ),
    dense_order=3,
)
DORMAND_PRINCE = Tableau(
    "Dormand-Prince 5(4)",
    5,
    (
        (Fraction(1, 5),),
        (Fraction(3, 40), Fraction(9, 40)),
        (Fraction(44, 45), Fraction(-56, 15), Fraction(32, 9)),
        (
            Fraction(19372, 6561),
            Fraction(-25360, 2187),
            Fraction(64448, 6561),
            Fraction(-212, 729),
        ),
        (
            Fraction(9017, 3168),
            Fraction(-355, 33),
            Fraction(46732, 5247),
            Fraction(49, 176),
            Fraction(-5103, 18656),
        ),
        (
            Fraction(35, 384),
            0,
            Fraction(500, 1113),
            Fraction(125, 192),
            Fraction(-2187, 6784),
            Fraction(11, 84),
        ),
    ),
    (
        Fraction(35, 384),
        0,
        Fraction(500, 1113),
        Fraction(125, 192),
        Fraction(-2187, 6784),
        Fraction(11, 84),
        0,
    ),
    (0, Fraction(1, 5), Fraction(3, 10), Fraction(4, 5), Fraction(8, 9), 1, 1),
    "Dormand JR, Prince PJ (1980) A family of embedded Runge-Kutta formulae. J Comput Appl Math"
    " 6:19; within the step: Shampine LF (1986) Some practical Runge-Kutta formulas. Math Comput"
    " 46:135",
    b_error=(
        Fraction(5179, 57600),
        0,
        Fraction(7571, 16695),
        Fraction(393, 640),
        Fraction(-92097, 339200),
        Fraction(187, 2100),
        Fraction(1, 40),
    ),
    error_order=4,
    dense=(
        (
            1,
            Fraction(-8048581381, 2820520608),
            Fraction(8663915743, 2820520608),
            Fraction(-12715105075, 11282082432),
        ),
        (0, 0, 0, 0),
        (
            0,
            Fraction(131558114200, 32700410799),
            Fraction(-68118460800, 10900136933),
            Fraction(87487479700, 32700410799),
        ),
        (
            0,
            Fraction(-1754552775, 470086768),
            Fraction(14199869525, 1410260304),
            Fraction(-10690763975, 1880347072),
        ),
        (
            0,
            Fraction(127303824393, 49829197408),
            Fraction(-318862633887, 49829197408),
            Fraction(701980252875, 199316789632),
        ),
        (
            0,
            Fraction(-282668133, 205662961),
            Fraction(2019193451, 616988883),
            Fraction(-1453857185, 822651844),
        ),
        (
            0,
            Fraction(40617522, 29380423),
            Fraction(-110615467, 29380423),
            Fraction(69997945, 29380423),
        ),
    ),
    dense_order=4,
)
_tsitouras_b = (
    0.09646076681806523,
    0.01,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
)
TSITOURAS = Tableau(
    "Tsitouras 5(4)",
    5,
    (
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (
            5.86145544294642,
            -12.92096931784711,
            8.159367898576159,
            -0.071584973281401,
            -0.028269050394068383,
        ),
        _tsitouras_b,
    ),
    (*_tsitouras_b, 0),
    (0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1),
    "Tsitouras C (2011) Runge-Kutta pairs of order 5(4) satisfying only the first column"
    " simplifying assumption. Comput Math Appl 62:770",
    b_error=(
        0.09468075576583945,
        0.009183565540343254,
        0.4877705284247616,
        1.234297566930479,
        -2.7077123499835256,
        1.866628418170587,
        Fraction(1, 66),
    ),
    error_order=4,
    dense=(
        (1, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0, 0.1317, -0.2234, 0.1017),
        (0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
        (0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
        (0, 1.5, -4, 2.5),
    ),
    dense_order=4,
)
