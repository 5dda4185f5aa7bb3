"""Small antennal lobes against event-by-event integrations at two tolerances.

`al_small.json` came with the equations; `make_lobe_reference.py` made the others, of other wiring,
drive and size.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import cm, mM, mS, ms, mV, uA, uF

DURATION = 250.0
S, C = mS / cm**2, 1 * uF / cm**2
FILES = ("al_small", "al_6_2", "al_10_4")


def build(data: dict[str, Any]) -> tuple[sf.Network, dict[str, Any]]:
    """The network of a reference file, and its initial values."""
    channels, synapses = sf.catalogue("channels"), sf.catalogue("synapses")
    k = channels.k_traub1991(g=10 * S)
    pn = sf.Population(
        "PN",
        len(data["I_pn"]),
        sf.Neuron(
            C,
            na=channels.na_traub1991(g=100 * S),
            k=k,
            ka=channels.ka(g=10 * S),
            leak=channels.leak(g=0.15 * S, E=-55 * mV),
            kl=channels.leak(g=0.05 * S, E=-95 * mV),
        ),
        threshold="v > 0*mV",
    )
    ln = sf.Population(
        "LN",
        len(data["I_ln"]),
        sf.Neuron(
            C,
            ca=channels.ca(g=3 * S),
            kca=channels.kca(g=0.3 * S),
            pool=sf.load("ca_decay")(tau=150 * ms),
            k=k,
            leak=channels.leak(g=0.15 * S, E=-50 * mV),
            kl=channels.leak(g=0.02 * S, E=-95 * mV),
        ),
        threshold="v > -20*mV",
    )

    def wired(key: str) -> sf.FromList:
        post, pre = np.nonzero(np.array(data[key]))
        return sf.FromList(list(zip(pre.tolist(), post.tolist(), strict=True)))

    def odour(amplitudes: list[float]) -> sf.SaturatingPulse:
        amplitude = np.array(amplitudes) * uA / cm**2
        return sf.SaturatingPulse(amplitude, on=100, off=600, rise=75, decay=150)

    weights = {key: value * S for key, value in data["weights"].items()}
    network = sf.Network(
        pn,
        ln,
        sf.Projection(pn, ln, synapses.nach(g=weights["ach_ln"]), wired("pn_ln")),
        sf.Projection(ln, pn, synapses.gaba_a(g=weights["gaba_pn"]), wired("ln_pn")),
        sf.Projection(ln, ln, synapses.gaba_a(g=weights["gaba_ln"]), wired("ln_ln")),
        sf.Stimulus(pn, odour(data["I_pn"])),
        sf.Stimulus(ln, odour(data["I_ln"])),
    )
    initial = {
        population.name: dict.fromkeys(population.equations.states, 0) | {"v": data[f"v0_{side}"]}
        for side, population in (("pn", pn), ("ln", ln))
    }
    initial["LN"]["pool.Ca"] = 2.4e-4 * mM
    return network, initial


def simulated(data: dict[str, Any], dt: float, **settings: Any) -> sf.Solution:
    network, initial = build(data)
    pn, ln = network.populations
    record = [pn.spikes, pn["v"].every(1 * ms), ln["v"].every(1 * ms)]
    return sf.simulate(
        network, DURATION * ms, dt=dt * ms, initial=initial, record=record, **settings
    )


def read(name: str) -> dict[str, Any]:
    return json.loads(Path(__file__).with_name(f"{name}.json").read_text())


@pytest.fixture(
    scope="module",
    params=["al_small", pytest.param("al_6_2", marks=pytest.mark.slow), "al_10_4"],
)
def lobe(request: pytest.FixtureRequest) -> tuple[dict[str, Any], sf.Solution]:
    data = read(request.param)
    return data, simulated(data, 0.01)


def worst_spike(data: dict[str, Any], run: sf.Solution) -> float:
    """The largest error of a spike time in ms, after every spike was found and no other."""
    wanted = [[t for t in train if t < DURATION] for train in data["pn_spikes_ms"]]
    found = run["PN.spikes"].trains()
    assert [len(train) for train in found] == [len(train) for train in wanted]
    assert sum(map(len, wanted)) >= 5
    return float(max(np.abs(a - b).max() for a, b in zip(found, wanted, strict=True) if b))


def test_spikes_at_a_step_of_10_us(lobe: tuple[dict[str, Any], sf.Solution]) -> None:

    assert worst_spike(*lobe) < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_spikes_at_a_step_of_5_us(name: str) -> None:

    data = read(name)
    assert worst_spike(data, simulated(data, 0.005)) < 0.001


def test_voltages_until_the_first_spike(lobe: tuple[dict[str, Any], sf.Solution]) -> None:
    data, run = lobe
    first = min(train[0] for train in data["pn_spikes_ms"] if train)
    assert first > 100
    found = np.concatenate([run["PN.v"].values, run["LN.v"].values], axis=1)
    rows = int(first) + 1
    assert np.abs(found[:rows] - np.array(data["v_mV"])[:rows]).max() < 0.01


@pytest.mark.parametrize("name", FILES)
def test_the_reference_agrees_with_itself_far_better(name: str) -> None:
    agreement = read(name)["agreement"]
    assert agreement["max_dt_ms"] < 1e-5
    assert agreement["max_dv_mV"] < 1e-3


@pytest.mark.slow
def test_float32_finds_the_same_spikes() -> None:
    data = read("al_small")
    assert worst_spike(data, simulated(data, 0.01, dtype="float32")) < 0.05
