"""What may be said of events beside spikes, of what is kept with them, and of their synapses."""

from typing import Any

import pytest

import somaflow as sf
from somaflow import description
from somaflow.errors import (
    EquationError,
    NetworkError,
    SomaflowError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.units import ms, mV, nA

TEXT = """
    dv/dt = (E - v + R*I_stim)/tau : mV
    I_stim : nA
    double = 2*v : mV
    all_in = v + R*I_stim : mV
"""
MODEL = sf.Equations.parse(TEXT, E=0 * mV, tau=10 * ms, R=1 * mV / nA, v=0 * mV)
PULSE = sf.Equations.parse("v_post : mV\non spike: v_post += w", w=1 * mV)


def cells(events: Any = None, **options: Any) -> sf.Population:
    settings = {"threshold": "v > 15*mV", "reset": "v = 0*mV"} | options
    return sf.Population("c", 3, MODEL, events=events, **settings)


@pytest.mark.parametrize(
    ("events", "error", "words"),
    [
        ("v > 3*mV", WrongTypeError, "a dict such as"),
        ({"a b": "v > 3*mV"}, NetworkError, "cannot name an event"),
        ({"spikes": "v > 3*mV"}, NetworkError, "means something else"),
        ({"v": "v > 3*mV"}, NetworkError, "means something else"),
        ({"a": ("v > 3*mV", "v = 0*mV", "E")}, WrongTypeError, "a condition and a reset"),
        ({"a": 3}, WrongTypeError, "a condition and a reset"),
        ({"a": "v > 3"}, UnitError, r"Write 3\*"),
        ({"a": "u > 3*mV"}, UnknownNameError, "'u' is not defined"),
        ({"a": "v + 1*mV"}, EquationError, "comparison"),
        ({"a": ("v > 3*mV", "E = 0*mV")}, EquationError, "parameter"),
        ({"a": "all_in > 3*mV"}, NetworkError, "not I_stim"),
    ],
)
def test_bad_events(events: Any, error: type[SomaflowError], words: str) -> None:
    with pytest.raises(error, match=words):
        cells(events)


def test_sources_have_no_events() -> None:
    with pytest.raises(NetworkError, match="take no events"):
        sf.Population("s", 1, sf.SpikeSourceArray([1] * ms), events={"a": "v > 1*mV"})


def test_events_are_part_of_the_canonical_form() -> None:
    one = cells({"a": "v > 3*mV", "b": ["v > 4*mV", "v = 0*mV"]})
    assert one == cells({"a": "v > 3*mV", "b": ("v > 4*mV", "v = 0*mV")})
    assert one != cells({"a": "v > 3*mV"})
    projection = sf.Projection(one, cells(), PULSE, on="a")
    assert projection != sf.Projection(one, cells(), PULSE)
    again = description.decode(*description.encode(projection))
    assert again == projection
    assert again.pre.population.event("b").key == "c.b"
    recorder = one.event("b").with_("v")
    assert description.decode(*description.encode(recorder)) == recorder


def test_names_of_recordings() -> None:
    one = cells({"a": "v > 3*mV"})
    assert one.event("a").every(1 * ms).key == "c.a.count"
    assert one.event("a").every(1 * ms).rate().key == "c.a.rate"
    assert one[:2].event("a").cells is not None
    with pytest.raises(UnknownNameError, match=r"no event 'aa'.*'a'"):
        one.event("aa")
    with pytest.raises(UnknownNameError, match="events="):
        cells().event("aa")


def test_what_with_takes() -> None:
    spikes = cells().spikes
    assert spikes.with_("v").with_("double", "v").kept == ("v", "double")
    with pytest.raises(WrongTypeError, match="names of variables"):
        spikes.with_()
    with pytest.raises(WrongTypeError, match="names of variables"):
        spikes.with_(3)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="kept with every spike"):
        spikes.with_("times")
    with pytest.raises(NetworkError, match="no times of its own"):
        cells()["v"].with_("v")
    with pytest.raises(NetworkError, match="no times of its own"):
        spikes.with_("v").every(1 * ms)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("u", UnknownNameError, "no variable 'u'"),
        ("E", UnknownNameError, "a parameter"),
        ("I_stim", NetworkError, "input"),
        ("all_in", NetworkError, "input"),
    ],
)
def test_what_cannot_be_kept(name: str, error: type[SomaflowError], words: str) -> None:
    one = cells()
    with pytest.raises(error, match=words):
        sf.simulate(sf.Network(one), 1 * ms, dt=0.1 * ms, record=one.spikes.with_(name))


def test_what_a_projection_carries() -> None:
    one = cells({"burst": "v > 3*mV"})
    with pytest.raises(UnknownNameError, match=r"no event 'bursts'.*'burst'"):
        sf.Projection(one, cells(), PULSE, on="bursts")
    with pytest.raises(UnknownNameError, match="need no on="):
        sf.Projection(one, cells(), PULSE, on="spikes")
    with pytest.raises(WrongTypeError, match="name of an event"):
        sf.Projection(one, cells(), PULSE, on=3)  # type: ignore[arg-type]
    gap = sf.Equations.parse("v_pre : mV\nv_post : mV\nI = w*(v_post - v_pre) : nA", w=1 * nA / mV)
    with pytest.raises(NetworkError, match="waits for no spike"):
        sf.Projection(one, cells(), gap, on="burst")
    reading = sf.Equations.parse("v_pre : mV\nv_post : mV\non spike: v_post += 0.1*v_pre")
    with pytest.raises(NetworkError, match=r"'c.burst' has no state 'v'"):
        sf.Projection(one, cells(), reading, on="burst")
    silent = cells({"burst": "v > 3*mV"}, threshold=None, reset=None)
    sf.Projection(silent, one, PULSE, on="burst")
    with pytest.raises(NetworkError, match="no threshold"):
        sf.Projection(silent, one, PULSE)
