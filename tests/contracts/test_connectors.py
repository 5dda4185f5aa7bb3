"""The promises of every connector, held for the list of them all."""

import inspect
import math
import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import somaflow as sf
from somaflow.description import from_json, to_json
from somaflow.network.connectors import Connector
from somaflow.network.distances import Distances
from somaflow.units import um

N = 60
_RNG = np.random.default_rng(4)
_MASK = _RNG.random((N, N)) < 0.1
MATRIX = sparse.csr_array(np.where(_MASK, _RNG.random((N, N)), 0))
PAIRS = _RNG.permutation(np.argwhere(_MASK))

MAKE: dict[str, Callable[..., Any]] = {
    "AllToAll": lambda seed=1, **own: sf.AllToAll(**own),
    "OneToOne": lambda seed=1: sf.OneToOne(),
    "FixedProbability": lambda seed=1, **own: sf.FixedProbability(0.2, seed, **own),
    "FixedTotal": lambda seed=1, **own: sf.FixedTotal(700, seed, **own),
    "FixedInDegree": lambda seed=1, **own: sf.FixedInDegree(7, seed, **own),
    "FixedOutDegree": lambda seed=1, **own: sf.FixedOutDegree(7, seed, **own),
    "FromList": lambda seed=1: sf.FromList(PAIRS),
    "FromSparse": lambda seed=1: sf.FromSparse(MATRIX),
    "DistanceDependent": lambda seed=1, **own: sf.DistanceDependent(
        "exp(-d/(10*um))", seed, 30 * um, **own
    ),
}
# Two that draw what they leave out, or all.
MORE = {
    "FixedInDegree of most": lambda seed=1, **own: sf.FixedInDegree(50, seed, **own),
    "FixedTotal of most": lambda seed=1, **own: sf.FixedTotal(3000, seed, **own),
    "FixedProbability of most": lambda seed=1, **own: sf.FixedProbability(0.95, seed, **own),
    "FixedTotal with multapses": lambda seed=1, **own: sf.FixedTotal(
        5000, seed, multapses=True, **own
    ),
    "FixedInDegree with multapses": lambda seed=1, **own: sf.FixedInDegree(
        90, seed, multapses=True, **own
    ),
    "FixedOutDegree with multapses": lambda seed=1, **own: sf.FixedOutDegree(
        90, seed, multapses=True, **own
    ),
    "DistanceDependent anywhere": lambda seed=1, **own: sf.DistanceDependent("0.3", seed, **own),
}
ALL = MAKE | MORE
RANDOM = [name for name in ALL if not name.startswith(("AllToAll", "OneToOne", "From"))]
WITHOUT_SELF = [name for name in ALL if not name.startswith(("OneToOne", "From"))]
PLACES = np.random.default_rng(5).random((400, 2)) * 5e-3  # in cm, so 50 um across

VIEWS = {
    "the whole": (np.arange(N), np.arange(N)),
    "parts": (np.arange(N) + 17, np.arange(N)),
    "no order": (np.random.default_rng(1).permutation(90)[:N], np.arange(80)[::-1][:N]),
}


def wire(connector: Any, pre: Any, post: Any, same: bool = True, rows: Any = None) -> np.ndarray:
    distance = Distances(PLACES[pre], PLACES[post])
    return np.stack(connector.connect(pre, post, same, rows, distance), axis=1)


def by_row(pairs: np.ndarray) -> np.ndarray:
    return pairs[np.lexsort(pairs.T)]


def test_the_list_is_complete() -> None:
    # Mutual joins the same cells only: tests/compiler/test_junctions.py
    assert {c.__name__ for c in Connector.__args__} == {*MAKE, "Mutual"}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ALL)
def test_a_range_is_those_rows_of_the_whole(name: str, view: str) -> None:
    pre, post = VIEWS[view]
    whole = by_row(wire(ALL[name](), pre, post))
    cuts = [(0, N), (0, 1), (N - 1, N), (13, 14), (13, 41), (20, 20), (0, N // 2), (N // 2, N)]
    for start, stop in cuts:
        part = wire(ALL[name](), pre, post, rows=(start, stop))
        inside = (whole[:, 1] >= start) & (whole[:, 1] < stop)
        assert part.dtype == np.int32
        np.testing.assert_array_equal(part, whole[inside])


@pytest.mark.parametrize("name", WITHOUT_SELF)
def test_a_range_is_those_rows_where_no_cell_reaches_itself(name: str) -> None:
    pre, post = VIEWS["no order"]
    connector = ALL[name](self_connections=False)
    whole = wire(connector, pre, post)
    parts = [wire(connector, pre, post, rows=rows) for rows in ((0, 7), (7, 33), (33, N))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.any(pre[whole[:, 0]] == post[whole[:, 1]])
    others = wire(connector, pre, post, same=False)
    assert len(others) > 0.9 * len(whole)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ALL)
def test_no_pair_occurs_twice_and_all_lie_inside(name: str, view: str) -> None:
    pairs = wire(ALL[name](), *VIEWS[view])
    if "multapses" not in name:
        assert len(np.unique(pairs, axis=0)) == len(pairs) > 0
    assert pairs.min() >= 0
    assert pairs.max() < N
    if name != "FromList":
        np.testing.assert_array_equal(pairs, by_row(pairs))


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_matter(name: str) -> None:
    seeds = (1, 2, 1 + 2**32, 1 + 2**40, 2**63 - 1)
    found = [{tuple(pair) for pair in wire(ALL[name](seed), *VIEWS["the whole"])} for seed in seeds]
    for k, one in enumerate(found):
        assert all(one != other for other in found[:k])


@pytest.mark.parametrize("name", ALL)
def test_a_copy_wires_alike(name: str) -> None:
    connector = ALL[name]()
    for copy in (pickle.loads(pickle.dumps(connector)), from_json(to_json(connector))):
        assert copy == connector
        pairs = wire(copy, *VIEWS["parts"])
        np.testing.assert_array_equal(pairs, wire(connector, *VIEWS["parts"]))


@pytest.mark.parametrize("name", ALL)
def test_the_expected_number_is_about_the_found_one(name: str) -> None:
    connector = ALL[name]()
    found = len(wire(connector, *VIEWS["the whole"]))
    options = {}
    if "distance" in inspect.signature(connector.expected).parameters:
        options["distance"] = Distances(PLACES[:N], PLACES[:N])
        assert connector.expected(N, N) == N * N
    expected = connector.expected(N, N, **options)
    assert abs(found - expected) < 6 * np.sqrt(N) + 0.05 * expected * (name in RANDOM)


@pytest.mark.parametrize("name", [name for name in ALL if "Degree" in name])
@pytest.mark.parametrize("own", [True, False])
def test_degrees_are_exact(name: str, own: bool) -> None:
    connector = ALL[name](self_connections=own)
    pairs = wire(connector, *VIEWS["no order"])
    side = 0 if "Out" in name else 1
    np.testing.assert_array_equal(np.bincount(pairs[:, side], minlength=N), connector.n)
    assert len(np.unique(np.bincount(pairs[:, 1 - side], minlength=N))) > 2


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("n", [0, 1, 700, 3000, N * N - N])
def test_totals_are_exact(n: int, own: bool) -> None:
    connector = sf.FixedTotal(n, 3, self_connections=own)
    assert len(wire(connector, *VIEWS["the whole"])) == n
    again = sf.FixedTotal(n, 3, self_connections=own, multapses=True)
    assert len(wire(again, *VIEWS["the whole"])) == n


def test_a_range_takes_its_own_memory_alone() -> None:
    cells = np.arange(20_000)
    rows = (9_000, 9_100)
    distance = Distances(np.linspace(0, 20, 20_000)[:, None], np.linspace(0, 20, 20_000)[:, None])
    wide = [
        sf.FixedProbability(0.01, 1, False),
        sf.FixedInDegree(200, 1, False),
        sf.FixedOutDegree(200, 1, False),
        sf.FixedTotal(4_000_000, 1, False),
        sf.FixedTotal(4_000_000, 1, False, multapses=True),
        sf.FixedInDegree(200, 1, False, multapses=True),
        sf.FixedOutDegree(200, 1, False, multapses=True),
        sf.DistanceDependent("1", 1, 1000 * um),
        sf.AllToAll(),
    ]
    for connector in wide:
        tracemalloc.start()
        pre, _ = connector.connect(cells, cells, True, rows, distance)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(pre) > 15_000
        # Blocks of a fixed size, arrays of the size of a population, and what is returned.
        assert peak < 40e6 + 40 * len(pre), type(connector).__name__


def test_the_whole_takes_little_more_than_it_returns() -> None:
    cells = np.arange(20_000)
    tracemalloc.start()
    pre, _ = sf.FixedProbability(0.01, 1).connect(cells, cells, True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15e6 + 13 * len(pre)


# Written down once: any other pairs mean that every user's network has changed.
KNOWN = [
    (sf.FixedProbability(0.3, 5), "10 21 31 41 12 03 13 43"),
    (sf.FixedProbability(0.3, 2**40 + 5, False), "41 02 42"),
    (sf.FixedTotal(6, 5), "20 11 02 32 33 43"),
    (sf.FixedTotal(14, 5, multapses=True), "00 20 30 11 41 02 12 32 32 13 23 33 33 43"),
    (sf.FixedInDegree(2, 5), "00 20 11 41 02 32 33 43"),
    (sf.FixedInDegree(4, 5, multapses=True), "00 00 20 30 11 31 41 41 02 12 32 32 13 23 33 43"),
    (
        sf.FixedOutDegree(4, 5, multapses=True),
        "00 00 20 01 11 21 31 31 41 41 02 12 22 22 42 13 13 33 33 43",
    ),
    (sf.FixedInDegree(4, 5), "00 10 30 40 01 21 31 41 02 12 22 42 03 13 23 33"),
    (sf.FixedOutDegree(2, 5), "00 20 01 11 31 41 22 42 13 33"),
    (sf.DistanceDependent("exp(-d/(20*um))", 5), "00 10 30 01 11 41 12 22 23 33"),
]


@pytest.mark.parametrize(("connector", "pairs"), KNOWN)
def test_known_wiring(connector: Any, pairs: str) -> None:
    line = np.linspace(0, 40e-4, 5)[:, None]
    distance = Distances(line, line[:4])
    found = connector.connect(np.arange(5), np.arange(4), True, None, distance)
    assert " ".join(f"{i}{j}" for i, j in zip(*found, strict=True)) == pairs


# Of 20 numbers a chi squared with 19 degrees of freedom is below 43.8 with probability 0.999.
@pytest.mark.parametrize("p", [0.001, 0.01, 0.3, 0.9])
def test_each_column_has_its_probability(p: float) -> None:
    n_pre, n_post = 2_000, int(400 / min(p, 0.1))
    cells = np.arange(n_post)
    pre, post = sf.FixedProbability(p, 3).connect(np.arange(n_pre), cells, False)
    mean = p * n_pre * n_post
    assert abs(len(pre) - mean) < 4 * np.sqrt(mean * (1 - p))
    for side, size in ((pre, n_pre), (post, n_post)):
        counts = np.bincount(side * 20 // size, minlength=20)
        assert np.sum((counts - mean / 20) ** 2) / (mean / 20 * (1 - p)) < 43.8
    # And neighbours are independent: as many pairs of columns side by side as by chance.
    beside = np.sum((np.diff(pre) == 1) & (np.diff(post) == 0))
    expected = p * p * (n_pre - 1) * n_post
    assert abs(beside - expected) < 5 * np.sqrt(expected) + 1


@pytest.mark.parametrize("n", [3, 17])
def test_all_sets_of_columns_are_equally_probable(n: int) -> None:
    pre, post = sf.FixedInDegree(n, 3).connect(np.arange(20), np.arange(20_000), False)
    counts = np.bincount(pre, minlength=20)
    p, draws = n / 20, 20_000
    # The counts of draws without replacement have the covariance of a hypergeometric one.
    statistic = np.sum((counts - draws * p) ** 2) / (draws * p * (1 - p)) * 19 / 20
    assert statistic < 43.8
    together = np.sum((pre[:-1] == 4) & (pre[1:] == 5) & (post[:-1] == post[1:]))
    both = n * (n - 1) / (20 * 19)
    assert abs(together - draws * both) < 4 * np.sqrt(draws * both * (1 - both))


@pytest.mark.parametrize("kind", [sf.FixedInDegree, sf.FixedOutDegree])
def test_with_multapses_each_synapse_of_a_degree_is_of_any_cell(kind: Any) -> None:
    n, here, there = 30, 4_000, 20
    sides = (there, here) if kind is sf.FixedInDegree else (here, there)
    pair = kind(n, 3, multapses=True).connect(*(np.arange(size) for size in sides), False)
    counts = np.zeros(sides)
    np.add.at(counts, pair, 1)
    counts = counts if kind is sf.FixedOutDegree else counts.T
    assert np.all(counts.sum(axis=1) == n)
    # Of each cell multinomial: a count is binomial, and two have the covariance -n*p*p.
    p = 1 / there
    assert np.sum((counts.sum(axis=0) - here * n * p) ** 2) / (here * n * p) < 43.8
    found = np.bincount(counts.astype(int).ravel(), minlength=n + 1)[:6]
    wanted = [math.comb(n, k) * p**k * (1 - p) ** (n - k) * counts.size for k in range(6)]
    assert np.sum((found - wanted) ** 2 / wanted) < 22  # chi squared with 6, at 0.999
    between = np.cov(counts.T)[~np.eye(there, dtype=bool)]
    assert abs(between.mean() / (-n * p * p) - 1) < 0.05


def test_a_degree_above_the_number_of_cells_needs_multapses() -> None:
    three, two = np.arange(3), np.arange(2)
    pre, post = sf.FixedInDegree(8, 1, multapses=True).connect(two, three, False)
    assert np.bincount(post).tolist() == [8, 8, 8]
    assert set(pre.tolist()) == {0, 1}
    # One cell is left where a cell does not reach itself.
    pre, post = sf.FixedOutDegree(5, 1, False, multapses=True).connect(two, two, True)
    assert (pre.tolist(), post.tolist()) == ([1] * 5 + [0] * 5, [0] * 5 + [1] * 5)
    with pytest.raises(sf.errors.NetworkError, match=r"there are 2; with multapses=True a pair"):
        sf.FixedInDegree(8, 1).connect(two, three, False)
    with pytest.raises(sf.errors.NetworkError, match=r"other than itself, but there are 0\."):
        sf.FixedInDegree(1, 1, False, multapses=True).connect(two[:1], two[:1], True)


def test_the_total_is_shared_among_rows_without_a_preference() -> None:
    counts = np.zeros((200, 20))
    for seed in range(200):
        _, post = sf.FixedTotal(60, seed).connect(np.arange(10), np.arange(20), False)
        counts[seed] = np.bincount(post, minlength=20)
    # Hypergeometric: 60 of 200 pairs, of which a row has 10.
    variance = 60 * (10 / 200) * (190 / 200) * (140 / 199)
    mean = counts.mean(axis=0)
    assert np.sum((mean - 3) ** 2) / (variance / 200) * 19 / 20 < 43.8
    assert abs(counts.var(axis=0).mean() / variance - 1) < 0.1


def test_with_multapses_each_synapse_is_of_any_pair() -> None:
    n, sizes, total = 400, (5, 4), 60
    counts = np.zeros((n, *sizes))
    for seed in range(n):
        pair = sf.FixedTotal(total, seed, multapses=True).connect(
            np.arange(sizes[0]), np.arange(sizes[1]), False
        )
        np.add.at(counts[seed], pair, 1)
    # Multinomial: the covariance of the counts of two pairs is -total*p*p.
    p, counts = 1 / 20, counts.reshape(n, 20)
    mean = counts.mean(axis=0)
    assert np.sum((mean - total * p) ** 2) / (total * p / n) < 43.8
    assert abs(counts.var(axis=0).mean() / (total * p * (1 - p)) - 1) < 0.1
    between = np.cov(counts.T)[~np.eye(20, dtype=bool)]
    assert abs(between.mean() / (-total * p * p) - 1) < 0.1


def test_with_multapses_there_may_be_more_synapses_than_pairs_but_not_without_any() -> None:
    pre, post = sf.FixedTotal(90, 1, multapses=True).connect(np.arange(2), np.arange(3), False)
    assert np.bincount(pre * 3 + post, minlength=6).sum() == 90
    with pytest.raises(sf.errors.NetworkError, match="1 and 1 cells have 0 pairs"):
        sf.FixedTotal(1, 1, False, multapses=True).connect(np.arange(1), np.arange(1), True)
    with pytest.raises(sf.errors.NetworkError, match="2 and 3 cells have 6 pairs"):
        sf.FixedTotal(7, 1).connect(np.arange(2), np.arange(3), False)
