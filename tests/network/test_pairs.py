import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import EquationError, NetworkError, SomaflowError, UnitError, UnknownNameError
from somaflow.network.pairs import OfPair, is_expression
from somaflow.units import ms, nS, um

LIF = sf.load("lif")
SYNAPSE = sf.load("exponential_conductance")
RNG = np.random.default_rng(3)
PLACES = {"a": RNG.random((6, 2)) * 300, "b": RNG.random((4, 2)) * 300}  # um
A, B = (sf.Population(name, len(p), LIF, positions=p * um) for name, p in PLACES.items())


def project(weight: Any, pre: Any = A, post: Any = B, **others: Any) -> sf.Projection:
    return sf.Projection(pre, post, SYNAPSE, weight=weight, **others)


def weights(made: sf.Projection) -> np.ndarray:
    """Return the weights in nS, shape [n_pre, n_post]."""
    table = made.connections()
    return (table.weight * 1e3).reshape(len(made.post), len(made.pre)).T


def test_an_expression_gives_the_weight_of_each_pair() -> None:
    i, j = np.arange(6)[:, None], np.arange(4)[None]
    apart = np.sqrt(((PLACES["a"][:, None] - PLACES["b"][None]) ** 2).sum(-1))
    (x, _), (_, y) = PLACES["a"].T, PLACES["b"].T
    for text, wanted in (
        ("0.1*nS*exp(-d/(100*um))", 0.1 * np.exp(-apart / 100)),
        ("(i + 10*j)*nS", i + 10.0 * j),
        ("nS*(i/N_pre + j/N_post)", i / 6 + j / 4),
        ("nS*abs(x_pre - 2*y_post)/um", np.abs(x[:, None] - 2 * y[None])),
        ("where(i > j, 3*nS, 0*nS)", np.where(i > j, 3.0, 0.0)),
    ):
        np.testing.assert_allclose(weights(project(text)), wanted, rtol=1e-13, err_msg=text)


def test_indices_count_in_the_sides_and_positions_follow_the_cells() -> None:
    pre = [4, 1, 2]
    made = project("(1 + i)*nS + nS*x_pre/(1000*um)*0", A[pre])
    table = made.connections()
    found = dict(zip(table.pre[:3].tolist(), (table.weight[:3] * 1e3).round(9), strict=True))
    assert found == {4: 1, 1: 2, 2: 3}
    table = project("nS*x_pre/um", A[pre]).connections()
    np.testing.assert_allclose(table.weight * 1e3, PLACES["a"][table.pre, 0], rtol=1e-13)


def test_a_text_in_one_form_is_kept_in_files(tmp_path: Path) -> None:
    made = project("0.1*nS*exp( -d/(100*um) )", delay="1*ms+d/(0.3*mm/ms)")
    assert made == project("0.1 * nS*exp(-d / (100*um))", delay="1*ms + d/(0.3*mm/ms)")
    assert pickle.loads(pickle.dumps(made)) == made
    network = sf.Network(A, B, made)
    network.save(tmp_path / "network")
    again = sf.load_network(tmp_path / "network")
    assert again == network
    old, new = (n.projections[0].connections() for n in (network, again))
    assert old.coherent.tobytes() == new.coherent.tobytes()
    np.testing.assert_allclose(
        made.connections().delay[0],
        1 + np.hypot(*(PLACES["a"][0] - PLACES["b"][0])) / 300,
        rtol=1e-13,
    )


def test_an_expression_without_a_pair_is_one_number() -> None:
    made = project("2*3*nS", delay="1/(1*kHz)")
    assert str(made.weight) == "0.006 uS"
    assert str(made.delay) == "1 ms"  # as graded synapses and others want
    assert str(project("0.5 nS").weight) == "0.0005 uS"
    assert [is_expression(text) for text in ("1 nS", "-1e-3 1/ms", "1*nS", "1 *nS", "nS")] == [
        False, False, True, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("d*nS", UnitError, "'weight' of projection 'a_to_b' is in uS"),
        ("(d + 1*ms)*nS", UnitError, "added to ms"),
        ("k*nS", UnknownNameError, "may use the distance d, the indices i and j .* not 'k'"),
        ("t*nS/ms", UnknownNameError, "not 't'"),
        ("xi*nS", UnknownNameError, "not 'xi'"),
        ("d > 1*um", EquationError, "comparison"),
        ("nS*pulse(1*ms)", EquationError, "cannot call pulse"),
        ("1 +", EquationError, "not an expression"),
        ("nS*z_pre/um", NetworkError, "uses z_pre, but the presynaptic positions have 2 axes"),
        ("2", UnitError, "is in uS, but '2' is a pure number"),
        ("1*nS/i", NetworkError, "is not finite for i = 0, j = 0"),
    ],
)
def test_what_is_no_weight_of_a_pair(text: str, kind: type[SomaflowError], words: str) -> None:
    with pytest.raises(kind, match=words):
        project(text).connections()


def test_expressions_of_positions_need_them() -> None:
    bare, line = sf.Population("n", 4, LIF), sf.Population("l", 4, LIF, positions=[1, 2, 3, 4] * um)
    with pytest.raises(
        NetworkError, match=r"weight='.*x_post.*' needs the positions of popul.*'n'"
    ):
        project("nS*x_post/um", post=bare)
    with pytest.raises(NetworkError, match="have 2 axes, those of 'l' 1; distances need as many"):
        project("nS*d/um", post=line)
    assert len(project("nS*x_post/um", post=line).connections()) == 24
    assert len(project("nS*i", post=bare).connections()) == 24


def test_values_are_the_same_for_any_range_of_cells() -> None:
    made = project("nS*(1 + d/um + i*j)", delay="0.1*ms*(i + j)")
    whole = made.connections()
    parts = [made.connections(rows) for rows in ((0, 1), (1, 3), (3, 4))]
    for name in ("coherent", "delay"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert joined.tobytes() == getattr(whole, name).tobytes()


def test_the_unit_of_an_expression_is_named_in_the_size_that_was_written() -> None:
    assert OfPair("3*nS*exp(-d/(1*mm))").unit == "nS"
    assert OfPair("3*ms").unit == "ms"
    assert project(2 * nS, delay=1 * ms).connections().unit == "uS"


def test_the_lowest_value_of_all_pairs_is_known_where_they_are_not_too_many() -> None:
    made = project(1 * nS, delay="1*ms + d/(0.3*um/ms)")
    assert made.shortest_delay == made.connections().delay.min() > 1
    assert OfPair("2*ms + 1*ms*abs(i - 1.5)").lowest((3, 4), None) == 2.5
    assert OfPair("1*ms/i").lowest((3, 4), None) == -np.inf  # of a pair that has none
    assert OfPair("1*ms*i").lowest((10**5, 10**5), None) == -np.inf
