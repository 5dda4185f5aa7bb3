"""Models that several tests describe."""

import gc
import os
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import somaflow as sf
from somaflow.units import cm, mS, ms, mV, nA, uA, uF

# One thread a run: a step of a small network is too short to share. TensorFlow reads it on import.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# No test depends on how fast the machine is.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


def _antennal_lobe() -> sf.Network:
    S = mS / cm**2
    channels, synapses = sf.catalogue("channels"), sf.catalogue("synapses")
    pn = sf.Population(
        "PN",
        6,
        sf.Neuron(
            1 * uF / cm**2,
            na=channels.na_traub1991(g=100 * S),
            k=channels.k_traub1991(g=10 * S),
            leak=channels.leak(g=[0.15, 0.14, 0.13, 0.15, 0.16, 0.15] * S, E=-55 * mV),
        ),
        threshold="v > 0*mV",
    )
    ln = sf.Population(
        "LN",
        4,
        sf.Neuron(
            1 * uF / cm**2,
            ca=channels.ca(g=3 * S),
            kca=channels.kca(g=0.3 * S),
            pool=sf.load("ca_decay")(tau=150 * ms),
            k=channels.k_traub1991,
        ),
        threshold="v > -20*mV",
    )
    odour = sf.SaturatingPulse(10 * uA / cm**2, on=100, off=600, rise=75, decay=150)
    half = sf.FixedProbability(0.5, seed=1, self_connections=False)
    weights = np.linspace(0.01, 0.24, 24).reshape(6, 4) * S
    return sf.Network(
        pn,
        ln,
        sf.Projection(pn, ln, synapses.nach, half, weight=weights),
        sf.Projection(ln, pn, synapses.gaba_a, weight=sf.Normal(0.1 * S, 0.01 * S, seed=3)),
        sf.Projection(ln[:2], ln[1:], synapses.gaba_a, half, name="lateral"),
        sf.Stimulus(pn[[0, 3, 5]], odour),
        sf.CurrentClamp(ln, np.linspace(0, 1, 4) * uA / cm**2, start=3 * ms),
        sf.Stimulus(pn[:2], sf.Waveform(np.ones((3, 2)) * uA / cm**2, every=0.1 * ms)),
    )


def _catalogue_lif() -> sf.Network:
    cells = sf.Population("lif", 10, sf.load("lif")(tau=19.3 * ms))
    synapse = sf.catalogue("synapses").exponential_current(i=0.3 * nA)
    pairs = sf.FromList([(0, 1), (1, 2), (9, 0)])
    return sf.Network(
        cells, sf.Projection(cells, cells, synapse, pairs, weight=[0.1, 0.2, 0.3] * nA)
    )


def _own_equations() -> sf.Network:
    text = """
    dv/dt = (E - v - 3*w)/tau + I_stim/C  : mV   # odd numbers on purpose: 1/3 has no exact form
    dw/dt = (v/3 - w)/(7*ms)              : mV
    I_stim : nA
    """
    model = sf.Equations.parse(
        text,
        E=-65.1 * mV,
        tau="0.0203 second",
        C=0.7 * nA * ms / mV,
        v=-0.0651 * sf.units.volt,
        w="v/3",
    )
    cells = sf.Population(
        "own", 3, model, threshold="v > -50*mV", reset="v = -65*mV; w += 1*mV", refractory="2 ms"
    )
    weight = sf.Uniform(0.1 * nA, 0.2 * nA)
    synapse = sf.catalogue("synapses").exponential_current
    return sf.Network(cells, sf.Projection(cells, cells, synapse, sf.OneToOne(), weight))


def _hodgkin_huxley() -> sf.Network:
    cells = sf.Population("cells", 20, sf.load("hodgkin_huxley_1952"))
    current = np.linspace(0, 20, 20) * uA / cm**2
    return sf.Network(cells, sf.CurrentClamp(cells, current, start=10 * ms, stop=190 * ms))


NETWORKS = {
    "antennal lobe": _antennal_lobe,
    "catalogue lif": _catalogue_lif,
    "own equations": _own_equations,
    "hodgkin huxley": _hodgkin_huxley,
}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS.keys())
def network(request: pytest.FixtureRequest) -> sf.Network:
    """One of the networks that the tests describe."""
    build: Callable[[], sf.Network] = request.param
    return build()


@pytest.fixture
def networks() -> dict[str, sf.Network]:
    """All networks that the tests describe, by their names."""
    return {name: build() for name, build in NETWORKS.items()}


@pytest.fixture
def lobe() -> sf.Network:
    """A small antennal lobe with every kind of part."""
    return _antennal_lobe()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer `--part k/n`, the k-th of n parts of the tests, and `--kills n`."""
    parser.addoption("--part", default="1/1", help="run the k-th of n parts: k/n")
    parser.addoption(
        "--kills", type=int, default=3, help="how often the run to be killed is killed"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the files of other parts alone: tests of one file share what they compile."""
    part, parts = map(int, config.getoption("part").split("/"))
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    name = collection_path.relative_to(config.rootpath).as_posix()
    return zlib.crc32(name.encode()) % parts != part % parts or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process waits for the last."""
    slow: Counter[Path] = Counter()
    for item in items:
        if mark := item.get_closest_marker("slow"):
            slow[item.path] += mark.kwargs.get("seconds", 4)
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported: it would look at all of it again and again."""
    gc.freeze()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a value without its address, so that all processes collect tests of the same names."""
    return type(val).__name__ if " at 0x" in repr(val) else None
