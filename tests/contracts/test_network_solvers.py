"""Every method with fixed steps runs networks, and keeps its order there."""

from functools import cache
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import cm, mS, ms, mV, uA

FIXED: dict[str, tuple[Any, int]] = {
    "Euler": (sf.Euler(), 1),
    "Midpoint": (sf.Midpoint(), 2),
    "Heun": (sf.Heun(), 2),
    "RK4": (sf.RK4(), 4),
    "ThreeEighths": (sf.ThreeEighths(), 4),
    "ExponentialEuler": (sf.ExponentialEuler(), 1),
    "ExponentialMidpoint": (sf.ExponentialMidpoint(), 2),
    "ImplicitEuler": (sf.ImplicitEuler(), 1),
    "Rosenbrock": (sf.Rosenbrock(), 2),  # 3 without coupling, docs/design/solvers.md
}


def coupled() -> sf.Network:
    """Squid axons below threshold that inhibit each other by graded release."""
    cells = sf.Population("cells", 3, sf.load("hodgkin_huxley_1952"))
    gaba = sf.catalogue("synapses").gaba_a(g=2 * mS / cm**2)
    loop = sf.Projection(cells, cells, gaba, sf.AllToAll(self_connections=False))
    drive = sf.CurrentClamp(cells, np.array([12.0, 9.0, 6.0]) * uA / cm**2)
    return sf.Network(cells, loop, drive)


def exponential_integrate_and_fire() -> sf.Network:
    """A membrane equation that is not affine in v, held below threshold."""
    text = """
    dv/dt = (E_L - v + D*exp((v - V_T)/D) + u - w)/tau : mV
    dw/dt = (a*(v - E_L) - w)/tau_w                    : mV
    """
    cell = sf.Equations.parse(
        text,
        E_L=-65 * mV,
        D=2 * mV,
        V_T=-50 * mV,
        u=9.5 * mV,
        tau=10 * ms,
        tau_w=60 * ms,
        a=0.2,
        v=-65 * mV,
        w=0 * mV,
    )
    return sf.Network(sf.Population("cells", 2, cell))


NETWORKS = {"coupled": (coupled, 12), "exponential": (exponential_integrate_and_fire, 24)}
# The larger network with one explicit method, the smaller one with each.
FAMILIES = ("RK4", *list(FIXED)[5:])
CASES = [("exponential", method) for method in FIXED]
CASES += [("coupled", method) for method in FAMILIES]


def voltage(network: sf.Network, length: float, dt: float, solver: Any) -> np.ndarray:
    record = [network.populations[0]["v"].every(1 * ms)]
    run = sf.simulate(network, length * ms, dt=dt * ms, solver=solver, record=record)
    return run["cells.v"].values


@cache
def reference(name: str) -> np.ndarray:
    make, length = NETWORKS[name]
    return voltage(make(), length, 0.0025, sf.RK4())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_method_keeps_its_order_in_a_network(name: str, method: str) -> None:
    solver, order = FIXED[method]
    make, length = NETWORKS[name]
    network = make()
    steps = (0.1, 0.05) if name == "exponential" and order > 2 else (0.02, 0.01)
    errors = [np.abs(voltage(network, length, dt, solver) - reference(name)).max() for dt in steps]
    slope = np.log2(errors[0] / errors[1])
    assert slope > order - 0.15, errors


@pytest.mark.slow
def test_each_cell_has_a_block_of_its_own_and_batches_go_along() -> None:
    """A cell's voltage does not depend on how many cells stand beside it."""
    alone = sf.Population("cells", 1, sf.load("morris_lecar"))
    many = sf.Population("cells", 33, sf.load("morris_lecar"))
    for solver in (sf.ImplicitEuler(), sf.Rosenbrock(), sf.ExponentialEuler()):
        found = []
        for cells in (alone, many):
            clamp = sf.CurrentClamp(cells, 8 * uA / cm**2)
            run = sf.simulate(
                sf.Network(cells, clamp), 4 * ms, dt=0.05 * ms, solver=solver, record=[cells["v"]]
            )
            found.append(run["cells.v"].values[:, 0])
        np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (sf.Tsitouras(), "chooses its own steps.*ExponentialEuler"),
        (sf.DormandPrince(), "chooses its own steps"),
        (sf.BogackiShampine(), "chooses its own steps"),
        (sf.EulerMaruyama(), "stochastic"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_method_that_cannot_serve_says_what_to_use_instead(solver: Any, message: str) -> None:
    network = exponential_integrate_and_fire()
    with pytest.raises(sf.errors.RunError, match=message):
        sf.simulate(network, 1 * ms, solver=solver)


def test_explain_says_which_variable_takes_the_rosenbrock_form() -> None:
    text = exponential_integrate_and_fire().explain()
    v, w = (next(line for line in text.splitlines() if f" {x}" in line) for x in ("v", "w"))
    assert "Rosenbrock" in v
    assert "exact" in w


@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=() if m.startswith("Exp") else pytest.mark.slow) for m in FAMILIES],
)
def test_a_refractory_condition_that_never_holds_changes_nothing(method: str) -> None:
    """It is asked before a method differentiates, which must see what was looked at."""
    model = sf.Equations.parse(
        "dv/dt = (E - v - k*w*w*v)/tau : mV\ndw/dt = (0.3*v + b - w)/fast : mV",
        E=-65 * mV,
        tau=10 * ms,
        fast=0.6 * ms,
        k=0.05 / mV**2,
        b=20 * mV,
        v=-65 * mV,
        w=0 * mV,
    )
    found = []
    for refractory in (1 * ms, "v > 900*mV"):
        cells = sf.Population(
            "cells", 3, model, threshold="v > 1000*mV", reset="v = -65*mV", refractory=refractory
        )
        run = sf.simulate(
            sf.Network(cells),
            4 * ms,
            dt=0.25 * ms,
            solver=FIXED[method][0],
            record=[cells["v"], cells["w"]],
        )
        found.append([run[name].values for name in ("cells.v", "cells.w")])
    np.testing.assert_allclose(*found, rtol=1e-9)
    assert np.ptp(found[0][0]) > 0.1
