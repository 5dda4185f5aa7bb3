"""When cells spike, what a refractory period holds, and what a condition may say."""

from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.compiler import build
from somaflow.errors import NonFiniteState
from somaflow.simulation import chunks
from somaflow.units import Hz, ms, mV, nA

DT = 0.1
TAU, RESET = 10.0, -65.0


def spikes(cells: sf.Population, duration: float, *more: Any, **settings: Any) -> sf.Solution:
    settings = {"record": cells.spikes} | settings
    return sf.simulate(sf.Network(cells, *more), duration * ms, dt=DT * ms, **settings)


def lif(
    size: int = 1,
    text: str = "",
    threshold: str = "v > V_t",
    reset: str = "v = -65*mV",
    **options: Any,
) -> sf.Population:
    values: dict[str, Any] = {"E": -40 * mV, "V_t": -50 * mV, "v": RESET}
    values |= options.pop("values", {})
    model = sf.Equations.parse(f"dv/dt = (E - v)/(10*ms) : mV\n{text}", **values)
    return sf.Population("c", size, model, threshold=threshold, reset=reset, **options)


def still(size: int = 1, start: Any = 0.0, text: str = "", **options: Any) -> sf.Population:
    """Cells whose v changes at events alone."""
    model = sf.Equations.parse(f"dv/dt = 0/ms : 1\n{text}", v=start, **options.pop("values", {}))
    return sf.Population("c", size, model, **options)


def kicks(cells: sf.Population, times: list[float], by: float, state: str = "v") -> tuple[Any, ...]:
    """Return jumps of a state at the borders of steps: what a spike adds acts at its step's end."""
    source = sf.Population("s", 1, sf.SpikeSourceArray([time - DT / 2 for time in times] * ms))
    synapse = sf.Equations.parse(f"{state}_post : 1\non spike: {state}_post += w", w=by)
    return source, sf.Projection(source, cells, synapse, sf.AllToAll())


def to(threshold: float, start: float, rest: float) -> float:
    """Time of a leaky cell from a voltage to its threshold."""
    return TAU * log((rest - start) / (rest - threshold))


# ------------------------------------------------------------- cells with a reset


@pytest.mark.parametrize(
    ("sign", "wanted"),
    [(">", [5, 5.1, 20, 20.1, 30, 30.1, 30.2]), (">=", [5, 5.1, 20, 20.1, 20.2, 30, 30.1])],
)
def test_a_cell_spikes_until_its_resets_have_brought_it_below(sign: str, wanted: Any) -> None:
    """2.5 - 1 - 1; 0.5 + 2.5 = 3, which two resets bring to 1, at the threshold itself."""
    cells = still(threshold=f"v {sign} 1", reset="v -= 1")
    run = spikes(cells, 40, *kicks(cells, [5, 20, 30], 2.5), record=[cells.spikes, cells["v"]])
    assert run["c.spikes"].times == pytest.approx(wanted, abs=1e-9)
    assert run["c.v"].values[-1].tolist() == [0.5]


def test_a_cell_that_starts_above_its_threshold_spikes_at_once() -> None:
    run = spikes(lif(2, values={"v": [-60.0, -45.0]}), 100)
    first, second = run["c.spikes"].trains()
    assert (len(first), len(second)) == (11, 11)
    assert first[0] == pytest.approx(to(-50, -60, -40), abs=1e-3)
    assert second[0] == 0
    # Its reset is made at the end of the step in which it spiked.
    assert second[1] == pytest.approx(DT + to(-50, RESET, -40), abs=1e-3)


def test_a_threshold_that_is_lowered_between_two_parts_is_passed_at_the_start() -> None:
    first = spikes(lif(values={"E": -52 * mV}), 100)
    assert len(first["c.spikes"]) == 0
    cells = lif(values={"E": -52 * mV, "V_t": -55 * mV})
    times = spikes(cells, 100, initial=first.final)["c.spikes"].times
    assert len(times) == 7
    assert times[0] == 100
    assert times[1] == pytest.approx(100 + DT + to(-55, RESET, -52), abs=1e-3)


def test_a_cell_that_its_reset_leaves_above_spikes_once_a_step() -> None:
    cells = still(
        start=2.0, text="dn/dt = 0/ms : 1", threshold="v > 1", reset="n += 1", values={"n": 0}
    )
    run = spikes(cells, 5, record=[cells.spikes, cells["n"]])
    assert run["c.spikes"].times == pytest.approx(np.arange(50) * DT, abs=1e-9)
    assert run["c.n"].values[-1].tolist() == [50]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_cell_that_is_above_when_it_is_free_again_spikes_there(dtype: str) -> None:
    """Spikes, is reset at the step's end, waits for 1 ms from there."""
    cells = still(start=2.0, threshold="v > 1", reset="v = 1.5", refractory=1 * ms)
    times = spikes(cells, 5, dtype=dtype)["c.spikes"].times
    assert times == pytest.approx([0, 1.1, 2.2, 3.3, 4.4], abs=1e-9)


def test_without_a_reset_a_spike_is_the_upward_crossing() -> None:
    """Also for a cell that spikes lift over its threshold at a step's end."""
    cells = still(2, start=[0.0, 2.0], threshold="v > 1")
    source, projection = kicks(cells, [1.0, 3.0], 2.0)
    run = spikes(cells, 5, source, projection)
    assert run["c.spikes"].cells.tolist() == [0]
    assert run["c.spikes"].times == pytest.approx([1.0], abs=1e-9)


def test_a_reset_does_not_hide_a_cell_that_ran_away() -> None:
    """It is infinite at a step's end; at the next one's start it is above its threshold."""
    model = sf.Equations.parse("dv/dt = where(t < 1*ms, 0, 1e308)/(1*ms)*100 : 1", v=0)
    cells = sf.Population("c", 1, model, threshold="v > 1", reset="v = 0")
    with pytest.raises(NonFiniteState, match=r"c\.v"):
        spikes(cells, 10, solver=sf.Euler())


# --------------------------------------------------------------- refractory periods


def adex_by_hand(current: float, refractory: float, duration: float, dt: float) -> list[float]:
    """Spikes of the catalogue's adex by RK4 over plain numbers; v waits, w goes on."""
    C, g, E, V_T, D, tau, a, b = 0.281, 0.03, -70.6, -50.4, 2.0, 144.0, 0.004, 0.0805
    top, v, w, wait, found = -40.0, E, 0.0, 0, []

    def slope(v: float, w: float) -> tuple[float, float]:
        rise = g * D * exp((min(v, top) - V_T) / D)
        dv = 0.0 if wait else (rise - g * (v - E) - w + current) / C
        return dv, (a * (v - E) - w) / tau

    for n in range(round(duration / dt)):
        k1 = slope(v, w)
        k2 = slope(v + dt / 2 * k1[0], w + dt / 2 * k1[1])
        k3 = slope(v + dt / 2 * k2[0], w + dt / 2 * k2[1])
        k4 = slope(v + dt * k3[0], w + dt * k3[1])
        before = v
        v += dt / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
        w += dt / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
        wait = max(wait - 1, 0)
        if v > top:
            found.append((n + (top - before) / (v - before)) * dt)
            v, w, wait = E, w + b, round(refractory / dt)
    return found


def test_adaptation_goes_on_while_the_membrane_waits() -> None:
    """30 spikes, as NEST's aeif_psc_delta; were w held, they would be 27."""
    cells = sf.Population("c", 1, sf.load("adex"), refractory=5 * ms)
    run = spikes(cells, 1000, sf.CurrentClamp(cells, 1 * nA))
    wanted = adex_by_hand(1.0, 5.0, 1000.0, DT)
    assert len(wanted) == 30
    assert run["c.spikes"].times == pytest.approx(wanted, abs=1e-4)


def test_an_adaptive_threshold_decays_while_the_membrane_waits() -> None:
    cells = lif(
        text="dV_t/dt = (V_0 - V_t)/(20*ms) : mV",
        reset="v = -65*mV; V_t += 5*mV",
        refractory=5 * ms,
        values={"V_t": -50.0, "V_0": -50 * mV},
    )
    run = spikes(cells, 20, record=[cells.spikes, cells["V_t"], cells["v"]])
    end = int(np.ceil(run["c.spikes"].times[0] / DT))
    since = np.arange(51) * DT
    found = run["c.V_t"].values[end : end + 51, 0]
    assert found == pytest.approx(-50 + 5 * np.exp(-since / 20), abs=1e-9)
    assert np.all(run["c.v"].values[end : end + 51] == RESET)


def test_what_is_held_can_be_said() -> None:
    """The jump of a synapse moves what is not held, and is lost where it is."""
    model = sf.Equations.parse("dv/dt = 0/ms : 1\ndn/dt = 1/ms : 1", v=2, n=0)
    # Of v and n at 5 ms; the first step ends with the reset, at 2 ms a spike adds 0.5 to v.
    wanted = {(): (0.5, 4.9), ("v",): (0.0, 4.9), ("n",): (0.5, 0.0), ("v", "n"): (0.0, 0.0)}
    spiking = {"threshold": "v > 1", "reset": "v = 0; n = 0", "refractory": 10 * ms}
    cells = [
        sf.Population(f"c{k}", 1, model, **spiking, hold=hold) for k, hold in enumerate(wanted)
    ]
    cells.append(sf.Population("default", 1, model, **spiking))
    source = sf.Population("s", 1, sf.SpikeSourceArray([2.0] * ms))
    kick = sf.Equations.parse("v_post : 1\non spike: v_post += 0.5")
    run = sf.simulate(
        sf.Network(*cells, source, *(sf.Projection(source, c, kick) for c in cells)),
        5 * ms,
        dt=DT * ms,
        record=[c[state] for c in cells for state in "vn"],
    )
    for c, numbers in zip(cells, [*wanted.values(), wanted["v",]], strict=True):
        found = [run[f"{c.name}.{state}"].values[-1, 0] for state in "vn"]
        assert found == pytest.approx(numbers, abs=1e-9)


def test_each_cell_has_a_refractory_period_of_its_own() -> None:
    """Those that differ are taken to the nearest step, as delays are; 0 is one of them."""
    given = [0, 1, 0.26, 3] * ms
    drawn = sf.Uniform(1 * ms, 5 * ms, seed=4)
    model = sf.Equations.parse("dv/dt = 0/ms : 1", v=2)
    few, many = (
        sf.Population(name, n, model, threshold="v > 1", reset="v = 1.5", refractory=refractory)
        for name, n, refractory in (("few", 4, given), ("many", 20, drawn))
    )
    run = sf.simulate(sf.Network(few, many), 12 * ms, dt=DT * ms, record=[few.spikes, many.spikes])
    apart = [np.diff(train)[0] for train in run["few.spikes"].trains()]
    assert apart == pytest.approx([0.1, 1.1, 0.4, 3.1], abs=1e-9)
    times: Any = many.firing.refractory
    assert times.value.std() > 0.5
    apart = [np.diff(train)[0] for train in run["many.spikes"].trains()]
    assert apart == pytest.approx(np.rint(times.value / DT) * DT + DT, abs=1e-9)


def test_a_cell_is_refractory_as_long_as_a_condition_holds() -> None:
    """u is set to 1 by a spike and decays to 0.2 in 20 log 5 ms, which takes the next step on."""
    cells = still(
        start=2.0,
        text="du/dt = -u/(20*ms) : 1",
        threshold="v > 1",
        reset="v = 1.5; u = 1",
        values={"u": 0.9},
        refractory="u > 0.2",
    )
    times = spikes(cells, 80)["c.spikes"].times
    apart = DT + np.ceil(20 * log(5) / DT) * DT
    # The first spike comes though u is high: a cell waits after a spike alone.
    assert times == pytest.approx([0, apart, 2 * apart], abs=1e-9)


def test_a_spike_is_counted_once_while_a_membrane_without_reset_is_up() -> None:
    """`refractory="v > -0.5"`: small swings around the threshold are one spike."""
    wave = sf.Equations.parse("dx/dt = 0/ms : 1\nv = sin(t/ms) + 0.3*sin(9*t/ms) : 1", x=0)
    each, once = (
        sf.Population(name, 1, wave, threshold="v > 0.7", refractory=refractory)
        for name, refractory in (("each", None), ("once", "v > -0.5"))
    )
    run = sf.simulate(
        sf.Network(each, once), 30 * ms, dt=DT * ms, record=[each.spikes, once.spikes]
    )
    t = np.arange(301) * DT
    v = np.sin(t) + 0.3 * np.sin(9 * t)
    crossings = np.flatnonzero((v[:-1] <= 0.7) & (v[1:] > 0.7))
    # One in each time between two in which v is at most -0.5.
    low = np.cumsum(v <= -0.5)[crossings]
    first = np.flatnonzero(np.diff(low, prepend=-1))
    assert len(crossings) > len(first) == 5
    found = run["each.spikes"].times, run["once.spikes"].times
    assert np.floor(found[0] / DT).tolist() == crossings.tolist()
    assert np.floor(found[1] / DT).tolist() == crossings[first].tolist()


# -------------------------------------------------------------------- conditions

# v = t - 1 and w = 2 t - 8 in ms: v > 2 from 3 ms on, w > 0 from 4 ms on.
RAMPS = sf.Equations.parse("dv/dt = 1/ms : 1\ndw/dt = 2/ms : 1", v=-1, w=-8)


JOINED = {
    "v > 2 and w > 0": [4],
    "v > 2 or w > 0": [3],
    "not (v <= 2 or not w > 0)": [4],
    "(v > 2 and w < 0) or v > 5": [3, 6],
    "v > 2 and not v > 2": [],
    "t > 3.27*ms": [3.27],
    "t > 3.27*ms and w > 0": [4],
    "v > 2 and dt > 0.05*ms": [3],
    "v > 2 and dt > 0.2*ms": [],
    "1 > 0": [],
}


def test_joined_conditions_are_crossed_where_their_parts_are() -> None:
    cells = [sf.Population(f"c{k}", 1, RAMPS, threshold=text) for k, text in enumerate(JOINED)]
    run = sf.simulate(sf.Network(*cells), 10 * ms, dt=DT * ms, record=[c.spikes for c in cells])
    for c, wanted in zip(cells, JOINED.values(), strict=True):
        assert run[f"{c.name}.spikes"].times == pytest.approx(wanted, abs=1e-6)


def test_a_reset_knows_the_time_and_the_step() -> None:
    """It is made at the end of the step, which is at 3.1 ms."""
    cells = sf.Population(
        "c",
        1,
        RAMPS,
        threshold="v > 2.05",
        reset="v = where(t > 3*ms and t < 3.15*ms, -100, 100); w = dt/ms",
    )
    run = spikes(cells, 3.1, record=[cells["v"], cells["w"]])
    assert run["c.v"].values[-1, 0] == -100
    assert run["c.w"].values[-1, 0] == DT


def noisy(n: int = 500, name: str = "c", **options: Any) -> sf.Population:
    """Cells that spike at random at 100 Hz while v is above 0; half of them stay at 1."""
    model = sf.Equations.parse(
        "dv/dt = 0/ms : 1\nrho = where(v > 0, rate, 0*Hz) : Hz\ndx/dt = 0/ms : 1\ndy/dt = 0/ms : 1",
        rate=100 * Hz,
        v=np.where(np.arange(n) < n // 2, 1.0, -1.0),
        x=0,
        y=0,
    )
    options = {"reset": "x = rand(); y = rand()"} | options
    return sf.Population(name, n, model, threshold="rand() < rho*dt", **options)


def test_escape_noise_has_its_rate_and_refractory_periods() -> None:
    """Probability rate*dt in each step, also twice in a row; spikes are at their step's end."""
    cells = noisy()
    run = spikes(cells, 100, record=[cells.spikes, cells["x"], cells["y"]], seed=5)
    found = run["c.spikes"]
    n = 250 * 1000
    p = 0.1 * DT
    assert abs(len(found) - n * p) < 4 * (n * p * (1 - p)) ** 0.5
    assert found.cells.max() < 250
    assert found.times == pytest.approx(np.rint(found.times / DT) * DT, abs=1e-9)
    counts = np.bincount(found.cells, minlength=250)
    assert 0.7 < counts.var() / counts.mean() < 1.3
    last = np.stack([run["c.x"].values[-1, :250], run["c.y"].values[-1, :250]])
    assert np.all((last >= 0) & (last < 1))
    assert last.mean(axis=1) == pytest.approx([0.5, 0.5], abs=4 * (1 / 12 / 250) ** 0.5)
    assert abs(np.corrcoef(last)[0, 1]) < 4 / 250**0.5
    assert len(np.unique(last)) == 500


def test_each_call_and_each_place_draws_for_itself() -> None:
    """Were both calls one, the joint probability would be 1/2, and a reset would see x < 1/2."""
    cells = still(
        1000,
        text="dx/dt = 0/ms : 1",
        threshold="rand() < 0.5 and rand() < 0.5",
        reset="x = rand()",
        values={"x": 0.0},
    )
    run = spikes(cells, 0.1, record=[cells.spikes, cells["x"]])
    hit = run["c.spikes"].cells
    assert abs(len(hit) - 250) < 4 * (1000 * 3 / 16) ** 0.5
    assert abs(run["c.x"].values[-1, hit].mean() - 0.5) < 4 * (1 / 12 / len(hit)) ** 0.5


def test_what_is_drawn_depends_on_seed_step_and_cell_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train(cells: sf.Population, **settings: Any) -> tuple[bytes, bytes]:
        found = spikes(cells, 20, **settings)["c.spikes"]
        assert len(found) > 100
        return found.times.tobytes(), found.cells.tobytes()

    whole = train(noisy())
    assert train(noisy(), seed=1) != whole
    recorder = noisy()
    assert train(recorder, record=[recorder.spikes, recorder["x"].every(0.3 * ms)]) == whole
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 7)
    assert train(noisy()) == whole
    # Rows of a batch have the same noise, as that of stimuli.
    start = {"c": {"x": np.zeros((2, 1))}}
    both = spikes(noisy(), 20, initial=start)["c.spikes"]
    assert len(both) == 2 * len(np.frombuffer(whole[0]))


def test_two_parts_give_the_bits_of_one_run() -> None:
    """With what is drawn, and every kind of refractory period."""
    kinds = (1 * ms, np.linspace(0, 2, 500) * ms, "x > rand()")
    cells = [
        noisy(name=f"c{k}", refractory=refractory, hold=("v",))
        for k, refractory in enumerate(kinds)
    ]
    network = sf.Network(*cells)
    record = [recorder for c in cells for recorder in (c.spikes, c["x"])]

    def part(duration: float, **settings: Any) -> sf.Solution:
        return sf.simulate(network, duration * ms, dt=DT * ms, record=record, **settings)

    whole, first = part(20), part(7.3)
    second = part(12.7, initial=first.final)
    for c in cells:
        times = np.concatenate([run[f"{c.name}.spikes"].times for run in (first, second)])
        assert len(times) > 100
        assert times.tobytes() == whole[f"{c.name}.spikes"].times.tobytes()
        ends = [run[f"{c.name}.x"].values[-1].tobytes() for run in (whole, second)]
        assert ends[0] == ends[1]


# --------------------------------------------------------------- the catalogue


def test_every_action_potential_of_the_traub_cell_counts() -> None:
    """At 20 nA they are 1.7 ms apart; a refractory period can be asked for."""
    counts = []
    for refractory in (None, 2 * ms):
        cells = sf.Population("c", 1, sf.load("hh_cond_exp_traub"), refractory=refractory)
        run = sf.simulate(
            sf.Network(cells, sf.CurrentClamp(cells, 20 * nA)),
            200 * ms,
            dt=0.01 * ms,
            record=[cells.spikes, cells["v"]],
        )
        v = run["c.v"].values[:, 0]
        counts.append(len(run["c.spikes"]))
    assert counts == [116, 58]
    assert np.sum((v[:-1] <= -33) & (v[1:] > -33)) == 116


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_to_put_a_refractory_cell_back_is_to_hold_it(
    dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit; a state that is not held follows the held one."""
    model = sf.Equations.parse(
        "dv/dt = (E - v - w + R*I_stim)/tau : mV\ndw/dt = (a*(v - E) - w)/slow : mV\nI_stim : nA",
        **{
            "E": -65 * mV,
            "R": 10 * mV / nA,
            "tau": 10 * ms,
            "slow": 30 * ms,
            "a": 0.2,
            "v": -65 * mV,
            "w": 0 * mV,
        },
    )
    cells = sf.Population(
        "cells",
        7,
        model,
        threshold="v > -50*mV",
        reset="v = -60*mV\nw = w + 1*mV",
        refractory=2 * ms,
        hold=("v",),
    )
    jumps = sf.Projection(cells, cells, sf.load("exponential_current"), weight=0.1 * nA)
    network = sf.Network(cells, jumps, sf.CurrentClamp(cells, np.linspace(1.8, 3, 7) * nA))

    def run() -> sf.Solution:
        return sf.simulate(
            network,
            60 * ms,
            dt=0.1 * ms,
            solver=sf.ExponentialEuler(),
            dtype=dtype,
            record=[cells["v"], cells["w"], cells.spikes],
        )

    behind = run()
    monkeypatch.setattr(build, "_AT_START", ())
    held = run()
    assert held.statistics["compiled"]
    assert len(behind["cells.spikes"].times) > 20
    for name in ("cells.v", "cells.w"):
        assert behind[name].to_numpy().tobytes() == held[name].to_numpy().tobytes()
    assert behind["cells.spikes"].times.tobytes() == held["cells.spikes"].times.tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", [sf.ExponentialEuler(), sf.ExponentialMidpoint()])
def test_bits_are_those_of_a_number_an_array_and_a_row_of_a_batch(solver: Any, dtype: Any) -> None:
    """With rates whose exponential is computed, and with slow ones."""

    def run(tau: Any) -> np.ndarray:
        model = sf.Equations.parse(
            "dv/dt = (E - v - u - w + R*I_stim)/tau : mV\nI_stim : nA\n"
            "du/dt = (v - u - E)/fast : mV\ndw/dt = (b*(v - E) - w)/slow : mV",
            **{"E": -65 * mV, "R": 10 * mV / nA, "tau": tau * ms, "v": -65 * mV},
            u=0 * mV,
            w=0 * mV,
            fast=0.3 * ms,
            slow=30 * ms,
            b=0.1,
        )
        firing = {"threshold": "v > -50*mV", "reset": "v = -65*mV"}
        kinds = (
            sf.Population("free", 7, model, **firing),
            sf.Population("waiting", 7, model, **firing, refractory=0.4 * ms),
        )
        drives = (sf.CurrentClamp(cells, np.linspace(1.4, 3, 7) * nA) for cells in kinds)
        made = sf.simulate(
            sf.Network(*kinds, *drives),
            3 * ms,
            dt=0.1 * ms,
            solver=solver,
            dtype=dtype,
            record=[cells["v"] for cells in kinds],
        )
        return np.stack([made["free.v"], made["waiting.v"]])

    taus = np.array([0.123, 0.31, 4.1])
    rows = run(taus[:, None])
    for k, tau in enumerate(taus):
        alone = run(tau)
        assert alone.tobytes() == run(np.full(7, tau)).tobytes() == rows[:, :, k].tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_cell_whose_loop_is_one_kernel_spikes(dtype: Any) -> None:
    """XLA makes one kernel of a loop over so few numbers, and takes no barrier there."""
    model = sf.Equations.parse("dv/dt = (E - v)/tau : mV", E=-45 * mV, tau=5 * ms, v=-65 * mV)
    cell = sf.Population("cell", 1, model, threshold="v > -50*mV", reset="v = -65*mV")

    def run() -> sf.Solution:
        return sf.simulate(
            sf.Network(cell),
            20 * ms,
            dt=0.1 * ms,
            solver=sf.ExponentialEuler(),
            dtype=dtype,
            record=cell.spikes,
        )

    period = 5 * np.log(4) + 0.1 - (5 * np.log(4)) % 0.1  # it is reset at the end of the step
    times = run()["cell.spikes"].times
    np.testing.assert_allclose(times, 5 * np.log(4) + period * np.arange(2), atol=2e-3)
    again = run()
    assert not again.statistics["compiled"]
    assert again["cell.spikes"].times.tobytes() == times.tobytes()
