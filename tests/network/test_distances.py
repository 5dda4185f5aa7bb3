import pickle
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError, SomaflowError, UnitError
from somaflow.network.distances import Distances
from somaflow.units import mm, mV, um

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_near_pairs_are_those_of_all_pairs(axes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("somaflow.network.distances._BLOCK", 50)
    found = Distances(RNG.random((40, axes)), RNG.random((30, axes)))
    apart = np.sqrt(((found.pre[:, None] - found.post[None]) ** 2).sum(axis=2))
    for radius in (0.0, 0.2, 0.5, np.inf):
        for rows in ((0, 30), (7, 19), (4, 4)):
            pairs = [
                (i, j, d)
                for part in found.near(rows, radius)
                for i, j, d in zip(*(side.tolist() for side in part), strict=True)
            ]
            wanted = np.argwhere(apart[:, slice(*rows)] <= radius)
            assert {(i, j) for i, j, _ in pairs} == {(i, j + rows[0]) for i, j in wanted}
            assert len(pairs) == len(wanted)
            assert all(abs(apart[i, j] - d) < 1e-15 for i, j, d in pairs)


def test_a_pair_exactly_at_the_radius_is_near() -> None:
    places = np.array([0.1, 0.2, 0.1 + 0.2])[:, None]
    found = Distances(places, places)
    radius = float(found.between(np.array([0]), np.array([2]))[0])
    pairs = [(i, j) for a, b, _ in found.near((0, 3), radius) for i, j in zip(a, b, strict=True)]
    assert (0, 2) in pairs
    assert (2, 0) in pairs


def wire(connector: Any, n: int = 400) -> Any:
    line = np.linspace(0, 0.1, n)[:, None]  # 1 mm
    return connector.connect(np.arange(n), np.arange(n), True, None, Distances(line, line)), line


def test_the_share_of_pairs_follows_the_distance() -> None:
    (pre, post), line = wire(sf.DistanceDependent("0.8*exp(-d/(200*um))", seed=2))
    every = np.abs(line - line.T).ravel()
    edges = np.linspace(0, 0.1, 11)
    there = np.histogram(np.abs(line[pre, 0] - line[post, 0]), edges)[0]
    chance = np.histogram(every, edges, weights=0.8 * np.exp(-every / 0.02))[0]
    assert np.all(np.abs(there - chance) < 4 * np.sqrt(chance))


def test_beyond_the_radius_nothing_is_joined_and_within_it_nothing_changes() -> None:
    (pre, post), line = wire(sf.DistanceDependent("0.5", seed=2))
    close = np.abs(line[pre, 0] - line[post, 0]) <= 0.01
    found, _ = wire(sf.DistanceDependent("0.5", seed=2, radius=0.1 * mm))
    assert np.array_equal(found, np.stack([pre, post])[:, close])


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (lambda: sf.DistanceDependent("d/(1*ms)"), UnitError, "a probability is a pure number"),
        (lambda: sf.DistanceDependent("0.5", radius=3), UnitError, "'radius'"),
        (lambda: sf.DistanceDependent("0.5", radius=3 * mV), UnitError, "'radius'"),
        (lambda: sf.DistanceDependent("0.5", radius=-3 * um), NetworkError, "at least 0 um"),
        (lambda: wire(sf.DistanceDependent("2*exp(-d/um)", 1)), NetworkError, "is 2 at d = 0 um"),
        (lambda: wire(sf.DistanceDependent("-d/um", 1)), NetworkError, "from 0 to 1"),
        (
            lambda: sf.DistanceDependent("0.5").connect(np.arange(3), np.arange(3), True),
            NetworkError,
            "needs positions",
        ),
    ],
)
def test_a_rule_that_cannot_be(build: Any, kind: type[SomaflowError], words: str) -> None:
    with pytest.raises(kind, match=words):
        build()


def test_the_radius_keeps_its_value() -> None:
    rule = sf.DistanceDependent("0.5", radius=0.3 * mm)
    np.testing.assert_allclose(rule.radius.value, 0.03)
    assert pickle.loads(pickle.dumps(rule)) == rule
