"""Joint distributions: what belongs to one cell or one synapse is of one draw."""

import pickle
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats

import somaflow as sf
from somaflow.description import from_json, to_json
from somaflow.equations.drawing import held
from somaflow.errors import NetworkError, SomaflowError, UnknownNameError, WrongTypeError
from somaflow.units import mS, ms, mV, nA, nF, nS, uF

COUNTER = (np.arange(200)[:, None], np.arange(200))
HALF = [[1, 0.5], [0.5, 1]]
SAMPLES = {"w": [1.0, 2.0, 3.0, 4.0] * nA, "d": [0.5, 4.0, 1.5, 3.5] * ms}


def correlated(**given: Any) -> sf.Correlated:
    return sf.Correlated(given, HALF, seed=3)


def values(joint: Any, counter: Any = COUNTER) -> np.ndarray:
    """Return the values of all components, drawn for different purposes."""
    return np.stack([joint[k].draw(counter, place).value for place, k in enumerate(joint.keys())])


def test_normals_are_multivariate_normal() -> None:
    covariance = np.array([[4.0, 1.5, -0.2], [1.5, 1.0, 0.2], [-0.2, 0.2, 0.25]])
    sd, mean = np.sqrt(np.diag(covariance)), np.array([1.0, -2.0, 3.0])
    kinds = {k: sf.Normal(m, s) for k, m, s in zip("abc", mean, sd, strict=True)}
    joint = sf.Correlated(kinds, covariance / np.outer(sd, sd), seed=1)
    found = values(joint).reshape(3, -1)
    n = found.shape[1]
    assert np.all(np.abs(found.mean(axis=1) - mean) < 4 * sd / np.sqrt(n))
    # The sd of an entry of the covariance of n normal numbers (Wishart).
    error = np.sqrt((covariance**2 + np.outer(sd, sd) ** 2) / n)
    assert np.all(np.abs(np.cov(found) - covariance) < 4 * error)
    # A multivariate normal has chi squared distances.
    apart = found - mean[:, None]
    distance = np.sum(apart * np.linalg.solve(covariance, apart), axis=0)
    assert stats.kstest(distance, stats.chi2(3).cdf).statistic < 1.95 / np.sqrt(n)


def test_each_is_by_itself_as_it_is_given_and_ranks_are_correlated() -> None:
    gamma = stats.gamma(2, scale=3)
    cut = sf.Normal(2, 1, low=1.5, high=4)
    for one, distribution in (
        (sf.LogNormal(2, 1), stats.lognorm(np.sqrt(np.log(1.25)), scale=2 / np.sqrt(1.25)).cdf),
        (sf.Uniform(-1, 3), stats.uniform(-1, 4).cdf),
        (sf.FromSciPy(gamma), gamma.cdf),
        (-sf.FromSciPy(gamma), lambda x: gamma.sf(-x)),
        (cut, stats.truncnorm(-0.5, 2, loc=2).cdf),
    ):
        found = values(correlated(a=sf.Normal(0, 1), b=one)).reshape(2, -1)
        n = found.shape[1]
        assert stats.kstest(found[1], distribution).statistic < 1.95 / np.sqrt(n)
        # Pearson (1907): the rank correlation of two normal numbers.
        wanted = 6 / np.pi * np.arcsin(0.25)
        ranks = found.argsort(axis=1).argsort(axis=1)
        assert abs(np.corrcoef(ranks)[0, 1] - wanted) < 0.02


def test_log_normals_have_the_correlation_of_their_closed_form() -> None:
    found = values(correlated(a=sf.LogNormal(2, 1), b=sf.LogNormal(3, 1))).reshape(2, -1)
    spread = [np.log1p((sd / mean) ** 2) for mean, sd in ((2, 1), (3, 1))]
    covariance = 2 * 3 * np.expm1(0.5 * np.sqrt(spread[0] * spread[1]))
    assert abs(np.corrcoef(found)[0, 1] - covariance) < 0.03
    assert abs(np.corrcoef(np.log(found))[0, 1] - 0.5) < 0.02


def test_what_is_fully_correlated_is_one_number() -> None:
    joint = sf.Correlated(
        {"a": sf.Normal(0, 1), "b": sf.Normal(5, 2), "c": -sf.Normal(0, 1)},
        [[1, 1, -1], [1, 1, -1], [-1, -1, 1]],
        seed=1,
    )
    a, b, c = values(joint)
    np.testing.assert_allclose(b, 5 + 2 * a, rtol=1e-12)
    np.testing.assert_allclose(c, -a, rtol=1e-12)


def test_samples_stay_together_and_are_equally_probable() -> None:
    joint = sf.Empirical(SAMPLES, seed=5)
    w, d = values(joint)
    places = np.searchsorted([1, 2, 3, 4], w * 1e3)  # held in uA
    np.testing.assert_array_equal(d, np.array([0.5, 4.0, 1.5, 3.5])[places])
    counts = np.bincount(places.ravel(), minlength=4)
    assert np.sum((counts - 10_000) ** 2 / 10_000) < 16.3  # chi squared with 3, at 0.999
    assert (joint["d"].lowest, joint["d"].highest) == (0.5, 4)


JOINTS = {
    "correlated": sf.Correlated(
        {"w": sf.LogNormal(1 * nA, 0.5 * nA), "d": sf.FromSciPy(stats.gamma(2), ms)}, HALF
    ),
    "empirical": sf.Empirical(SAMPLES),
}


@pytest.mark.parametrize("joint", JOINTS.values(), ids=JOINTS)
@pytest.mark.parametrize("multapses", [False, True])
def test_weights_and_delays_are_joint_in_any_range(joint: Any, multapses: bool) -> None:
    cells = sf.Population("a", 40, sf.load("lif"))
    n = 60 if multapses else 20
    options = {"weight": -joint["w"], "delay": joint["d"]}
    made = sf.Projection(
        cells,
        cells,
        sf.load("exponential_current"),
        sf.FixedInDegree(n, multapses=multapses),
        **options,
    )
    whole = made.connections()
    assert -0.9 < np.corrcoef(whole.weight, whole.delay)[0, 1] < -0.3
    if isinstance(joint, sf.Empirical):
        pairs = set(zip(whole.weight.tolist(), whole.delay.tolist(), strict=True))
        assert pairs == {(-1, 0.5), (-2, 4), (-3, 1.5), (-4, 3.5)}
    else:
        assert len(np.unique(whole.weight)) == len(whole.weight) == 40 * n
    part = made.connections((13, 15))
    inside = (whole.post >= 13) & (whole.post < 15)
    np.testing.assert_array_equal(part.weight, whole.weight[inside])
    np.testing.assert_array_equal(part.delay, whole.delay[inside])
    network = sf.Network(cells, made, seed=4)
    anew = network.projections[0].connections()
    assert np.mean(anew.weight == whole.weight) < 0.4
    assert -0.9 < np.corrcoef(anew.weight, anew.delay)[0, 1] < -0.3
    again = pickle.loads(pickle.dumps(network)).projections[0].connections()
    np.testing.assert_array_equal(again.delay, anew.delay)


def spread(population: sf.Population, *names: str) -> np.ndarray:
    equations = population.equations
    return np.stack([(equations.parameters | equations.initial)[name].value for name in names])


def test_parameters_and_initial_values_of_a_cell_are_joint_whatever_its_name() -> None:
    text = "dv/dt = (E - v)/tau : mV"
    strong = [[1, 0.9], [0.9, 1]]
    joint = sf.Correlated(
        {"tau": sf.LogNormal(20 * ms, 5 * ms), "v": sf.Normal(-60 * mV, 3 * mV)}, strong
    )
    model = sf.Equations.parse(text, E=-65 * mV, **joint)
    a, b = (sf.Population(name, 400, model) for name in "ab")
    for cells in (a, b):
        tau, v = spread(cells, "tau", "v")
        assert abs(np.corrcoef(np.log(tau), v)[0, 1] - 0.9) < 0.05
    across = np.corrcoef(spread(a, "tau")[0], spread(b, "tau")[0])[0, 1]
    assert abs(across) < 0.2  # by chance, with an sd of 0.05
    # A part of the cells, of another size, is the same cells.
    few = sf.Population("a", 50, model)
    np.testing.assert_array_equal(spread(few, "tau", "v"), spread(a, "tau", "v")[:, :50])
    # Other names are another draw.
    other = sf.Correlated({"x": sf.Normal(0, 1), "v": sf.Normal(-60 * mV, 3 * mV)}, strong)
    twice = model(E=sf.Normal(-65 * mV, 1 * mV), v=other["v"])
    tau, v, e = spread(sf.Population("a", 400, twice), "tau", "v", "E")
    assert np.abs(np.corrcoef([tau, v, e]) - np.eye(3)).max() < 0.2


def test_a_refractory_period_is_joint_with_a_parameter_in_any_network() -> None:
    joint = sf.Empirical({"tau": [10.0, 20.0, 30.0] * ms, "wait": [1.0, 3.0, 2.0] * ms})
    cells = sf.Population("a", 60, sf.load("lif")(tau=joint["tau"]), refractory=joint["wait"])
    networks = [sf.Network(cells, seed=seed) for seed in (0, 5)]
    drawn = [network.populations[0] for network in networks]
    for population in drawn:
        period: Any = population.firing.refractory
        pairs = zip(spread(population, "tau")[0].tolist(), period.value.tolist(), strict=True)
        assert set(pairs) == {(10, 1), (20, 3), (30, 2)}
    assert not np.array_equal(*(spread(population, "tau") for population in drawn))
    assert sf.diff(*networks) == ["seed: 0 here, 5 there"]


def test_conductances_of_mechanisms_are_joint() -> None:
    channels = sf.catalogue("channels")
    S = mS / sf.units.cm**2
    joint = sf.Empirical({"na": [100, 120, 140] * S, "k": [10, 30, 20] * S})
    neuron = sf.Neuron(
        1 * uF / sf.units.cm**2,
        na=channels.na_traub1991(g=joint["na"]),
        k=channels.k_traub1991(g=joint["k"]),
    )
    na, k = spread(sf.Population("n", 60, neuron), "na.g", "k.g")
    assert set(zip(na.tolist(), k.tolist(), strict=True)) == {(100, 10), (120, 30), (140, 20)}


@pytest.mark.parametrize("joint", JOINTS.values(), ids=JOINTS)
def test_copies_are_equal_and_units_may_differ(joint: Any) -> None:
    for thing in (joint, joint["w"], -joint["w"]):
        for copy in (pickle.loads(pickle.dumps(thing)), from_json(to_json(thing))):
            assert copy == thing
    shown = held(-joint["w"], "pA", "w")
    assert shown.unit == "pA"
    seeded = type(joint)(*(getattr(joint, f) for f in list(joint.__dataclass_fields__)[:-1]), 7)
    one, other = held(-seeded["w"], "pA", "w"), seeded["w"]
    np.testing.assert_array_equal(one.draw(COUNTER, 1).value, -other.draw(COUNTER, 2).value)  # pyright: ignore


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: sf.Correlated({}, []), WrongTypeError, "for each name"),
        (lambda: sf.Correlated([sf.Normal(0, 1)], [[1]]), WrongTypeError, "for each name"),
        (
            lambda: sf.Correlated({"a": 3}, [[1]]),
            WrongTypeError,
            "'a' of Correlated is 3; give a N",
        ),
        (
            lambda: sf.Correlated({"a": sf.Empirical(SAMPLES)["w"]}, [[1]]),
            WrongTypeError,
            "'a' of Correlated is",
        ),
        (
            lambda: sf.Correlated({"a": sf.Normal(0, 1, seed=1)}, [[1]]),
            WrongTypeError,
            "has a seed",
        ),
        (lambda: correlated(a=sf.Normal(0, 1)), WrongTypeError, r"shape \[1, 1\]"),
        (
            lambda: sf.Correlated(dict.fromkeys("ab", sf.Normal(0, 1)), [[4, 1], [1, 4]]),
            NetworkError,
            "with 1 on its diagonal.* Of a covariance C",
        ),
        (
            lambda: sf.Correlated(dict.fromkeys("ab", sf.Normal(0, 1)), [[1, 0.5], [0.4, 1]]),
            NetworkError,
            "is symmetric",
        ),
        (
            lambda: sf.Correlated(
                dict.fromkeys("abc", sf.Normal(0, 1)),
                [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]],
            ),
            NetworkError,
            "negative variance",
        ),
        (
            lambda: sf.Correlated(dict.fromkeys("ab", sf.Normal(0, 1)), [[1, 1.1], [1.1, 1]]),
            NetworkError,
            "is no correlation",
        ),
        (lambda: sf.Empirical({"a": 3}), NetworkError, r"not shapes \[\]"),
        (lambda: sf.Empirical({"a": []}), NetworkError, r"not shapes \[0\]"),
        (lambda: sf.Empirical({"a": [1, 2], "b": [1]}), NetworkError, r"shapes \[2\], \[1\]"),
        (lambda: sf.Empirical([1, 2]), WrongTypeError, "an array of samples for each name"),
        (lambda: sf.Empirical(SAMPLES)["v"], UnknownNameError, "has no 'v'"),
        (lambda: correlated(a=sf.Normal(0, 1), b=sf.Normal(0, 1))["c"], UnknownNameError, "no 'c'"),
        (
            lambda: sf.load("lif")(tau=sf.Empirical(SAMPLES)),
            WrongTypeError,
            r"'tau'.* is several distributions; .* joint\['w'\]",
        ),
        (lambda: sf.load("lif")(tau=sf.Empirical(SAMPLES)["w"]), SomaflowError, "'tau'"),
    ],
)
def test_other_things_are_refused(build: Any, error: type[SomaflowError], words: str) -> None:
    with pytest.raises(error, match=words):
        build()


def test_normals_need_no_scipy_and_others_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    free = correlated(a=sf.Normal(0, 1), b=sf.LogNormal(1 * nF, 1 * nF))
    assert values(free, (np.arange(3), 0)).shape == (2, 3)
    for one in (sf.Uniform(1 * nS, 2 * nS), sf.Normal(0, 1, low=0)):
        with pytest.raises(ImportError, match="that is correlated needs the package scipy"):
            values(correlated(a=sf.Normal(0, 1), b=one))
