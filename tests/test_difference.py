import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import somaflow as sf
from somaflow import difference
from somaflow.description import Description, decode, encode, fingerprint
from somaflow.difference import diff, leaves
from somaflow.errors import SomaflowError, StoreError, WrongTypeError
from somaflow.network.network import Network
from somaflow.units import Parameter, cm, ms, mV, nA, uF


@dataclass(frozen=True, eq=False)
class Shared(Description):
    has_identity: ClassVar[bool] = True
    name: str
    value: Any


@dataclass(frozen=True, eq=False)
class Pair(Description):
    name: Any
    value: Any


def _network(size: int = 90, **more: Any) -> Network:
    pn = sf.Population("PN", size, sf.load("lif")(**more))
    ln = sf.Population("LN", 30, sf.load("lif"))
    synapse = sf.catalogue("synapses").exponential_current(i=0.3 * nA)
    return sf.Network(pn, ln, sf.Projection(ln, ln, synapse, sf.OneToOne()))


# ----------------------------------------------------------------- the leaves


def test_paths_are_those_a_user_would_type(lobe: Network) -> None:
    found = leaves(lobe)
    assert found[""] == "Network"
    assert found["populations['PN'].size"] == "6"
    assert found["populations['PN'].model.mechanisms['leak'].equations.parameters['E']"] == (
        "-55.0 mV"
    )
    assert found["populations['LN'].threshold"] == "'v > -20*mV'"
    assert found["projections['lateral'].pre.population"] == "same as populations['LN']"
    assert found["projections['lateral'].connector.p"] == "0.5"
    assert found["stimuli[0].waveform.amplitude"] == "10.0 uA/cm**2"
    assert found["stimuli[0].target.cells"] == "int64 [0, 3, 5]"
    weight = found["projections['PN_to_LN'].weight"]
    assert weight.startswith("float64 [6, 4] mS/cm**2 sha256 ")
    assert len(weight.split()[-1]) == 12


def test_a_description_among_others_has_its_key_before_its_paths() -> None:
    found = leaves({"network": _network(), "initial": {"PN": {"v": 1.5}}})
    assert found["network.populations['PN'].size"] == "90"
    assert found["initial['PN']['v']"] == "1.5"


def test_clamps_go_by_their_own_name() -> None:
    pn = sf.Population("PN", 2, sf.Neuron(1 * uF / cm**2, leak=sf.load("leak")))
    found = leaves(sf.Network(pn, sf.VoltageClamp(pn, -50 * mV)))
    assert found["clamps[0].voltage.amplitude"] == "-50.0 mV"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3 * nA, "0.3 nA"),
        (20 * ms, "20.0 ms"),
        ([0.1, 0.2, 0.3] * nA, "[0.1, 0.2, 0.3] nA"),
        (np.ones((2, 2)) * mV, "[[1.0, 1.0], [1.0, 1.0]] mV"),
        (-0.0, "-0.0 (pure number)"),
    ],
)
def test_a_parameter_reads_as_it_was_given(value: Any, text: str) -> None:
    assert leaves(sf.units.parameter(value, None, "x")) == {"": text}


@pytest.mark.parametrize("unit", ["nA", "second", "mS/cm**2", "Mohm", "1", "mV"])
def test_neighbouring_numbers_of_any_unit_have_different_texts(unit: str) -> None:
    value = 0.3
    texts, values = set(), 300
    for _ in range(values):
        texts.add(leaves(Parameter(np.asarray(value), unit))[""])
        texts.add(leaves(Parameter(np.asarray([value, 1.0]), unit))[""])
        value = float(np.nextafter(value, 1.0))
    assert len(texts) == 2 * values


def test_a_large_array_is_told_by_its_hash() -> None:
    array = np.arange(20_000.0).reshape(1000, 20)
    first, again, other = (leaves((a,))["[0]"] for a in (array, array.copy(), array + 1e-9))
    assert first == again != other
    assert first.startswith("float64 [1000, 20] sha256 ")


def test_arrays_of_other_type_or_shape_differ() -> None:
    arrays = [
        np.zeros(2),
        np.zeros(2, np.float32),
        np.zeros(2, ">f8"),
        np.zeros(2, np.int64),
        np.zeros((2, 1)),
        np.zeros((1, 2)),
        np.zeros(0),
        np.zeros((0, 2)),
        np.array([0.0, -0.0]),
        np.array([0.0, np.nan]),
        np.array(0),
        0,
        0.0,
    ]
    assert len({leaves((array,))["[0]"] for array in arrays}) == len(arrays)


def test_an_object_with_identity_is_described_once_where_it_is_a_part() -> None:
    pn = sf.Population("PN", 3, sf.load("lif"))
    synapse = sf.catalogue("synapses").exponential_current
    found = leaves(sf.Network(sf.Projection(pn, pn, synapse), pn))
    assert found["projections['PN_to_PN'].pre.population"] == "same as populations['PN']"
    assert found["populations['PN'].size"] == "3"
    alone = leaves(sf.Projection(pn, pn, synapse))
    assert alone["pre.population.name"] == "'PN'"
    assert alone["post.population"] == "same as pre.population"


def test_one_object_and_two_equal_ones_differ() -> None:
    one = Shared("a", 1)
    once, twice = (one, one), (Shared("a", 1), Shared("a", 1))
    assert leaves(once) != leaves(twice)
    assert leaves(twice) == leaves((Shared("a", 1), Shared("a", 1)))
    assert diff(leaves(once), leaves(twice)) == [
        "[1]: same as [0] here, Shared(name='a', value=1) there"
    ]


def test_what_has_no_serial_form_is_named() -> None:
    with pytest.raises(StoreError, match="a object has no serial form"):
        leaves((1, object()))


# -------------------------------------------------- leaves and the fingerprint


def test_equal_networks_have_equal_leaves(network: Network) -> None:
    found = leaves(network)
    assert leaves(copy.deepcopy(network)) == found
    assert json.loads(json.dumps(found)) == found
    assert diff(network, copy.deepcopy(network)) == []


AGAIN = """
import json, sys
import somaflow as sf
from somaflow.difference import leaves
print(json.dumps(leaves(sf.load_network(sys.argv[1]))))
"""


def test_another_process_finds_the_same_leaves(lobe: Network, tmp_path: Any) -> None:
    lobe.save(tmp_path / "a.npz")
    command = [sys.executable, "-c", AGAIN, str(tmp_path / "a.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == leaves(lobe)


def _places(item: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or dict of a form, with each of its keys."""
    for key in list(item) if isinstance(item, dict) else range(len(item)):
        yield item, key
        if isinstance(item[key], (dict, list)):
            yield from _places(item[key])


def _changes(key: Any, value: Any) -> list[Any]:
    """Small changes of one value of a form."""
    if key == "$float":
        number = float.fromhex(value)
        return [np.nextafter(number, np.inf).hex(), (-number).hex()]
    if key in ("$array", "$same"):
        return []
    if key == "$class":
        return [f"{value}Other"] if value not in ("Parameter", "Population") else []
    if isinstance(value, bool) or value is None:
        return [not value, 0]
    if isinstance(value, int):
        return [value + 1, str(value), {"$float": float(value).hex()}]
    if isinstance(value, str):
        return [f"{value} ", f"{value}\nx"]
    if isinstance(value, list):
        return [value[::-1], value[:-1]] if len(value) > 1 else []
    return [None]


def _leaves(form: Any, arrays: list[np.ndarray]) -> dict[str, str]:
    return difference._Walk(form, arrays).found


def test_any_small_change_of_a_form_changes_its_leaves(network: Network) -> None:
    text, arrays = encode(network)
    form = json.loads(text)["root"]
    found, count = _leaves(form, arrays), 0
    places = list(_places(form))
    entries = [id(entry) for holder, key in places if key == "$dict" for entry in holder[key]]
    for holder, key in places:
        kept = holder[key]
        shown = json.dumps(kept)
        if id(kept) in entries or "$same" in shown or '"Population"' in shown:
            continue  # a key and a value, which are places of their own; or no form any more
        for other in _changes(key, kept):
            holder[key] = other
            assert _leaves(form, arrays) != found, (holder, key, other)
            count += 1
        holder[key] = kept
    assert count > 50
    for k, array in enumerate(arrays):
        other = array.copy()
        other.flat[-1] += 1e-12 if array.dtype.kind == "f" else 1
        assert _leaves(form, [*arrays[:k], other, *arrays[k + 1 :]]) != found


def test_leaves_differ_exactly_where_fingerprints_do(network: Network) -> None:
    text, arrays = encode(network)
    document = json.loads(text)
    found, seen = leaves(network), 0
    places = list(_places(document["root"]))
    for holder, key in places[:: max(1, len(places) // 40)]:
        kept = holder[key]
        for other in _changes(key, kept):
            holder[key] = other
            try:
                changed = decode(json.dumps(document), arrays)
            except (SomaflowError, TypeError, KeyError, ValueError, AttributeError, IndexError):
                continue  # not a description
            same = fingerprint(changed) == fingerprint(network)
            assert (leaves(changed) == found) == same == (diff(network, leaves(changed)) == [])
            seen += not same
        holder[key] = kept
    assert seen


_PLAIN = [None, True, 1, 0, 1.0, 0.0, -0.0, "", "1", "None", "a", "inf", float("inf"), (), {}]
_ARRAYS = [np.zeros(1), np.array(1), np.array([1])]
_RECORDS = [
    Parameter(np.asarray(value), unit) for value in (1.0, [1.0], [1]) for unit in ("1", "nA")
]
_FLAT = st.sampled_from([*_PLAIN, *_ARRAYS, *_RECORDS, "Pair", sf.OneToOne()])
_WORDS = st.sampled_from(["a", "b", "a b", "name"])
_THINGS = st.recursive(
    _FLAT,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(_WORDS, inner, max_size=2),
        st.builds(Pair, st.one_of(_WORDS, inner), inner),
        st.builds(Shared, _WORDS, inner).map(lambda one: (one, one)),
        st.builds(Shared, _WORDS, inner).map(lambda one: (Pair("b", one), one)),
    ),
    max_leaves=6,
)


@settings(max_examples=400, derandomize=True)
@given(one=_THINGS, other=_THINGS)
def test_the_leaves_of_anything_are_equal_exactly_when_the_fingerprints_are(
    one: Any, other: Any
) -> None:
    same = fingerprint(one) == fingerprint(other)
    assert (leaves(one) == leaves(other)) == same
    assert (diff(leaves(one), leaves(other)) == []) == same
    again = decode(*encode(one))
    assert (leaves(again) == leaves(one)) == (fingerprint(again) == fingerprint(one))


# ------------------------------------------------------------------- sentences


def test_a_number_is_told_on_both_sides() -> None:
    told = sf.diff(_network(90, tau=20 * ms), _network(90, tau=15 * ms))
    assert told == [
        "populations['PN'].model.equations.parameters['tau']: 20.0 ms here, 15.0 ms there"
    ]
    assert sf.diff(_network(90), _network(45)) == ["populations['PN'].size: 90 here, 45 there"]


def test_the_words_are_the_callers() -> None:
    told = diff(_network(90), _network(45), here="in the checkpoint", there="in this run")
    assert told == ["populations['PN'].size: 90 in the checkpoint, 45 in this run"]


def test_stored_leaves_compare_like_the_network() -> None:
    stored = json.loads(json.dumps(leaves(_network(90)), sort_keys=True))
    assert sf.diff(stored, _network(45)) == sf.diff(_network(90), _network(45))
    assert sf.diff(_network(90), stored) == []


def test_a_part_of_one_side_is_told_once() -> None:
    network = _network()
    pn = network.populations[0]
    more = sf.Network(*network.parts, sf.CurrentClamp(pn, 1 * nA))
    assert sf.diff(more, network) == ["only here: stimuli[0] = Stimulus(...)"]
    assert sf.diff(network, more) == ["only there: stimuli[0] = Stimulus(...)"]


def test_another_connector_is_told_with_its_numbers() -> None:
    pn = sf.Population("PN", 3, sf.load("lif"))
    synapse = sf.catalogue("synapses").exponential_current
    one, other = (
        sf.Network(pn, sf.Projection(pn, pn, synapse, connector))
        for connector in (sf.OneToOne(), sf.FixedProbability(0.5, seed=1))
    )
    assert sf.diff(one, other) == [
        "projections['PN_to_PN'].connector: OneToOne() here, "
        "FixedProbability(p=0.5, seed=1, self_connections=True) there"
    ]


def test_another_order_of_parts_is_told() -> None:
    network = _network()
    pn, ln, projection = network.parts
    other = sf.Network(ln, pn, projection)
    assert other != network
    assert sf.diff(network, other) == [
        "order of parts: populations['PN'] before populations['LN'] here, after it there"
    ]


def test_of_a_text_of_several_lines_the_lines_that_differ_are_told() -> None:
    text = "dv/dt = -v/(5*ms) : mV\ndw/dt = {}*w/(7*ms) : mV"
    one, other = (sf.Equations.parse(text.format(k), v=0, w=0) for k in ("-1", "-2"))
    assert diff(one, other) == [
        "text: 'dw/dt = -1 * w / (7 * ms) : mV' here, 'dw/dt = -2 * w / (7 * ms) : mV' there"
    ]
    longer = sf.Equations.parse(text.format("-1") + "\nx = 2*v : mV", v=0, w=0)
    assert diff(one, longer) == ["text: only there 'x = 2 * v : mV'"]


def test_two_kinds_of_thing_are_told_in_one_sentence(lobe: Network) -> None:
    assert diff(lobe, sf.AllToAll()) == ["Network(...) here, AllToAll(self_connections=True) there"]


def test_of_many_differences_twelve_and_the_number_of_the_others_are_told() -> None:
    one, other = ({f"x{k}": str(k + m) for k in range(20)} for m in (0, 1))
    told = diff(one, other)
    assert told[:1] == ["x0: 0 here, 1 there"]
    assert told[12:] == ["and 8 more."]
    assert len(diff(dict(list(one.items())[:12]), other | {})) == 13


def test_networks_without_a_common_part_are_told_in_a_few_lines(lobe: Network) -> None:
    told = sf.diff(lobe, _network())
    assert 1 < len(told) <= 13
    assert all(len(sentence) < 250 for sentence in told)


@pytest.mark.parametrize("wrong", [object(), None, 1, {}, {"a": 1}, "network", [], Network])
def test_nonsense_is_refused(wrong: Any, lobe: Network) -> None:
    for pair in ((wrong, lobe), (lobe, wrong)):
        with pytest.raises(WrongTypeError, match="diff compares two descriptions"):
            sf.diff(*pair)


@pytest.mark.parametrize("word", ["here", "there"])
def test_a_word_is_a_text(word: str, lobe: Network) -> None:
    wrong: Any = {word: object()}
    with pytest.raises(WrongTypeError, match=f"{word} is a word"):
        sf.diff(lobe, lobe, **wrong)


def test_amplitudes_are_told_in_their_unit() -> None:
    cells = sf.Population("cells", 2, sf.load("lif"))
    one, other = (sf.Network(cells, sf.CurrentClamp(cells, k * nA)) for k in (0.1, 0.2))
    assert sf.diff(one, other) == ["stimuli[0].waveform.amplitude: 0.1 nA here, 0.2 nA there"]
