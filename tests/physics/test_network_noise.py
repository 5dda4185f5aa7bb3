"""White noise in networks: known moments, those of `solve`, and the rate of a noisy cell."""

from typing import Any

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy.special import erfcx

import somaflow as sf
from somaflow.units import ms, mV

CELLS = 3000
TAU, SIGMA, DT = 10.0, 1.5, 0.5
PROCESS = sf.Equations.parse(
    """
    dx/dt = -x/tau + sigma*sqrt(2/tau)*xi : 1
    dy/dt = -y/tau + sigma*sqrt(2/tau)*(0.6*xi_y + 0.8*xi_c) : 1
    dz/dt = -z/tau + sigma*sqrt(2/tau)*xi_c : 1
    """,
    tau=TAU * ms,
    sigma=SIGMA,
    x=0,
    y=0,
    z=0,
)


def found(solver: Any, alone: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return x, y and z at 70, 80, 90 and 100 ms, in a network and, alone, by `solve`."""
    settings = {"dt": DT * ms, "solver": solver, "seed": 3}
    if alone:
        run = sf.solve(PROCESS(x=np.zeros(CELLS)), t1=100 * ms, every=10 * ms, **settings)
        return {name: run[name].values[-4:] for name in "xyz"}, {}
    own = sf.Population("own", CELLS, PROCESS)
    one = sf.Population("one", CELLS, PROCESS, shared_noise=("xi_c",))
    record = [cells[name].every(10 * ms) for cells in (own, one) for name in "xyz"]
    run = sf.simulate(sf.Network(own, one), 100 * ms, record=record, **settings)
    values = [{n: run[f"{who}.{n}"].values[-4:] for n in "xyz"} for who in ("own", "one")]
    return values[0], values[1]


@pytest.mark.parametrize("solver", [sf.EulerMaruyama(), sf.StochasticHeun()], ids=lambda s: s.name)
def test_networks_and_solves_have_the_moments_of_the_process(solver: Any) -> None:
    ratio, error = DT / TAU, 1 / np.sqrt(CELLS)
    # The stationary variance of the method itself; in the limit of small steps it is sigma**2.
    euler = solver.name == "Euler-Maruyama"
    factor = 1 - ratio if euler else 1 - ratio + ratio**2 / 2
    push = 1.0 if euler else 1 - ratio / 2
    variance = SIGMA**2 * 2 * ratio * push**2 / (1 - factor**2)
    (network, shared), (solve, _) = found(solver, False), found(solver, True)
    for values in (network, solve):
        for name in "xyz":
            late, before = values[name][-1], values[name][-2]
            assert abs(late.mean()) < 4 * SIGMA * error
            assert late.var() == pytest.approx(variance, rel=4 * np.sqrt(2) * error)
            correlation = np.corrcoef(late, before)[0, 1]
            assert correlation == pytest.approx(factor ** (10 / DT), abs=4 * error)
        across = np.corrcoef([values[name][-1] for name in "xyz"])
        assert np.abs(across - [[1, 0, 0], [0, 1, 0.8], [0, 0.8, 1]]).max() < 4 * error
    # With a noise that all cells share, z is one process; y is 0.8 of it and what is a cell's own.
    assert np.ptp(shared["z"], axis=1).max() == 0
    rest = shared["y"] - 0.8 * shared["z"]
    assert rest.var(axis=1) == pytest.approx(0.36 * variance, rel=4 * np.sqrt(2) * error)
    assert abs(np.corrcoef(rest[-1][1:], rest[-1][:-1])[0, 1]) < 4 * error
    assert not np.array_equal(shared["x"], network["x"])


def siegert(mean: float, sigma: float, tau: float, refractory: float, dt: float) -> float:
    """Return the rate of a leaky cell between reset 0 and threshold 1, in 1/ms.

    Siegert AJF (1951) On the first passage time probability problem. Physical Review 81:617-623.
    A threshold that is looked at every dt alone lies higher by 0.5826 times what the noise moves
    in a step: Broadie M, Glasserman P, Kou S (1997) A continuity correction for discrete barrier
    options. Mathematical Finance 7:325-349.

    Args:
        mean: Mean of the free cell.
        sigma: Standard deviation of the free cell.
        tau: Its time constant.
        refractory: The refractory period.
        dt: The step.
    """
    shift = 0.5826 * np.sqrt(2 * dt / tau)
    low, high = -mean / sigma / np.sqrt(2), ((1 - mean) / sigma + shift) / np.sqrt(2)
    nodes, weights = leggauss(80)
    u = low + (nodes + 1) * (high - low) / 2
    integral = (weights * erfcx(-u)).sum() * (high - low) / 2
    return float(1 / (refractory + tau * np.sqrt(np.pi) * integral))


def test_a_noisy_cell_fires_at_the_rate_of_siegert() -> None:
    tau, dt, mean, sigma, refractory, duration = 10.0, 0.05, 0.8, 0.4, 2.0, 300.0
    model = sf.Equations.parse(
        "dv/dt = (mean - v)/tau + sigma*sqrt(2/tau)*xi : mV",
        **{"mean": mean * mV, "sigma": sigma * mV, "tau": tau * ms, "v": 0 * mV},
    )
    cells = sf.Population(
        "cells", 500, model, threshold="v > 1*mV", reset="v = 0*mV", refractory=refractory * ms
    )
    run = sf.simulate(
        sf.Network(cells), duration * ms, dt=dt * ms, solver=sf.EulerMaruyama(), record=cells.spikes
    )
    times, begin = np.asarray(run["cells.spikes"].times), 50.0
    count = (times >= begin).sum()
    # A spike's step is not among those of the period, which is counted from its end.
    wanted = siegert(mean, sigma, tau, refractory + dt / 2, dt) * 500 * (duration - begin)
    assert wanted > 3000
    # Counts of a cell that fires after independent intervals vary less than Poisson's here.
    assert abs(count - wanted) < 3.5 * np.sqrt(wanted) + 0.01 * wanted
