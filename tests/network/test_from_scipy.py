"""Distributions of SciPy: right moments, ranges, bounds, signs, copies and refusals."""

import dataclasses
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats

import somaflow as sf
from somaflow.description import from_json, to_json
from somaflow.equations.drawing import held
from somaflow.errors import NetworkError, SomaflowError, UnitError, WrongTypeError
from somaflow.units import Hz, factor, mV, nA, nS, volt

COUNTER = (np.arange(150)[:, None], np.arange(150))
FROZEN: dict[str, Any] = {
    "gamma": stats.gamma(2, scale=3),
    "exponential": stats.expon(scale=0.5),
    "beta": stats.beta(2, 5, loc=-1, scale=4),
    "Poisson": stats.poisson(4),
    "binomial": stats.binom(7, 0.2, loc=2),
}
KINDS = pytest.mark.parametrize("frozen", FROZEN.values(), ids=FROZEN)


@KINDS
def test_values_have_the_distribution_and_its_moments(frozen: Any) -> None:
    drawn = sf.FromSciPy(frozen, 2 * mV, seed=4).draw(COUNTER, 1)
    assert drawn.unit == "mV"
    values = drawn.value.ravel() / 2
    mean, variance = frozen.stats("mv")
    assert abs(values.mean() - mean) < 4 * np.sqrt(variance / values.size)
    assert abs(values.var() / variance - 1) < 0.06
    # The Kolmogorov distance, below 1.95/sqrt(n) with probability 0.999.
    places = np.sort(values)
    found = np.searchsorted(places, places, side="right") / places.size
    assert np.abs(found - frozen.cdf(places)).max() < 1.95 / np.sqrt(places.size)


@KINDS
def test_values_depend_on_seed_stream_and_counter_alone(frozen: Any) -> None:
    kind = sf.FromSciPy(frozen, nS, seed=1)
    whole = kind.draw(COUNTER, 1).value
    for rows in (slice(0, 1), slice(3, 10), slice(149, 150)):
        part = kind.draw((COUNTER[0][rows], COUNTER[1][::-1]), 1).value
        np.testing.assert_array_equal(part, whole[rows, ::-1])
    assert kind.draw((3, 4), 1).value.shape == ()
    assert kind.draw((3, 4), 1).value == whole[3, 4]
    for other in (kind.draw(COUNTER, 2), dataclasses.replace(kind, seed=2).draw(COUNTER, 1)):
        assert abs(np.corrcoef(other.value.ravel(), whole.ravel())[0, 1]) < 0.03


@KINDS
def test_copies_are_equal_and_signs_turn(frozen: Any) -> None:
    kind = sf.FromSciPy(frozen, 2 * mV, seed=3)
    values = kind.draw(COUNTER, 7).value
    for copy in (pickle.loads(pickle.dumps(kind)), from_json(to_json(kind))):
        assert copy == kind
        np.testing.assert_array_equal(copy.draw(COUNTER, 7).value, values)
    assert kind.lowest <= values.min() <= values.max() <= kind.highest
    turned = held(-kind, "volt", "v")
    assert turned.unit == "volt"
    np.testing.assert_array_equal(turned.draw(COUNTER, 7).value, -values)  # pyright: ignore
    assert (turned.lowest, turned.highest) == (-kind.highest, -kind.lowest)  # pyright: ignore


def test_one_distribution_has_one_form() -> None:
    one = sf.FromSciPy(stats.gamma(2, scale=3), mV)
    assert one == sf.FromSciPy(stats.gamma(a=2.0, loc=0, scale=np.int64(3)), 1 * mV)
    assert one != sf.FromSciPy(stats.gamma(2, scale=3), 2 * mV)
    assert repr(one) == (
        "FromSciPy(gamma(a=2, loc=0, scale=3), scale=1 mV, seed=None, low=None, high=None)"
    )
    assert sf.FromSciPy(stats.poisson(2)).unit == "1"


def test_between_bounds_the_distribution_is_cut() -> None:
    bounds = {"low": 0.001 * volt, "high": 4 * mV}
    values = sf.FromSciPy(stats.gamma(2, scale=3), mV, seed=1, **bounds).draw(COUNTER, 0).value
    assert values.min() >= 1
    assert values.max() <= 4
    # Its mean by the integral of x*density, which for a gamma of 2 is 2*3 times that of 3.
    share = np.diff(stats.gamma(2, scale=3).cdf([1, 4]))[0]
    mean = 6 * np.diff(stats.gamma(3, scale=3).cdf([1, 4]))[0] / share
    assert abs(values.mean() - mean) < 4 * values.std() / 150


def test_bounds_of_counts_are_among_them() -> None:
    counts = sf.FromSciPy(stats.poisson(3), 0.1 * nS, seed=1, low=0.1 * nS, high=0.3 * nS)
    values = np.round(counts.draw(COUNTER, 0).value / (0.1 * factor("nS"))).ravel()
    found = np.bincount(values.astype(int), minlength=4) / values.size
    wanted = stats.poisson(3).pmf([0, 1, 2, 3]) / stats.poisson(3).pmf([1, 2, 3]).sum()
    np.testing.assert_allclose(found[1:], wanted[1:], atol=0.015)
    assert len(found) == 4
    assert found[0] == 0


def test_they_go_where_distributions_go() -> None:
    lif = sf.load("lif")(v=sf.FromSciPy(stats.beta(2, 2, loc=-65, scale=5), mV))
    cells = sf.Population("a", 30, lif)
    start = cells.equations.initial["v"].value
    assert len(np.unique(start)) == 30
    assert -65 <= start.min() <= start.max() <= -60
    weights = -sf.FromSciPy(stats.expon(scale=0.1), nA)
    made = sf.Projection(cells, cells, sf.load("exponential_current"), weight=weights)
    whole = made.connections()
    assert abs(whole.weight.mean() + 0.1) < 4 * 0.1 / 30
    np.testing.assert_array_equal(made.connections((7, 9)).weight, whole.weight[7 * 30 : 9 * 30])
    network = sf.Network(cells, made, seed=3)
    again = pickle.loads(pickle.dumps(network))
    assert again == network
    other = again.projections[0].connections().weight
    np.testing.assert_array_equal(other, network.projections[0].connections().weight)
    assert not np.any(other == whole.weight)
    rates = sf.FromSciPy(stats.gamma(2, scale=4), Hz)
    assert (
        len(np.unique(sf.Population("s", 9, sf.SpikeSourcePoisson(rates)).source.rate.value)) == 9
    )  # pyright: ignore


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: sf.FromSciPy(stats.gamma), WrongTypeError, "with its arguments"),
        (lambda: sf.FromSciPy("gamma"), WrongTypeError, "such as scipy.stats.gamma"),
        (lambda: sf.FromSciPy(stats.multivariate_normal([0, 0])), WrongTypeError, "sf.Correlated"),
        (
            lambda: sf.FromSciPy(stats.rv_discrete(values=([1, 2], [0.5, 0.5]))()),
            WrongTypeError,
            "sf.Empirical",
        ),
        (lambda: sf.FromSciPy({"name": "gamma"}), WrongTypeError, "not"),
        (lambda: sf.FromSciPy({"name": "x", "arguments": {}}), WrongTypeError, "no distribution"),
        (lambda: sf.FromSciPy(stats.gamma(-1)), NetworkError, r"gamma\(a=-1.* is no distribution"),
        (lambda: sf.FromSciPy(stats.gamma([1, 2])), NetworkError, "'a' of gamma is .*one number"),
        (lambda: sf.FromSciPy(stats.expon(), -1 * mV), NetworkError, r"-sf\.FromSciPy"),
        (lambda: sf.FromSciPy(stats.expon(), [1, 2] * mV), NetworkError, "the scale"),
        (lambda: sf.FromSciPy(stats.expon(), mV, low=1 * nS), UnitError, "'low' of FromSciPy"),
        (lambda: sf.FromSciPy(stats.expon(), mV, low=9 * mV), NetworkError, r"lie 0\.00012 of"),
        (lambda: sf.FromSciPy(stats.poisson(9), low=2, high=1), NetworkError, "between the bounds"),
        (lambda: sf.load("lif")(tau=stats.gamma(2)), WrongTypeError, r"sf\.FromSciPy\(.*ms\)"),
        (lambda: sf.load("lif")(tau=lambda: 3), WrongTypeError, "what is drawn is an sf.Normal"),
    ],
)
def test_other_things_are_refused(build: Any, error: type[SomaflowError], words: str) -> None:
    with pytest.raises(error, match=words):
        build()


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = stats.gamma(2)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(ImportError, match="FromSciPy needs the package scipy: pip install scipy"):
        sf.FromSciPy(kind)


def test_a_weight_below_its_limit_leads_to_a_bound() -> None:
    cells = sf.Population("a", 9, sf.load("lif"))
    weights = sf.FromSciPy(stats.norm(), nS, seed=1)
    made = sf.Projection(cells, cells, sf.load("exponential_conductance"), weight=weights)
    with pytest.raises(NetworkError, match=r"A FromSciPy takes a bound: low=\.\.\. in nS"):
        made.connections()


def test_bounds_of_counts_that_are_shifted() -> None:
    """The values are 0.5, 1.5, ...: a bound between two of them leaves the one within."""
    cells = np.arange(2000), 0

    def values(**bounds: float) -> set[float]:
        return set(sf.FromSciPy(stats.poisson(4, loc=0.5), seed=1, **bounds).draw(cells, 1).value)

    assert min(values(low=1.6)) == 2.5 and min(values(low=1.5)) == 1.5
    assert max(values(high=2.6)) == 2.5 and max(values(high=2.5)) == 2.5
    assert values(low=1.4, high=1.6) == {1.5}
