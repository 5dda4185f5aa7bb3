"""What varies in a sweep: grids, tables, coordinates, and what is refused."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somaflow.errors import RunError, SomaflowError, UnitError, WrongTypeError
from somaflow.sweeping.space import Space, read_space
from somaflow.units import Quantity, cm, mS, mV, nA

S = mS / cm**2
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def _grid(lengths: list[int], trials: int | None) -> Space:
    return read_space({f"a.x{k}": range(n) for k, n in enumerate(lengths)}, trials)


@given(lengths=sizes, trials=st.none() | st.integers(1, 3))
def test_members_of_a_grid_are_the_product_of_its_axes(
    lengths: list[int], trials: int | None
) -> None:
    space = _grid(lengths, trials)
    counts = [*lengths, *([] if trials is None else [trials])]
    every = list(product(*map(range, counts)))
    assert len(space) == len(every)
    assert space.shape == tuple(counts)
    assert [space.index(m) for m in range(len(space))] == every
    assert [space.number(index) for index in every] == list(range(len(space)))
    assert len({space.label(m) for m in range(len(space))}) == len(space)
    for m, index in enumerate(every):
        assert tuple(space.point(m).values()) == index[: len(lengths)]
        assert space.trial(m) == (0 if trials is None else index[-1])


def test_a_grid_has_an_axis_for_each_name() -> None:
    weights = np.linspace(0, 0.6, 4) * S
    space = read_space({("PN->LN", "weight"): weights, "seed": range(20), "a.name": ["x", "y"]}, 2)
    assert space.dims == ("PN->LN.weight", "seed", "a.name", "trial")
    assert space.shape == (4, 20, 2, 2)
    found = {c.name: c for c in space.coordinates}
    assert {name: c.dims for name, c in found.items()} == {name: (name,) for name in space.dims}
    np.testing.assert_array_equal(found["PN->LN.weight"].values, np.linspace(0, 0.6, 4))
    assert found["PN->LN.weight"].unit == "mS/cm**2"
    assert found["seed"].values.dtype == np.int64
    assert found["a.name"].values.tolist() == ["x", "y"]
    assert found["a.name"].unit == ""
    last = len(space) - 1
    assert space.label(last) == "PN->LN.weight=0.6 mS/cm**2, seed=19, a.name=y, trial=1"
    assert space.point(last) == {"PN->LN.weight": weights[3], "seed": 19, "a.name": "y"}
    with pytest.raises(IndexError, match="320 members has no member 320"):
        space.index(320)


def test_quantities_of_one_axis_are_shown_in_one_unit_and_kept_as_they_are() -> None:
    volt = Quantity(1.0, "volt")
    space = read_space({"PN.v": [-65 * mV, -0.06 * volt]})
    (coordinate,) = space.coordinates
    assert coordinate.unit == "mV"
    np.testing.assert_allclose(coordinate.values, [-65, -60], rtol=1e-15)
    assert space.point(1)["PN.v"] == -0.06 * volt
    assert space.point(1)["PN.v"].units == volt.units


def test_numbers_without_a_unit_are_in_that_of_what_they_are_for() -> None:
    space = read_space({"PN.na.g": [1, 2], "LN.n": [3]}).measured({"PN.na.g": "mS/cm**2"})
    assert [c.unit for c in space.coordinates] == ["mS/cm**2", "1"]
    assert space.label(1) == "PN.na.g=2 mS/cm**2, LN.n=3"
    with pytest.raises(UnitError, match=r"values of 'PN.v' are in nA, and it is in mV"):
        read_space({"PN.v": [1, 2] * nA}).measured({"PN.v": "mV"})


@pytest.mark.parametrize(
    "values",
    [
        [np.arange(3.0), np.ones(3)],
        np.ones((2, 3)),
        np.ones((2, 3)) * mV,
        [np.ones(3) * mV, np.zeros(3) * mV],
        [[1, 2], [3, 4]],
    ],
)
def test_values_that_are_arrays_go_by_their_number(values: object) -> None:
    space = read_space({"PN.v": values})
    (coordinate,) = space.coordinates
    assert coordinate.values.tolist() == [0, 1]
    assert space.label(1) == "PN.v=array 1"
    assert np.shape(space.point(1)["PN.v"]) in ((3,), (2,))
    assert space.measured({"PN.v": "mV"}).coordinates[0].unit == "1"


def test_other_values_are_shown_as_texts() -> None:
    def half() -> None: ...

    space = read_space({"how": [None, half, "text", object()], "flag": [True, False]})
    how, flag = space.coordinates
    assert how.values.tolist() == ["None", "half", "text", "object"]
    assert flag.values.tolist() == [True, False]
    assert space.point(2) == {"how": half, "flag": True}


POINTS = [{"PN.na.g": 1.5, "seed": 3}, {"PN.na.g": 2.5, "seed": 1}, {"seed": 3, "PN.na.g": 1.5}]


@pytest.mark.parametrize(
    "table",
    [
        POINTS,
        tuple(POINTS),
        pd.DataFrame(POINTS, index=["p", "q", "r"]),
        (["PN.na.g", "seed"], np.array([[1.5, 3], [2.5, 1], [1.5, 3]])),
    ],
)
def test_a_table_has_one_axis(table: object) -> None:
    space = read_space(table, 2)
    assert space.dims == ("point", "trial")
    assert space.shape == (3, 2)
    assert [c.name for c in space.coordinates] == ["PN.na.g", "seed", "trial"]
    assert [c.dims for c in space.coordinates] == [("point",), ("point",), ("trial",)]
    assert [c.values.tolist() for c in space.coordinates] == [[1.5, 2.5, 1.5], [3, 1, 3], [0, 1]]
    assert space.label(3) == "point 1, PN.na.g=2.5, seed=1, trial=1"
    assert [space.point(m) for m in range(0, 6, 2)] == POINTS


def test_columns_may_hold_quantities() -> None:
    space = read_space(pd.DataFrame({"PN.v": [-60 * mV, -65 * mV], "how": ["a", "a"]}))
    assert space.label(1) == "point 1, PN.v=-65 mV, how=a"


BAD: dict[str, tuple[Callable[[], object], type[SomaflowError], str]] = {
    "no table": (lambda: 3, WrongTypeError, "vary is a dict of values by name"),
    "text": (lambda: "PN.g", WrongTypeError, "vary is a dict"),
    "set": (lambda: {"a.g": {1, 2}}, WrongTypeError, "'a.g' are a list or an array"),
    "one value": (lambda: {"a.g": 3 * mV}, WrongTypeError, "'a.g' are a list or an array, not <Q"),
    "a text of values": (lambda: {"a.g": "1, 2"}, WrongTypeError, "'a.g' are a list"),
    "no name": (lambda: {3: [1]}, WrongTypeError, "named by a text such as"),
    "a triple": (lambda: {("a", "b", "c"): [1]}, WrongTypeError, "named by a text"),
    "empty axis": (lambda: {"a.g": []}, RunError, "'a.g' has no values"),
    "nothing": (dict, RunError, "nothing varies"),
    "twice": (lambda: {"a.g": [1], ("a", "g"): [2]}, RunError, "'a.g' is in vary twice"),
    "same value": (lambda: {"a.g": [1, 2, 1]}, RunError, "'a.g' has the value 1 twice"),
    "half a unit": (lambda: {"a.g": [1 * mV, 2]}, UnitError, "and 2 has none"),
    "two units": (lambda: {"a.g": [1 * mV, 2 * nA]}, UnitError, "in mV, but one of them is in nA"),
    "reserved": (lambda: {"trial": [1]}, RunError, "'trial' has a meaning of its own"),
    "no points": (list, RunError, "no points"),
    "no point": (lambda: [3], WrongTypeError, "point 0 of vary is 3"),
    "other names": (
        lambda: [{"a.g": 1}, {"a.h": 1}],
        RunError,
        "point 0 of vary has 'a.g' and point 1 has none",
    ),
    "more names": (
        lambda: [{"a.g": 1}, {"a.g": 1, "b": 1}],
        RunError,
        "point 1 of vary has 'b' and point 0 has none",
    ),
    "columns": (
        lambda: (["a.g", "b.g", "c.g"], np.ones((5, 2))),
        RunError,
        "3 names and an array of 2 columns",
    ),
    "one column": (lambda: (["a.g"], np.ones(5)), WrongTypeError, r"\[n_points, n_names\]"),
    "units of a table": (lambda: (["a.g"], np.ones((5, 1)) * mV), WrongTypeError, "has no unit"),
    "names twice": (lambda: (["a.g", "a.g"], np.ones((5, 2))), RunError, "'a.g' is in vary twice"),
}


@pytest.mark.parametrize(("vary", "error", "words"), BAD.values(), ids=BAD.keys())
def test_what_cannot_vary_is_refused(
    vary: Callable[[], object], error: type[SomaflowError], words: str
) -> None:
    with pytest.raises(error, match=words):
        read_space(vary())


@pytest.mark.parametrize("trials", [0, -1, 1.5, True, "3"])
def test_trials_are_counted(trials: object) -> None:
    with pytest.raises((RunError, WrongTypeError), match="trials is"):
        read_space({"a.g": [1]}, trials)


def test_trials_alone_are_a_sweep() -> None:
    space = read_space({}, 3)
    assert (space.dims, space.shape, space.label(2)) == (("trial",), (3,), "trial=2")
