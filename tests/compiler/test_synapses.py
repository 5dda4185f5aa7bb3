"""The rewrites of synapses are exact: each equals one state for every synapse, in plain NumPy.

Two populations of passive cells, driven so hard that they cross their threshold up to a few times
a millisecond; `a` reaches itself and `b` with weights of its own. A crossing found at the end of a
step acts on the postsynaptic cells at its end, with all that it has done since the crossing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import cm, mS, ms, mV, nA, nF, nS, uA, uF, uS

DT, STEPS, EVERY = 0.05, 400, 3  # ms; 20 ms; the drive changes every 3 steps
N_A, N_B = 5, 3
THRESHOLD = -20.0
DENSITY = mS / cm**2
RNG = np.random.default_rng(11)
DRIVE = {
    "a": RNG.normal(0, 900, (1 + STEPS // EVERY, N_A)),
    "b": RNG.normal(0, 60, (1 + STEPS // EVERY, N_B)),
}
LEAK = {"a": np.linspace(5, 15, N_A), "b": np.linspace(0.2, 0.4, N_B)}
WEIGHTS = {"a": RNG.uniform(0.1, 0.5, (N_A, N_A)), "b": RNG.uniform(0.01, 0.3, (N_A, N_B))}
WEIGHTS["a"][1, 2] = WEIGHTS["b"][0, 1] = 0.0


@dataclass
class Kinetics:
    """A synapse in numbers.

    Attributes:
        kind: `graded`, `pulsed` or `jumping`.
        E: Reversal potential, or None for a current.
        numbers: Of the catalogue.
    """

    kind: str
    E: float | None
    numbers: dict[str, float]


KINETICS = {
    "gaba_a": Kinetics("graded", -70.0, {"alpha": 10.0, "beta": 0.16}),
    "nach": Kinetics("pulsed", 0.0, {"alpha": 10.0, "beta": 0.2, "T": 0.5, "t_max": 0.3}),
    "exponential_conductance": Kinetics("jumping", 0.0, {"tau": 5.0}),
    "exponential_conductance_density": Kinetics("jumping", 0.0, {"tau": 5.0}),
    "exponential_current": Kinetics("jumping", None, {"tau": 5.0}),
    "exponential_current_density": Kinetics("jumping", None, {"tau": 5.0}),
}


def compiled(name: str) -> sf.Solution:
    point = name in ("exponential_conductance", "exponential_current")
    current = nA if point else uA / cm**2
    conductance, capacity = (uS, nF) if point else (DENSITY, uF / cm**2)
    strength = current if "current" in name else conductance
    text = f"""
    dv/dt = (g*(E - v) + I_stim)/C : mV
    I_stim : {"nA" if point else "uA/cm**2"}
    """
    cells = {}
    for key, size in (("a", N_A), ("b", N_B)):
        model = sf.Equations.parse(
            text, E=-60 * mV, g=LEAK[key] * conductance, C=1 * capacity, v=-60
        )
        cells[key] = sf.Population(key, size, model, threshold="v > -20*mV")
    synapse = sf.load(name)
    network = sf.Network(
        *cells.values(),
        *(sf.Projection(cells["a"], cells[k], synapse, weight=WEIGHTS[k] * strength) for k in "ab"),
        *(sf.Stimulus(cells[k], sf.Waveform(DRIVE[k] * current, EVERY * DT * ms)) for k in "ab"),
    )
    record = [cells["a"]["v"], cells["b"]["v"], cells["a"].spikes, cells["b"].spikes]
    return sf.simulate(network, STEPS * DT * ms, dt=DT * ms, record=record)


class Plain:
    """One state for every synapse, RK4, crossings interpolated, pulses and jumps in closed form."""

    def __init__(self, synapse: Kinetics) -> None:
        self.synapse, self.p = synapse, synapse.numbers
        self.v = {"a": np.full(N_A, -60.0), "b": np.full(N_B, -60.0)}
        self.gates = {key: np.zeros_like(weight) for key, weight in WEIGHTS.items()}
        self.left = {key: np.zeros_like(weight) for key, weight in WEIGHTS.items()}
        self.spikes: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}

    def later(self, key: str, time: Any, gate: Any = None, left: Any = None) -> np.ndarray:
        """The gate of each synapse after some time without a new spike, exactly."""
        gate = self.gates[key] if gate is None else gate
        if self.synapse.kind == "graded":
            return gate
        if self.synapse.kind == "jumping":
            return gate * np.exp(-time / self.p["tau"])
        rate = self.p["alpha"] * self.p["T"] + self.p["beta"]
        level = self.p["alpha"] * self.p["T"] / rate
        within = np.minimum(self.left[key] if left is None else left, time)
        risen = level + (gate - level) * np.exp(-rate * within)
        return risen * np.exp(-self.p["beta"] * (time - within))

    def slope(self, v: dict, gates: dict, drive: dict) -> tuple[dict, dict]:
        dv, dg = {}, {}
        for key in "ab":
            opened = gates[key] * (1.0 if self.synapse.kind == "jumping" else WEIGHTS[key])
            force = 1.0 if self.synapse.E is None else self.synapse.E - v[key]
            current = (opened * force).sum(0)
            dv[key] = LEAK[key] * (-60.0 - v[key]) + drive[key] + current
            transmitter = 1 / (1 + np.exp(-(v["a"] + 20) / 1.5))[:, None]
            if self.synapse.kind == "graded":
                rise = self.p["alpha"] * (1 - gates[key]) * transmitter
                dg[key] = rise - self.p["beta"] * gates[key]
            else:
                dg[key] = 0.0
        return dv, dg

    def step(self, k: int) -> None:
        drive = {key: DRIVE[key][k // EVERY] for key in "ab"}
        at = {c: {key: self.later(key, c * DT) for key in "ab"} for c in (0.0, 0.5, 1.0)}
        graded, slopes = self.synapse.kind == "graded", []
        for c in (0.0, 0.5, 0.5, 1.0):
            v, gates = dict(self.v), dict(at[c])
            if slopes:
                v = {key: self.v[key] + c * DT * slopes[-1][0][key] for key in "ab"}
                if graded:
                    gates = {key: at[c][key] + c * DT * slopes[-1][1][key] for key in "ab"}
            slopes.append(self.slope(v, gates, drive))
        before, ends = self.v, at[1.0]
        total = [
            {
                key: sum(w * s[part][key] for w, s in zip((1, 2, 2, 1), slopes, strict=True))
                for key in "ab"
            }
            for part in (0, 1)
        ]
        self.v = {key: before[key] + DT / 6 * total[0][key] for key in "ab"}
        if graded:
            ends = {key: ends[key] + DT / 6 * total[1][key] for key in "ab"}
        self.cross(before, ends, k)

    def cross(self, before: dict, ends: dict, k: int) -> None:
        since = {}
        for key in "ab":
            hit = (before[key] <= THRESHOLD) & (self.v[key] > THRESHOLD)
            rise = np.where(hit, self.v[key] - before[key], 1.0)
            since[key] = np.where(hit, DT * (self.v[key] - THRESHOLD) / rise, 0.0)
            self.spikes[key] += [((k + 1) * DT - since[key][i], i) for i in np.nonzero(hit)[0]]
        ago = since["a"][:, None]
        hit = ago > 0
        for key in "ab":
            fresh, left = ends[key], np.maximum(self.left[key] - DT, 0)
            area = np.zeros_like(fresh)
            if self.synapse.kind == "jumping":
                opened = np.exp(-ago / self.p["tau"])
                fresh = fresh + np.where(hit, WEIGHTS[key] * opened, 0)
                area = np.where(hit, WEIGHTS[key] * ago * (1 + opened) / 2, 0)
            if self.synapse.kind == "pulsed":
                crossing = self.later(key, DT - ago)
                whole = np.full_like(fresh, self.p["t_max"])
                gain = np.where(hit, self.later(key, ago, crossing, whole) - fresh, 0)
                fresh = fresh + gain
                left = np.where(hit, np.maximum(whole - ago, 0), left)
                area = WEIGHTS[key] * gain * ago / 2
            self.gates[key], self.left[key] = fresh, left
            # What the flow of this step could not know: the charge since the crossing.
            force = 1.0 if self.synapse.E is None else self.synapse.E - self.v[key]
            self.v[key] = self.v[key] + (area * force).sum(0)


@pytest.fixture(scope="module", params=KINETICS)
def pair(request: pytest.FixtureRequest) -> tuple[sf.Solution, Plain, dict[str, np.ndarray]]:
    plain = Plain(KINETICS[request.param])
    traces = {key: [plain.v[key]] for key in "ab"}
    for k in range(STEPS):
        plain.step(k)
        for key in "ab":
            traces[key].append(plain.v[key])
    return compiled(request.param), plain, {key: np.array(v) for key, v in traces.items()}


def test_voltages_equal_those_of_one_state_a_synapse(pair: tuple) -> None:
    run, _, traces = pair
    for key in "ab":
        found = run[f"{key}.v"].values
        assert found.shape == traces[key].shape
        assert np.abs(found - traces[key]).max() < 1e-12 * np.abs(traces[key]).max()


def test_spikes_equal_those_of_one_state_a_synapse(pair: tuple) -> None:
    run, plain, _ = pair
    for key in "ab":
        found = run[f"{key}.spikes"]
        wanted = sorted(plain.spikes[key], key=lambda spike: (spike[1], spike[0]))
        order = np.lexsort((found.times, found.cells))
        assert found.cells[order].tolist() == [cell for _, cell in wanted]
        # The time since a crossing leaves the loop in float32: 1e-7 of a step.
        times = np.array([time for time, _ in wanted])
        assert np.abs(found.times[order] - times).max() < 1e-7 * DT


def test_the_drive_makes_what_is_tested(pair: tuple) -> None:
    """Overlapping pulses, several crossings in one step, and an effect on `b` that is felt."""
    run, plain, traces = pair
    trains = run["a.spikes"].trains()
    apart = np.concatenate([np.diff(train) for train in trains])
    assert np.sum(apart < 0.3) >= 5
    assert np.sum(apart > 1.0) >= 5
    steps = [int(time / DT) for time, _ in plain.spikes["a"]]
    assert len(set(steps)) < len(steps)
    assert np.ptp(traces["b"]) > 10


def test_a_refined_step_converges_to_the_pulse_at_the_crossing_itself() -> None:
    """Without recurrence the visibility one step late is all that separates dt from the limit."""
    text = "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : uA/cm**2"
    numbers: dict[str, Any] = {"E": -60 * mV, "g": 1 * DENSITY, "C": 1 * uF / cm**2, "v": -60}
    model = sf.Equations.parse(text, **numbers)
    pre = sf.Population("pre", 1, model, threshold="v > -20*mV")
    post = sf.Population("post", 1, model)
    network = sf.Network(
        pre,
        post,
        sf.Projection(pre, post, sf.load("nach")(g=1 * DENSITY)),
        sf.CurrentClamp(pre, 60 * uA / cm**2, start=1 * ms),
    )
    ends = []
    for dt in (0.1, 0.025):
        run = sf.simulate(network, 5 * ms, dt=dt * ms, record=[post["v"].every(5 * ms), pre.spikes])
        # v = -60 + 60 (1 - exp(-t)) reaches -20 at log(3)
        assert run["pre.spikes"].times == pytest.approx([1 + np.log(3)], abs=dt**2 / 4)
        ends.append(float(run["post.v"].values[-1, 0]))
    # The pulse alone lifts the cell by 20 mV, the part that one step of it gives is not seen.
    assert abs(ends[1] - ends[0]) < 0.3


def test_projections_of_other_kinetics_keep_gates_of_their_own() -> None:
    text = "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA"
    numbers: dict[str, Any] = {"E": -60 * mV, "g": 10 * nS, "C": 0.2 * nF, "v": -60}
    model = sf.Equations.parse(text, **numbers)
    pre = sf.Population("pre", 2, model, threshold="v > -50*mV")
    post = sf.Population("post", 2, model)
    synapse = sf.load("exponential_current")(i=0.1 * nA)

    def after(*taus: float) -> np.ndarray:
        projections = [
            sf.Projection(pre, post, synapse(tau=tau * ms), name=f"tau{tau:g}") for tau in taus
        ]
        clamp = sf.CurrentClamp(pre, 1 * nA)
        run = sf.simulate(
            sf.Network(pre, post, *projections, clamp), 10 * ms, dt=0.1 * ms, record=post["v"]
        )
        return run["post.v"].values + 60

    # The cells are linear, so effects of projections add.
    np.testing.assert_allclose(after(2, 7), after(2) + after(7), rtol=1e-12, atol=1e-12)
