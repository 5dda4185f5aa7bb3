"""Every kind of state goes on exactly: what goes on is compiled anew, as in another process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.simulation import chunks
from somaflow.storage import store
from somaflow.units import Hz, ms, mV, nA, nS, uS

HALF = sf.FixedProbability(0.5, seed=1)


def learning(_: sf.Network) -> tuple[sf.Network, list[sf.Recorder]]:
    """Every kind of synapse and of noise, delays of one length and of many."""
    a = sf.Population("a", 20, sf.load("lif"), refractory=1 * ms)
    b = sf.Population("b", 6, sf.load("lif"))
    source = sf.Population("source", 20, sf.SpikeSourcePoisson(200 * Hz))
    stdp = sf.load("stdp_pair_all_to_all")(w_max=20 * nS)
    weights = sf.Uniform(5 * nS, 10 * nS, seed=3)
    plastic = sf.Projection(a, b, stdp, HALF, weights, delay=1.5 * ms, name="stdp")
    network = sf.Network(
        a,
        b,
        source,
        plastic,
        sf.Projection(a, b[::-1], sf.load("tsodyks_markram_current"), HALF, name="tm"),
        sf.Projection(b, a[3:9], sf.load("gaba_a_destexhe"), weight=0.5 * nS, name="gaba"),
        sf.Projection(b, a, sf.load("graded_conductance"), weight=0.1 * nS, name="graded"),
        sf.Projection(
            b, a, sf.load("graded_conductance"), weight=0.1 * nS, delay=1.3 * ms, name="late"
        ),
        sf.Projection(
            source,
            a,
            sf.load("alpha_current"),
            weight=0.1 * nA,
            delay=sf.Uniform(0.2 * ms, 3 * ms, seed=3),
        ),
        sf.CurrentClamp(a, np.linspace(1, 4, 20) * nA),
        sf.Stimulus(b[[4, 0]], sf.OrnsteinUhlenbeck(1.7 * nA, 0.5 * nA, 5 * ms)),
        sf.Stimulus(b[1:4], sf.OrnsteinUhlenbeck(1.8 * nA, 0.6 * nA, 7 * ms)),
        sf.Stimulus(a, sf.WhiteNoise(0.1 * nA * ms**0.5)),
        sf.PoissonInput(
            a[5:], sf.load("double_exponential_current"), sf.Ramp(0 * Hz, 50 * Hz, 0, 50), 80
        ),
    )
    return network, [
        a.spikes,
        b.spikes,
        source.spikes.every(3 * ms, "count"),
        a.rate(2 * ms),
        a["v"].every(0.5 * ms),
        b["v"].every(1.3 * ms, "mean"),
        a["v"].histogram(np.linspace(-70, -50, 5) * mV).every(1 * ms),
        plastic["w"].every(1 * ms),
        plastic["x"].every(7 * ms, "max"),
    ]


def antennal_lobe(lobe: sf.Network) -> tuple[sf.Network, list[sf.Recorder]]:
    """Conductances, calcium, graded synapses and a waveform."""
    pn, ln = lobe.populations
    record = [
        pn.spikes,
        pn["v"].every(1 * ms),
        ln["v"].mean().every(0.3 * ms),
        ln["pool.Ca"].every(0.5 * ms),
    ]
    return lobe, record


def batch(_: sf.Network) -> tuple[sf.Network, list[sf.Recorder]]:
    """Two runs side by side."""
    cells = sf.Population("cells", 5, sf.load("lif")(tau=[[19], [21]] * ms))
    synapse = sf.load("exponential_conductance")
    network = sf.Network(
        cells,
        sf.Projection(cells, cells, synapse, HALF, 0.01 * uS, delay=1 * ms),
        sf.CurrentClamp(cells, np.linspace(1.6, 3, 5) * nA),
    )
    return network, [cells.spikes, cells["v"].every(0.7 * ms), cells.spikes.every(5 * ms, "count")]


KINDS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "learning": (learning, {"dtype": "float32"}),
    "antennal lobe": (antennal_lobe, {"dt": 0.02 * ms, "duration": 180.4 * ms}),
    "batch": (batch, {"solver": sf.ExponentialEuler()}),
}


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_stopped_and_goes_on_is_what_never_stopped(
    kind: str,
    lobe: sf.Network,
    tmp_path: Path,
    bytes_of: Callable,
    stopping: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make, settings = KINDS[kind]
    network, record = make(lobe)
    settings = {"duration": 60.4 * ms, "dt": 0.1 * ms, "record": record, "seed": 3} | settings
    monkeypatch.setattr(store, "CHUNK_BYTES", 4000)
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 70)
    whole = sf.simulate(network, sink=tmp_path / "whole.zarr", progress=False, **settings)
    assert all(len(whole[key]) > 5 for key in whole if key.endswith("spikes"))
    with pytest.raises(InterruptedError):
        sf.simulate(
            network,
            sink=tmp_path / "parts.zarr",
            checkpoint=7 * ms,
            progress=stopping(settings["duration"].m / 2),
            **settings,
        )
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 110)  # so that it is compiled anew
    found = sf.resume(tmp_path / "parts.zarr", progress=False)
    assert bytes_of(tmp_path / "parts.zarr") == bytes_of(tmp_path / "whole.zarr")
    assert found.meta == whole.meta
    assert repr(found) == repr(whole)
    for name, value in whole.final.events.items():
        np.testing.assert_array_equal(found.final.events[name], value, err_msg=name)
    for name, states in whole.final.states.items():
        for state, value in states.items():
            np.testing.assert_array_equal(found.final[name][state], value, err_msg=state)
