"""What the nonsense sweeps share: calls of the public surface that work, and what spoils them."""

import datetime
import decimal
import fractions
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pint
from scipy import sparse, stats

import somaflow as sf
from somaflow import units
from somaflow.mechanisms.catalogue import checks, from_data
from somaflow.network.pairs import OfPair
from somaflow.units import cm, ms, mV, nA, uF, um

TEXT = "dv/dt = (E - v)/tau + I_stim/C : mV\nI_stim : nA"
MODEL = sf.Equations.parse(TEXT, E=-65 * mV, tau=20 * ms, C=1 * nA * ms / mV, v=-65)
CELLS = sf.Population("cells", 3, MODEL, threshold="v > -50*mV", reset="v = E")
LINKED = sf.Equations.parse(TEXT + "\nH : mV", E=-65 * mV, tau=20 * ms, C=1 * nA * ms / mV, v=-65)
WITH_EVENTS = sf.Population(
    "sender", 3, MODEL, threshold="v > -50*mV", reset="v = E", events={"low": ("v < E", "v = E")}
)
SYNAPSE = sf.catalogue("synapses").exponential_current
LEAK = sf.catalogue("channels").leak
NETWORK = sf.Network(CELLS, sf.Projection(CELLS, CELLS, SYNAPSE, name="loop"))


class Case:
    """A call that works, and the arguments for which None has a meaning."""

    def __init__(self, call: Callable[..., Any], *none: str, **arguments: Any) -> None:
        self.call, self.none, self.arguments = call, none, arguments


CASES = {
    "Equations.parse": Case(
        sf.Equations.parse, text=TEXT, E=1 * mV, tau=1 * ms, C=1 * nA * ms / mV, v=0
    ),
    "Equations.from_function": Case(
        sf.Equations.from_function,
        function=lambda t, y, p: {"x": p["a"] - y["x"]},
        initial={"x": 1.0},
        a=2.0,
    ),
    "Equations()": Case(MODEL, E=1 * mV, tau=1 * ms, v=3),
    "Equations.condition": Case(MODEL.condition, text="v > E"),
    "Equations.assignments": Case(MODEL.assignments, "line", text="v = E"),
    "Equations.unit": Case(MODEL.unit, name="v"),
    "Mechanism()": Case(LEAK, g=3, E=-60),
    "load": Case(sf.load, name="leak"),
    "catalogue": Case(sf.catalogue, kind="channels"),
    "from_data": Case(
        from_data,
        data={
            "kind": "channel",
            "title": "x",
            "reference": "x",
            "equations": "I = g : nA",
            "parameters": {"g": "1 nA"},
            "check": [{"at": {}, "expect": {"I": 1}, "source": "x"}],
        },
        name="x",
    ),
    "checks": Case(checks, mechanism_name="leak"),
    "Neuron": Case(sf.Neuron, C=1 * uF / cm**2, v=-65 * mV, leak=LEAK),
    "Population": Case(
        sf.Population,
        "threshold",
        "reset",
        "refractory",
        "positions",
        "hold",
        "links",
        "events",
        name="a",
        size=3,
        model=LINKED,
        threshold="v > E",
        reset="v = E",
        refractory=1 * ms,
        positions=[1, 2, 3] * um,
        hold=("v",),
        shared_noise=(),
        links={"H": CELLS["v"]},
        events={"low": ("v < E", "v = E")},
    ),
    "Population[]": Case(CELLS.__getitem__, key="v"),
    "PopulationView": Case(sf.PopulationView, population=CELLS, cells=[0, 1]),
    "PopulationView[]": Case(CELLS[:2].__getitem__, key=[0]),
    "Projection": Case(
        sf.Projection,
        "weight",
        "name",
        "on",
        "into",
        pre=WITH_EVENTS,
        post=CELLS,
        synapse=SYNAPSE,
        connector=sf.OneToOne(),
        weight=1 * nA,
        delay=1 * ms,
        name="p",
        on="low",
        into="I_stim",
    ),
    "AllToAll": Case(sf.AllToAll, self_connections=True),
    "FixedProbability": Case(sf.FixedProbability, "seed", p=0.5, seed=1, self_connections=True),
    "FixedTotal": Case(sf.FixedTotal, "seed", n=3, seed=1, self_connections=True, multapses=True),
    "FixedInDegree": Case(
        sf.FixedInDegree, "seed", n=3, seed=1, self_connections=True, multapses=True
    ),
    "FixedOutDegree": Case(
        sf.FixedOutDegree, "seed", n=3, seed=1, self_connections=True, multapses=True
    ),
    "DistanceDependent": Case(
        sf.DistanceDependent,
        "seed",
        "radius",
        probability="exp(-d/(20*um))",
        seed=1,
        radius=50 * um,
        self_connections=True,
    ),
    "FromList": Case(sf.FromList, pairs=[(0, 1)], multapses=True),
    "Mutual": Case(sf.Mutual, "seed", of=sf.FixedProbability(0.5), seed=1),
    "FromSparse": Case(sf.FromSparse, matrix=sparse.eye_array(3)),
    "OfPair": Case(OfPair, text="1*ms + d/(0.3*mm/ms)"),
    "Uniform": Case(sf.Uniform, "seed", low=1 * mV, high=2 * mV, seed=1),
    "Normal": Case(
        sf.Normal, "seed", "low", "high", mean=1 * mV, sd=2 * mV, seed=1, low=0 * mV, high=2 * mV
    ),
    "LogNormal": Case(sf.LogNormal, "seed", mean=1 * mV, sd=2 * mV, seed=1),
    "FromSciPy": Case(
        sf.FromSciPy,
        "seed",
        "low",
        "high",
        distribution=stats.gamma(2, scale=3),
        scale=2 * mV,
        seed=1,
        low=0 * mV,
        high=20 * mV,
    ),
    "Correlated": Case(
        sf.Correlated,
        "seed",
        distributions={"a": sf.Normal(1 * mV, 2 * mV), "b": -sf.LogNormal(1, 2)},
        correlation=[[1, 0.5], [0.5, 1]],
        seed=1,
    ),
    "Empirical": Case(sf.Empirical, "seed", samples={"a": [1, 2, 3] * mV, "b": [1, 5, 4]}, seed=1),
    "Step": Case(sf.Step, "stop", amplitude=1 * nA, start=1 * ms, stop=2 * ms),
    "SaturatingPulse": Case(
        sf.SaturatingPulse, amplitude=1 * nA, on=1 * ms, off=2 * ms, rise=1 * ms, decay=1 * ms
    ),
    "Waveform": Case(sf.Waveform, samples=[1, 2] * nA, every=1 * ms, start=0 * ms),
    "Ramp": Case(sf.Ramp, start_value=1 * nA, stop_value=2 * nA, start=1 * ms, stop=2 * ms),
    "WhiteNoise": Case(
        sf.WhiteNoise, "stop", sd=1 * nA * ms**0.5, mean=1 * nA, start=1 * ms, stop=2 * ms
    ),
    "OrnsteinUhlenbeck": Case(
        sf.OrnsteinUhlenbeck,
        "reversal",
        "stop",
        mean=1 * nA / mV,
        sd=1 * nA / mV,
        tau=1 * ms,
        reversal=0 * mV,
        start=1 * ms,
        stop=2 * ms,
    ),
    "SpikeSourcePoisson": Case(sf.SpikeSourcePoisson, rate=10 / ms),
    "PoissonInput": Case(
        sf.PoissonInput,
        "weight",
        "name",
        "into",
        post=CELLS,
        synapse=SYNAPSE,
        rate=8 / ms,
        n=3,
        weight=1 * nA,
        shared=True,
        name="p",
        into="I_stim",
    ),
    "SpikeSourceArray": Case(sf.SpikeSourceArray, "cells", times=[1, 2] * ms, cells=[0, 1]),
    "VoltageClamp": Case(
        sf.VoltageClamp, "stop", cells=CELLS, voltage=1 * mV, start=1 * ms, stop=2 * ms
    ),
    "Stimulus": Case(
        sf.Stimulus,
        "name",
        "into",
        target=CELLS,
        waveform=sf.Step(1 * nA),
        name="drive",
        into="I_stim",
    ),
    "CurrentClamp": Case(
        sf.CurrentClamp,
        "stop",
        "into",
        cells=CELLS,
        amplitude=1 * nA,
        start=1 * ms,
        stop=2 * ms,
        into="I_stim",
    ),
    "Recorder": Case(
        sf.Recorder,
        "cells",
        "over_time",
        "name",
        owner="cells",
        variable="v",
        cells=[0],
        interval=1.0,
        reduction="histogram",
        over_time="max",
        time_first=True,
        edges=[-70, -60] * mV,
        of_projection=False,
        name="mine",
        of_event=False,
        kept=(),
    ),
    "Recorder.every": Case(CELLS["v"].every, "reduction", interval=1 * ms, reduction="max"),
    "Recorder.histogram": Case(CELLS["v"].histogram, edges=[-70, -60] * mV),
    "Recorder[]": Case(CELLS["v"].__getitem__, places=[0]),
    "Population.event": Case(WITH_EVENTS.event, name="low"),
    "Population.rate": Case(CELLS.rate, interval=1 * ms),
    "Event": Case(
        sf.Event,
        "change",
        condition=lambda t, y: y,
        change=lambda t, y: y,
        terminal=True,
        direction="up",
    ),
    "Between": Case(
        sf.Between, "memory", interval=1 * ms, function=lambda moment: None, memory={"x": [0.0]}
    ),
    "Network": Case(sf.Network, parts=(CELLS,), seed=1),
    "Network of one": Case(
        lambda part: sf.Network(CELLS, part), part=sf.CurrentClamp(CELLS, 1 * nA)
    ),
    "Processes": Case(sf.Processes, "workers", workers=2),
    "Network.population": Case(NETWORK.population, name="cells"),
    "Network.projection": Case(NETWORK.projection, name="loop"),
    "parameter": Case(units.parameter, "unit", value=1.0, unit="mV", name="x", where=""),
    "parse_unit": Case(units.parse_unit, text="mV"),
    "factor": Case(units.factor, text="mV"),
    "scalar": Case(units.scalar, "unit", value=1.0, unit="mV", name="x"),
}


def nested(depth: int, kind: type = list) -> Any:
    """Return a list (or tuple) in a list in a list."""
    found: Any = kind()
    for _ in range(depth):
        found = kind([found])
    return found


class Broken:
    """Something that fails whatever it is asked for."""

    def __fail(self, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("asked a broken thing")

    __repr__ = __str__ = __len__ = __iter__ = __bool__ = __float__ = __eq__ = __hash__ = __fail
    __array__ = __getitem__ = __index__ = __fspath__ = __format__ = __fail


_DICT: dict[str, Any] = {}
_DICT["itself"] = _DICT
VALUES: dict[str, Any] = {
    "None": None,
    "True": True,
    "False": False,
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "2**31": 2**31,
    "2**63": 2**63,
    "2**70": 2**70,
    "10**400": 10**400,
    "10**5000": 10**5000,
    "1e12": 1e12,
    "1e308": 1e308,
    "5e-324": 5e-324,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "1j": 1j,
    "uint8": np.uint8(200),
    "float16": np.float16(1e4),
    "longdouble": np.longdouble("1e4000"),
    "datetime": np.datetime64("2020-01-01"),
    "timedelta": datetime.timedelta(1),
    "Decimal": decimal.Decimal("NaN"),
    "Fraction": fractions.Fraction(1, 3),
    "empty text": "",
    "text": "nonsense",
    "null": "\0",
    "surrogate": "\ud800",
    "newline": "a\nb",
    "long text": "x" * 10_000,
    "text 1e400 ms": "1e400 ms",
    "text nan mV": "nan mV",
    "bytes": b"",
    "bytes abc": b"abc",
    "list": [],
    "tuple": (),
    "dict": {},
    "set": {1, 2},
    "a list of lists": [[1, 2], [3]],
    "a list of None": [None],
    "a list of texts": ["a", "b"],
    "a list of huge": [2**70, 1],
    "a dict of arrays": {"v": np.ones((2, 2, 2))},
    "a dict of a number": {1: 2},
    "a dict of a tuple": {("a",): object()},
    "a dict in itself": _DICT,
    "a dict of nonsense": {"nonsense": object()},
    "object": object(),
    "a class": int,
    "our class": sf.Population,
    "an instance of ours": sf.AllToAll(),
    "a module": types,
    "a function": lambda: None,
    "a function of all": lambda *_, **__: None,
    "Ellipsis": ...,
    "a slice": slice(None, None, 0),
    "ones": np.ones(3),
    "empty array": np.zeros((2, 0)),
    "array of text": np.array("x"),
    "array of object": np.array([object()]),
    "array of complex": np.array([1j]),
    "array of nan": np.array([math.nan, 1.0]),
    "array of bool": np.array([True, False, True]),
    "array of four axes": np.ones((1, 1, 1, 1)),
    "records": np.zeros(2, [("a", int)]),
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "matrix": sparse.eye_array(2),
    "kilograms": 3 * units.registry.kg,
    "degrees": units.Quantity(3.0, "degC"),
    "quantities": np.ones(3) * mV,
    "an infinite quantity": math.inf * ms,
    "a huge quantity": 1e308 * units.second,
    "a tiny quantity": 5e-324 * ms,
    "a list of quantities": [1 * mV, 2],
    "a complex quantity": units.Quantity(np.array(1j), "mV"),
    "another registry's": pint.UnitRegistry().Quantity(1.0, "mV"),
    "nested": nested(1000),
    "nested tuple": nested(1000, tuple),
    "nested very": nested(100_000),
    "a long list": list(range(10_000)),
    "broken": Broken(),
}
