"""What is compiled depends on structure, never on a number."""

import gc
import json
import re
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

import somaflow as sf
from somaflow import description
from somaflow.compiler import build as building
from somaflow.compiler.tables import Tables
from somaflow.description import Description
from somaflow.errors import SomaflowError
from somaflow.numerics import programs
from somaflow.numerics.device import traced, written_out
from somaflow.running.job import Job
from somaflow.running.preparing import prepare
from somaflow.simulation import loop
from somaflow.simulation.system import Carry
from somaflow.units import Hz, Parameter, cm, kHz, mS, ms, mV, nA, nS, pA, uA, uF, um

Made = tuple[sf.Network, list[sf.Recorder], dict[str, Any]]
HALF = sf.FixedProbability(0.5, seed=1)


def lif(name: str = "a", size: int = 20, **settings: Any) -> sf.Population:
    return sf.Population(name, size, sf.load("lif"), **settings)


def jumping() -> Made:
    """Delays, drawn weights, courses of every kind, and recorders of every kind."""
    a, b = lif(refractory=1 * ms), lif("b", 6)
    first = sf.Projection(
        a, b, sf.load("exponential_current"), HALF, sf.Normal(0.1 * nA, 0.01 * nA, seed=2)
    )
    network = sf.Network(
        *(a, b, first),
        sf.Projection(b, a[3:9], sf.load("delta"), HALF, 0.2 * mV, delay=2 * ms, name="ba"),
        sf.Projection(b, a, sf.load("alpha_conductance"), weight=2 * nS, delay=1 * ms),
        sf.CurrentClamp(a[:9], np.linspace(1, 4, 9) * nA, start=0.35 * ms, stop=9 * ms),
        sf.CurrentClamp(a[12:], 3 * nA, start=0.35 * ms),
        sf.Stimulus(a[::2], sf.Ramp(0 * nA, 1 * nA, 1 * ms, 8.05 * ms)),
        sf.Stimulus(b, sf.SaturatingPulse(3 * nA, on=1, off=5, rise=2, decay=3)),
        sf.Stimulus(b[[0, 2]], sf.Waveform(np.ones((5, 2)) * nA, every=0.7 * ms)),
    )
    record = [
        *(a.spikes, b.spikes.every(2 * ms, "count"), a.rate(2 * ms)),
        *(a[[4, 2]]["v"].every(0.5 * ms), b["v"].every(1.3 * ms, "mean"), a["v"].mean()),
        a["v"].histogram(np.linspace(-70, -50, 5) * mV).every(1 * ms),
        *(first["I"].every(2 * ms, "max"), b["v"].every(1 * ms, "max").mean()),
    ]
    return network, record, {}


def later() -> Made:
    """Delays that differ between synapses, for jumps and for pulses."""
    a, b = lif(), lif("b", 6, refractory=[1, 2, 3, 1, 2, 3] * ms)
    delay = sf.Uniform(0.2 * ms, 3 * ms, seed=3)
    network = sf.Network(
        *(a, b, sf.CurrentClamp(a, 3 * nA)),
        sf.Projection(a, b, sf.load("alpha_current"), HALF, 0.1 * nA, delay=delay),
        sf.Projection(a, b, sf.load("gaba_a_destexhe"), HALF, 0.5 * nS, delay=delay, name="x"),
        sf.Projection(a, b, sf.load("graded_conductance"), HALF, 0.5 * nS, delay=delay, name="y"),
        sf.Projection(b, a, sf.load("double_exponential_conductance"), weight=1 * nS),
    )
    return network, [b["v"], b.spikes], {}


def learning() -> Made:
    """Synapses with variables of their own, facilitation, pulses and graded synapses."""
    a, b = lif(), lif("b", 6)
    stdp = sf.load("stdp_pair_all_to_all")(w_max=20 * nS)
    weights = sf.Uniform(5 * nS, 10 * nS, seed=3)
    plastic = sf.Projection(a, b, stdp, HALF, weights, delay=1.5 * ms, name="stdp")
    network = sf.Network(
        *(a, b, plastic, sf.CurrentClamp(a, np.linspace(1, 4, 20) * nA)),
        sf.Projection(a, b, sf.load("stdp_pair_nearest"), HALF, 1 * nS, name="near"),
        sf.Projection(a, b[::-1], sf.load("tsodyks_markram_current"), HALF, name="tm"),
        sf.Projection(b, a[3:9], sf.load("gaba_a_destexhe"), weight=0.5 * nS, name="gaba"),
        sf.Projection(b, a, sf.load("graded_conductance"), weight=0.1 * nS, name="graded"),
        sf.Projection(a, a, sf.load("gap_junction"), weight=0.1 * nS, name="gap"),
        sf.Projection(b, b, sf.load("nmda"), weight=0.1 * nS, name="nmda"),
    )
    return network, [plastic["w"].every(1 * ms), plastic["x"].every(13 * ms, "max"), b["v"]], {}


def chance() -> Made:
    """Noise, spike sources, Poisson inputs, and rand() in texts."""
    text = "dv/dt = -v/tau + I_stim/C : mV\nI_stim : nA"
    model = sf.Equations.parse(text, tau=10 * ms, C=1 * nA * ms / mV, rho=0.1 * kHz, v=1 * mV)
    c = sf.Population(
        *("c", 5, model),
        threshold="rand() < rho*dt and v > -9*mV",
        reset="v = rand()*mV",
        refractory="v > 2*mV",
    )
    a = lif()
    rates = np.linspace(100, 300, 20) * Hz
    p, q = (
        sf.Population(name, 20, sf.SpikeSourcePoisson(rate))
        for name, rate in (("p", rates), ("q", sf.Ramp(0 * Hz, 50 * Hz, 0, 50)))
    )
    times = [1, 2, 2.5, 30] * ms
    given = sf.Population("given", 40, sf.SpikeSourceArray(times, [0, 4, 1, 3]))
    current = sf.load("exponential_current")
    network = sf.Network(
        *(a, c, p, q, given),
        *(sf.Projection(s, a, current, weight=0.1 * nA, name=s.name) for s in (p, q, given)),
        sf.Stimulus(a[:3], sf.OrnsteinUhlenbeck(1.7 * nA, 0.5 * nA, 5 * ms)),
        sf.Stimulus(a[3:], sf.OrnsteinUhlenbeck(1.7 * nA, 0.6 * nA, 5 * ms)),
        sf.Stimulus(c, sf.WhiteNoise(0.1 * nA * ms**0.5, stop=8 * ms)),
        sf.PoissonInput(a[5:], current, sf.Ramp(0 * Hz, 50 * Hz, 0, 50), 80, 0.1 * nA, name="x"),
        sf.PoissonInput(a, current, 40 * Hz, 100_000, 0.01 * pA, name="many"),
        sf.PoissonInput(a, sf.load("delta"), 40 * Hz, 7, 0.1 * mV, shared=True, name="one"),
    )
    return network, [a["v"], c["v"], c.spikes], {}


def membranes() -> Made:
    """Channels, calcium, graded synapses, a voltage clamp and an initial value that is drawn."""
    S = mS / cm**2
    channels, synapses = sf.catalogue("channels"), sf.catalogue("synapses")
    model = sf.Neuron(
        1 * uF / cm**2,
        ca=channels.ca(g=3 * S),
        kca=channels.kca(g=0.3 * S),
        pool=sf.load("ca_decay")(tau=150 * ms),
        k=channels.k_traub1991,
    )
    ln = sf.Population("LN", 4, model, threshold="v > -20*mV")
    network = sf.Network(
        ln,
        sf.Projection(ln, ln, synapses.gaba_a, weight=0.1 * S),
        sf.Projection(ln, ln, synapses.gap_junction_density, weight=0.01 * S, name="gap"),
        sf.VoltageClamp(ln[:1], sf.Step([-50] * mV, 1 * ms, 5 * ms), start=0, stop=7 * ms),
        sf.CurrentClamp(ln[1:], np.linspace(0, 1, 3) * uA / cm**2, start=3 * ms),
    )
    initial = {"LN": {"v": [-60, -61, -62, -63] * mV}}
    return network, [ln["pool.Ca"], ln["v"].mean()], {"initial": initial}


def rows() -> Made:
    """A batch, in float32, with what depends on the time."""
    text = "dv/dt = (sin(f*t)*A - v)/tau : mV"
    values = {
        "tau": [[10.0], [12.0]] * ms,
        "f": 10 * Hz,
        "A": 3 * mV,
    }
    model = sf.Equations.parse(text, v=sf.Normal(0 * mV, 1 * mV), **values)
    cells = sf.Population("cells", 5, model, threshold="v > 1*mV + t*mV/second", refractory=1 * ms)
    return sf.Network(cells), [cells["v"], cells.spikes], {"dtype": "float32"}


def places() -> Made:
    """Positions, distances, and expressions of the pair."""
    a, b = (
        lif(name, 8, positions=np.linspace(0, far, 8) * um)
        for name, far in (("a", 300), ("b", 500))
    )
    near = sf.DistanceDependent("0.8*exp(-d/(200*um))", seed=2)
    current = sf.load("exponential_current")
    network = sf.Network(
        *(a, b, sf.CurrentClamp(a, 3 * nA)),
        sf.Projection(a, b, current, near, "(1 + i)*pA", delay="0.1*ms + d/(100*um/ms)"),
        sf.Projection(b, a, current, sf.FixedInDegree(3, seed=4), "exp(-d/(100*um))*nA"),
        sf.Projection(a, a, current, sf.FixedTotal(20, seed=4), 0.1 * nA, name="total"),
        sf.Projection(a, a, current, sf.FromList([(0, 1), (1, 2)]), [0.1, 0.2] * nA, name="list"),
    )
    return network, [b["v"]], {}


def alone() -> Made:
    """Synapses each by itself: chance, delays, both cells, assignments to variables of cells."""
    a, b = lif(), lif("b", 6)
    text = """
        v_post : mV
        I = w*s*s*(v_post - E) : nA
        ds/dt = c*(1 - s)/tau - s*s/tau*exp(v_post/(50*mV)) : 1
        dc/dt = (k - c)/tau : 1
        on spike: c += where(rand() < 0.5, 1, 0); v_post = v_post + 0.01*(E - v_post)
        on post spike: s = 0.5*s*(1 + rand())
    """
    numbers = {"tau": sf.Uniform(2 * ms, 5 * ms, seed=3), "E": 0 * mV, "k": 0.1, "s": 0.0}
    synapse = sf.Equations.parse(text, w=1 * nS, c=sf.Uniform(0.0, 0.1, seed=5), **numbers)
    delay = sf.Uniform(0.2 * ms, 1 * ms, seed=2)
    made = sf.Projection(a, b, synapse, HALF, 1 * nS, delay, name="alone")
    drive = sf.CurrentClamp(a, np.linspace(1, 4, 20) * nA)
    return sf.Network(a, b, made, drive), [made["s"], made["I"], b["v"]], {}


def linked() -> Made:
    """Links of every kind: of cells one by one, of some of them, of means, and of each other."""
    text = "dx/dt = (m - x)/tau : mV\nm : mV\nabove = x - m : mV"
    model = sf.Equations.parse(text, tau=10 * ms, x=np.linspace(0, 4, 9) * mV)
    a = sf.Population("a", 9, model, links={"m": sf.Recorder("a", "x").mean()})
    read = {"m": a["above"][[0, 0, 1, 2, 3, 4, 5, 6, 8]]}
    b = sf.Population("b", 9, model, threshold="x > m", links=read)
    c = sf.Population("c", 9, model, links={"m": b["m"]})
    given = sf.Equations.parse("p = k*(m + n)/mV : Hz\nm : mV\nn : mV", k=200 * Hz)
    some = {"m": c["x"][[1, 2]].sum(), "n": a["x"][[2]]}
    d = sf.Population("d", 5, given, threshold="rand() < p*dt", links=some)
    return sf.Network(d, c, b, a), [c["x"], d["p"], b.spikes, d.spikes], {}


NETWORKS: dict[str, Callable[[], Made]] = {
    made.__name__: made
    for made in (jumping, later, learning, chance, membranes, rows, places, alone, linked)
}

DT, STEPS = 0.1, 100
# Fields of descriptions that are no numbers where they are not None.
_TEXTS = {"source", "_source", "name", "over_time", "reduction"}
SLOW = {name: () if name == "rows" else pytest.mark.slow for name in NETWORKS}
EVERY = [pytest.param(name, marks=SLOW[name]) for name in NETWORKS]


class Traced:
    """A run that is built and traced, and neither compiled nor made."""

    def __init__(self, made: Made, **changed: Any) -> None:
        network, record, settings = made
        given: dict[str, Any] = {
            "initial": {},
            "begin": 0,
            "n_steps": STEPS,
            "solver": sf.Euler(),
            "dtype": "float64",
            "seed": 3,
        }
        job = Job(network=network, recorders=tuple(record), dt=DT, **given | settings | changed)
        self.prepared = prepare(job)
        system, schedule = self.prepared.compiled.system, self.prepared.schedule
        dtype = tf.as_dtype(job.dtype)
        self.function = loop.chunk_of(system, job.solver, DT, schedule, dtype)
        advance = loop.build(system, job.solver, DT, schedule, dtype, "none")
        carry = Carry(*tf.nest.map_structure(tf.constant, tuple(system.initial)))
        self.arguments = advance.arguments(carry, job.begin, 0, 0, False)

    @property
    def key(self) -> Any:
        shapes = tf.nest.map_structure(lambda x: (x.dtype, tuple(x.shape)), self.arguments)
        return self.prepared.compiled.structure, repr(shapes), self.prepared.schedule

    def graph(self) -> dict[bytes, bytes]:
        """The graph and its functions, numbered from the first on."""
        # Numbers of functions have eight digits then, as none else has.
        while ops.uid() < 10_000_000:
            pass
        with written_out():
            concrete: Any = traced(self.function, *self.arguments)
        made = concrete.graph.as_graph_def()
        found = {
            f.signature.name.encode(): f.SerializeToString(deterministic=True)
            for f in made.library.function
        }
        made.ClearField("library")
        found[b""] = made.SerializeToString(deterministic=True)
        pattern = re.compile(rb"(?<=[_-])\d{8}(?!\d)")
        used = sorted({n for text in (*found, *found.values()) for n in pattern.findall(text)})
        number = {n: b"%08d" % k for k, n in enumerate(used)}

        def plain(text: bytes) -> bytes:
            return pattern.sub(lambda match: number[match[0]], text)

        return {plain(name): plain(text) for name, text in found.items()}


def numbers(root: Any) -> Iterator[tuple[Any, Any]]:
    """All places of numbers in the JSON form of a description: container and key."""
    pairs = root.items() if isinstance(root, dict) else enumerate(root)
    for key, value in list(pairs):
        if isinstance(value, (dict, list)):
            if "$float" in value or "$array" in value:
                yield root, key
            else:
                yield from numbers(value)
        elif isinstance(value, int) and not isinstance(value, bool) and key not in ("$same",):
            yield root, key


class Changed:
    """A network some of whose numbers are changed."""

    def __init__(self, network: sf.Network) -> None:
        self.text, self.arrays = description.encode(network)
        self.count = len(list(numbers(json.loads(self.text)["root"])))

    def __call__(self, which: list[int]) -> sf.Network:
        data, held = json.loads(self.text), list(self.arrays)
        places = list(numbers(data["root"]))
        for where, key in (places[k] for k in which):
            value = where[key]
            if isinstance(value, int):
                where[key] = value + 1
            elif "$float" in value:
                number = float.fromhex(value["$float"])
                where[key] = {"$float": (number * 1.0625 if number else 0.125).hex()}
            else:
                place = value["$array"]
                array = np.array(held[place])
                array.flat[-1:] = array.flat[-1:] * 1.0625 if array.dtype.kind == "f" else 1
                held[place] = array
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return description.decode(json.dumps(data), held)


def same(first: Traced, wanted: dict[bytes, bytes], made: Made, **settings: Any) -> bool:
    """Whether another run has the structure of the first; its graph is then the same."""
    other = Traced(made, **settings)
    if other.key != first.key:
        return False
    assert other.graph() == wanted, settings
    return True


@pytest.mark.parametrize("name", EVERY)
def test_where_the_structure_is_equal_the_graph_is(name: str) -> None:
    network, record, settings = NETWORKS[name]()
    first = Traced((network, record, settings))
    wanted = first.graph()
    change = Changed(network)
    for given in ({}, {"seed": 4}, {"seed": 2**40}, {"n_steps": 77}, {"begin": 2600}):
        assert Traced(NETWORKS[name](), **given).key == first.key, given

    def halves(waiting: list[list[int]], accept: Callable[[Made], bool]) -> list[list[int]]:
        """The largest groups of numbers that are accepted together, by bisection."""
        found = []
        while waiting:
            which = waiting.pop()
            try:
                if accept((change(which), record, settings)):
                    found.append(which)
                    continue
            except (SomaflowError, ValueError, IndexError):
                pass  # no network any more
            half = len(which) // 2
            waiting += [part for part in (which[:half], which[half:]) if half]
        return found

    groups = halves([list(range(change.count))], lambda made: Traced(made).key == first.key)
    alike = [k for group in groups for k in group]
    # Tracing takes far longer than building: once for all of them together, and all settings.
    others = {"seed": 2**40, "n_steps": 77, "begin": 2600}
    compared = halves([alike], lambda made: same(first, wanted, made, **others))
    assert sorted(k for group in compared for k in group) == sorted(alike)
    print(f"{name}: {len(alike)} of {change.count} numbers change nothing")
    assert len(alike) > change.count / 2


def every(name: str) -> Iterator[type]:
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("somaflow."):
            for kind in vars(module).values():
                if isinstance(kind, type) and name in vars(kind):
                    yield kind


@pytest.mark.parametrize("name", EVERY)
def test_no_traced_function_looks_at_what_is_unseen(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Traced(NETWORKS[name]())
    looked: list[str] = []

    def watched(kind: type, is_unseen: Callable[[Any, str, Any], bool]) -> None:
        plain = kind.__getattribute__

        def look(self: Any, attribute: str) -> Any:
            value = plain(self, attribute)
            if is_unseen(self, attribute, value):
                looked.append(f"{type(self).__name__}.{attribute}")
            return value

        monkeypatch.setattr(kind, "__getattribute__", look)

    def is_number(self: Any, attribute: str, value: Any) -> bool:
        if value is None:
            return attribute not in _TEXTS
        number = isinstance(value, (int, float, np.ndarray, np.generic))
        return number and not isinstance(value, bool)

    for kind in set(every("unseen")):
        watched(kind, lambda self, attribute, _: attribute in type(self).unseen)
    watched(Description, is_number)
    watched(Parameter, is_number)
    first.graph()
    monkeypatch.undo()
    assert not set(looked)


# ---------------------------------------------------------------------- whole runs


def run(made: Made, duration: float = 10.0, **given: Any) -> sf.Solution:
    network, record, settings = made
    chosen = {"record": record, "seed": 3, "progress": False, "solver": sf.ExponentialEuler()}
    return sf.simulate(network, duration * ms, dt=DT * ms, **chosen | settings | given)


def bits(made: sf.Solution) -> dict[str, bytes]:
    found = {}
    for key in made:
        held = made[key]
        arrays = [held.values] if hasattr(held, "values") else [held.times, held.cells]
        found[key] = b"".join(np.asarray(array).tobytes() for array in arrays)
    for path, value in made.final.events.items():
        found[f"event {path}"] = value.tobytes()
    return found


@pytest.mark.filterwarnings("ignore:3 of 4 spike times")
@pytest.mark.parametrize("name", EVERY)
def test_what_was_compiled_for_other_numbers_gives_the_same_bits(name: str) -> None:
    programs.clear()
    others = {"seed": 11, "duration": 7.0}
    assert run(NETWORKS[name](), **others).statistics["compiled"]
    served = run(NETWORKS[name]())
    begun = run(NETWORKS[name](), 26.0)
    ended = run(NETWORKS[name](), 5.0, initial=begun.final)
    assert not served.statistics["compiled"]
    assert not begun.statistics["compiled"]
    assert not ended.statistics["compiled"]
    programs.clear()
    # Its seed, duration, begin and initial state are all others than above.
    alone = run(NETWORKS[name](), 5.0, initial=begun.final)
    assert alone.statistics["compiled"]
    assert bits(ended) == bits(alone)
    assert bits(served) == bits(run(NETWORKS[name]()))


def test_what_is_kept_holds_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    programs.clear()
    held: list[Any] = []

    def remembered(*given: Any) -> Tables:
        tables = Tables(*given)
        held.append(weakref.ref(tables))
        return tables

    monkeypatch.setattr(building, "Tables", remembered)
    run(NETWORKS["rows"]())
    gc.collect()
    assert programs.count() == 1
    assert [reference() for reference in held] == [None]


def test_values_of_a_conductance_are_compiled_once() -> None:
    programs.clear()

    def cells(g: float) -> Made:
        text = "dv/dt = -g*v/C : mV"
        model = sf.Equations.parse(text, g=g * sf.units.nS, C=1 * sf.units.pF, v=1.0)
        made = sf.Population("cells", 3, model)
        return sf.Network(made), [made["v"]], {}

    found = [run(cells(g)).statistics["compiled"] for g in np.linspace(0.1, 1, 20)]
    assert found == [True] + [False] * 19
    assert programs.count() == 1


def test_no_more_than_some_dozens_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MOST", 2)
    programs.clear()
    made = [programs.kept(key, object) for key in "aabcab"]
    assert [fresh for _, fresh in made] == [True, False, True, True, True, True]
    assert programs.count() == 2
