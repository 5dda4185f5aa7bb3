"""Events beside spikes: when they happen, what they do, and that synapses carry them."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.simulation import chunks
from somaflow.units import ms, mV

DT, STEPS, SIZE, DELAY = 0.1, 600, 5, 3
TAU, SLOW, DRIVE = 10.0, 30.0, np.linspace(20.0, 60.0, SIZE)
TEXT = "dv/dt = (drive - v - w)/tau : mV\ndw/dt = -w/slow : mV\ntwice = 2*w : mV"
VALUES: dict[str, Any] = {"tau": TAU * ms, "slow": SLOW * ms, "v": 0 * mV, "w": 0 * mV}
EVENTS = {"tired": "w > 3*mV", "high": ("v > 12*mV", "w += 0.1*mV; v -= 0.05*mV")}
SYNAPSE = sf.Equations.parse("x_post : mV\non spike: x_post += w", w=1 * mV)


def cells(name: str = "c", events: Any = None, limit: float = 3, **options: Any) -> sf.Population:
    model = sf.Equations.parse(TEXT, drive=DRIVE * mV, limit=limit * mV, **VALUES)
    settings: dict[str, Any] = {
        "threshold": "v > 15*mV",
        "reset": "v = 0*mV; w += 2*mV",
        "events": EVENTS if events is None else events,
    }
    return sf.Population(name, SIZE, model, **settings | options)


def network(**options: Any) -> tuple[sf.Population, sf.Network]:
    first = cells(**options)
    model = sf.Equations.parse("dx/dt = -x/tau : mV", tau=TAU * ms, x=0 * mV)
    other = sf.Population("o", 2, model)
    joined = sf.Projection(first, other, SYNAPSE, delay=DELAY * DT * ms, on="tired", name="p")
    return first, sf.Network(first, other, joined)


def run(made: sf.Network, record: Any, duration: float = STEPS * DT, **settings: Any) -> Any:
    settings = {"dt": DT * ms, "solver": sf.Euler(), "progress": False} | settings
    return sf.simulate(made, duration * ms, record=record, **settings)


def reference() -> dict[str, Any]:
    """The same by Euler's method in NumPy, with the order of docs/design/delays.md."""
    v, w, x = np.zeros(SIZE), np.zeros(SIZE), np.zeros(2)
    above, kept = np.zeros(SIZE, bool), []
    found: dict[str, list[tuple[int, int]]] = {"spikes": [], "tired": [], "high": []}
    values, tired = [], []
    for step in range(STEPS):
        old_v, old_w = v, w
        v, w = v + DT * ((DRIVE - v - w) / TAU), w + DT * (-w / SLOW)
        x = x + DT * (-x / TAU)
        before = v, w
        spikes, high = (old_v > 15) | (v > 15), (old_v > 12) | (v > 12)
        started = (old_w <= 3) & (w > 3) | ((old_w > 3) & ~above & (step > 0))
        for name, hit in (("spikes", spikes), ("tired", started), ("high", high)):
            found[name] += [(step, int(k)) for k in np.flatnonzero(hit)]
        values += [(before[0][k], before[1][k]) for k in np.flatnonzero(spikes)]
        held = w > 3
        v, w = np.where(spikes, 0.0, v), np.where(spikes, w + 2, w)
        v, w = np.where(high, v - 0.05, v), np.where(high, w + 0.1, w)
        above = held & (w > 3)
        tired.append(started.sum())
        x = x + (tired[step - DELAY] if step >= DELAY else 0)
        kept.append((v, w, x))
    return {"found": found, "values": np.array(values).T, "states": kept}


def steps(trains: Any) -> list[tuple[int, int]]:
    return sorted(
        (int(t / DT + 1e-6), int(k)) for t, k in zip(trains.times, trains.cells, strict=True)
    )


def test_events_are_those_of_a_reference_in_numpy() -> None:
    first, made = network()
    wanted = reference()
    record = [first["v"], first["w"], made.population("o")["x"], first.spikes.with_("v", "w")]
    got = run(made, [*record, first.event("tired"), first.event("high")])
    for k, name in enumerate(("c.v", "c.w", "o.x")):
        np.testing.assert_allclose(got[name][1:], [row[k] for row in wanted["states"]], rtol=1e-11)
    for name, times in wanted["found"].items():
        assert steps(got[f"c.{name}"]) == times, name
    order = np.lexsort((got["c.spikes"].cells, np.floor(got["c.spikes"].times / DT + 1e-6)))
    for name, values in zip("vw", wanted["values"], strict=True):
        kept = got["c.spikes"][name]
        np.testing.assert_allclose(kept[order], values, rtol=1e-11)
        assert kept.attrs["units"] == "mV"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_neither_recorders_nor_chunks_change_a_bit(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, made = network(refractory=1 * ms)
    plain = [first["v"], first["w"], made.population("o")["x"]]
    settings: dict[str, Any] = {"solver": sf.ExponentialEuler(), "dtype": dtype}
    wanted = run(made, plain, **settings)
    some = [first.spikes.with_("w", "twice"), first[[3, 1]].event("tired").with_("v")]
    counted = [first.event("high").every(1 * ms), first.event("high").every(5 * ms).rate()]
    whole = run(made, [*plain, *some, *counted], **settings)
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 37)
    parts = run(made, [*plain, *some, *counted], **settings)
    for got in (whole, parts):
        for key in ("c.v", "c.w", "o.x"):
            np.testing.assert_array_equal(got[key], wanted[key])
    for key in ("c.spikes", "c.tired"):
        np.testing.assert_array_equal(parts[key].times, whole[key].times)
        for name in whole[key].kept:
            np.testing.assert_array_equal(parts[key][name], whole[key][name])
    np.testing.assert_array_equal(whole["c.spikes"]["twice"], 2 * whole["c.spikes"]["w"])
    assert set(whole["c.tired"].cells) <= {1, 3}
    assert whole["c.high.count"].sum() > 0
    np.testing.assert_array_equal(whole["c.high.rate"], parts["c.high.rate"])


def test_a_run_goes_on_with_events_under_way(tmp_path: Any) -> None:
    first, made = network()
    record = [first.event("tired"), first.spikes.with_("w"), made.population("o")["x"]]
    whole = run(made, record)
    at = whole["c.tired"].times[1] + DT  # while it is under way
    half = run(made, record, duration=np.floor(at / DT) * DT)
    rest = run(made, record, STEPS * DT - half.duration, initial=half.final)
    np.testing.assert_array_equal(rest["o.x"][-1], whole["o.x"][-1])
    for key in ("c.tired", "c.spikes"):
        both = np.concatenate([half[key].times, rest[key].times])
        np.testing.assert_allclose(both, whole[key].times, rtol=1e-12)
    both = np.concatenate([half["c.spikes"]["w"], rest["c.spikes"]["w"]])
    np.testing.assert_array_equal(both, whole["c.spikes"]["w"])


def test_many_sources_and_a_batch_keep_values_too() -> None:
    model = sf.Equations.parse("dv/dt = 1*mV/ms : mV", v=np.linspace(0, 9.9, 1100) * mV)
    many = sf.Population("m", 1100, model, threshold="v > 10*mV", reset="v = 0*mV")
    got = run(sf.Network(many), many.spikes.with_("v"), 30.0)["m.spikes"]
    assert len(got) > 3000
    ends = (got.times + got["v"] - 10) / DT  # v rises by 1 mV in a ms
    np.testing.assert_allclose(ends, np.rint(ends), atol=1e-4)
    assert got["v"].min() >= 10
    assert got["v"].max() <= 10 + DT + 1e-9
    one = cells()
    rows = run(
        *(sf.Network(one), [one.spikes.with_("v")]),
        initial={"c": {"w": np.array([[0.0], [5.0]]) * mV}},
    )["c.spikes"]
    alone = run(sf.Network(one), one.spikes.with_("v"), initial={"c": {"w": 5 * mV}})["c.spikes"]
    np.testing.assert_array_equal(rows.problem(1)["v"], alone["v"])


def test_an_event_of_chance_has_numbers_of_its_own() -> None:
    one = cells(events={"chance": "rand() < 0.1"})
    two = cells(events={})
    record = [one["v"], one.event("chance")]
    got = run(sf.Network(one), record, seed=2)
    assert 0.08 < len(got["c.chance"]) / (STEPS * SIZE) < 0.12
    np.testing.assert_array_equal(got["c.v"], run(sf.Network(two), two["v"], seed=2)["c.v"])


def test_what_a_reset_lifts_has_crossed_at_the_next_step() -> None:
    model = sf.Equations.parse("dv/dt = 1*mV/ms : mV", v=0 * mV)
    options: dict[str, Any] = {"threshold": "v > 1.05*mV", "reset": "v = -5*mV"}
    options |= {"events": {"low": "v < -4*mV"}}
    one = sf.Population("one", 1, model, **options)
    got = run(sf.Network(one), [one.spikes, one.event("low")], 3.0)
    np.testing.assert_allclose(got["one.spikes"].times, [1.05])
    np.testing.assert_allclose(got["one.low"].times, [1.1])


def test_one_structure_is_compiled_once() -> None:
    counts = []
    events = {"tired": "w > limit", "high": ("v > limit*4", "w += 0.1*mV")}
    for limit in (3.0, 3.5, 4.0):
        first = cells(events=events, limit=limit)
        got = run(sf.Network(first), first.event("tired").with_("v"), 1.0)
        counts.append(got.statistics["compiled"])
    assert counts[1:] == [False, False]
