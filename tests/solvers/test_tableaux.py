"""A tableau that contradicts itself cannot be made."""

import re
from dataclasses import replace
from fractions import Fraction

import pytest

from somaflow.solvers import tableaux
from somaflow.solvers.runge_kutta import RK4, Euler
from somaflow.solvers.tableaux import Tableau

ALL = [value for value in vars(tableaux).values() if isinstance(value, Tableau)]
HALF, SIXTH = Fraction(1, 2), Fraction(1, 6)


@pytest.mark.parametrize("tableau", ALL, ids=lambda t: t.name)
def test_each_tableau_names_its_paper(tableau: Tableau) -> None:
    assert re.search(r"\(1[789]\d\d\)|\(20\d\d\)", tableau.reference)


BROKEN = {
    "a row too short": ({"a": ((HALF,), (HALF,), (0, 0, 1))}, "row 2 of a has 1 numbers"),
    "rows against nodes": ({"c": (0, HALF, HALF, HALF)}, "do not sum to c"),
    "weights that sum to 5/6": ({"b": (0, 2 * SIXTH, 2 * SIXTH, SIXTH)}, "order condition 1 "),
    "order 2": ({"b": (SIXTH, SIXTH, 3 * SIXTH, SIXTH), "order": 4}, "order condition"),
    "midpoints swapped for the end": ({"b": (HALF, 0, 0, HALF)}, "order condition 1/3"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_tableau_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ArithmeticError, match=message):
        replace(tableaux.RK4, **change)


def test_an_order_that_is_not_reached_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="order condition 1/2 gives 0"):
        replace(tableaux.EULER, order=2)


def test_midpoint_and_heun_pass_as_order_2_and_no_more() -> None:
    for b, c in (((0, 1), HALF), ((HALF, HALF), 1)):
        made = Tableau("two stages", 2, ((c,),), b, (0, c), "Runge (1895)")
        with pytest.raises(ArithmeticError, match="order condition"):
            replace(made, order=3)


def test_nodes_are_ascending_and_each_stands_once() -> None:
    assert Euler().nodes == (0.0,)
    assert RK4().nodes == (0.0, 0.5, 1.0)
    assert (Euler().order, RK4().order) == (1, 4)
    assert (Euler().name, RK4().name) == ("Euler", "RK4")
