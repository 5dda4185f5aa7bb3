"""The cortical microcircuit at a tenth of its scale in NEST: rates, irregularity, correlations.

    pip install nest-simulator==3.10.0
    python tests/references/make_microcircuit_reference.py

It reads the parameters from the model's own file, and writes `microcircuit_01.json`: what each of
some seeds gave. The statistics are those that github.com/INM-6/microcircuit-PD14-model compares
realisations by: the rate of each cell, the coefficient of variation of its intervals where it
has at least two, and the correlation coefficients of spike counts in bins of 2 ms.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "src/somaflow/models/parameters/cortical-microcircuit.toml"
SCALE, DURATION, START = 0.1, 2000.0, 200.0  # ms
SEEDS = (1, 2, 3, 4, 5)
BIN, CELLS = 2.0, 250


def statistics(times: Any, cells: Any, size: int, start: float, stop: float) -> dict[str, float]:
    """Return means over a population from `start` to `stop`: rate in Hz, CV, correlation."""
    inside = (times >= start) & (times < stop)
    times, cells = np.asarray(times)[inside], np.asarray(cells)[inside]
    order = np.lexsort((times, cells))
    times, cells = times[order], cells[order]
    intervals, same = np.diff(times), np.diff(cells) == 0
    owner, intervals = cells[1:][same], intervals[same]
    count = np.bincount(owner, minlength=size)
    mean, square = (
        np.bincount(owner, weights=w, minlength=size) / np.maximum(count, 1)
        for w in (intervals, intervals**2)
    )
    often = count >= 2
    cv = np.sqrt(np.maximum(square - mean**2, 0))[often] / mean[often]
    chosen = np.random.default_rng(1).permutation(size)[:CELLS]
    place = np.full(size, -1)
    place[chosen] = np.arange(len(chosen))
    bins = int((stop - start) / BIN)
    counts = np.zeros((len(chosen), bins))
    row, column = place[cells], ((times - start) / BIN).astype(int)
    np.add.at(counts, (row[row >= 0], np.minimum(column, bins - 1)[row >= 0]), 1)
    counts = counts[counts.std(axis=1) > 0]
    correlations = np.corrcoef(counts)[np.triu_indices(len(counts), 1)]
    return {
        "rate": len(times) / size / ((stop - start) / 1000),
        "cv": float(cv.mean()),
        "correlation": float(correlations.mean()),
    }


def run(seed: int, scale: float = SCALE, duration: float = DURATION) -> dict[str, Any]:
    """Simulate one realisation, and return times and cells of the spikes of each population."""
    import nest

    data = tomllib.loads(MODEL.read_text(encoding="utf-8"))
    given, weight = data["populations"], 87.81
    sizes, external = np.array(given["sizes"]), np.array(given["external"])
    probability = np.array([data["connections"][name] for name in given["names"]])
    totals = np.log1p(-probability) / np.log1p(-1 / np.outer(sizes, sizes))
    weights = np.full(totals.shape, weight)
    weights[:, 1::2] *= -4
    weights[0, 2] *= 2
    input_ = (weights * totals / sizes[:, None]) @ np.array(given["rates"]["values"])
    current = 5e-4 * (1 - np.sqrt(scale)) * (input_ + weight * external * 8)
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.resolution, nest.rng_seed = 0.1, seed
    cells, recorders = [], []
    for k, size in enumerate(np.rint(sizes * scale).astype(int)):
        values = {"tau_syn_ex": 0.5, "tau_syn_in": 0.5, "E_L": -65.0, "V_th": -50.0, "C_m": 250.0}
        values |= {"V_reset": -65.0, "t_ref": 2.0, "tau_m": 10.0, "I_e": current[k]}
        cells.append(nest.Create("iaf_psc_exp", int(size), params=values))
        mean, sd = (given[name]["values"][k] for name in ("v_mean", "v_sd"))
        cells[-1].V_m = nest.random.normal(mean, sd)
        recorders.append(nest.Create("spike_recorder"))
        nest.Connect(cells[-1], recorders[-1])
        noise = nest.Create("poisson_generator", params={"rate": 8.0 * round(external[k] * scale)})
        nest.Connect(noise, cells[-1], syn_spec={"weight": weight / np.sqrt(scale), "delay": 1.5})
    for post, pre in zip(*np.nonzero(probability), strict=True):
        mean = weights[post, pre] / np.sqrt(scale)
        delay = 1.5 if mean > 0 else 0.75
        low, high = (0.0, np.inf) if mean > 0 else (-np.inf, 0.0)
        nest.Connect(
            cells[pre],
            cells[post],
            {"rule": "fixed_total_number", "N": round(totals[post, pre] * scale**2)},
            {
                "weight": nest.math.redraw(
                    nest.random.normal(mean, abs(mean) * 0.1), min=low, max=high
                ),
                "delay": nest.math.redraw(
                    nest.random.normal(delay, delay * 0.5), min=0.05, max=np.inf
                ),
            },
        )
    nest.Simulate(duration)
    return {
        name: (rec.events["times"], rec.events["senders"] - own[0].global_id, len(own))
        for name, own, rec in zip(given["names"], cells, recorders, strict=True)
    }


if __name__ == "__main__":
    found = {
        str(seed): {
            name: statistics(*spikes, START, DURATION) for name, spikes in run(seed).items()
        }
        for seed in SEEDS
    }
    settings = {"nest": "3.10.0", "scale": SCALE, "duration": DURATION, "start": START}
    text = json.dumps(settings | {"seeds": found}, indent=1)
    (HERE / "microcircuit_01.json").write_text(text + "\n", encoding="utf-8")
