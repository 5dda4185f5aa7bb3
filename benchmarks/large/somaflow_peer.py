"""A large network in somaflow: seconds to build, bytes a synapse, and a short run.

    python -m large.somaflow_peer --degrees lognormal --dtype float32

Prints a JSON object: `build_seconds` is from the description (and for log-normal degrees from the
finished arrays of pairs, whose making is `pairs_seconds`) to the first step, compiling included;
`peak_gib` is the process's peak resident memory, of all it did; `bytes_per_synapse` is what was
resident during the run beyond what was before the network, for each synapse.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from large import problem as p
from large import wiring
from scipy import sparse

import somaflow as sf
from somaflow.units import ms, mV, nA, uS


def resident() -> int:
    """Return the resident bytes of this process now; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def peak() -> int:
    """Return the peak resident bytes of this process."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def matrix(n_pre: int, options: argparse.Namespace, n_synapses: int, mean: float, seed: int) -> Any:
    """Return a sparse matrix [n_pre, n_post] of float32 weights in uS with log-normal degrees."""
    indptr, indices = wiring.pairs(n_pre, options.cells, n_synapses, p.SIGMA, seed)
    data = np.empty(len(indices), np.float32)
    rng = np.random.default_rng(seed + 1)
    sigma = np.sqrt(np.log1p(p.SPREAD**2))
    for start in range(0, len(data), 1 << 20):
        part = data[start : start + (1 << 20)]
        part[:] = wiring.log_normal(rng, mean, len(part), sigma)
    return sparse.csc_array((data, indices, indptr), shape=(n_pre, options.cells))


def population(options: argparse.Namespace) -> sf.Population:
    """Return the cells."""
    rng = np.random.default_rng(options.seed)
    model = sf.load("lif")(
        E_L=p.E_L * mV,
        R=100 * mV / nA,
        tau=p.TAU * ms,
        V_threshold=p.V_THRESHOLD * mV,
        V_reset=p.V_RESET * mV,
        v=rng.uniform(p.V_RESET, p.V_THRESHOLD, options.cells) * mV,
    )
    return sf.Population("cells", options.cells, model, refractory=p.REFRACTORY * ms)


def network(
    cells: sf.Population, connectors: dict[str, Any], weights: dict[str, Any]
) -> sf.Network:
    """Return the network of two connectors."""
    conductance = sf.catalogue("synapses").exponential_conductance
    kinds = {
        "excite": conductance(E=p.E_E * mV, tau=p.TAU_E * ms),
        "inhibit": conductance(E=p.E_I * mV, tau=p.TAU_I * ms),
    }
    split = round(p.EXCITING * cells.size)
    views = {"excite": cells[:split], "inhibit": cells[split:]}
    projections = [
        sf.Projection(
            views[name], cells, kinds[name], connectors[name], weight=weights[name], name=name
        )
        for name in kinds
    ]
    return sf.Network(cells, *projections)


def constant(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return connectors of one in-degree, and weights of a distribution."""
    exciting = round(p.EXCITING * options.in_degree)
    connectors = {
        "excite": sf.FixedInDegree(exciting, seed=options.seed),
        "inhibit": sf.FixedInDegree(options.in_degree - exciting, seed=options.seed + 1),
    }
    weights = {
        name: sf.LogNormal(mean=mean * uS, sd=p.SPREAD * mean * uS, seed=options.seed + k)
        for k, (name, mean) in enumerate({"excite": p.W_E, "inhibit": p.W_I}.items())
    }
    return connectors, weights


def lognormal(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return connectors of log-normal degrees; the weights are theirs."""
    split = round(p.EXCITING * options.cells)
    total = options.in_degree * options.cells
    exciting = round(p.EXCITING * total)
    excite = matrix(split, options, exciting, p.W_E, options.seed)
    inhibit = matrix(options.cells - split, options, total - exciting, p.W_I, options.seed + 10)
    return {"excite": excite, "inhibit": inhibit}, {"excite": None, "inhibit": None}


def main() -> None:
    """Build and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--degrees", choices=("constant", "lognormal"), default="constant")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float32")
    parser.add_argument("--cells", type=int, default=p.CELLS)
    parser.add_argument("--in-degree", type=int, default=p.IN_DEGREE)
    parser.add_argument("--duration", type=float, default=100.0, help="biological ms")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    small = sf.Population("warm", 1, sf.load("lif"))
    sf.simulate(sf.Network(small), 1 * ms, dt=p.DT * ms, dtype=options.dtype)
    before, during = resident(), 0

    def watch(*_: float) -> None:
        nonlocal during
        during = max(during, resident())

    begin = time.perf_counter()
    made = {"constant": constant, "lognormal": lognormal}[options.degrees](options)
    pairs = time.perf_counter() - begin
    connectors, weights = made
    if options.degrees == "lognormal":
        connectors = {name: sf.FromSparse(held) for name, held in connectors.items()}
    cells = population(options)
    described = network(cells, connectors, weights)
    del made, connectors, weights
    run = sf.simulate(
        described,
        options.duration * ms,
        dt=p.DT * ms,
        solver=sf.ExponentialEuler(),
        dtype=options.dtype,
        record=[cells.spikes],
        progress=watch,
    )
    whole = time.perf_counter() - begin
    seconds, synapses = run.statistics["run_seconds"], run.statistics["synapses"]
    counts = np.asarray(run["cells.spikes"].counts())
    steps = run.statistics["steps"]
    found = {
        "peer": "somaflow",
        "degrees": options.degrees,
        "dtype": options.dtype,
        "cells": options.cells,
        "synapses": synapses,
        "pairs_seconds": pairs,
        "build_seconds": whole - seconds - pairs,
        "compile_seconds": run.statistics["compile_seconds"],
        "seconds": seconds,
        "us_per_step": seconds / steps * 1e6,
        "rate": float(counts.mean() / options.duration * 1e3),
        "spikes": int(counts.sum()),
        "ns_per_delivered": seconds / max(counts.sum() * synapses / options.cells, 1) * 1e9,
        "before_gib": before / 2**30,
        "during_gib": during / 2**30,
        "peak_gib": peak() / 2**30,
        "bytes_per_synapse": (during - before) / synapses,
        "peak_bytes_per_synapse": (peak() - before) / synapses,
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
