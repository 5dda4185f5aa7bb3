"""Make, convert and check problem files for the antennal-lobe benchmark.

All peers (``lobe.cpp``, ``lobe_tuned.cpp``, ``brian2_peer.py``, ``scan_peer.py``) read the same
JSON problem file, so that a difference in speed or in spikes is a difference between programs and
never between networks. This script has three commands:

``new``
    draw a 120-cell lobe (90 PN, 30 LN, the set "AL-20Hz") from a seed;
``convert``
    rewrite the small reference network (6 PN, 2 LN, integrated event by event to 1e-7 ms) in the
    same format;
``check``
    compare the trace file a peer wrote with that reference: the largest spike-time error, PN by
    PN, within the first part of the run, and the largest voltage error there.

Fields of a problem file: ``dt_ms``, ``duration_ms``, ``v0_pn``, ``v0_ln`` (mV), ``I_pn``, ``I_ln``
(uA/cm2), the 0/1 matrices ``pn_ln``, ``ln_pn``, ``ln_ln`` (named pre_post, indexed [post][pre]),
``weights`` (mS/cm2 per synapse), and the drive's time course ``on``, ``off``, ``rise``, ``decay``
(ms)::

    s(t) = 0                                                         t <= on
           1 - exp(-(t - on) / rise)                                 on < t <= off
           (1 - exp(-(off - on) / rise)) exp(-(t - off) / decay)     off < t

Every gate starts at 0 and calcium at 2.4e-4 mM.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

N_PN, N_LN = 90, 30
N_DRIVEN_PN, N_DRIVEN_LN = 30, 10
CONNECTION_PROBABILITY = 0.5
PN_DRIVE, LN_DRIVE = 10.0, 2.0
V_REST = -70.0
PULSE = {"on": 100.0, "off": 600.0, "rise": 75.0, "decay": 150.0}
WEIGHTS = {"ach_ln": 0.05, "gaba_pn": 0.3, "gaba_ln": 0.02}

Problem = dict[str, Any]


def new_problem(seed: int, duration_ms: float = 1000.0, dt_ms: float = 0.01) -> Problem:
    """Draw the 120-cell lobe that belongs to ``seed``."""
    rng = np.random.default_rng(seed)

    def wiring(n_post: int, n_pre: int) -> np.ndarray:
        return (rng.random((n_post, n_pre)) < CONNECTION_PROBABILITY).astype(int)

    def drive(n: int, n_driven: int, amplitude: float) -> np.ndarray:
        current = np.zeros(n)
        driven = rng.choice(n, n_driven, replace=False)
        current[driven] = amplitude * rng.uniform(0.7, 1.3, n_driven)
        return current

    pn_ln = wiring(N_LN, N_PN)
    ln_pn = wiring(N_PN, N_LN)
    ln_ln = wiring(N_LN, N_LN)
    np.fill_diagonal(ln_ln, 0)
    i_pn = drive(N_PN, N_DRIVEN_PN, PN_DRIVE)
    i_ln = drive(N_LN, N_DRIVEN_LN, LN_DRIVE)
    return {
        "dt_ms": dt_ms,
        "duration_ms": duration_ms,
        "v0_pn": (V_REST * (1 + 0.01 * rng.standard_normal(N_PN))).tolist(),
        "v0_ln": (V_REST * (1 + 0.01 * rng.standard_normal(N_LN))).tolist(),
        "I_pn": i_pn.tolist(),
        "I_ln": i_ln.tolist(),
        "pn_ln": pn_ln.tolist(),
        "ln_pn": ln_pn.tolist(),
        "ln_ln": ln_ln.tolist(),
        "weights": WEIGHTS,
        **PULSE,
    }


def convert_reference(reference: Problem, dt_ms: float = 0.01) -> Problem:
    """Return the problem that ``reference`` (the event-accurate small network) solves."""
    return {
        "dt_ms": dt_ms,
        "duration_ms": float(reference["t_ms"][-1]),
        **{key: reference[key] for key in ("v0_pn", "v0_ln", "I_pn", "I_ln")},
        **{key: reference[key] for key in ("pn_ln", "ln_pn", "ln_ln", "weights")},
        **PULSE,
    }


def check(trace: Problem, reference: Problem, until_ms: float) -> Problem:
    """Largest errors of a peer's trace before ``until_ms``.

    A missing or surplus spike makes the spike error infinite.
    """
    per_cell = []
    for mine, right in zip(trace["pn_spikes_ms"], reference["pn_spikes_ms"], strict=True):
        a = np.array([t for t in mine if t < until_ms])
        b = np.array([t for t in right if t < until_ms])
        per_cell.append(float(np.abs(a - b).max(initial=0)) if a.size == b.size else float("inf"))
    n_samples = sum(t <= until_ms for t in trace["t_ms"])
    v = np.array(trace["v_pn_mV"])[:n_samples]
    v_right = np.array(reference["v_mV"])[: len(v), : v.shape[1]]
    return {
        "until_ms": until_ms,
        "n_spikes": sum(t < until_ms for cell in reference["pn_spikes_ms"] for t in cell),
        "max_spike_error_ms": max(per_cell),
        "spike_error_ms": per_cell,
        "max_voltage_error_mV": float(np.abs(v - v_right).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    new = commands.add_parser("new", help="draw a lobe from a seed")
    new.add_argument("output", type=Path)
    new.add_argument("--seed", type=int, default=1)
    new.add_argument("--duration", type=float, default=1000.0, help="ms")
    new.add_argument("--dt", type=float, default=0.01, help="ms")

    convert = commands.add_parser("convert", help="rewrite the small reference as a problem")
    convert.add_argument("reference", type=Path)
    convert.add_argument("output", type=Path)
    convert.add_argument("--dt", type=float, default=0.01, help="ms")

    compare = commands.add_parser("check", help="compare a peer's trace with the reference")
    compare.add_argument("reference", type=Path)
    compare.add_argument("trace", type=Path)
    compare.add_argument("--until", type=float, default=250.0, help="ms")
    compare.add_argument("--tolerance", type=float, help="fail above this spike error (ms)")

    args = parser.parse_args()
    if args.command == "new":
        args.output.write_text(json.dumps(new_problem(args.seed, args.duration, args.dt)))
        return
    reference = json.loads(args.reference.read_text())
    if args.command == "convert":
        args.output.write_text(json.dumps(convert_reference(reference, args.dt)))
        return
    result = check(json.loads(args.trace.read_text()), reference, args.until)
    print(json.dumps(result))
    if args.tolerance is not None and result["max_spike_error_ms"] > args.tolerance:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
