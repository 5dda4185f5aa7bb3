"""The ring of docs/models/working-memory.md in Brian2: where its bump is, and how it fires.

    pip install brian2==2.9
    python tests/references/make_memory_reference.py

It writes `memory.json`: of each seed what `described` says. Numbers are those of Compte et al.
(2000) with a quarter of the cells, and of the page's cue, written down here once more. The sums
over all presynaptic cells are added up before each step, that of the ring by a Fourier transform.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SEEDS = (1, 2)
SHRINK, DURATION = 4, 2000  # ms
N_E, N_I = 2048 // SHRINK, 512 // SHRINK
ANGLE = np.arange(N_E) * 360 / N_E
PLUS, SIGMA = 1.62, 18.0
CELL = """
dv/dt = (-g_L*(v + 70*mV) - I + cue*int(t >= 300*ms)*int(t < 550*ms))/C : volt (unless refractory)
I = g_ext*ext*v + g_gaba*gaba*(v + 70*mV) + g_nmda*nmda*v/(1 + exp(-0.062*v/mV)/3.57) : amp
dext/dt = -ext/(2*ms) : 1
gaba : 1
nmda : 1
cue : amp
"""
OF_E = """
dx/dt = -x/(2*ms) : 1
ds/dt = -s/(100*ms) + 0.5/ms*x*(1 - s) : 1
"""
OF_I = "db/dt = -b/(10*ms) : 1"


def simulate(seed: int) -> tuple[Any, Any, Any]:
    """Return times in ms and cells of the spikes of E, and times of those of I."""
    import brian2 as b2
    from brian2 import Hz, ms, mV, nS, pA, pF

    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = 0.1 * ms
    b2.start_scope()
    b2.seed(seed)
    rng = np.random.default_rng(seed)
    more = SHRINK * nS
    for_e = {"g_L": 25 * nS, "C": 500 * pF, "g_ext": 3.1 * nS}
    for_e |= {"g_nmda": 0.381 * more, "g_gaba": 1.336 * more}
    for_i = {"g_L": 20 * nS, "C": 200 * pF, "g_ext": 2.38 * nS}
    for_i |= {"g_nmda": 0.292 * more, "g_gaba": 1.024 * more}
    cells = [
        b2.NeuronGroup(
            size,
            CELL + own,
            threshold="v > -50*mV",
            reset=f"v = -60*mV; {gate} += 1",
            refractory=refractory * ms,
            method="exponential_euler",
            namespace=numbers,
        )
        for size, own, gate, refractory, numbers in (
            (N_E, OF_E, "x", 2, for_e),
            (N_I, OF_I, "b", 1, for_i),
        )
    ]
    for group in cells:
        group.v = (-70 + 20 * rng.random(len(group))) * mV
    cells[0].cue = 200 * np.exp(-((ANGLE - 180) ** 2) / (2 * 14**2)) * pA
    inputs = [b2.PoissonInput(group, "ext", 1000, 1.8 * Hz, 1) for group in cells]
    near = np.exp(-(np.minimum(ANGLE, 360 - ANGLE) ** 2) / (2 * SIGMA**2))
    minus = (1 - PLUS * near.mean()) / (1 - near.mean())
    ring = np.fft.rfft(minus + (PLUS - minus) * near)

    def array(group: Any, name: str) -> np.ndarray:
        return group.variables[name].get_value()

    gate, shut = array(cells[0], "s"), array(cells[1], "b")
    nmda, gaba = ([array(group, name) for group in cells] for name in ("nmda", "gaba"))

    @b2.network_operation(when="start")
    def add_up() -> None:
        nmda[0][:] = np.fft.irfft(np.fft.rfft(gate) * ring, N_E)
        nmda[1][:] = gate.sum()
        for to in gaba:
            to[:] = shut.sum()

    spikes = [b2.SpikeMonitor(group) for group in cells]
    b2.Network(*cells, *inputs, add_up, *spikes).run(DURATION * ms)
    return np.asarray(spikes[0].t / ms), np.asarray(spikes[0].i), np.asarray(spikes[1].t / ms)


def described(times: Any, cells: Any, others: Any) -> dict[str, float]:
    """Return rates in Hz and angles in degrees, from times in ms and cells of E, and times of I.

    `before` and `inhibit before` are rates from 100 to 300 ms; `bump` and `inhibit` from 1700 to
    2000 ms, the first of the cells within 15 degrees of the decoded angle; `early` is the angle
    from 700 to 1000 ms, and `late` that from 1700 to 2000 ms.
    """

    def angle(start: float, stop: float) -> float:
        inside = (times >= start) & (times < stop)
        return float(np.rad2deg(np.angle(np.exp(1j * np.deg2rad(ANGLE[cells[inside]])).mean())))

    late = angle(1700, 2000)
    near = np.flatnonzero(np.abs((ANGLE - late + 180) % 360 - 180) < 15)
    held = (times >= 1700) & np.isin(cells, near)
    found = {
        "before": np.count_nonzero((times >= 100) & (times < 300)) / N_E / 0.2,
        "inhibit before": np.count_nonzero((others >= 100) & (others < 300)) / N_I / 0.2,
        "bump": np.count_nonzero(held) / len(near) / 0.3,
        "inhibit": np.count_nonzero(others >= 1700) / N_I / 0.3,
        "early": angle(700, 1000) % 360,
        "late": late % 360,
    }
    return {name: round(float(value), 2) for name, value in found.items()}


if __name__ == "__main__":
    results = {str(seed): described(*simulate(seed)) for seed in SEEDS}
    text = json.dumps({"brian2": "2.9", "seeds": results}, indent=1)
    (HERE / "memory.json").write_text(text + "\n", encoding="utf-8")
