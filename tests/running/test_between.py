"""Functions that a run calls between two of its steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import somaflow as sf
from somaflow.errors import (
    MissingValueError,
    RunError,
    SomaflowError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.numerics import programs
from somaflow.units import ms, mV, nA, second

RUN: dict[str, Any] = {"dt": 0.1 * ms, "solver": sf.ExponentialEuler(), "progress": False}


def ring(general: bool = False, size: int = 12) -> sf.Network:
    """Return cells that a drive `x` and plastic weights move."""
    model = sf.Equations.parse(
        """
        dv/dt = (E + x - v)/(10*ms) : mV
        dx/dt = 0*mV/ms : mV
        dr/dt = -r/(20*ms) : 1
        """,
        E=19 * mV, x=0 * mV, r=0, v=sf.Uniform(0 * mV, 20 * mV, seed=3),
    )  # fmt: skip
    text = """
    dw/dt = 0*mV/ms : mV
    v_post : mV
    on spike: v_post += w; w = minimum(w*1.01, 5*mV)
    """
    text += "on spike: w += 0*mV*rand()\n" if general else ""
    synapse = sf.Equations.parse(text, w=0.5 * mV)
    cells = sf.Population("ring", size, model, threshold="v > 20*mV", reset="v = 0*mV; r += 1")
    connector = sf.FixedProbability(0.5, seed=1)
    return sf.Network(cells, sf.Projection(cells, cells, synapse, connector, name="p"))


def controlled(moment: sf.Moment) -> dict[str, Any]:
    """Hold the rate of the cells, and the sum of all weights."""
    error = 1.0 - moment["ring"]["r"]
    moment.memory["total"] = moment.memory["total"] + error
    weights = moment["p"]["w"]
    return {
        "ring": {"x": 2.0 * error + 0.1 * moment.memory["total"]},
        "p": {"w": weights * (len(weights) * 0.5 / weights.sum())},
    }


def feedback(function: Callable[..., Any] = controlled, every: Any = 2.5 * ms) -> sf.Between:
    return sf.Between(every, function, {"total": np.zeros(12)})


def recorders(network: sf.Network) -> list[sf.Recorder]:
    cells = network.population("ring")
    return [cells["v"].every(1 * ms), cells["x"], network.projection("p")["w"].every(1 * ms)]


@pytest.mark.parametrize("general", [False, True])
def test_a_run_with_a_function_is_the_row_of_its_pieces(general: bool) -> None:
    network = ring(general)
    whole = sf.simulate(network, 10 * ms, between=feedback(), record=recorders(network), **RUN)
    state, memory = None, {"total": np.zeros(12)}
    for _ in range(4):
        piece = sf.simulate(network, 2.5 * ms, initial=state, **RUN).final
        read = {name: dict(piece[name]) for name in ("ring",)}
        weights = piece.events["equations of ring (p)/own/w"]
        order = _places(network, weights, general)
        moment: Any = _Stub({**read, "p": {"w": weights[order]}}, memory)
        state = piece.with_(**controlled(moment))
    assert state is not None
    for name, value in whole.final["ring"].items():
        np.testing.assert_array_equal(value, state["ring"][name])


class _Stub(dict[str, Any]):
    def __init__(self, parts: dict[str, Any], memory: dict[str, NDArray[Any]]) -> None:
        super().__init__(parts)
        self.memory = memory


def _places(network: sf.Network, kept: NDArray[Any], general: bool) -> NDArray[np.int64]:
    """Return where the weight of each synapse is, in the order of `connections()`."""
    synapses = network.projection("p").connections()
    if general:
        return np.arange(len(synapses))
    marked = np.arange(len(synapses), dtype=float) + 1
    run = sf.simulate(network, 0.1 * ms, **RUN).final.with_(p={"w": marked * 1e-9})
    after = sf.simulate(network, 0.1 * ms, initial=run, **RUN).final
    found = after.events["equations of ring (p)/own/w"]
    assert found.shape == kept.shape
    return np.array([int(np.argmin(abs(found - m * 1e-9))) for m in marked])


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_resumed_run_is_the_whole_one_to_the_bit(
    tmp_path: Path, general: bool, dtype: str
) -> None:
    network = ring(general)
    given: dict[str, Any] = {**RUN, "record": recorders(network), "dtype": dtype}
    whole = sf.simulate(network, 20 * ms, between=feedback(), **given)
    path = tmp_path / "run.zarr"

    def failing(moment: sf.Moment) -> dict[str, Any]:
        if moment.time > 13:
            raise ZeroDivisionError
        return controlled(moment)

    with pytest.raises(ZeroDivisionError):
        sf.simulate(
            network, 15 * ms, between=feedback(failing), sink=path, checkpoint=4 * ms, **given
        )
    again = sf.resume(path, 20 * ms, between=feedback(), progress=False)
    for key in ("ring.v", "ring.x", "p.w"):
        np.testing.assert_array_equal(np.asarray(again[key]), np.asarray(whole[key]))
    for name, value in whole.final["ring"].items():
        np.testing.assert_array_equal(again.final["ring"][name], value)


def test_a_store_asks_for_the_function(tmp_path: Path) -> None:
    network, path = ring(), tmp_path / "run.zarr"
    sf.simulate(network, 5 * ms, between=feedback(), sink=path, **RUN)
    with pytest.raises(RunError, match=r"give it: sf\.resume\(path, between=sf\.Between\(2\.5\*ms"):
        sf.resume(path, 10 * ms, progress=False)
    with pytest.raises(RunError, match=r"every 2\.5 ms, and between has 5 ms"):
        sf.resume(path, 10 * ms, between=feedback(every=5 * ms), progress=False)
    other = tmp_path / "other.zarr"
    sf.simulate(network, 5 * ms, sink=other, **RUN)
    with pytest.raises(RunError, match="leave between out"):
        sf.resume(other, 10 * ms, between=feedback(), progress=False)


def test_the_function_sees_what_is_recorded_and_is_called_at_the_end_too() -> None:
    network, seen = ring(), []

    def look(moment: sf.Moment) -> None:
        seen.append((moment.time, moment["ring"]["v"], moment["p"]["w"]))

    run = sf.simulate(
        network, 10 * ms, between=sf.Between(5 * ms, look), record=recorders(network), **RUN
    )
    assert [time for time, *_ in seen] == [5.0, 10.0]
    for row, (_, v, w) in zip((5, 10), seen, strict=True):
        np.testing.assert_array_equal(np.asarray(run["ring.v"])[row], v)
        np.testing.assert_array_equal(np.asarray(run["p.w"])[row], w)


def test_a_function_that_changes_nothing_changes_no_bit() -> None:
    network = ring()
    given: dict[str, Any] = {**RUN, "record": recorders(network)}
    plain = sf.simulate(network, 10 * ms, **given)
    for every in (0.7, 2.5, 5, 20):
        idle = sf.Between(every * ms, lambda moment: None)
        other = sf.simulate(network, 10 * ms, between=idle, **given)
        for key in ("ring.v", "ring.x", "p.w"):
            np.testing.assert_array_equal(np.asarray(other[key]), np.asarray(plain[key]))


def test_a_run_that_goes_on_calls_at_multiples_of_the_interval_since_time_0() -> None:
    network, times = ring(), []
    first = sf.simulate(network, 4 * ms, **RUN)
    between = sf.Between(5 * ms, lambda moment: times.append(moment.time))
    sf.simulate(network, 12 * ms, initial=first.final, between=between, **RUN)
    assert times == [5.0, 10.0, 15.0]


def test_pieces_are_compiled_once() -> None:
    programs.clear()
    network = ring()
    first = sf.simulate(network, 10 * ms, between=feedback(), **RUN)
    second = sf.simulate(network, 20 * ms, between=feedback(), **RUN)
    assert (first.statistics["compiled"], second.statistics["compiled"]) == (True, False)


def test_the_memory_that_is_given_stays_as_it_is() -> None:
    between = feedback()
    ends = [sf.simulate(ring(), 5 * ms, between=between, **RUN).final["ring"] for _ in range(2)]
    for name, value in ends[0].items():
        np.testing.assert_array_equal(value, ends[1][name])
    np.testing.assert_array_equal(between.memory["total"], 0)


def test_states_of_a_batch_have_its_axes() -> None:
    model = sf.Equations.parse("dx/dt = -x/(10*ms) : mV", x=1 * mV)
    network = sf.Network(sf.Population("cells", 3, model))
    start = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    def double(moment: sf.Moment) -> dict[str, Any]:
        return {"cells": {"x": 2 * moment["cells"]["x"]}}

    def end(values: NDArray[Any]) -> NDArray[Any]:
        initial = {"cells": {"x": values * mV}}
        between = sf.Between(5 * ms, double)
        run = sf.simulate(network, 10 * ms, between=between, initial=initial, **RUN)
        return run.final["cells"]["x"]

    both = end(start)
    np.testing.assert_allclose(both, 4 * start * np.exp(-1), rtol=1e-12)
    for k in range(2):
        np.testing.assert_array_equal(end(start[k]), both[k])


def test_values_are_read_and_returned_in_the_unit_of_the_equations() -> None:
    model = sf.Equations.parse("dx/dt = 0*pA/ms : pA", x=2 * nA)
    network, seen = sf.Network(sf.Population("cells", 2, model)), []

    def half(moment: sf.Moment) -> dict[str, Any]:
        seen.append(moment["cells"]["x"][0])
        return {"cells": {"x": moment["cells"]["x"] / 2 if len(seen) < 2 else 3 * nA}}

    run = sf.simulate(network, 2 * ms, between=sf.Between(1 * ms, half), **RUN)
    np.testing.assert_allclose(seen, [2000, 1000])
    np.testing.assert_allclose(run.final["cells"]["x"], 3000)
    again = run.final.with_(cells=run.final["cells"])
    np.testing.assert_allclose(again["cells"]["x"], 3000)


EDITS: dict[str, tuple[Any, type[SomaflowError], str]] = {
    "no dict": (5, WrongTypeError, "returns None or edits"),
    "no dict of states": ({"ring": 5}, WrongTypeError, "the edits of 'ring'"),
    "no part": ({"rong": {"v": 0}}, UnknownNameError, "rong"),
    "no state": ({"ring": {"u": 0}}, UnknownNameError, "'u'"),
    "another unit": ({"ring": {"v": 1 * second}}, UnitError, "mV"),
    "another shape": ({"ring": {"v": np.zeros(5)}}, RunError, "shape"),
    "no number": ({"ring": {"v": np.nan}}, MissingValueError, "v"),
    "no finite number": ({"ring": {"v": np.inf}}, MissingValueError, "v"),
}


@pytest.mark.parametrize("title", EDITS)
def test_edits_that_cannot_be_are_refused(title: str) -> None:
    edits, kind, words = EDITS[title]
    with pytest.raises(kind, match=words):
        sf.simulate(ring(), 1 * ms, between=sf.Between(1 * ms, lambda moment: edits), **RUN)


def test_what_is_kept_once_a_cell_is_not_read_as_of_a_synapse() -> None:
    cells = sf.Population("lif", 3, sf.load("lif"))
    joined = sf.Projection(cells, cells, sf.load("exponential_current"), name="p")
    network = sf.Network(cells, joined)
    with pytest.raises(RunError, match="is kept for each cell and not for each synapse"):
        sf.simulate(
            network, 1 * ms, between=sf.Between(1 * ms, lambda m: {"p": {"J": m["p"]["J"]}}), **RUN
        )


@pytest.mark.parametrize(
    ("memory", "kind"),
    [({"a": "text"}, WrongTypeError), ({1: 0}, WrongTypeError), ({"a/b": 0}, RunError)],
)
def test_memory_is_arrays_by_name(memory: Any, kind: type[SomaflowError]) -> None:
    with pytest.raises(kind):
        sf.Between(1 * ms, lambda moment: None, memory)
    with pytest.raises(kind):
        sf.simulate(
            ring(), 1 * ms, between=sf.Between(1 * ms, lambda m: m.memory.update(memory)), **RUN
        )


def test_an_interval_is_a_whole_number_of_steps() -> None:
    with pytest.raises(RunError, match="the interval of between"):
        sf.simulate(ring(), 1 * ms, between=sf.Between(0.25 * ms, lambda moment: None), **RUN)


def test_a_cell_that_is_lifted_over_its_threshold_spikes_there() -> None:
    model = sf.Equations.parse("dv/dt = -v/(20*ms) : mV", v=[0, 6] * mV)
    for reset in (None, "v = 0*mV"):
        first = "v > 5*mV" if reset is None else "v > 7*mV"  # cell 1 is above, and has not crossed
        cells = sf.Population("cells", 2, model, threshold=first, reset=reset)
        record = cells.spikes
        lift = sf.Between(1 * ms, lambda m: {"cells": {"v": 10 * mV}} if m.time < 1.5 else None)
        run = sf.simulate(sf.Network(cells), 3 * ms, record=record, between=lift, **RUN)
        before = sf.simulate(sf.Network(cells), 1 * ms, record=record, **RUN)
        after = before.final.with_(cells={"v": 10 * mV})
        rest = sf.simulate(sf.Network(cells), 2 * ms, record=record, initial=after, **RUN)
        expected = [0] if reset is None else [0, 1]
        for found in (run, rest):
            np.testing.assert_array_equal(found["cells.spikes"].cells, expected)
            assert found["cells.spikes"].times == pytest.approx(np.full(len(expected), 1.0))


def test_a_projection_without_synapses_is_given_nothing() -> None:
    cells = sf.Population("cells", 3, sf.Equations.parse("dv/dt = -v/(20*ms) : mV", v=0 * mV))
    text = "v_post : mV\nv_pre : mV\nI = s*nA/mV : nA\nds/dt = (v_pre*v_post/mV - s)/(5*ms) : mV"
    target = sf.Population(
        "target",
        3,
        sf.Equations.parse("dv/dt = -v/ms + I_stim*mV/nA/ms : mV\nI_stim : nA", v=0 * mV),
    )
    nobody = sf.FromList(np.zeros((0, 2), int))
    joined = sf.Projection(cells, target, sf.Equations.parse(text, s=0 * mV), nobody, name="p")
    network = sf.Network(cells, target, joined)
    edit = sf.Between(1 * ms, lambda m: {"p": {"s": m["p"]["s"] + 1}})
    run = sf.simulate(network, 2 * ms, record=target["v"], between=edit, **RUN)
    assert not run["target.v"].values.any()
