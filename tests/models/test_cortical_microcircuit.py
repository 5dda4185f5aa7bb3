"""The cortical microcircuit, held to its published tables."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import optimize

import somaflow as sf
from somaflow.models import cortical_microcircuit

# Potjans and Diesmann (2014), doi:10.1093/cercor/bhs358; each is written down here once more.
NAMES = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
EXTERNAL = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)
PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0, 0.0076, 0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0, 0.0042, 0],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0, 0.1057, 0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)
WEIGHT, TAU = 87.81, 0.5  # pA, ms
PA = 1e6  # in the coherent system, whose unit is the uA
SCALE = 0.02


@pytest.fixture(scope="module")
def small() -> sf.Network:
    return cortical_microcircuit(scale=SCALE).network


def totals() -> np.ndarray:
    """How often a pair is drawn, so that it is joined with the probability."""
    pairs = np.outer(SIZES, SIZES).astype(float)
    return np.log(1 - PROBABILITIES) / np.log((pairs - 1) / pairs)


def test_sizes_and_totals_at_full_scale() -> None:
    network = cortical_microcircuit().network
    assert tuple(p.name for p in network.populations) == NAMES
    assert tuple(p.size for p in network.populations) == SIZES
    assert sum(SIZES) == 77_169
    assert len(network.projections) == np.count_nonzero(PROBABILITIES)
    for projection in network.projections:
        place = [NAMES.index(v.population.name) for v in (projection.post, projection.pre)]
        assert projection.connector.n == pytest.approx(totals()[tuple(place)], rel=1e-6, abs=1)
        assert projection.connector.multapses
    assert sum(p.connector.n for p in network.projections) == pytest.approx(0.299e9, rel=1e-3)
    assert tuple(i.n for i in network.inputs) == EXTERNAL
    assert all(i.rate.value * 1000 == 8 for i in network.inputs)
    assert not network.stimuli


def test_a_pair_is_joined_with_the_probability_of_the_table() -> None:
    # 1 - (1 - 1/N)**K for N pairs and K draws, in whole numbers.
    pairs = SIZES[4] * SIZES[5]
    projection = cortical_microcircuit().network.projection("L5I_to_L5E")
    missed = math.exp(projection.connector.n * math.log1p(float(Fraction(-1, pairs))))
    assert 1 - missed == pytest.approx(0.3726, abs=1e-6)


def test_a_small_circuit_has_its_share_of_cells_and_synapses(small: sf.Network) -> None:
    assert [p.size for p in small.populations] == [round(SCALE * size) for size in SIZES]
    for projection in small.projections:
        place = tuple(NAMES.index(v.population.name) for v in (projection.post, projection.pre))
        made = projection.connections()
        assert len(made) == round(totals()[place] * SCALE**2)
        inhibits, doubled = place[1] % 2, place == (0, 2)
        mean = WEIGHT / np.sqrt(SCALE) * (-4 if inhibits else 2 if doubled else 1) / 1000
        error = 5 * 0.1 / np.sqrt(len(made))
        assert made.unit == "nA"
        assert made.weight.mean() == pytest.approx(mean, rel=error)
        assert np.all(np.sign(made.weight) == np.sign(mean))
        # A normal distribution of CV 0.5 that is cut off below 0.05 ms.
        delay = 0.75 if inhibits else 1.5
        low = (0.05 - delay) / (0.5 * delay)
        density = math.exp(-(low**2) / 2) / math.sqrt(2 * math.pi)
        cut = delay + 0.5 * delay * density / (1 - math.erfc(-low / math.sqrt(2)) / 2)
        assert made.delay.min() >= 0.05
        assert made.delay.mean() == pytest.approx(cut, rel=5 * error)
        if len(made) > 1000:
            assert made.weight.std() == pytest.approx(abs(0.1 * mean), rel=50 * error**2 + 0.1)


def test_a_spike_lifts_a_resting_cell_by_0_15_mv() -> None:
    tau, size = 10.0, WEIGHT * 40e-3  # ms; mV of a current that stays
    peak = optimize.minimize_scalar(
        lambda t: -(math.exp(-t / tau) - math.exp(-t / TAU)), bounds=(0.1, 5), method="bounded"
    )
    assert -peak.fun * size * TAU / (tau - TAU) == pytest.approx(0.15, rel=1e-4)


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("background", ["poisson", "dc"])
def test_mean_and_variance_of_the_input_do_not_depend_on_the_scale(
    background: str, scale: float
) -> None:
    network = cortical_microcircuit(background, scale=scale).network
    rates = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
    mean, square = np.zeros(8), np.zeros(8)
    for p in network.projections:
        post, pre = (NAMES.index(v.population.name) for v in (p.post, p.pre))
        weight = float(p.weight.mean.value) * PA
        spikes = rates[pre] / 1000 * p.connector.n / p.post.population.size
        mean[post] += TAU * weight * spikes
        square[post] += weight**2 * spikes
    for k, source in enumerate(network.inputs):
        weight = float(source.weight.value) * PA
        mean[k] += TAU * weight * source.n * 8 / 1000
        square[k] += weight**2 * source.n * 8 / 1000
    for k, stimulus in enumerate(network.stimuli):
        mean[k] += float(stimulus.waveform.amplitude.value) * PA
    weights = np.full((8, 8), WEIGHT)
    weights[:, 1::2] *= -4
    weights[0, 2] *= 2
    spikes = totals() / np.array(SIZES)[:, None] * rates / 1000
    external = np.array(EXTERNAL) * 8 / 1000
    whole = TAU * ((weights * spikes).sum(1) + WEIGHT * external)
    variance = (weights**2 * spikes).sum(1)
    variance += WEIGHT**2 * external * (background == "poisson")
    # Cells are whole, and so are sources: of L5I 53 for 53.25.
    np.testing.assert_allclose(mean, whole, atol=8)
    np.testing.assert_allclose(square, variance, rtol=0.02)


def test_cells_and_initial_voltages(small: sf.Network) -> None:
    means = (-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43)
    for population, mean in zip(small.populations, means, strict=True):
        numbers = {k: float(p.value) for k, p in population.equations.parameters.items()}
        assert numbers == {"E_L": -65, "R": 40e3, "tau": 10, "V_threshold": -50, "V_reset": -65}
        assert float(population.refractory.value) == 2
        v = population.equations.initial["v"].value
        assert v.mean() == pytest.approx(mean, abs=5 * 5 / math.sqrt(population.size))
        assert 3 < v.std() < 7


def test_a_seed_means_one_network() -> None:
    first, again, other = (cortical_microcircuit(seed=s, scale=0.01).network for s in (3, 3, 4))
    name = "L4E_to_L4I"
    pre, same, differs = (n.projection(name).connections().pre for n in (first, again, other))
    np.testing.assert_array_equal(pre, same)
    assert not np.array_equal(pre, differs)


def test_bad_arguments() -> None:
    with pytest.raises(sf.errors.UnknownNameError, match=r"no background 'poison'.*'poisson'"):
        cortical_microcircuit("poison")
    for scale in ("half", None, True, 1j):
        with pytest.raises(sf.errors.WrongTypeError, match="a scale is a number"):
            cortical_microcircuit(scale=scale)  # pyright: ignore
    for scale in (0, -0.1, 1.5):
        with pytest.raises(sf.errors.NetworkError, match="above 0 and at most 1"):
            cortical_microcircuit(scale=scale)
    with pytest.raises(sf.errors.NetworkError, match=r"population L5I has no cell; .* 0.00094"):
        cortical_microcircuit(scale=0.0004)
