"""The antennal lobe of a problem file in somaflow, timed.

Reads the same JSON problem file as the other peers and prints one JSON object: microseconds of
processor time a step (the median of several runs, compile apart), spike counts, and the seconds of
the compile. With `--first` it instead runs 1 ms once and prints the seconds from the start of the
interpreter's work to the first result, TensorFlow's import included.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

BEGIN = time.perf_counter()

import numpy as np  # noqa: E402 - the clock starts before the imports
from harness import somaflow_run  # noqa: E402

import somaflow as sf  # noqa: E402
from somaflow.units import cm, mS, ms, mV, uA, uF  # noqa: E402


def network(problem: dict[str, Any]) -> tuple[sf.Network, sf.Population, sf.Population]:
    """Build the network of a problem file."""
    density = mS / cm**2
    channels, synapses = sf.catalogue("channels"), sf.catalogue("synapses")
    k = channels.k_traub1991(g=10 * density)
    pn = sf.Population(
        "PN",
        len(problem["v0_pn"]),
        sf.Neuron(
            1 * uF / cm**2,
            na=channels.na_traub1991(g=100 * density),
            k=k,
            ka=channels.ka(g=10 * density),
            leak=channels.leak(g=0.15 * density, E=-55 * mV),
            kl=channels.leak(g=0.05 * density, E=-95 * mV),
        ),
        threshold="v > 0*mV",
    )
    ln = sf.Population(
        "LN",
        len(problem["v0_ln"]),
        sf.Neuron(
            1 * uF / cm**2,
            ca=channels.ca(g=3 * density),
            kca=channels.kca(g=0.3 * density),
            pool=sf.load("ca_decay"),
            k=k,
            leak=channels.leak(g=0.15 * density, E=-50 * mV),
            kl=channels.leak(g=0.02 * density, E=-95 * mV),
        ),
        threshold="v > -20*mV",
    )
    weights = problem["weights"]
    nach, gaba = synapses.nach(g=weights["ach_ln"]), synapses.gaba_a(g=weights["gaba_pn"])

    def wired(name: str) -> sf.FromList:
        post, pre = np.nonzero(np.array(problem[name]))
        return sf.FromList(np.stack([pre, post], axis=1))

    def drive(cells: sf.Population, amplitude: list[float]) -> sf.Stimulus:
        course = {key: problem[key] * ms for key in ("on", "off", "rise", "decay")}
        return sf.Stimulus(cells, sf.SaturatingPulse(np.array(amplitude) * uA / cm**2, **course))

    parts = sf.Network(
        pn,
        ln,
        sf.Projection(pn, ln, nach, wired("pn_ln")),
        sf.Projection(ln, pn, gaba, wired("ln_pn")),
        sf.Projection(ln, ln, gaba(g=weights["gaba_ln"]), wired("ln_ln")),
        drive(pn, problem["I_pn"]),
        drive(ln, problem["I_ln"]),
    )
    return parts, pn, ln


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problem", type=Path)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--first", action="store_true")
    options = parser.parse_args()
    problem = json.loads(options.problem.read_text())
    made, pn, ln = network(problem)
    closed = dict.fromkeys(("na.m", "na.h", "k.n", "ka.m", "ka.h"), 0.0)
    slow = dict.fromkeys(("ca.m", "ca.h", "kca.m", "k.n"), 0.0)
    initial = {
        "PN": {"v": np.array(problem["v0_pn"]), **closed},
        "LN": {"v": np.array(problem["v0_ln"]), **slow},
    }
    settings: dict[str, Any] = {
        "dt": problem["dt_ms"] * ms,
        "dtype": options.dtype,
        "initial": initial,
        "record": [pn.spikes, ln.spikes, pn["v"].every(1 * ms), pn["v"].mean().every(0.1 * ms)],
    }
    if options.first:
        sf.simulate(made, 1 * ms, **settings)
        print(json.dumps({"first_result_seconds": time.perf_counter() - BEGIN}))
        return
    with somaflow_run.by_processor():
        runs = [
            sf.simulate(made, problem["duration_ms"] * ms, **settings)
            for _ in range(options.repeats)
        ]
    each = [run.statistics["run_seconds"] / run.statistics["steps"] * 1e6 for run in runs]
    print(
        json.dumps(
            {
                "peer": "somaflow",
                "dtype": options.dtype,
                "us_per_step": statistics.median(each),
                "us_per_step_min": min(each),
                "steps": runs[0].statistics["steps"],
                "pn_spikes": len(runs[0]["PN.spikes"]),
                "ln_spikes": len(runs[0]["LN.spikes"]),
                "compile_seconds": runs[0].statistics["compile_seconds"],
            }
        )
    )


if __name__ == "__main__":
    main()
