"""The locust antennal lobe in Brian2 2.9 (C++ standalone, RK4, one thread).

This peer shows what an experienced Brian2 user gets for the problem file that ``lobe.cpp`` and
``scan_peer.py`` read as well. It needs ``brian2==2.9.0``, ``numpy<2.4`` and a C++ compiler.

The choices that make it fast, each exact:

- nACh gates are linear in the open fraction, so each LN carries two summed conductances, one of
  gates inside a transmitter pulse and one of gates outside. A PN's spike moves its gate into the
  first sum, and 0.3 ms later, by a second pathway with that delay, back: two events per spike and
  no work per synapse and step.
- GABA_A gates are graded, so they are one gate per LN, a state of the LN, and a summed variable.
- Removable singularities are cured with a comparison rather than with ``exprel``: ``exprel``
  calls ``expm1`` behind a branch, which keeps the compiler from vectorising the state update (with
  ``--flags tuned``; with the default flags it stays scalar in any case).
- Time courses that are the same for all cells are shared subexpressions, evaluated once per stage.

Where Brian2 cannot follow ``lobe.cpp``: a spike counts from the grid point after the crossing (at
most one step late), and summed variables are held constant over the four RK4 stages of a step, so
the network is first order in dt.

Prints one JSON object: the median over the repetitions of Brian2's own time of the run proper
(processor time; compilation and file output are outside it), in microseconds per step, and spike
counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np
from brian2 import ms

Problem = dict[str, Any]

# Voltages in mV, conductances in mS/cm2, currents in uA/cm2, calcium in mM; capacitance 1 uF/cm2.
DELAYED_RECTIFIER = """
v = V + 50 : 1
z_n = (15 - v)/5 : 1
alpha_n = 0.1*{linoid_n} : 1
beta_n = 0.5*exp((10 - v)/40) : 1
dn/dt = phi_hh*(alpha_n*(1 - n) - beta_n*n)/ms : 1
"""

DRIVE = """
s = int(t > on)*int(t <= off)*(1 - exp(-(t - on)/rise)) \
  + int(t > off)*s_off*exp(-(t - off)/decay) : 1 (shared)
amplitude : 1 (constant)
"""

PN = """
dV/dt = (amplitude*s - 0.15*(V + 55) - 0.05*(V + 95) - 100*m*m*m*h*(V - 50)
         - 10*(n*n*n*n + a*a*a*a*b)*(V + 95) - g_gaba*(V + 70))/ms : 1
z_m = (13 - v)/4 : 1
z_b = (v - 40)/5 : 1
alpha_m = 1.28*{linoid_m} : 1
beta_m = 1.4*{linoid_b} : 1
dm/dt = phi_hh*(alpha_m*(1 - m) - beta_m*m)/ms : 1
dh/dt = phi_hh*(0.128*exp((17 - v)/18)*(1 - h) - 4/(exp((40 - v)/5) + 1)*h)/ms : 1
sum_a = exp((V + 35.82)/19.69) + exp(-(V + 79.69)/12.7) : 1
da/dt = (1/(1 + exp(-(V + 60)/8.5)) - a)*phi_a*sum_a/(1 + 0.37*sum_a)/ms : 1
cold = int(V < -63) : 1
rate_b = cold*(exp((V + 46.05)/5) + exp(-(V + 238.4)/37.45)) + (1 - cold)/19 : 1
db/dt = (1/(1 + exp((V + 78)/6)) - b)*phi_a*rate_b/ms : 1
g_gaba = w_gaba_pn*open_gaba : 1
open_gaba : 1
gate_end : 1
pulse_end : second
"""

LN = """
dV/dt = (amplitude*s - 0.15*(V + 50) - 0.02*(V + 95) - i_ca - 10*n*n*n*n*(V + 95)
         - 0.3*k*(V + 90) - w_ach_ln*(in_pulse + closing)*V - w_gaba_ln*open_gaba*(V + 70))/ms : 1
i_ca = 3*m*m*h*(V - 140) : 1
dm/dt = (1/(1 + exp(-(V + 20)/6.5)) - m)/1.5/ms : 1
dh/dt = (1/(1 + exp((V + 25)/12)) - h)/(0.3*exp((V - 40)/13) + 0.002*exp((60 - V)/29))/ms : 1
dk/dt = phi_kca*(0.01*ca*(1 - k) - 0.02*k)/ms : 1
dca/dt = (-2e-4*i_ca - (ca - 2.4e-4)/150)/ms : 1
do/dt = (10*(1 - o)/(1 + exp(-(V + 20)/1.5)) - 0.16*o)/ms : 1
din_pulse/dt = (5*n_in_pulse - 5.2*in_pulse)/ms : 1
dclosing/dt = -0.2*closing/ms : 1
n_in_pulse : 1
open_gaba : 1
"""

CONSTANTS = {
    "phi_hh": 3 ** ((22 - 36) / 10),
    "phi_a": 3 ** ((36 - 23.5) / 10),
    "phi_kca": 2.3 ** ((26 - 23) / 10),
    "pulse": 0.3 * ms,
    "gate_target": 5 / 5.2,
    "pulse_factor": float(np.exp(-5.2 * 0.3)),
}

# A state update reads and writes so many arrays that GCC's limit on run-time alias checks keeps it
# scalar. "tuned" raises the limit, and the update is vectorised, exp included.
DEFAULT_FLAGS = ["-w", "-O3", "-march=native", "-ffast-math", "-std=c++11"]
FLAGS = {
    "default": DEFAULT_FLAGS,
    "tuned": [*DEFAULT_FLAGS, "--param=vect-max-version-for-alias-checks=1000"],
}


def linoid(z: str, near: float) -> str:
    """``z/(exp(z) - 1)`` without 0/0 at 0: within ``near`` of it, its value at ``near``."""
    safe = f"({z} + {2 * near}*int(abs({z}) < {near}))"
    return f"({safe}/(exp({safe}) - 1))"


def equations(text: str, exprel: bool, near: float) -> str:
    forms = {
        f"linoid_{letter}": f"(1/exprel(z_{letter}))" if exprel else linoid(f"z_{letter}", near)
        for letter in "nmb"
    }
    return text.format(**forms)


def build(problem: Problem, dtype: str, exprel: bool = False) -> dict[str, Any]:
    """Return the network and its monitors; the network is under key ``network``."""
    near = 1e-3 if dtype == "float32" else 1e-6
    b2.defaultclock.dt = problem["dt_ms"] * ms
    weights = problem["weights"]
    namespace = CONSTANTS | {name: problem[name] * ms for name in ("on", "off", "rise", "decay")}
    namespace["s_off"] = 1 - float(np.exp(-(problem["off"] - problem["on"]) / problem["rise"]))
    namespace |= {f"w_{name}": value for name, value in weights.items()}

    pn = b2.NeuronGroup(
        len(problem["v0_pn"]),
        equations(DELAYED_RECTIFIER + DRIVE + PN, exprel, near),
        method="rk4",
        threshold="V > 0",
        refractory="V > 0",
        # The gate's value at the end of the pulse that begins now.
        reset="""gate_now = gate_end*exp(-0.2*(t - pulse_end)/ms)
                 gate_end = gate_target + (gate_now - gate_target)*pulse_factor
                 pulse_end = t + pulse""",
        namespace=namespace,
        name="pn",
    )
    ln = b2.NeuronGroup(
        len(problem["v0_ln"]),
        equations(DELAYED_RECTIFIER + DRIVE + LN, exprel, near),
        method="rk4",
        threshold="V > -20",
        refractory="V > -20",
        namespace=namespace,
        name="ln",
    )
    pn.V, ln.V = problem["v0_pn"], problem["v0_ln"]
    pn.amplitude, ln.amplitude = problem["I_pn"], problem["I_ln"]
    ln.ca = 2.4e-4

    ach = b2.Synapses(
        pn,
        ln,
        on_pre={
            # Before PN's reset, which runs after the synapses, gate_end is that of the last pulse.
            "begin": """gate_now = gate_end_pre*exp(-0.2*(t - pulse_end_pre)/ms)
                        n_in_pulse_post += 1
                        in_pulse_post += gate_now
                        closing_post -= gate_now""",
            "end": """n_in_pulse_post -= 1
                      in_pulse_post -= gate_end_pre
                      closing_post += gate_end_pre""",
        },
        delay={"end": 0.3 * ms},
        name="ach",
    )
    gaba_pn = b2.Synapses(ln, pn, "open_gaba_post = o_pre : 1 (summed)", name="gaba_pn")
    gaba_ln = b2.Synapses(ln, ln, "open_gaba_post = o_pre : 1 (summed)", name="gaba_ln")
    for synapses, key in ((ach, "pn_ln"), (gaba_pn, "ln_pn"), (gaba_ln, "ln_ln")):
        pre, post = np.nonzero(np.array(problem[key]).T)
        if pre.size:
            synapses.connect(i=pre, j=post)
        else:
            synapses.active = False

    # A summed variable is updated on the clock of its target.
    tenth = b2.Clock(0.1 * ms)
    lfp = b2.NeuronGroup(1, "mean : 1", clock=tenth, name="lfp")
    average = b2.Synapses(pn, lfp, "mean_post = V_pre/N_pre : 1 (summed)", clock=tenth)
    average.connect()

    parts = {
        "pn_spikes": b2.SpikeMonitor(pn),
        "ln_spikes": b2.SpikeMonitor(ln),
        "v": b2.StateMonitor(pn, "V", record=True, dt=1 * ms),
        "mean": b2.StateMonitor(lfp, "mean", record=True, clock=tenth, when="end"),
    }
    parts["network"] = b2.Network(pn, ln, ach, gaba_pn, gaba_ln, lfp, average, *parts.values())
    return parts


def use_float_literals(directory: Path) -> None:
    """Compile the state updates with literals of single precision.

    Brian2 writes double literals for any dtype, so that float32 would be computed in float64. The
    flag is not for all files: the clocks need their double steps.
    """
    with (directory / "makefile").open("a") as makefile:
        makefile.write(
            "\n%_stateupdater_codeobject.o: OPTIMISATIONS += -fsingle-precision-constant\n"
        )


def trace(problem: Problem, parts: dict[str, Any]) -> Problem:
    """Spike times and voltages in the format of ``problem.py check``."""

    def per_cell(monitor: b2.SpikeMonitor) -> list[list[float]]:
        trains = monitor.spike_trains()
        # Brian2 stamps the start of the step; the crossing is seen at its end.
        return [(train / ms + problem["dt_ms"]).tolist() for _, train in sorted(trains.items())]

    return {
        "pn_spikes_ms": per_cell(parts["pn_spikes"]),
        "ln_spikes_ms": per_cell(parts["ln_spikes"]),
        "t_ms": (parts["v"].t / ms).round(6).tolist(),
        "v_pn_mV": parts["v"].V.T.tolist(),
        "mean_v_pn_mV": parts["mean"].mean[0].tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", type=Path)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trace", type=Path, help="write spikes and voltages here")
    parser.add_argument("--build", type=Path, help="build directory (default: a temporary one)")
    parser.add_argument("--flags", choices=FLAGS, default="default", help="compiler flags")
    parser.add_argument("--exprel", action="store_true", help="write rates with exprel (slower)")
    args = parser.parse_args()
    problem = json.loads(args.problem.read_text())

    flags = FLAGS[args.flags]
    if args.dtype == "float32":
        b2.prefs.core.default_float_dtype = np.float32
    b2.prefs.codegen.cpp.extra_compile_args_gcc = flags
    b2.prefs.devices.cpp_standalone.openmp_threads = 0
    b2.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2"]

    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stdout(sys.stderr):
        directory = str(args.build or temporary)
        b2.set_device("cpp_standalone", build_on_run=False)
        parts = build(problem, args.dtype, args.exprel)
        parts["network"].run(problem["duration_ms"] * ms)
        b2.device.build(directory=directory, compile=False, run=False)
        if args.dtype == "float32":
            use_float_literals(Path(directory))
        b2.device.compile_source(directory, "unix", debug=False, clean=False)
        seconds = []
        for _ in range(args.repeats):
            b2.device.run(directory=directory)
            seconds.append(b2.device._last_run_time)
        if args.trace:
            args.trace.write_text(json.dumps(trace(problem, parts)))
        counts = {key: int(parts[key].num_spikes) for key in ("pn_spikes", "ln_spikes")}

    steps = round(problem["duration_ms"] / problem["dt_ms"])
    result = {
        "peer": "brian2",
        "version": b2.__version__,
        "dtype": args.dtype,
        "flags": args.flags,
        "us_per_step": float(np.median(seconds)) / steps * 1e6,
        "us_per_step_min": min(seconds) / steps * 1e6,
        "repeats": args.repeats,
        "steps": steps,
        **counts,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
