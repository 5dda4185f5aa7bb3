"""The decision network of Wang (2002) in Brian2: how the groups fire before, during and after.

    pip install brian2==2.9
    python tests/references/make_decision_reference.py

It writes `decision.json`: mean rates in windows of time, of the two selective groups, the other
cells that excite, and those that inhibit, for some seeds at a quarter of the scale.
Numbers are those of the paper, written down here once more. All cells are joined, so what arrives
is a sum for each group, which is added up before each step. NMDA has the latency of 0.5 ms too.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
WINDOWS = {"before": (200, 500), "late": (1300, 1500), "after": (1700, 2000)}  # ms
RUNS = ((0.25, 51.2, 1), (0.25, 51.2, 2), (0.25, 51.2, 3))
DURATION, ONSET, OFFSET, EVERY = 2000, 500, 1500, 50  # ms
SELECTIVE, PLUS = 0.15, 1.7
CELL = """
dv/dt = (-g_L*(v + 70*mV) - I)/C : volt (unless refractory)
I = (g_ext*ext + g_ampa*ampa)*v + g_gaba*gaba*(v + 70*mV) + I_nmda : amp
I_nmda = g_nmda*nmda*v/(1 + exp(-0.062*v/mV)/3.57) : amp
dext/dt = -ext/(2*ms) : 1
ampa : 1
gaba : 1
nmda : 1
"""
OF_E = """
da/dt = -a/(2*ms) : 1
dx/dt = -x/(2*ms) : 1
ds/dt = -s/(100*ms) + 0.5/ms*x*(1 - s) : 1
"""
OF_I = "db/dt = -b/(5*ms) : 1"
G_E = {"g_L": 25, "C": 500, "g_ext": 2.1, "g_ampa": 0.05, "g_nmda": 0.165, "g_gaba": 1.3}
G_I = {"g_L": 20, "C": 200, "g_ext": 1.62, "g_ampa": 0.04, "g_nmda": 0.13, "g_gaba": 1.0}


def simulate(scale: float, coherence: float, seed: int) -> tuple[Any, ...]:
    """Return times in ms and cells of the spikes of E and of I, and sizes of E, I and a group."""
    import brian2 as b2
    from brian2 import Hz, ms, mV, nS, pF

    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = 0.1 * ms
    b2.start_scope()
    b2.seed(seed)
    rng = np.random.default_rng(seed)
    n_e, n_i, n = round(1600 * scale), round(400 * scale), round(240 * scale)

    def group(size: int, own: str, refractory: float, given: dict[str, float]) -> Any:
        numbers = {
            name: value * (pF if name == "C" else nS)
            / (scale if name in ("g_ampa", "g_nmda", "g_gaba") else 1)
            for name, value in given.items()
        }  # fmt: skip
        made = b2.NeuronGroup(
            size,
            CELL + own,
            threshold="v > -50*mV",
            reset="v = -55*mV",
            refractory=refractory * ms,
            method="exponential_euler",
            namespace=numbers,
        )
        made.v = (-55 + 5 * rng.random(size)) * mV
        return made

    excite, inhibit = group(n_e, OF_E, 2, G_E), group(n_i, OF_I, 1, G_I)
    later = b2.Synapses(excite, excite, on_pre="x_post += 1; a_post += 1", delay=0.5 * ms)
    later_i = b2.Synapses(inhibit, inhibit, on_pre="b_post += 1", delay=0.5 * ms)
    background = [b2.PoissonInput(cells, "ext", 800, 3 * Hz, 1) for cells in (excite, inhibit)]
    rates = np.zeros((DURATION // EVERY, 2))
    count = (OFFSET - ONSET) // EVERY
    mean = 40 * np.array([[1 + coherence / 100, 1 - coherence / 100]])
    drawn = mean.T + 4 * rng.standard_normal((2, count))
    rates[ONSET // EVERY : OFFSET // EVERY] = np.maximum(drawn, 0).T
    seen = {"course": b2.TimedArray(rates * Hz, dt=EVERY * ms), "half": n}
    motion = b2.PoissonGroup(2 * n, rates="course(t, i//half)", namespace=seen)
    sight = b2.Synapses(motion, excite, on_pre="ext_post += 1")
    for one in (later, later_i, sight):
        one.connect(j="i")
    minus = 1 - SELECTIVE * (PLUS - 1) / (1 - SELECTIVE)
    weights = np.array([[PLUS, minus, minus], [minus, PLUS, minus], [1, 1, 1], [1, 1, 1]])

    def array(cells: Any, name: str) -> np.ndarray:
        return cells.variables[name].get_value()

    gates = [(array(excite, source), array(excite, to), array(inhibit, to))
             for source, to in (("a", "ampa"), ("s", "nmda"))]  # fmt: skip
    shut, gaba = array(inhibit, "b"), [array(cells, "gaba") for cells in (excite, inhibit)]

    @b2.network_operation(when="start")
    def add_up() -> None:
        for gate, to_e, to_i in gates:
            total = weights @ [gate[:n].sum(), gate[n : 2 * n].sum(), gate[2 * n :].sum()]
            to_e[:n], to_e[n : 2 * n], to_e[2 * n :], to_i[:] = total
        for to in gaba:
            to[:] = shut.sum()

    spikes = [b2.SpikeMonitor(cells) for cells in (excite, inhibit)]
    parts = (excite, inhibit, later, later_i, *background, motion, sight, add_up, *spikes)
    b2.Network(*parts).run(DURATION * ms)
    return *((np.asarray(s.t / ms), np.asarray(s.i)) for s in spikes), (n_e, n_i, n)


def rates(
    excite: tuple[Any, Any], inhibit: tuple[Any, Any], sizes: tuple[int, int, int]
) -> dict[str, list[float]]:
    """Return mean rates in Hz in each window: of A, of B, of other cells of E, and of I."""
    n_e, n_i, n = sizes
    found = {}
    for name, (start, stop) in WINDOWS.items():
        cells, others = (
            cells[(times >= start) & (times < stop)] for times, cells in (excite, inhibit)
        )
        counts = np.histogram(cells, [-0.5, n - 0.5, 2 * n - 0.5, n_e])[0]
        each = [*counts / [n, n, n_e - 2 * n], len(others) / n_i]
        found[name] = [round(float(x) / (stop - start) * 1000, 3) for x in each]
    return found


if __name__ == "__main__":
    results = [
        {"scale": scale, "coherence": coherence, "seed": seed}
        | rates(*simulate(scale, coherence, seed))
        for scale, coherence, seed in RUNS
    ]
    text = json.dumps({"brian2": "2.9", "runs": results}, indent=1)
    (HERE / "decision.json").write_text(text + "\n", encoding="utf-8")
