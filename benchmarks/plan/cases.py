"""Five networks, each with what its run is asked for."""

from collections.abc import Callable
from typing import Any

import cobahh.problem
import cobahh.somaflow_peer
import if_networks.problem
import if_networks.somaflow_peer
import numpy as np
import stdp.problem
import stdp.somaflow_peer

import somaflow as sf
from somaflow.units import cm, ms, mV, uA

SEED = 1
Asked = dict[str, Any]


def lobe() -> Asked:
    """Return the lobe of the demo with the recordings of the demo."""
    model = sf.models.antennal_lobe(seed=SEED)
    pn, ln = model.pn, model.ln
    means = [cells["v"].mean().every(0.1 * ms) for cells in (pn, ln)]
    return {
        "network": model.network,
        "duration": 3000 * ms,
        "dt": 0.01 * ms,
        "initial": model.initial,
        "record": [pn.spikes, ln.spikes, pn["v"].every(1 * ms), *means],
        "checkpoint": 200 * ms,
    }


def hodgkin_huxley_network() -> Asked:
    """Return COBAHH, with voltages of a hundred cells."""
    problem = cobahh.problem.make(SEED)
    network, cells = cobahh.somaflow_peer.build(problem)
    gates = dict.fromkeys("mhn", np.zeros(problem["n"]))
    return {
        "network": network,
        "duration": 6000 * ms,
        "dt": problem["dt"] * ms,
        "solver": sf.ExponentialEuler(),
        "initial": {"cells": {"v": problem["v"] * mV, **gates}},
        "record": [cells.spikes, cells[:100]["v"].every(1 * ms)],
        "checkpoint": 1000 * ms,
    }


def delayed() -> Asked:
    """Return CUBA, each synapse with a delay of its own."""
    problem = if_networks.problem.make("cuba", SEED)
    network, cells = if_networks.somaflow_peer.build(problem)
    delay = sf.Uniform(0.5 * ms, 5 * ms, seed=SEED)
    parts = [sf.Projection(**_parts(p), delay=delay) for p in network.projections]
    return {
        "network": sf.Network(cells, *parts),
        "duration": 4000 * ms,
        "dt": problem["dt"] * ms,
        "solver": sf.ExponentialEuler(),
        "initial": {"cells": {"v": problem["v"] * mV}},
        "record": [cells.spikes, cells["v"].mean().every(1 * ms)],
        "checkpoint": 1000 * ms,
    }


def _parts(projection: sf.Projection) -> Asked:
    return {
        "pre": projection.pre,
        "post": projection.post,
        "synapse": projection.synapse,
        "connector": projection.connector,
        "weight": projection.weight,
        "name": projection.name,
    }


def plastic() -> Asked:
    """Return a million synapses with pair STDP."""
    problem = stdp.problem.make(stdp.problem.SIDE, SEED)
    network, before, after = stdp.somaflow_peer.build(problem)
    return {
        "network": network,
        "duration": 10_000 * ms,
        "dt": problem["dt"] * ms,
        "solver": sf.ExponentialEuler(),
        "record": [before.spikes, after.spikes],
        "checkpoint": 2000 * ms,
    }


def axons() -> Asked:
    """Return ten thousand squid axons with the voltages of all."""
    cells = sf.Population("cells", 10_000, sf.load("hodgkin_huxley_1952"))
    clamp = sf.CurrentClamp(cells, np.linspace(0, 20, 10_000) * uA / cm**2)
    return {
        "network": sf.Network(cells, clamp),
        "duration": 1000 * ms,
        "dt": 0.025 * ms,
        "solver": sf.ExponentialEuler(),
        "record": [cells.spikes, cells["v"].every(0.5 * ms)],
        "checkpoint": 200 * ms,
    }


CASES: dict[str, Callable[[], Asked]] = {
    "lobe, 120 cells": lobe,
    "COBAHH, 4,000 cells": hodgkin_huxley_network,
    "CUBA, a delay each": delayed,
    "STDP, 1,000,000 synapses": plastic,
    "10,000 axons with V": axons,
}
