"""A projection between joined populations is that of one large population, taken apart."""

import pickle
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.units import ms, mV, nA, nS, um

MODEL = sf.Equations.parse("dv/dt = (E - v)/ms + I_stim/nF : mV\nI_stim : nA", E=-65 * mV, v=-65)
SYNAPSE = sf.load("exponential_conductance")
SIZES = {"pn": 9, "ln": 5}
PLACES = np.arange(14.0)[:, None] * um


def populations(**given: Any) -> tuple[sf.Population, sf.Population]:
    rng = PLACES[:9], PLACES[9:]
    return tuple(  # pyright: ignore[reportReturnType]
        sf.Population(name, size, MODEL, threshold="v > -50*mV", positions=places, **given)
        for (name, size), places in zip(SIZES.items(), rng, strict=True)
    )


def large() -> sf.Population:
    return sf.Population("large", 14, MODEL, threshold="v > -50*mV", positions=PLACES)


def together(network: sf.Network, name: str) -> np.ndarray:
    """Pre, post, weight and delay of all parts, as of cells that stand one behind the other."""
    begins, rows = {"pn": 0, "ln": 9}, []
    for projection in network.projections:
        assert str(projection.name).startswith(name)
        c = projection.connections()
        pre, post = (begins[end.population.name] for end in (projection.pre, projection.post))
        rows.append(np.stack([c.pre + pre, c.post + post, c.weight, c.delay]))
    table = np.concatenate(rows, axis=1)
    return table[:, np.lexsort((table[0], table[1]))]


ONE = np.arange(14 * 14).reshape(14, 14) + 1.0
CASES = [
    ({}, sf.AllToAll()),
    ({"weight": 2 * nS, "delay": 1 * ms}, sf.FixedProbability(0.3)),
    ({"weight": sf.Uniform(1 * nS, 2 * nS)}, sf.FixedProbability(0.5, self_connections=False)),
    ({"weight": "(1 + i + 100*j/N_post)*nS"}, sf.FixedTotal(60)),
    ({"weight": "exp(-d/(5*um))*nS", "delay": "0.1*ms*(1 + i)"}, sf.FixedInDegree(4)),
    ({"weight": ONE * nS, "delay": sf.Uniform(1 * ms, 3 * ms)}, sf.FixedOutDegree(3)),
    ({"weight": [1.0, 2.0, 3.0] * nS}, sf.FromList([[13, 0], [0, 13], [9, 8]])),
    ({}, sf.Mutual(sf.FixedProbability(0.4))),
    ({}, sf.DistanceDependent("exp(-d/(3*um))")),
]


@pytest.mark.parametrize(("given", "connector"), CASES, ids=lambda case: type(case).__name__)
@pytest.mark.parametrize("seed", [0, 7])
def test_it_is_that_of_one_large_population(given: Any, connector: Any, seed: int) -> None:
    pn, ln = populations()
    whole = sf.Projection(pn + ln, pn + ln, SYNAPSE, connector, name="rec", **given)
    network = sf.Network(pn, ln, whole, seed=seed)
    one = large()
    projection = sf.Projection(one, one, SYNAPSE, connector, name="rec", **given)
    wanted = sf.Network(one, projection, seed=seed).projection("rec").connections()
    found = together(network, "rec_")
    assert np.array_equal(found[:2], [wanted.pre, wanted.post])
    assert found[2] == pytest.approx(wanted.weight, rel=1e-14)
    assert np.array_equal(found[3], wanted.delay)
    assert len(wanted) == len(network.projection("rec").connections())


def test_views_and_sides_of_their_own() -> None:
    pn, ln = populations()
    one = large()
    for (pre, post), (a, b) in (
        ((pn[2:5] + ln[::-1], pn), (one[[2, 3, 4, 13, 12, 11, 10, 9]], one[:9])),
        ((ln, pn[4:] + ln), (one[9:], one[4:])),
    ):
        draw = {"connector": sf.FixedInDegree(3, seed=4), "weight": sf.Uniform(1 * nS, 2 * nS)}
        # Cells are numbered through both sides, those that come first before.
        network = sf.Network(pn, ln, sf.Projection(pre, post, SYNAPSE, **draw, name="rec"))
        found = together(network, "rec_")
        wanted = sf.Projection(a, b, SYNAPSE, **draw, name="rec").connections()
        assert found.shape[1] == len(wanted)
        if pre is not ln:
            assert np.array_equal(found[:2], [wanted.pre, wanted.post])


def test_parts_have_names_and_one_number_stays_one() -> None:
    pn, ln = populations()
    network = sf.Network(pn, ln, sf.Projection(pn + ln, ln, SYNAPSE, weight=1 * nS, delay=2 * ms))
    assert [p.name for p in network.projections] == ["pn_ln_to_ln_pn_ln", "pn_ln_to_ln_ln_ln"]
    assert [p.one_delay for p in network.projections] == [2.0, 2.0]
    assert network.projection("pn_ln_to_ln").is_joined
    with pytest.raises(NetworkError, match="two parts of the network are called 'r_pn_ln'"):
        sf.Network(
            pn,
            ln,
            sf.Projection(pn, ln, SYNAPSE, name="r_pn_ln"),
            sf.Projection(pn + ln, ln, SYNAPSE, name="r"),
        )


def test_a_description_comes_back() -> None:
    pn, ln = populations()
    whole = sf.Projection(pn[:4] + ln, pn, SYNAPSE, sf.FixedProbability(0.5), name="rec")
    network = sf.Network(pn, ln, whole)
    again = pickle.loads(pickle.dumps(network))
    assert again == network
    assert again != sf.Network(
        pn, ln, sf.Projection(pn[:5] + ln, pn, SYNAPSE, sf.FixedProbability(0.5), name="rec")
    )
    assert np.array_equal(together(again, "rec_"), together(network, "rec_"))


def test_what_cannot_be_joined() -> None:
    pn, ln = populations()
    with pytest.raises(NetworkError, match="cell 3 of 'pn' is joined with itself"):
        _ = pn[:4] + ln + pn[3:]
    with pytest.raises(WrongTypeError, match="not 3"):
        _ = pn + 3
    gap = sf.load("gap_junction")
    with pytest.raises(NetworkError, match="conducts both ways"):
        sf.Projection(pn + ln, pn + ln, gap, sf.Mutual(sf.FixedProbability(0.5)))
    whole = sf.Projection(pn + ln, pn, SYNAPSE, name="rec")
    with pytest.raises(
        NetworkError, match=r"record its parts, such as network.projection\('rec_pn_pn'"
    ):
        _ = whole["I"]
    with pytest.raises(WrongTypeError, match="a view such as"):
        sf.CurrentClamp(pn + ln, 1 * nA)
    other = sf.Population("other", 3, sf.Equations.parse("du/dt = -u/ms : mV", u=0))
    with pytest.raises(NetworkError, match="'other' has no input for a synapse"):
        sf.Projection(pn, ln + other, SYNAPSE)


def test_other_cells_are_drawn_with_a_seed() -> None:
    drawn = sf.Equations.parse(
        "dv/dt = (E - v)/ms + I_stim/nF : mV\nI_stim : nA", E=sf.Normal(-65 * mV, 1 * mV), v=-65
    )
    pn, ln = (
        sf.Population(name, size, drawn, threshold="v > -50*mV") for name, size in SIZES.items()
    )
    network = sf.Network(pn, ln, sf.Projection(pn + ln, pn, SYNAPSE, name="rec"), seed=3)
    assert network.populations[0] is not pn
    for projection in network.projections:
        assert any(projection.pre.population is population for population in network.populations)
