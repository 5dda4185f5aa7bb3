"""Synapses read definitions of presynaptic cells: the same as what these are made of."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError
from somaflow.units import Hz, ms, mV, nA

CELL = """
dv/dt = (E_L - v + R*I_stim)/tau + 0.4*mV/ms*sin(2*pi*f*t) : mV
F = top/(1 + exp(-(v - half)/(2*mV))) : Hz
scaled = 3*F : Hz
I_stim : nA
"""


def cells(name: str = "cells", **more: Any) -> sf.Population:
    given: dict[str, Any] = {"E_L": -60 * mV, "R": 10 * mV / nA, "tau": 10 * ms, "f": 20 * Hz}
    given |= {"top": 100 * Hz, "half": np.linspace(-62, -58, 7) * mV, "v": np.linspace(-64, -56, 7)}
    return sf.Population(name, 7, sf.Equations.parse(CELL, **given | more))


def both(solver: Any, dtype: Any = "float64") -> list[np.ndarray]:
    """Return voltages where synapses read the definition, and where they read states."""
    found = []
    for text, more in (
        ("I = weight*scaled_pre/(100*Hz) : nA\nscaled_pre : Hz", {}),
        (
            "I = weight*3*top/(1 + exp(-(v_pre - half)/(2*mV)))/(100*Hz) : nA\nv_pre : mV",
            {"top": 100 * Hz, "half": -60 * mV},
        ),
    ):
        pop = cells(half=-60 * mV)
        synapse = sf.Equations.parse(text, weight=0.05 * nA, **more)
        joined = sf.Projection(pop, pop, synapse, sf.FixedProbability(0.5, seed=2))
        made = sf.simulate(
            sf.Network(pop, joined), 50 * ms, dt=0.1 * ms, solver=solver, dtype=dtype,
            record=pop["v"],
        )  # fmt: skip
        found.append(made["cells.v"].values)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("solver", [sf.RK4(), sf.ExponentialEuler(), sf.Rosenbrock()])
def test_it_is_what_it_is_made_of(solver: Any) -> None:
    read, out = both(solver)
    assert np.ptp(out[-1]) > 0.1
    assert np.allclose(read, out, rtol=1e-12, atol=1e-9)


def test_each_cell_reads_its_own_parameters() -> None:
    """`half` differs between cells, which a parameter of the synapse could not say."""
    follower = sf.Equations.parse(
        "dx/dt = (-x + R*I_stim)/tau : mV\nI_stim : nA", R=10 * mV / nA, tau=5 * ms, x=0 * mV
    )
    pop, post = cells(), sf.Population("post", 7, follower)
    synapse = sf.Equations.parse("I = -w*F_pre/Hz : nA\nF_pre : Hz", w=1e-3 * nA)
    network = sf.Network(pop, post, sf.Projection(pop, post, synapse, sf.OneToOne()))
    made = sf.simulate(
        network, 20 * ms, dt=0.1 * ms, solver=sf.Euler(), record=[pop["F"], post["x"]]
    )
    rates, x = made["cells.F"].values, np.zeros(7)
    assert len(np.unique(rates[0].round(9))) == 7
    for rate in rates[:-1]:
        x = x + 0.1 * (-x + 10 * 1e-3 * rate) / 5
    assert np.allclose(made["post.x"].values[-1], x, rtol=1e-9)


def test_a_spike_takes_what_the_cell_has_then() -> None:
    cell = sf.Equations.parse(
        "dv/dt = 1*mV/ms : mV\ndu/dt = 1/ms : 1\nsize = 2*u : 1", v=0 * mV, u=[0.0, 10.0]
    )
    pre = sf.Population("pre", 2, cell, threshold="v > 5*mV", reset="v = 0*mV")
    post = sf.Population("post", 2, sf.Equations.parse("dx/dt = 0/ms : 1", x=0))
    synapse = sf.Equations.parse("on spike: x_post += size_pre\nsize_pre : 1\nx_post : 1")
    joined = sf.Projection(pre, post, synapse, sf.OneToOne())
    made = sf.simulate(sf.Network(pre, post, joined), 6 * ms, dt=0.1 * ms, record=pre.spikes)
    assert len(made["pre.spikes"].times) == 2
    assert np.allclose(made.final.states["post"]["x"], [10.0, 30.0], atol=0.25)


def test_a_spike_reads_what_was_there_before_the_reset() -> None:
    """v rises by 1 mV a ms and crosses 5.05 mV in the step that ends at 5.1 ms."""
    cell = sf.Equations.parse("dv/dt = 1*mV/ms : mV\nF = 2*v : mV", v=0 * mV)
    pre = sf.Population("pre", 1, cell, threshold="v > 5.05*mV", reset="v = -3*mV")
    post = sf.Population("post", 1, sf.Equations.parse("dx/dt = 0*mV/ms : mV", x=0 * mV))
    for read, wanted in (("v_pre", 5.1), ("F_pre", 10.2)):
        text = f"on spike: x_post += {read}\n{read} : mV\nx_post : mV"
        joined = sf.Projection(pre, post, sf.Equations.parse(text), sf.OneToOne())
        made = sf.simulate(sf.Network(pre, post, joined), 6 * ms, dt=0.1 * ms, record=[])
        assert made.final.states["post"]["x"][0] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I = weight*net_pre/nA*nA/nA : nA\nnet_pre : nA", "is defined by an input"),
        ("I = weight*F_post/Hz : nA\nF_post : Hz\nv_pre : mV", "states are read"),
        ("I = weight*G_pre/Hz : nA\nG_pre : Hz", "has no state 'G'"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    equations = sf.Equations.parse(
        CELL + "net = I_stim : nA", E_L=-60 * mV, R=10 * mV / nA, tau=10 * ms, f=20 * Hz,
        top=100 * Hz, half=-60 * mV, v=-60 * mV,
    )  # fmt: skip
    pop = sf.Population("cells", 3, equations)
    with pytest.raises(NetworkError, match=words):
        sf.Projection(pop, pop, sf.Equations.parse(text, weight=0.05 * nA), sf.AllToAll())
