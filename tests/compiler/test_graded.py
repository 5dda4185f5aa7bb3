"""Graded synapses equal states of every synapse, which RK4 integrates with the cells."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import ms, mV, nA, nF, uS

pytestmark = pytest.mark.slow

DT, STEPS, EVERY = 0.05, 400, 3  # ms; 20 ms; the drive changes every 3 steps
N_PRE, N_POST = 5, 3
RNG = np.random.default_rng(31)
PRE = (np.linspace(5, 15, N_PRE), RNG.normal(0, 900, (1 + STEPS // EVERY, N_PRE)), EVERY)
POST = (np.linspace(0.2, 0.4, N_POST), RNG.normal(0, 60, (1 + STEPS // EVERY, N_POST)), EVERY)
WEIGHT = RNG.uniform(0.05, 0.5, (N_PRE, N_POST))
WEIGHT[0, 1] = 0.0
GAP = np.triu(RNG.uniform(0.1, 2.0, (N_PRE, N_PRE)), 1)
GAP = GAP + GAP.T


@dataclass
class Kind:
    """A synapse as text, and in plain NumPy."""

    synapse: sf.Equations
    initial: dict[str, float]
    slope: Callable[[Any, Any, Any], dict[str, Any]]
    current: Callable[[Any, Any, Any, Any], Any]
    duration: float = 0.0
    source: str = "a"


def sigmoid(v: Any) -> Any:
    return 1 / (1 + np.exp(-(v + 20) / 5))


def parse(text: str, **numbers: Any) -> sf.Equations:
    return sf.Equations.parse(text, E=-95 * mV, w=1 * uS, **numbers)


CASCADE = "v_post : mV\nI = w*G**4/(G**4 + K)*(v_post - E) : nA\ndG/dt = k*R - G/tau : 1\n"
NUMBERS = {"K": 0.3, "k": "0.9 1/ms", "tau": 5 * ms, "up": "2 1/ms", "down": "0.3 1/ms"}


def cascade(z: Any, transmitter: Any) -> dict[str, Any]:
    rise = 2 * (1 - z["R"]) * transmitter - 0.3 * z["R"]
    return {"G": 0.9 * z["R"] - z["G"] / 5, "R": rise}


def opened(z: Any, v_pre: Any, v: Any, w: Any) -> Any:
    return w * z["G"] ** 4 / (z["G"] ** 4 + 0.3) * (-95 - v)


KINDS = {
    "gate": Kind(
        parse(
            "v_pre : mV\nv_post : mV\nI = w*o*(v_post - E) : nA\n"
            "do/dt = 4*(1 - o)/(1 + exp(-(v_pre + 20*mV)/(5*mV)))/ms - o/tau : 1",
            tau=6 * ms,
            o=0.1,
        ),
        {"o": 0.1},
        lambda z, v, pulse: {"o": 4 * (1 - z["o"]) * sigmoid(v) - z["o"] / 6},
        lambda z, v_pre, v, w: w * z["o"] * (-95 - v),
    ),
    "two_states": Kind(
        parse(
            "v_pre : mV\n" + CASCADE + "dR/dt = up*(1 - R)*T - down*R : 1\n"
            "T = 1/(1 + exp(-(v_pre + 20*mV)/(5*mV))) : 1",
            **NUMBERS,
            R=0,
            G=0,
        ),
        {"R": 0.0, "G": 0.0},
        lambda z, v, pulse: cascade(z, sigmoid(v)),
        opened,
    ),
    "two_states_and_pulses": Kind(
        parse(CASCADE + "dR/dt = up*(1 - R)*pulse(0.33*ms) - down*R : 1", **NUMBERS, R=0, G=0),
        {"R": 0.0, "G": 0.0},
        lambda z, v, pulse: cascade(z, pulse),
        opened,
        duration=0.33,
    ),
    "no_state": Kind(
        parse(
            "v_pre : mV\nv_post : mV\nI = w*(v_post - E)/(1 + exp(-(v_pre + 20*mV)/(5*mV))) : nA",
        ),
        {},
        lambda z, v, pulse: {},
        lambda z, v_pre, v, w: w * sigmoid(v_pre) * (-95 - v),
    ),
    "two_terms": Kind(
        parse("v_pre : mV\nv_post : mV\nI = 0.1*w*(v_post - v_pre/2) : nA"),
        {},
        lambda z, v, pulse: {},
        lambda z, v_pre, v, w: 0.1 * w * (v_pre / 2 - v),
    ),
    "angles": Kind(
        parse(
            "v_pre : mV\nv_post : mV\nlag = -(v_post/(40*mV) - v_pre/(30*mV)) : 1\n"
            "I = 20*w*(sin(lag + 0.3) - 2*cos(lag))*mV : nA"
        ),
        {},
        lambda z, v, pulse: {},
        lambda z, v_pre, v, w: (
            -20 * w * (np.sin(v_pre / 30 - v / 40 + 0.3) - 2 * np.cos(v_pre / 30 - v / 40))
        ),
    ),
    "gap_junction": Kind(
        sf.load("gap_junction").equations,
        {},
        lambda z, v, pulse: {},
        lambda z, v_pre, v, w: w * (v_pre - v),
        source="gap_junction",
    ),
}


def numbers_of(name: str) -> tuple:
    return PRE if name in ("a", "gap_junction") else POST


def weight_of(name: str) -> np.ndarray:
    return GAP if name == "gap_junction" else WEIGHT


def cells(name: str) -> sf.Population:
    leak = numbers_of(name)[0]
    model = sf.Equations.parse(
        "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA",
        E=-60 * mV,
        g=leak * uS,
        C=1 * nF,
        v=-60,
    )
    return sf.Population(name, len(leak), model, threshold="v > -20*mV")


def projection(cells: dict[str, sf.Population], name: str, **more: Any) -> sf.Projection:
    kind = KINDS[name]
    synapse = sf.load("gap_junction") if name == "gap_junction" else kind.synapse
    connector = sf.AllToAll(self_connections=False) if name == "gap_junction" else sf.AllToAll()
    return sf.Projection(
        cells[kind.source], cells[name], synapse, connector, weight=weight_of(name) * uS, **more
    )


@pytest.fixture(
    scope="module", params=["dense", "gathered", pytest.param("loop", marks=pytest.mark.slow)]
)
def both(request: pytest.FixtureRequest, plain: Any, forced: Any) -> tuple[sf.Solution, Any]:
    made = {name: cells(name) for name in ("a", *KINDS)}
    delay = 7 if request.param == "gathered" else 0  # of pulses, the only ones that can have one
    network = sf.Network(
        *made.values(),
        *(
            projection(made, name, **({"delay": delay * DT * ms} if kind.duration else {}))
            for name, kind in KINDS.items()
        ),
        *(
            sf.Stimulus(p, sf.Waveform(numbers_of(name)[1] * nA, EVERY * DT * ms))
            for name, p in made.items()
        ),
    )
    with forced(request.param):
        run = sf.simulate(
            network, STEPS * DT * ms, dt=DT * ms, record=[p["v"] for p in made.values()]
        )
    synapses = [
        (
            kind.source,
            name,
            kind,
            weight_of(name),
            np.full(weight_of(name).shape, delay if kind.duration else 0),
        )
        for name, kind in KINDS.items()
    ]
    return run, plain({name: numbers_of(name) for name in made}, synapses, DT, STEPS)


@pytest.mark.parametrize("name", KINDS)
def test_voltages_equal_those_of_one_state_a_synapse(both: tuple, name: str) -> None:
    run, wanted = both
    found = run[f"{name}.v"].values
    assert found.shape == wanted.v[name].shape
    error = np.abs(found - wanted.v[name]).max() / np.abs(wanted.v[name]).max()
    assert error < 1e-12


@pytest.mark.parametrize("name", KINDS)
def test_the_synapses_are_felt(both: tuple, plain: Any, name: str) -> None:
    alone = plain({name: numbers_of(name)}, [], DT, STEPS).v[name]
    assert np.abs(both[1].v[name] - alone).max() > 5


def test_pulses_with_several_delays_are_of_each_synapse() -> None:
    made = {name: cells(name) for name in ("a", "two_states_and_pulses")}
    delays = np.arange(N_PRE * N_POST).reshape(WEIGHT.shape) * DT
    joined = projection(made, "two_states_and_pulses", delay=delays * ms)
    assert "delays of its synapses differ" in sf.Network(*made.values(), joined).explain()
