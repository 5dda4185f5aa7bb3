"""Integrate-and-fire cells and exponential synapses, against closed forms."""

from math import ceil, log
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import ms, mV, nA, nF, nS, uS

DT = 0.01
TAU, DRIVE, TO_THRESHOLD = 20.0, 20.0, 15.0  # ms; R*I and V_threshold - E_L in mV
TO_SPIKE = TAU * log(DRIVE / (DRIVE - TO_THRESHOLD))


def fired(refractory: Any, cells: int = 1, **settings: Any) -> sf.Solution:
    lif = sf.Population("lif", cells, sf.load("lif"), refractory=refractory)
    clamp = sf.CurrentClamp(lif, 2 * nA)
    return sf.simulate(
        sf.Network(lif, clamp), 150 * ms, dt=DT * ms, record=[lif.spikes, lif["v"]], **settings
    )


@pytest.fixture(scope="module")
def lif() -> sf.Solution:
    return fired(None)


@pytest.mark.parametrize("refractory", [0.0, 0.01, 2.0, 7.31])
def test_interspike_intervals(refractory: float, lif: sf.Solution) -> None:
    """A reset waits for the end of the step; it is held for the refractory period from there."""
    run = lif if refractory == 2.0 else fired(refractory * ms)
    times, wanted, start = run["lif.spikes"].times, [], 0.0
    while start + TO_SPIKE < 150:
        wanted.append(start + TO_SPIKE)
        start = ceil(wanted[-1] / DT) * DT + refractory
    assert len(wanted) >= 4
    # Linear interpolation of an exponential is off by dt**2/(8 tau) = 6e-7 ms at most.
    assert times == pytest.approx(wanted, abs=1e-6)
    apart = np.diff(times) - (refractory + TO_SPIKE)
    assert np.all((apart > -1e-6) & (apart < DT + 1e-6))


def test_reset_and_refractory_period_step_by_step(lif: sf.Solution) -> None:
    v = lif["lif.v"].values[:, 0]
    end = ceil(lif["lif.spikes"].times[0] / DT)
    assert v[end - 1] <= -50
    assert np.all(v[end : end + 201] == -65)
    assert v[end + 201] > -65
    assert v.max() <= -50


def test_the_voltage_between_spikes(lif: sf.Solution) -> None:
    end = ceil(TO_SPIKE / DT) - 1
    t = np.arange(end + 1) * DT
    np.testing.assert_allclose(
        lif["lif.v"].values[: end + 1, 0], -65 + DRIVE * (1 - np.exp(-t / TAU)), rtol=1e-12
    )


def test_a_refractory_period_between_two_steps_is_refused() -> None:
    with pytest.raises(sf.errors.RunError, match=r"refractory period of 'lif'.*0\.015 ms"):
        fired(0.015 * ms)


@pytest.mark.parametrize(("sign", "times"), [("<", [10.0]), (">", [30.0])])
def test_a_falling_threshold_is_crossed_downwards(sign: str, times: list[float]) -> None:
    """v falls for 20 ms at 1 mV/ms from -40, then rises as fast, through -50 both times."""
    model = sf.Equations.parse(
        "dv/dt = where(t < 19.995*ms, -rate, rate) : mV", rate=1 * mV / ms, v=-40
    )
    cell = sf.Population("cell", 1, model, threshold=f"v {sign} -50*mV")
    run = sf.simulate(sf.Network(cell), 35 * ms, dt=0.5 * ms, solver=sf.Euler(), record=cell.spikes)
    assert run["cell.spikes"].times == pytest.approx(times, abs=1e-6)


def test_resets_are_made_one_after_another_and_touch_only_cells_that_spiked() -> None:
    model = sf.Equations.parse(
        "dv/dt = rate : mV\ndw/dt = 0*mV/ms : mV", rate=[1.0, 0.5] * mV / ms, v=-55, w=1
    )
    cells = sf.Population(
        "cells", 2, model, threshold="v > -50.005*mV", reset="v = -60*mV; w += v + 62*mV"
    )
    run = sf.simulate(
        sf.Network(cells), 7 * ms, dt=0.01 * ms, record=[cells["v"], cells["w"], cells.spikes]
    )
    assert run["cells.spikes"].cells.tolist() == [0]
    assert run["cells.spikes"].times == pytest.approx([4.995], abs=1e-6)
    assert run["cells.w"].values[-1].tolist() == [3.0, 1.0]
    np.testing.assert_allclose(run["cells.v"].values[-1], [-58.0, -51.5], atol=1e-9)


# An RC cell with one exponential synapse, as in NSuite's rc-expsyn.
TAU_M, TAU_S, CONDUCTANCE, AT = 20.0, 5.0, 10.0, 3.295


@pytest.fixture(scope="module", params=["exponential_current", "exponential_conductance"])
def rc(request: pytest.FixtureRequest) -> tuple[str, sf.Solution]:
    source = sf.Population(
        "source",
        1,
        sf.Equations.parse("dv/dt = rate : mV", rate=1 * mV / ms, v=-AT),
        threshold="v > 0*mV",
    )
    model = sf.Equations.parse(
        "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA",
        E=-65 * mV,
        g=CONDUCTANCE * nS,
        C=CONDUCTANCE * TAU_M * 1e-3 * nF,
        v=-65,
    )
    cell = sf.Population("cell", 1, model, threshold="v > -64*mV")
    strength = 0.1 * nA if request.param.endswith("current") else 2 * nS
    projection = sf.Projection(
        source, cell, sf.load(request.param)(tau=TAU_S * ms), weight=strength
    )
    run = sf.simulate(
        sf.Network(source, cell, projection),
        40 * ms,
        dt=DT * ms,
        record=[cell["v"], source.spikes, cell.spikes],
    )
    return request.param, run


def exact(synapse: str, t: np.ndarray) -> np.ndarray:
    """Voltage above rest at `t` ms after the spike."""
    t = np.maximum(t, 0)
    if synapse == "exponential_current":
        gain = 0.1e3 / CONDUCTANCE * TAU_S / (TAU_S - TAU_M)
        return gain * (np.exp(-t / TAU_S) - np.exp(-t / TAU_M))
    # dv/dt = -v/tau_m + k exp(-t/tau_s) (65 - v): its integrating factor is that of the sum of
    # leak and conductance; the remaining integral is done by the trapezoidal rule on a fine grid.
    k = 2 / CONDUCTANCE / TAU_M
    fine = np.linspace(0, t.max(), 400_001)
    total = fine / TAU_M + k * TAU_S * (1 - np.exp(-fine / TAU_S))
    inside = k * np.exp(-fine / TAU_S) * 65 * np.exp(total)
    integral = np.concatenate([[0], np.cumsum((inside[1:] + inside[:-1]) / 2) * fine[1]])
    return np.interp(t, fine, integral * np.exp(-total))


def test_rc_cell_with_an_exponential_synapse(rc: tuple[str, sf.Solution]) -> None:
    synapse, run = rc
    assert run["source.spikes"].times == pytest.approx([AT], abs=1e-6)
    wanted = exact(synapse, run["cell.v"].time.values - AT)
    found = run["cell.v"].values[:, 0] + 65
    assert wanted.max() > 1.5
    # The charge between the crossing and its step's end is there, to second order in the step.
    assert np.abs(found - wanted).max() < (DT / TAU_S) * 0.1 * wanted.max()
    assert np.all(found[: int(AT / DT) + 1] == 0)


def test_rc_cell_spikes_in_time(rc: tuple[str, sf.Solution]) -> None:
    synapse, run = rc
    fine = np.linspace(0, 20, 200_001)
    wanted = AT + fine[np.argmax(exact(synapse, fine) > 1)]
    assert run["cell.spikes"].times == pytest.approx([wanted], abs=3 * DT)


def test_float32_spikes_agree_with_float64(lif: sf.Solution) -> None:
    narrow = fired(None, dtype="float32")
    assert narrow["lif.v"].dtype == np.float32
    times = narrow["lif.spikes"].times
    # A reset may fall on the neighbouring step, and all that follow move with it.
    assert np.abs(times - lif["lif.spikes"].times).max() < 4.5 * DT


def test_uncoupled_cells_do_not_know_of_each_other(lif: sf.Solution) -> None:
    run = fired(None, cells=19)
    v = run["lif.v"].values
    assert np.all(v == v[:, :1])
    assert v[:, 0].tobytes() == lif["lif.v"].values[:, 0].tobytes()


def test_conductances_are_in_the_units_of_the_equations() -> None:
    """0.1 nA into 10 nS is 10 mV, whichever unit it is written in."""
    ends = []
    for g, current in ((10 * nS, 0.1 * nA), (0.01 * uS, 1e-4 * sf.units.uA)):
        text = "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA"
        model = sf.Equations.parse(text, E=-65 * mV, g=g, C=0.01 * nF, v=-65)
        cell = sf.Population("cell", 1, model)
        run = sf.simulate(
            sf.Network(cell, sf.CurrentClamp(cell, current)), 50 * ms, dt=0.1 * ms, record=cell["v"]
        )
        ends.append(run["cell.v"].values[-1, 0])
    assert ends == pytest.approx([-55, -55], rel=1e-9)
