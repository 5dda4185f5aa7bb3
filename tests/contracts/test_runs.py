"""What every run promises: it can be repeated to the bit, and nobody disturbs it by looking."""

import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.errors import SomaflowError, TraceError, WrongTypeError
from somaflow.units import ms, mV, nA, nF, uS

DT, DURATION = 0.05, 20.0


def coupled() -> sf.Network:
    """Cells of two kinds that reach each other through every kind of synapse."""
    leaky = sf.Equations.parse(
        "dv/dt = (g*(E - v) - I_k + I_stim)/C : mV\nI_k = g*(v - E)*n/2 : uA/cm**2\n"
        "dn/dt = (1/(1 + exp(-(v + 20*mV)/(5*mV))) - n)/(3*ms) : 1\nI_stim : uA/cm**2",
        E="-60 mV",
        g="0.5 mS/cm**2",
        C="1 uF/cm**2",
        v=-60,
        n=0,
    )
    a = sf.Population("a", 5, leaky, threshold="v > -30*mV", reset="v = -55*mV", refractory=1 * ms)
    b = sf.Population("b", 3, leaky(g=0.3), threshold="v > -40*mV")
    half = sf.FixedProbability(0.7, seed=2)
    unit = sf.units.uA / sf.units.cm**2
    return sf.Network(
        a,
        b,
        sf.Projection(a, b, sf.load("nach")(g="0.2 mS/cm**2"), half),
        sf.Projection(b, a, sf.load("gaba_a")(g="0.3 mS/cm**2"), sf.AllToAll()),
        sf.Projection(a, a, sf.load("exponential_conductance_density"), half),
        sf.CurrentClamp(a, np.linspace(15, 40, 5) * unit, start=1 * ms),
        sf.CurrentClamp(b, 8 * unit),
    )


def simulated(record: Callable[[Any, Any], list] | None = None, **settings: Any) -> sf.Solution:
    network = coupled()
    chosen = (record or everything)(*network.populations)
    return sf.simulate(network, DURATION * ms, dt=DT * ms, record=chosen, **settings)


def everything(a: sf.Population, b: sf.Population) -> list:
    return [a["v"], a["n"], b["v"], b["n"], a.spikes, b.spikes]


@pytest.fixture(scope="module")
def full() -> sf.Solution:
    return simulated(seed=4)


def bits(run: sf.Solution) -> list[bytes]:
    parts = (
        (run[k].times, run[k].cells) if k.endswith("spikes") else (run[k].values,) for k in run
    )
    return [array.tobytes() for array in chain.from_iterable(parts)]


def test_two_runs_with_one_seed_are_bitwise_equal(full: sf.Solution) -> None:
    assert len(full["a.spikes"]) > 5
    assert len(full["b.spikes"]) > 2
    again = simulated(seed=4)
    assert bits(again) == bits(full)
    assert again.meta["fingerprint"] == full.meta["fingerprint"]


@pytest.mark.slow
def test_the_fingerprint_tells_starts_apart(full: sf.Solution) -> None:
    other = simulated(seed=4, initial={"a": {"v": -59}})
    assert other.meta["fingerprint"] != full.meta["fingerprint"]


RECORDINGS: dict[str, Callable[[Any, Any], list]] = {
    "nothing but the end": lambda a, b: [a["v"].every(DURATION), b["v"].every(DURATION)],
    "spikes": lambda a, b: [a["v"].every(20), b["v"].every(20), a.spikes, b.spikes],
    "a definition": lambda a, b: [a["v"].every(20), b["v"].every(20), a["I_k"], b["I_k"].every(1)],
    "some cells, in another order": lambda a, b: [a[[4, 0]]["v"], a["n"].every(0.35), b["v"]],
    "means": lambda a, b: [a["n"].mean(), a["v"].every(4), b["v"].every(0.05), b["I_k"].mean()],
    "one cell": lambda a, b: [a[[3]]["v"].every(0.15), b[:1]["v"].every(0.35), b["n"]],
    "over time": lambda a, b: [
        *(a["v"].every(20), b["v"].every(20), a.spikes, a.rate(2)),
        *(a["v"].every(1, "mean"), b["I_k"].every(0.35, "max"), a["I_stim"].mean().every(2, "min")),
    ],
    "intervals that share no factor": lambda a, b: [a["v"].every(0.35), b["v"].every(0.55)],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice",
    [pytest.param(choice, id=name) for name, choice in RECORDINGS.items()],
)
def test_no_recording_changes_a_bit(choice: Callable, full: sf.Solution) -> None:
    network = coupled()
    run = sf.simulate(
        network, DURATION * ms, dt=DT * ms, record=choice(*network.populations), seed=4
    )
    if choice is RECORDINGS["some cells, in another order"]:
        assert run["a.v"].cell.values.tolist() == [4, 0]
    compared = 0
    for key in run:
        if key.endswith("spikes"):
            assert run[key].times.tobytes() == full[key].times.tobytes()
            compared += 1
        elif key in full:
            stride = round(float(run[key].time[1]) / DT)
            cells = run[key].cell.values
            wanted = full[key].values[::stride, cells]
            assert run[key].values.tobytes() == wanted.tobytes(), key
            compared += 1
    assert compared >= 2


def test_definitions_and_means_are_what_they_say(full: sf.Solution) -> None:
    run = simulated(lambda a, b: [a["I_k"], a[1:4]["v"].mean(), b["v"].mean().every(1 * ms)])
    v, n = full["a.v"].values, full["a.n"].values
    np.testing.assert_allclose(run["a.I_k"], 0.5 * (v + 60) * n / 2, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(run["a.v.mean"], v[:, 1:4].mean(1), rtol=1e-14)
    np.testing.assert_allclose(run["b.v.mean"], full["b.v"].values[::20].mean(1), rtol=1e-14)
    assert run["a.I_k"].attrs["units"] == "uA/cm**2"


# ------------------------------------------------------- one model, three ways


FITZHUGH = """
dv/dt = v - v**3/3 - w + drive : 1
dw/dt = (v + a - b*w)/tau      : 1
"""
NUMBERS = {"a": 0.7, "b": 0.8, "tau": 12.5, "drive": 0.5}
START = {"v": -1.0, "w": 1.0}


def fitzhugh(t: Any, y: Any, p: Any) -> Any:
    v, w = y["v"], y["w"]
    return {"v": v - v**3 / 3 - w + p["drive"], "w": (v + p["a"] - p["b"] * w) / p["tau"]}


def test_fitzhugh_nagumo_from_text_and_from_a_function_in_solve() -> None:
    text = sf.Equations.parse(FITZHUGH, **NUMBERS, **START)
    traced = sf.Equations.from_function(fitzhugh, initial=START, **NUMBERS)
    assert traced == text
    runs = [sf.solve(model, t1=50, dt=0.05) for model in (text, traced)]
    assert bits(runs[0]) == bits(runs[1])
    assert np.ptp(runs[0]["v"].values) > 2
    plain = sf.solve(fitzhugh, START, t1=50, dt=0.05, args=NUMBERS)
    for key in START:
        np.testing.assert_allclose(plain[key].values, runs[0][key].values, rtol=1e-9, atol=1e-9)


def test_fitzhugh_nagumo_from_text_and_from_a_function_in_simulate() -> None:
    text = sf.Equations.parse(
        "dv/dt = (v - v**3/3 - w + drive)/(1*ms) : 1\ndw/dt = (v + a - b*w)/tau : 1",
        **NUMBERS | {"tau": 12.5 * ms},
        **START,
    )

    def timed(t: Any, y: Any, p: Any) -> Any:
        v, w = y["v"], y["w"]
        return {
            "v": (v - v**3 / 3 - w + p["drive"]) / (1 * ms),
            "w": (v + p["a"] - p["b"] * w) / p["tau"],
        }

    traced = sf.Equations.from_function(timed, initial=START, **NUMBERS | {"tau": 12.5 * ms})
    runs = []
    for model in (text, traced):
        cells = sf.Population("cells", 3, model, threshold="v > 1")
        record = [cells["v"], cells["w"], cells.spikes]
        runs.append(sf.simulate(sf.Network(cells), 60 * ms, dt=0.05 * ms, record=record))
    assert bits(runs[0]) == bits(runs[1])
    assert len(runs[0]["cells.spikes"]) >= 3


def calls_tensorflow(t: Any, y: Any) -> Any:
    return {"x": -tf.math.tanh(y["x"])}


def test_a_function_that_calls_tf_is_solved_but_refused_by_networks() -> None:
    run = sf.solve(calls_tensorflow, {"x": 1.0}, t1=1.0, dt=0.01)
    assert float(run["x"][-1]) == pytest.approx(np.arcsinh(np.sinh(1) * np.exp(-1)), rel=1e-8)
    with pytest.raises(TraceError, match=r"cannot be traced.*sf\.solve"):
        sf.Equations.from_function(calls_tensorflow, initial={"x": 1.0})
    with pytest.raises(WrongTypeError, match=r"calls tf can only be run by sf\.solve"):
        sf.Population("cells", 3, calls_tensorflow)  # pyright: ignore


def test_a_function_that_cannot_be_traced_is_solved_all_the_same() -> None:
    def branching(t: Any, y: Any) -> Any:
        rate = 2.0 if y.shape == (3,) else 1.0
        return -rate * y

    run = sf.solve(branching, np.ones(3), t1=1.0, dt=0.01)
    np.testing.assert_allclose(run["y"].values[-1], np.exp(-2), rtol=1e-8)
    with pytest.raises(SomaflowError):
        sf.Equations.from_function(branching, initial={"y": 1.0})


# --------------------------------------------------------------- fresh process


AGAIN = """
import sys
from pathlib import Path
import numpy as np
import somaflow as sf
for path in sorted(Path(sys.argv[1]).glob("*.npz")):
    network = sf.load_network(path)
    run = sf.simulate(network, 4, dt=0.02, record=[p["v"] for p in network.populations])
    np.savez(path.with_suffix(".result.npz"), **{key: run[key].values for key in run})
"""


@pytest.mark.slow(seconds=25)
def test_a_saved_network_gives_the_same_bits_in_a_fresh_process(
    networks: dict[str, sf.Network], tmp_path: Path
) -> None:
    """Check that each network, read in a fresh process, gives the bits that it gives here."""
    networks = networks | {"coupled": coupled()}
    for name, network in networks.items():
        network.save(tmp_path / f"{name}.npz")
    subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path)], check=True, capture_output=True)
    for name, network in networks.items():
        run = sf.simulate(network, 4, dt=0.02, record=[p["v"] for p in network.populations])
        with np.load(tmp_path / f"{name}.result.npz") as found:
            assert set(found.files) == set(run.keys())
            for key in run:
                assert found[key].tobytes() == run[key].values.tobytes(), (name, key)


# ------------------------------------------------------------------------ batch


def line(**changes: Any) -> sf.Population:
    numbers: dict[str, Any] = {"E": -60 * mV, "g": 0.01 * uS, "C": 0.2 * nF, "v": -60, "w": 0}
    model = sf.Equations.parse(
        "dv/dt = (g*(E - v)*exp(w/(1*nA)) - w + I_stim)/C : mV\n"
        "dw/dt = (g*(v - E)/4 - w)/(30*ms) : nA\nI_stim : nA",
        **numbers | changes,
    )
    return sf.Population("cells", 5, model, threshold="v > -50*mV", reset="v = -58*mV")


def batch_run(initial: dict[str, Any] | None = None, **changes: Any) -> np.ndarray:
    cells = line(**changes)
    synapses = (
        sf.Projection(cells, cells, sf.load(name), sf.FixedProbability(0.6, seed=3), w, name=name)
        for name, w in (
            ("exponential_current", 0.05 * nA),
            ("exponential_conductance", 0.001 * uS),
        )
    )
    clamp = sf.CurrentClamp(cells, np.linspace(0.1, 0.4, 5) * nA)
    run = sf.simulate(
        sf.Network(cells, *synapses, clamp),
        60 * ms,
        dt=0.1 * ms,
        initial={"cells": initial or {}},
        record=cells["v"],
    )
    return run["cells.v"].values


CONDUCTANCES = np.array([[[0.008], [0.01], [0.013]], [[0.006], [0.011], [0.02]]])
VOLTAGES = np.linspace(-64, -51, 15).reshape(3, 5)


@pytest.mark.slow
def test_rows_of_a_batched_parameter_are_the_solo_runs() -> None:
    """Bitwise: a row of a batch is computed as if it were alone."""
    found = batch_run(g=CONDUCTANCES * uS)
    assert found.shape == (601, 2, 3, 5)
    for row in ((0, 0), (0, 2), (1, 1)):
        alone = batch_run(g=float(CONDUCTANCES[(*row, 0)]) * uS)
        assert np.ptp(alone) > 8
        assert found[(slice(None), *row)].tobytes() == alone.tobytes()


@pytest.mark.slow
def test_rows_of_a_batched_initial_value_are_the_solo_runs() -> None:
    """Bitwise as well."""
    found = batch_run({"v": VOLTAGES * mV})
    assert found.shape == (601, 3, 5)
    for row in (0, 2):
        alone = batch_run({"v": VOLTAGES[row] * mV})
        assert found[:, row].tobytes() == alone.tobytes()


@pytest.mark.slow
def test_batch_axes_of_parameters_and_of_initial_values_go_together() -> None:
    found = batch_run({"v": VOLTAGES * mV}, g=CONDUCTANCES * uS)
    assert found.shape == (601, 2, 3, 5)
    alone = batch_run({"v": VOLTAGES[1] * mV}, g=float(CONDUCTANCES[1, 1, 0]) * uS)
    assert found[:, 1, 1].tobytes() == alone.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaba_a", "nach"])
def test_rows_of_a_batch_of_transmitter_gates_are_the_solo_runs(name: str) -> None:
    """To 1e-12: how XLA fuses the step, and so the last bit, depends on the rank of the batch."""
    leak = sf.load("leak")

    def run(g: Any, size: int = 4) -> np.ndarray:
        cells = sf.Population(
            "cells",
            size,
            sf.Neuron("1 uF/cm**2", leak=leak(g=g, E="-55 mV"), v=-70),
            threshold="v > -40*mV",
        )
        projection = sf.Projection(cells, cells, sf.load(name), weight="0.05 mS/cm**2")
        drive = np.random.default_rng(3).normal(0, 60, (40, size))
        wave = sf.Waveform(drive * sf.units.uA / sf.units.cm**2, every=0.5 * ms)
        network = sf.Network(cells, projection, sf.Stimulus(cells, wave))
        made = sf.simulate(network, 20 * ms, dt=0.05 * ms, record=cells["v"])
        return made["cells.v"].values

    conductances = np.array([[0.1], [0.3]])
    found = run(conductances)
    assert found.shape == (401, 2, 4)
    for row in (0, 1):
        alone = run(float(conductances[row, 0]))
        np.testing.assert_allclose(found[:, row], alone, rtol=1e-12, atol=1e-12)


def test_a_default_of_a_function_is_its_own() -> None:
    def growth(t: Any, y: Any, rate: float = 2.0) -> Any:
        return rate * y

    assert float(sf.solve(growth, 1.0, t1=1.0, dt=0.01)["y"][-1]) == pytest.approx(np.exp(2))
    given = sf.solve(growth, 1.0, t1=1.0, dt=0.01, args=1.0)
    assert float(given["y"][-1]) == pytest.approx(np.exp(1))
