import pickle
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import somaflow as sf
from somaflow.errors import (
    MissingValueError,
    NetworkError,
    SomaflowError,
    UnitError,
    WrongTypeError,
)
from somaflow.units import cm, mS, ms, mV, nA, uF, um

C = 1 * uF / cm**2
S = mS / cm**2
CHANNELS = sf.catalogue("channels")
SYNAPSES = sf.catalogue("synapses")
TEXT = "dv/dt = (E - v)/(20*ms) + I_stim/(1*nF) : mV\nI_stim : nA"


def cells(name: str = "PN", size: int = 5, **options: Any) -> sf.Population:
    options = {"threshold": "v > 0*mV"} | options
    return sf.Population(name, size, sf.Neuron(C, leak=CHANNELS.leak), **options)


def point(text: str = TEXT, **options: Any) -> sf.Population:
    values = options.pop("values", {"E": -65 * mV, "v": -65})
    return sf.Population("P", 5, sf.Equations.parse(text, **values), **options)


def test_connections_are_ordered_and_name_cells_of_the_whole() -> None:
    pn = cells()
    pairs = sf.FromList([(0, 2), (1, 0), (0, 0)])
    made = sf.Projection(pn[[4, 1]], pn[2:], SYNAPSES.nach, pairs, [3, 2, 1] * S).connections()
    assert made.pre.tolist() == [1, 4, 4]
    assert made.post.tolist() == [2, 2, 4]
    assert made.weight.tolist() == [2, 1, 3]


def test_no_cell_of_a_view_reaches_itself_where_that_is_excluded() -> None:
    pn = cells()
    for connector in (sf.AllToAll(False), sf.FixedProbability(1.0, 0, False)):
        made = sf.Projection(pn[:3], pn[1:], SYNAPSES.nach, connector).connections()
        assert len(made.pre) == 3 * 4 - 2
        assert np.all(made.pre != made.post)


def test_weights() -> None:
    pn, ln = cells(), cells("LN", 3)
    table = np.arange(15.0).reshape(5, 3)
    made = sf.Projection(pn, ln, SYNAPSES.nach, weight=table * S).connections()
    assert np.array_equal(made.weight, table[made.pre, made.post])
    made = sf.Projection(pn, ln, SYNAPSES.nach, weight=0.2).connections()
    assert np.all(made.weight == 0.2)
    default = sf.Projection(pn, ln, SYNAPSES.nach(g=0.7 * S)).connections()
    assert np.all(default.weight == 0.7)
    drawn = sf.Projection(pn, ln, SYNAPSES.nach, weight=sf.Uniform(1 * S, 2 * S)).connections()
    assert np.all((drawn.weight > 1) & (drawn.weight < 2))
    assert len(np.unique(drawn.weight)) == 15


def project(**changes: Any) -> sf.Projection:
    given = {"pre": cells(), "post": cells("LN", 3), "synapse": SYNAPSES.nach} | changes
    return sf.Projection(**given)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"synapse": CHANNELS.leak}, WrongTypeError, "needs a synapse of the catalogue"),
        (
            {"pre": cells(threshold=None)},
            NetworkError,
            "waits for spikes, but 'PN' has no threshold",
        ),
        ({"post": point()}, UnitError, r"gives a current in uA/cm\*\*2, but 'P' takes nA"),
        (
            {"pre": point("dx/dt = -x/ms : 1", values={"x": 0}), "synapse": SYNAPSES.gaba_a},
            NetworkError,
            "reads 'v_pre', but population 'P' has no state 'v'",
        ),
        (
            {"post": point("dv/dt = -v/ms : mV", values={"v": 0})},
            NetworkError,
            "no input for a syn",
        ),
        (
            {"post": point("dv/dt = -v/ms + I_stim/ms : 1\nI_stim : 1", values={"v": 0})},
            UnitError,
            "reads 'v_post' in mV, but 'v' of 'P' is in 1",
        ),
        ({"weight": [1.0, 2.0]}, NetworkError, r"have shape \[2\]; give .* shape \[5, 3\]"),
        ({"weight": np.ones((3, 5))}, NetworkError, r"have shape \[3, 5\]"),
        (
            {"weight": [1.0], "connector": sf.FromList([(0, 0), (1, 1)])},
            NetworkError,
            r"shape \[1\]",
        ),
        ({"weight": 3 * mV}, UnitError, "'weight' of projection 'PN_to_LN'"),
        ({"weight": sf.Uniform(1 * mV, 2 * mV)}, UnitError, "'weight' of projection"),
        ({"weight": np.nan}, MissingValueError, "'weight' of projection 'PN_to_LN' is nan"),
    ],
)
def test_a_projection_that_does_not_fit(
    changes: dict[str, Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        project(**changes)


OWN = "v_post : mV\nI = G*v_post : uA/cm**2\ndG/dt = -G/(5*ms) : mS/cm**2\non spike: G += "
GAP = "v_pre : mV\nv_post : mV\nI = w*(v_post - v_pre) : uA/cm**2"


def own(jump: str = "w", **values: Any) -> sf.Equations:
    return sf.Equations.parse(OWN + jump, **{"w": 0.1 * S, "G": 0 * S} | values)


def placed(name: str = "PN", size: int = 5, axes: int = 1) -> sf.Population:
    line = np.linspace(0, 100, size)[:, None] * np.ones(axes)
    return cells(name, size, positions=line * um)


@pytest.mark.parametrize(
    "options",
    [
        {"weight": sf.Normal(1 * S, 0.1 * S, seed=2), "delay": sf.Uniform(1 * ms, 2 * ms, seed=2)},
        {
            "weight": "1*mS/cm**2*exp(-d/(50*um))*(1 + i + j/N_post)",
            "delay": "d/(mm/ms) + abs(x_pre - x_post)/(1*mm/ms)",
        },
        {"weight": np.arange(40.0).reshape(8, 5) * S, "delay": np.ones((8, 5)) * ms},
        {"delay": 2 * ms},
    ],
)
@pytest.mark.parametrize("part", [slice(None), slice(2, 7), [6, 0, 3, 7, 1]])
def test_a_range_is_those_rows_of_the_whole(options: dict[str, Any], part: Any) -> None:
    source, target = placed("PN", 8), placed("LN", 8)
    post = target[part]
    if "weight" in options and not isinstance(options["weight"], (sf.Normal, str)):
        post = post[:5]
    made = sf.Projection(source, post, SYNAPSES.nach, sf.FixedProbability(0.5, 3), **options)
    whole = made.connections()
    rows = [made.connections((k, k + 1)) for k in range(len(post))]
    parts = {name: [getattr(row, name) for row in rows] for name in ("pre", "post", "weight")}
    parts["delay"] = [row.delay for row in rows]
    order = np.argsort(post.cells)
    for name, found in parts.items():
        wanted = np.concatenate([found[k] for k in order])
        np.testing.assert_array_equal(wanted, getattr(whole, name))
    assert whole.pre.dtype == whole.post.dtype == np.int32
    assert np.array_equal(np.lexsort((whole.pre, whole.post)), np.arange(len(whole)))


def test_one_number_for_all_takes_no_memory() -> None:
    made = sf.Projection(cells(), cells("LN", 3), SYNAPSES.nach, delay=2 * ms).connections()
    assert made.weight.strides == made.coherent.strides == made.delay.strides == (0,)
    assert made.delay.tolist() == [2] * 15


def test_a_list_gives_weights_and_delays_their_order() -> None:
    pairs = [(3, 2), (0, 0), (4, 2), (1, 1)]
    made = sf.Projection(
        cells(), cells("LN", 3), SYNAPSES.nach, sf.FromList(pairs), [1, 2, 3, 4] * S, [4, 3, 2, 1]
    )
    found = made.connections()
    assert found.weight.tolist() == [2, 4, 1, 3]
    assert found.delay.tolist() == [3, 1, 4, 2]
    assert made.connections((2, 3)).weight.tolist() == [1, 3]


def test_weights_and_delays_with_one_seed_have_nothing_to_do_with_each_other() -> None:
    made = sf.Projection(
        cells(size=40),
        cells("LN", 40),
        SYNAPSES.nach,
        weight=sf.Uniform(1 * S, 2 * S, seed=4),
        delay=sf.Uniform(1 * ms, 2 * ms, seed=4),
    ).connections()
    assert abs(np.corrcoef(made.weight, made.delay)[0, 1]) < 4 / 40


def test_a_sparse_matrix_gives_pairs_and_weights_and_comes_back() -> None:
    pn, ln = cells(), cells("LN", 4)
    dense = np.array([[0, 2.0, 0, 0], [1, 0, 0, 3], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 4]])
    matrix = sparse.csr_array(dense)
    synapse = SYNAPSES.exponential_current
    cell = point(threshold="v > 0*mV")
    made = sf.Projection(cell, cell, synapse, sf.FromSparse(matrix[:, [0, 1, 2, 3, 0]]))
    assert made.connections().unit == "nA"
    assert made.connections((1, 2)).weight.tolist() == [2]
    assert made.connections((1, 2)).coherent.tolist() == [0.002]  # uA
    made = sf.Projection(pn, ln, SYNAPSES.nach, sf.FromSparse(matrix))
    back = made.connections().to_scipy()
    assert isinstance(back, sparse.csr_array)
    assert np.array_equal(back.toarray(), dense)
    assert sf.FromSparse(back) == made.connector
    given = sf.Projection(pn, ln, SYNAPSES.nach, sf.FromSparse(matrix), weight=7 * S)
    assert given.connections().weight.tolist() == [7] * 4
    pattern = sf.Projection(pn, ln, SYNAPSES.nach(g=5 * S), sf.FromSparse(matrix != 0))
    assert pattern.connections().weight.tolist() == [5] * 4


def test_a_synapse_of_weight_0_stays_in_the_matrix() -> None:
    made = sf.Projection(cells(), cells("LN", 3), SYNAPSES.nach, weight=0 * S).connections()
    assert made.to_scipy().nnz == 15


def test_the_table_has_units() -> None:
    synapse = SYNAPSES.exponential_current
    cell = point(threshold="v > 0*mV")
    made = sf.Projection(cell, cell, synapse, sf.OneToOne(), 3 * nA, 2 * ms)
    table = made.connections((1, 3)).table()
    assert table.sizes == {"synapse": 2}
    assert table["pre"].values.tolist() == table["post"].values.tolist() == [1, 2]
    np.testing.assert_allclose(table["weight"], 3)
    assert table["weight"].attrs == {"units": "nA"}
    assert table["delay"].values.tolist() == [2, 2]
    assert table["delay"].attrs == {"units": "ms"}


def test_a_synapse_may_be_equations_of_ones_own() -> None:
    made = sf.Projection(cells(), cells("LN", 3), own())
    assert made.weight_name == "w"
    assert made.synapse_name == "equations"
    assert made.connections().weight.tolist() == [0.1] * 15
    assert sf.Projection(cells(), cells(), own(), weight=3 * S).connections().weight[0] == 3
    plain = sf.Projection(cells(), cells(), own("1*mS/cm**2", w=0))
    assert plain.weight_name == "w"
    copy = pickle.loads(pickle.dumps(made))
    assert copy == made


def test_a_synapse_without_a_weight_has_weight_1() -> None:
    text = OWN + "1*mS/cm**2"
    made = sf.Projection(cells(), cells(), sf.Equations.parse(text, G=0))
    assert made.weight_name is None
    assert made.connections().weight[0] == 1
    assert made.connections().unit == "1"
    with pytest.raises(NetworkError, match="has no weight that weight= could be"):
        sf.Projection(cells(), cells(), sf.Equations.parse(text, G=0), weight=3)
    with pytest.raises(NetworkError, match="has no weight that the entries of FromSparse"):
        matrix = sf.FromSparse(sparse.eye_array(5))
        sf.Projection(cells(), cells(), sf.Equations.parse(text, G=0), matrix)


def test_a_weight_may_be_a_state() -> None:
    plastic = OWN + "w\ndw/dt = 0*mS/cm**2/ms : mS/cm**2\non post spike: w += 0.1*mS/cm**2"
    made = sf.Projection(cells(), cells(), sf.Equations.parse(plastic, G=0, w=0.2))
    assert made.connections().weight[0] == 0.2
    text = sf.Equations.parse(plastic, G=0, w="2*g", g=0.3 * S)
    assert sf.Projection(cells(), cells(), text).connections().weight[0] == 0.6
    given = sf.Projection(cells(), cells(), sf.Equations.parse(plastic, G=0), weight=3 * S)
    assert given.connections().weight[0] == 3
    with pytest.raises(MissingValueError, match=r"the weight 'w' of .* is a state without an ini"):
        sf.Projection(cells(), cells(), sf.Equations.parse(plastic, G=0))
    with pytest.raises(NetworkError, match="waits for spikes, but 'LN' has no threshold"):
        target = cells("LN", threshold=None)
        sf.Projection(cells(), target, sf.Equations.parse(plastic, G=0, w=0))


def test_a_delta_synapse_needs_no_current() -> None:
    delta = sf.Equations.parse("v_post : mV\non spike: v_post += w", w=1 * mV)
    assert sf.Projection(cells(), cells(), delta).connections().weight[0] == 1
    useless = sf.Equations.parse("dG/dt = -G/(5*ms) : 1\non spike: G += 1", G=0)
    with pytest.raises(NetworkError, match="defines no current I, and assigns to no variable"):
        sf.Projection(cells(), cells(), useless)


def junction(pairs: Any, weight: Any = None, text: str = GAP, **others: Any) -> sf.Projection:
    pn = others.pop("pn", None) or cells()
    synapse = sf.Equations.parse(text, w=0.1 * S, **others)
    return sf.Projection(pn, pn, synapse, pairs, weight)


def test_a_gap_junction_joins_both_ways() -> None:
    made = junction(sf.FromList([(0, 1), (1, 0), (2, 3), (3, 2)]))
    assert made.is_gap_junction
    assert len(made.connections()) == 4
    assert junction(sf.AllToAll()).connections().weight[0] == 0.1
    with pytest.raises(
        NetworkError, match=r"the pair \(3, 2\) is given in one direction only; giv"
    ):
        junction(sf.FromList([(0, 1), (1, 0), (3, 2)])).connections()
    with pytest.raises(NetworkError, match=r"\(0, 1\) has 0.1 mS/cm\*\*2 and \(1, 0\) has 0.2 mS"):
        junction(sf.FromList([(0, 1), (1, 0)]), [0.1, 0.2] * S).connections((0, 1))


def test_both_directions_of_a_gap_junction_draw_one_weight() -> None:
    made = junction(sf.AllToAll(False), sf.Uniform(1 * S, 2 * S, seed=3)).connections()
    table = made.to_scipy().toarray()
    assert np.array_equal(table, table.T)
    assert len(np.unique(table)) == 11  # ten pairs, and 0 on the diagonal


@pytest.mark.parametrize(
    "text",
    [
        "v_pre : mV\nv_post : mV\nI = w*sigmoid((v_pre + 40*mV)/(5*mV))*(v_post - 0*mV) : uA/cm**2",
        "v_pre : mV\nv_post : mV\nI = w*maximum(v_post - v_pre, 0*mV) : uA/cm**2",
        "v_pre : mV\nI = w*v_pre : uA/cm**2",
    ],
    ids=["graded", "rectifying", "one-sided"],
)
def test_a_current_that_differs_between_the_directions_is_no_gap_junction(text: str) -> None:
    made = junction(sf.FromList([(0, 1)]), text=text)
    assert not made.is_gap_junction
    assert len(made.connections()) == 1


def test_a_gap_junction_is_checked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("somaflow.network.projection._BLOCK", 3)
    rng = np.random.default_rng(1)
    table = rng.random((30, 30)) < 0.2
    table |= table.T
    pn = cells(size=30)
    junction(sf.FromSparse(sparse.csr_array(table)), pn=pn).check()
    i, j = np.argwhere(table)[100]
    table[i, j] = False
    table[j, i] = True
    with pytest.raises(NetworkError, match=rf"the pair \({j}, {i}\) is given in one"):
        junction(sf.FromSparse(sparse.csr_array(table)), pn=pn).check()


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (
            {"delay": -1 * ms},
            NetworkError,
            "the delays of .*'PN_to_LN' can be -1 ms; .* at least 0",
        ),
        ({"delay": sf.Uniform(-1 * ms, 2 * ms)}, NetworkError, "can be -1 ms"),
        (
            {"delay": sf.Normal(3 * ms, 1 * ms)},
            NetworkError,
            r"give the distribution a bound, low=0\*ms",
        ),
        ({"delay": 1 * mV}, UnitError, "'delay' of projection 'PN_to_LN' is in ms"),
        ({"delay": sf.Uniform(1 * mV, 2 * mV)}, UnitError, "'delay' of projection"),
        ({"delay": [1.0, 2.0]}, NetworkError, r"the delays of .* have shape \[2\]"),
        (
            {"delay": "d/(mm/ms)"},
            NetworkError,
            r"delay='d / .*' needs the positions of population 'PN'",
        ),
        (
            {"pre": placed(), "connector": sf.DistanceDependent("0.5")},
            NetworkError,
            "DistanceDependent needs the positions of population 'LN'",
        ),
        (
            {
                "pre": placed(axes=2),
                "post": placed("LN", 3),
                "connector": sf.DistanceDependent("0.5"),
            },
            NetworkError,
            "positions of 'PN' have 2 axes, those of 'LN' 1",
        ),
        (
            {"pre": placed(), "post": placed("LN", 3), "weight": "d"},
            UnitError,
            "'weight' of projection 'PN_to_LN' is in mS/cm",
        ),
        (
            {"connector": sf.OneToOne()},
            NetworkError,
            "'PN_to_LN': OneToOne joins equal sizes, not 5",
        ),
        (
            {"connector": sf.FixedInDegree(6)},
            NetworkError,
            "in-degree of 6 needs as many presynaptic cells, but there are 5",
        ),
        ({"connector": sf.FixedOutDegree(4)}, NetworkError, "out-degree of 4 .* there are 3"),
        ({"connector": sf.FixedTotal(16)}, NetworkError, "16 synapses, but 5 and 3 cells have 15"),
        ({"connector": sf.FromSparse(sparse.eye_array(3))}, NetworkError, r"has shape \[3, 3\]"),
        ({"connector": sf.FromList([(5, 0)])}, NetworkError, r"the pair \(5, 0\)"),
        (
            {"synapse": SYNAPSES.nach(g=sf.Uniform(1 * S, 2 * S))},
            NetworkError,
            "what differs between synapses as weight=",
        ),
    ],
)
def test_delays_and_connectors_that_do_not_fit(
    changes: dict[str, Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        project(**changes)


def test_a_cell_that_may_not_reach_itself_is_one_less() -> None:
    pn = cells()
    sf.Projection(pn, pn, SYNAPSES.nach, sf.FixedInDegree(4, self_connections=False))
    with pytest.raises(NetworkError, match="needs as many presynaptic cells other than itself"):
        sf.Projection(pn, pn, SYNAPSES.nach, sf.FixedInDegree(5, self_connections=False))


def test_a_negative_delay_by_distance_is_refused_with_its_pair() -> None:
    made = project(pre=placed(), post=placed("LN", 3), delay="1*ms - d/(0.02*mm/ms)")
    with pytest.raises(NetworkError, match=r"the delay of the pair \(1, 0\) is -0.25 ms"):
        made.connections()


def test_connections_show_weights_in_the_unit_of_the_synapse() -> None:
    cell = point(threshold="v > 0*mV")
    made = sf.Projection(
        cell, cell, SYNAPSES.exponential_current, weight="(1 + i)*pA", delay="2 ms"
    ).connections()
    assert repr(made) == "Connections(25 synapses, weight 0.001 to 0.005 nA, delay 2 ms)"
    assert made.unit == "nA"
    np.testing.assert_allclose(made.weight, made.coherent * 1e3)
    nothing = sf.Projection(cell, cell, SYNAPSES.exponential_current, sf.FromList([]))
    assert repr(nothing.connections()) == "Connections(0 synapses, weight none, delay none)"


def test_messages_show_the_unit_that_the_user_wrote() -> None:
    pn = point(threshold="v > 0*mV")
    pairs = sf.FromList([(0, 1), (1, 0)])
    made = sf.Projection(pn, pn, SYNAPSES.gap_junction, pairs, weight=[1, 2] * sf.units.nS)
    with pytest.raises(NetworkError, match=r"\(0, 1\) has 1 nS and \(1, 0\) has 2 nS"):
        made.connections()


@pytest.mark.parametrize(
    "connector",
    [
        sf.FixedTotal(200, 3, multapses=True),
        sf.FixedInDegree(40, 3, multapses=True),
        sf.FixedOutDegree(50, 3, multapses=True),
    ],
)
def test_synapses_of_one_pair_draw_numbers_of_their_own_in_any_range(connector: Any) -> None:
    pn, ln = point(), cells("LN", 4)
    projection = sf.Projection(
        ln,
        pn,
        SYNAPSES.exponential_current,
        connector,
        weight=sf.Normal(1 * nA, 0.1 * nA, seed=1),
        delay=sf.Uniform(1 * ms, 2 * ms, seed=2),
    )
    whole = projection.connections()
    assert len(np.unique(whole.weight)) == len(np.unique(whole.delay)) == 200
    parts = [projection.connections(rows) for rows in ((0, 1), (1, 4), (4, 5))]
    for name in ("pre", "post", "weight", "delay"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))
