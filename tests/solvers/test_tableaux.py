"""A tableau that contradicts itself cannot be made."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import RK23, RK45

from somaflow.solvers import tableaux
from somaflow.solvers.runge_kutta import RK4, DormandPrince, Euler
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
    assert DormandPrince().nodes == (0.0, 0.2, 0.3, 0.8, 8 / 9, 1.0)


def test_rooted_trees_are_counted_right() -> None:
    # Hairer, Norsett and Wanner (1993), table II.2.1; up to order 5 the conditions number 17.
    assert [len(set(tableaux._trees(size))) for size in range(1, 8)] == [1, 1, 2, 4, 9, 20, 48]
    fifth = sorted(tableaux._density(tree) for tree in tableaux._trees(5))
    assert fifth == [5, 10, 15, 20, 20, 30, 40, 60, 120]


@pytest.mark.parametrize("tableau", ALL, ids=lambda t: t.name)
def test_no_tableau_has_more_than_its_order(tableau: Tableau) -> None:
    orders = {"order": tableau.order}
    for name in ("error_order", "dense_order"):
        if (order := getattr(tableau, name)) is not None:
            orders[name] = order
    for name, order in orders.items():
        with pytest.raises(ArithmeticError, match="order condition"):
            replace(tableau, **{name: order + 1})


def nudged(numbers: tuple, by: Fraction | float) -> tuple:
    """Move weight from the first number to the last, so that the sum stays."""
    return (numbers[0] - by, *numbers[1:-1], numbers[-1] + by)


PAIRS = [tableaux.BOGACKI_SHAMPINE, tableaux.DORMAND_PRINCE, tableaux.TSITOURAS]


@pytest.mark.parametrize("tableau", PAIRS, ids=lambda t: t.name)
def test_a_wrong_digit_is_found(tableau: Tableau) -> None:
    digit = Fraction(1, 10**10)
    assert tableau.b_error is not None
    with pytest.raises(ArithmeticError, match="embedded: order condition"):
        replace(tableau, b_error=nudged(tableau.b_error, digit))
    with pytest.raises(ArithmeticError, match="order condition"):
        replace(tableau, b=nudged(tableau.b, digit))
    rows = (nudged(tableau.dense[0], digit), *tableau.dense[1:])
    with pytest.raises(ArithmeticError, match=r"dense, theta\*\*1: order condition 1 "):
        replace(tableau, dense=rows)
    rows = ((*tableau.dense[0][:-1], tableau.dense[0][-1] + digit), *tableau.dense[1:])
    with pytest.raises(ArithmeticError, match="dense: stage 0 ends with weight"):
        replace(tableau, dense=rows)


@pytest.mark.parametrize("tableau", [tableaux.BOGACKI_SHAMPINE, tableaux.DORMAND_PRINCE])
def test_weights_are_those_of_scipy(tableau: Tableau) -> None:
    theirs = {3: RK23, 5: RK45}[tableau.order]
    np.testing.assert_allclose(np.array(tableau.dense, float), theirs.P, rtol=1e-15)
    assert tableau.b_error is not None
    difference = [float(hat - b) for b, hat in zip(tableau.b, tableau.b_error, strict=True)]
    np.testing.assert_allclose(difference, theirs.E, rtol=1e-14)


def test_parts_go_together() -> None:
    with pytest.raises(ArithmeticError, match="b_error and error_order go together"):
        replace(tableaux.RK4, error_order=2)
    with pytest.raises(ArithmeticError, match="dense and dense_order go together"):
        replace(tableaux.DORMAND_PRINCE, dense=())


def test_first_same_as_last() -> None:
    assert {t.name for t in ALL if t.first_same_as_last} == {t.name for t in PAIRS}
