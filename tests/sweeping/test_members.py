"""Members of a sweep: built from networks and functions, and checked before any runs."""

import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import (
    MissingValueError,
    NetworkError,
    RunError,
    SomaflowError,
    SomaflowWarning,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.network.network import Network
from somaflow.sweeping.members import Members
from somaflow.sweeping.space import read_space
from somaflow.sweeping.task import Settings, Task, compute, job
from somaflow.units import cm, mS, ms, mV, uA

S, A = mS / cm**2, uA / cm**2
SETTINGS = Settings(5 * ms, 0.05 * ms, None, "float32")
HH = sf.load("hodgkin_huxley_1952")


def _cell(g_na: object = 120 * S, current: object = 5 * A, size: int = 2) -> sf.Network:
    cells = sf.Population("cells", size, HH(g_na=g_na))
    return sf.Network(cells, sf.CurrentClamp(cells, current))


def _members(vary: object, model: object = None, trials: int | None = None, **more: Any) -> Members:
    return Members(_cell() if model is None else model, read_space(vary, trials), **more)


def test_members_are_the_networks_that_one_would_write() -> None:
    conductances, currents = [100.0, 120.0] * S, [0, 5, 10]
    members = _members({"cells.g_na": conductances, "Step on cells.amplitude": currents})
    assert len(members) == 6
    for m in range(6):
        g, i = divmod(m, 3)
        member = members.member(m)
        assert member.network == _cell(conductances[g], currents[i] * A)
        assert (member.seed, member.initial) == (0, {})
        assert [recorder.key for recorder in member.record] == ["cells.spikes"]
    assert members.space.label(4) == "cells.g_na=120 mS/cm**2, Step on cells.amplitude=5 uA/cm**2"
    assert [c.unit for c in members.space.coordinates] == ["mS/cm**2", "uA/cm**2"]


def test_points_are_the_networks_that_one_would_write() -> None:
    points = [(100.0, 3.0), (90.0, 1.0)]
    names = ["cells.g_na", "Step on cells.amplitude"]
    members = _members((names, np.array(points)))
    assert [members.member(m).network for m in range(2)] == [_cell(g * S, i * A) for g, i in points]


def test_states_begin_elsewhere_over_what_was_given() -> None:
    start = {"cells": {"v": -60 * mV, "n": 0.3}}
    members = _members({"cells.v": [[-70.0, -50.0], [-50.0, -70.0]]}, initial=start)
    member = members.member(1)
    assert member.network == _cell()
    assert member.initial["cells"]["n"].value == 0.3
    np.testing.assert_array_equal(member.initial["cells"]["v"].value, [-50, -70])
    assert start["cells"]["v"] == -60 * mV


def test_seeds_are_those_of_the_axis_and_of_trials() -> None:
    members = _members({"seed": [0, 7], "cells.g_na": [100.0]}, trials=3)
    assert members.seeds.shape == (2, 1, 3)
    assert members.seeds[:, 0, 0].tolist() == [0, 7]
    # Kept: with other ones a sweep that goes on would not be the one that began.
    assert members.seeds[0, 0, 1:].tolist() == SEEDS
    assert members.seed(5) == members.member(5).seed == members.seeds[1, 0, 2]
    many = _members({"seed": range(50)}, trials=40).seeds
    assert len(np.unique(many)) == 2000
    assert (many[:, 1:] >= 2**62).all()
    assert _members({"cells.g_na": [1, 2]}, seed=9).seeds.tolist() == [9, 9]
    again = _members({}, trials=3, seed=7).seeds
    assert again.tolist() == members.seeds[1, 0].tolist()


SEEDS = [8634759711382265285, 5765101471064428703]


@dataclass
class Model:
    network: sf.Network
    initial: dict[str, dict[str, object]]
    size: int


def _built(size: int, seed: int = 1, v: object = -65 * mV, **rest: object) -> Model:
    assert not rest
    network = sf.Network(*_cell(size=size).parts, seed=seed)
    return Model(network, {"cells": {"v": v}}, size)


def test_a_function_is_given_those_names_that_are_its_arguments() -> None:
    vary = {"size": [1, 3], "seed": [4, 5], "cells.g_na": [90.0]}
    members = _members(vary, _built, record=_voltage)
    for m, (size, seed) in enumerate([(1, 4), (1, 5), (3, 4), (3, 5)]):
        member = members.member(m)
        parts = _cell(90 * S, size=size).parts
        assert member.network == sf.Network(*parts, seed=seed)
        assert member.seed == seed
        assert str(member.initial["cells"]["v"]) == "-65 mV"
        assert [recorder.key for recorder in member.record] == [f"v{size}"]


def _voltage(model: Model) -> sf.Recorder:
    return model.network.population("cells")["v"].as_(f"v{model.size}")


def _spikes(lobe: sf.models.AntennalLobe) -> sf.Recorder:
    return lobe.pn.spikes


def test_what_has_a_network_is_a_model() -> None:
    lobe = sf.models.antennal_lobe()
    members = _members({("LN->PN", "weight"): [0.1, 0.3] * S}, lobe, record=_spikes)
    member = members.member(1)
    assert str(member.network.projection("LN_to_PN").weight) == "0.3 mS/cm**2"
    assert member.initial.keys() == {"PN", "LN"}
    assert [recorder.key for recorder in member.record] == ["PN.spikes"]
    assert job(member, SETTINGS).network is member.network


def test_a_function_that_takes_everything_is_given_every_plain_name() -> None:
    def build(**values: object) -> sf.Network:
        return _cell(size=int(str(values["size"])))

    members = _members({"size": [2, 3], "cells.g_na": [1]}, build)
    assert members.member(1).network == _cell(1 * S, size=3)


def test_a_network_is_built_once_for_its_trials() -> None:
    calls = []

    def build(size: int) -> sf.Network:
        calls.append(size)
        return _cell(size=size)

    members = _members({"size": [1, 2], "seed": [5, 6]}, build, trials=10)
    calls.clear()
    networks = {id(members.member(m).network) for m in range(20)}
    assert calls == [1]
    assert len(networks) == 1


def test_a_member_can_be_pickled() -> None:
    members = _members({"cells.g_na": [100.0, 90.0] * S, "cells.v": [-60 * mV]})
    member = members.member(1)
    assert pickle.loads(pickle.dumps(member.network)) == member.network
    copy = pickle.loads(pickle.dumps(member))
    assert copy.network == member.network
    np.testing.assert_array_equal(copy.initial["cells"]["v"].value, -60.0)


def test_a_member_computes_what_one_would_simulate() -> None:
    starts = [np.array([-70.0, -60.0])]
    vary = {"cells.v": starts, "cells.g_na": [100.0], "Step on cells.amplitude": [0, 10]}
    members = _members(vary, record=_cell().population("cells")["v"].as_("volts"))
    (outcome,) = compute(Task((1,), (members.member(1),), SETTINGS, 1))
    network = _cell(100.0, 10 * A)
    expected = sf.simulate(
        network,
        SETTINGS.duration,
        dt=SETTINGS.dt,
        dtype="float32",
        record=network.population("cells")["v"],
        initial={"cells": {"v": starts[0] * mV}},
    )
    assert outcome.data is not None
    np.testing.assert_array_equal(outcome.data["volts"], expected["cells.v"].values)


# --------------------------------------------------------------------------- checks


def test_a_sweep_that_can_run_is_accepted() -> None:
    _members({"cells.g_na": [100, 90], "Step on cells.amplitude": [1, 2]}, trials=2).check(SETTINGS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cells.spikes.count", "belongs to 'cells.spikes'"),
        ("cells.spikes.first", "belongs to 'cells.spikes'"),
        ("failure", "tells why members failed"),
        ("trial", "numbers trials"),
    ],
)
def test_names_that_a_result_needs_are_refused_before_anything_runs(name: str, words: str) -> None:
    cells = _cell().population("cells")
    record = [cells.spikes, cells["v"].as_(name)]
    members = _members({"cells.g_na": [100, 90]}, record=record)
    with pytest.raises(RunError, match=f"called '{name}', which {words}.*as_"):
        members.check(SETTINGS)
    members.check(replace(SETTINGS, reduce="count"))  # it keeps no recordings


def _checked_by(
    monkeypatch: pytest.MonkeyPatch, members: Members
) -> tuple[list[int], list[object]]:
    """Return which members are checked, and the networks that are put together for that."""
    checked, made = [], []
    values, network = Members._values, Network.__init__

    def spied(self: Members, places: Any, m: int) -> Any:
        checked.append(m)
        return values(self, places, m)

    def making(self: Network, *arguments: Any, **named: Any) -> None:
        made.append(self)
        network(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Members, "_values", spied)
        patch.setattr(Network, "__init__", making)
        members.check(SETTINGS)
    return sorted(set(checked)), made


def test_values_of_different_parts_are_checked_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    vary = {"cells.g_na": range(1, 4), "cells.g_k": [5, 6], "seed": range(9)}
    members = _members({**vary, "Step on cells.amplitude": range(7)}, trials=2)
    each = 9 * 7 * 2
    both = {k * each for k in range(6)}  # of what one part has every combination
    checked, made = _checked_by(monkeypatch, members)
    assert checked == sorted(both | {2 * k for k in range(7)})
    assert len(made) == 1
    table = [{"cells.g_na": 1.0 + k, "cells.v": -65.0 - k} for k in range(9)]
    assert _checked_by(monkeypatch, _members(table))[0] == list(range(9))
    table[7]["cells.v"] = np.nan
    with pytest.raises(MissingValueError, match=r"at point 7, cells\.g_na=8 .*nan"):
        _members(table).check(SETTINGS)


def _with(**more: object) -> Callable[[], Members]:
    return lambda: _members({"cells.g_na": [100]}, **more)


def _of(function: Callable[..., object], **vary: object) -> Callable[[], Members]:
    return lambda: _members(vary or {"size": [1, 2]}, function)


def _odd(size: int) -> object:
    return _cell(size=size) if size == 1 else [1, 2, 3][size + 1]


BAD: dict[str, tuple[Callable[[], Members], type[SomaflowError], str]] = {
    "name": (
        lambda: _members({"cells.g_Na": [1]}),
        UnknownNameError,
        "called 'cells.g_Na'. Did you mean 'cells.g_na'",
    ),
    "the step": (lambda: _members({"dt": [0.1, 0.2] * ms}), UnknownNameError, "dt is an argument"),
    "texts": (
        lambda: _members([{"cells.C": "1"}, {"cells.C": "2"}]),
        UnitError,
        "at point 0, cells.C=1: .*The value of 'cells.C' is the text '1', not a number",
    ),
    "seeds as texts": (
        lambda: _members({"cells.C": [1, 2], "seed": [0, "7"]}),
        WrongTypeError,
        "at cells.C=1, seed=7: a seed is an integer.* is the text '7'",
    ),
    "seed's name": (lambda: _members({"sede": [1]}), UnknownNameError, "Did you mean 'seed'"),
    "argument": (_of(lambda size=1: _cell(), sice=[1]), UnknownNameError, "Did you mean 'size'"),
    "unit": (
        lambda: _members({"cells.g_na": [1, 2] * mV}),
        UnitError,
        "are in mV, and it is in mS",
    ),
    "value": (
        lambda: _members({"seed": [1, 2], "cells.g_na": [1.0, np.inf]}),
        MissingValueError,
        "at seed=1, cells.g_na=inf",
    ),
    "shape": (
        lambda: _members({"cells.g_na": [np.ones(2), np.ones(3)]}),
        NetworkError,
        "at cells.g_na=array 1: .*each of the 2 cells",
    ),
    "initial shape": (
        lambda: _members({"cells.v": [np.ones(2), np.ones(3)]}),
        RunError,
        r"at cells.v=array 1: .*'v' of 'cells' has shape \(3,\)",
    ),
    "together": (
        lambda: _members({"Step on cells.start": [1, 5], "Step on cells.stop": [9, 3]}),
        NetworkError,
        "at Step on cells.start=5 ms, Step on cells.stop=3 ms: a Step stops at 3",
    ),
    "point": (
        lambda: _members([{"cells.C": 1.0}, {"cells.C": -1.0}, {"cells.C": "2 mV"}]),
        SomaflowError,
        "at point 2, cells.C=2 mV",
    ),
    "seed": (lambda: _members({"seed": [1, -2]}), WrongTypeError, "a seed is an integer"),
    "own seed": (lambda: _members({}, trials=2, seed=0.5), WrongTypeError, "a seed is an integer"),
    "model": (lambda: _members({"x": [1]}, 3), WrongTypeError, "a sweep takes a sf.Network"),
    "a class": (lambda: _members({"x": [1]}, Model), WrongTypeError, "Model needs 'network'"),
    "required": (_of(_built, v=[-65 * mV]), WrongTypeError, "_built needs 'size'"),
    "returned": (_of(lambda size: size), WrongTypeError, "at size=1: <lambda> returned 1"),
    "raised": (_of(_odd), RunError, "at size=2: _odd failed: IndexError: list index"),
    "initial": (_with(initial=[3]), WrongTypeError, "initial is a dict"),
    "initial name": (_with(initial={"cell": {"v": 3}}), RunError, "Did you mean 'cells'"),
    "initial state": (_with(initial={"cells": {"V": 3}}), RunError, "is not a state"),
    "initial unit": (
        _with(initial={"cells": {"v": 3 * S}}),
        UnitError,
        "at cells.g_na=100 mS/cm**2: 'v' of cells",
    ),
    "record": (_with(record=3), WrongTypeError, "record is a list of recorders, or a function"),
    "recorder": (_with(record=[3]), WrongTypeError, "record takes recorders"),
    "recorded": (
        _with(record=lambda model: model.pn),
        RunError,
        "record failed: AttributeError",
    ),
    "twice": (
        lambda: _members({"cells.v": [-65]}, record=_cell().population("cells")["v"]),
        RunError,
        "^'cells.v' varies and is recorded too",
    ),
    "other recordings": (
        lambda: _members({"size": [1, 2]}, _built, record=_voltage),
        RunError,
        "size=2: the recordings are v2, and those at size=1 are v1",
    ),
}


@pytest.mark.parametrize(("make", "error", "words"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_is_said_before_anything_runs(
    make: Callable[[], Members], error: type[SomaflowError], words: str
) -> None:
    with pytest.raises(error, match=words.replace("**", r"\*\*")) as caught:
        make().check(SETTINGS)
    assert str(caught.value).count("at ") <= 3  # and its coordinates once


def test_a_cause_is_kept() -> None:
    with pytest.raises(RunError) as caught:
        _members({"size": [1, 2]}, _odd).check(SETTINGS)
    inner = caught.value.__cause__
    assert isinstance(inner, RunError)
    assert isinstance(inner.__cause__, IndexError)


def test_nothing_spikes() -> None:
    cells = sf.Population("cells", 1, sf.Equations.parse("dv/dt = -v/(5*ms) : mV", v=1 * mV))
    with pytest.raises(RunError, match="no population spikes"):
        _members({"cells.v": [1]}, sf.Network(cells)).check(SETTINGS)


def test_settings_that_no_member_can_run_with() -> None:
    with pytest.raises(RunError, match=r"^duration"):
        _members({"cells.g_na": [1, 2]}).check(Settings(-1 * ms, 0.05 * ms, None, "float32"))


def test_a_function_has_to_build_the_same_each_time() -> None:
    numbers = iter(range(1, 100))

    def build(size: int) -> sf.Network:
        return _cell(next(numbers) * S, size=size)

    members = _members({"size": [1, 2]}, build)
    first = members.member(0).network
    members.member(1)
    with pytest.raises(RunError, match="size=1: the function built another network than before"):
        members.member(0)
    assert first.population("cells").size == 1


def test_a_warning_of_the_network_comes_once() -> None:
    def build(g: float) -> sf.Network:
        a, b = sf.Population("a", 1, HH(g_na=g)), sf.Population("b", 1, HH)
        junctions = sf.catalogue("synapses").gap_junction_density
        return sf.Network(a, b, sf.Projection(a, b, junctions), sf.Projection(b, a, junctions))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _members({"g": [1.0, 2.0, 3.0]}, build).check(SETTINGS)
    assert [item.category for item in caught] == [SomaflowWarning]


def test_what_is_wrong_is_said_without_tensorflow() -> None:
    code = """
import sys
from types import SimpleNamespace
import somaflow as sf
from somaflow.sweeping.members import Members
from somaflow.sweeping.space import read_space
cells = sf.Population("cells", 1, sf.load("hodgkin_huxley_1952"))
members = Members(sf.Network(cells), read_space({"cells.g_na": [1.0, float("nan")]}))
try:
    members.check(SimpleNamespace(duration=1, dt=0.1, solver=None, dtype="float64", reduce=None))
except sf.errors.MissingValueError as error:
    print("tensorflow" in sys.modules, str(error).partition(":")[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False at cells.g_na=nan\n"


# --------------------------------------------------------------------- fingerprints


def test_one_request_has_one_fingerprint_and_others_say_what_they_changed() -> None:
    def told(settings: Settings = SETTINGS, trials: int | None = None, **more: Any) -> Any:
        vary = more.pop("vary", {"cells.g_na": [100.0, 90.0], "seed": range(20)})
        return _members(vary, trials=trials, **more).fingerprint(settings)

    first = told()
    assert told() == first
    assert all(isinstance(text, str) for pair in first.items() for text in pair)
    changed = {
        "dt: 0.05 ms here, 0.01 ms there": told(Settings(5, 0.01, None, "float32")),
        "trials: None here, 3 there": told(trials=3),
        "seed: 0 here, 4 there": told(seed=4),
        "vary['cells.g_na']: 100.0, 90.0 here, 100.0, 80.0 there": told(
            vary={"cells.g_na": [100.0, 80.0], "seed": range(20)}
        ),
        "network.populations['cells'].size: 2 here, 3 there": told(model=_cell(size=3)),
        "reduce: None here, 'rate' there": told(Settings(5, 0.05, None, "float32", "rate")),
        'initial: {} here, ["cells"] there': told(initial={"cells": {"v": -60}}),
        "record[0].variable: 'spikes' here, 'v' there": told(
            record=_cell().population("cells")["v"]
        ),
    }
    for words, other in changed.items():
        assert words in sf.diff(first, other), words
    longer = told(vary={"cells.g_na": [100.0, 90.0], "seed": range(21)})
    assert any(text.startswith("vary['seed']: 20 values") for text in sf.diff(first, longer))


def test_of_a_function_the_networks_are_compared() -> None:
    def told(current: float) -> dict[str, str]:
        members = _members({"size": [1, 2]}, lambda size: _cell(current=current * A, size=size))
        return members.fingerprint(SETTINGS)

    assert told(1.0) == told(1.0)
    (words,) = sf.diff(told(1.0), told(2.0))
    assert words.startswith("networks: ")
