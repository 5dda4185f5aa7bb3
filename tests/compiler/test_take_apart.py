"""Which form a synapse gets: a rewrite, or the general form with the reason; or it is refused."""

import re
from typing import Any

import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.errors import NetworkError
from somaflow.mechanisms.catalogue import Mechanism, from_data
from somaflow.network.forms import Graded, Jumping, Pulsed, take_apart
from somaflow.network.general import General
from somaflow.units import ms, mV, nA, nF, uS

MODEL = sf.Equations.parse(
    "dv/dt = (g*(E - v) + I_stim)/C : mV\ndu/dt = 0*mV/ms : mV\nI_stim : nA",
    E=-60 * mV,
    g=0.01 * uS,
    C=0.2 * nF,
    v=-60,
    u=0,
)
CELLS = sf.Population("cells", 2, MODEL, threshold="v > -50*mV")


def synapse(equations: str, **initial: Any) -> Mechanism:
    data = {
        "kind": "synapse",
        "title": "made for a test",
        "reference": "none",
        "weight": "g",
        "equations": equations,
        "parameters": {"g": "0.1 uS", "E": "0 mV", "tau": "5 ms", "k": "2 1"},
        "initial": initial,
        "check": [{"at": {}, "expect": {"I": 0.0}, "source": "none"}],
    }
    used = {name: value for name, value in data["parameters"].items() if name in equations}
    return from_data(data | {"parameters": used}, "odd")


def projection(equations: str, **initial: Any) -> sf.Projection:
    return sf.Projection(CELLS, CELLS, synapse(equations, **initial))


ALONE = {
    "a gate that reads the postsynaptic cell": (
        "v_post : mV\nI = g*s*(v_post - E) : nA\nds/dt = (v_post/E - s)/tau : 1",
        {"s": 0},
        r"ds/dt depends on \['v_post'\]",
    ),
    "a gate that reads the weight": (
        "v_pre : mV\nv_post : mV\nI = g*s*(v_post - E) : nA\n"
        "ds/dt = (g/(1*uS)*v_pre/E - s)/tau : 1",
        {"s": 0},
        r"ds/dt depends on \['g'\]",
    ),
    "a factor that mixes both sides": (
        "v_pre : mV\nv_post : mV\nI = g*s*(v_post - v_pre)**2/(1*mV) : nA\n"
        "ds/dt = (v_pre/E - s)/tau : 1",
        {"s": 0},
        "mixes what the presynaptic and the postsynaptic cell give",
    ),
    "the weight squared": (
        "v_pre : mV\nv_post : mV\nI = g*g/(1*uS)*s*(v_post - E) : nA\n"
        "ds/dt = (v_pre/E - s)/tau : 1",
        {"s": 0},
        "each term of I must be g times what the presynaptic and the postsynaptic cell give",
    ),
    "a jump that is no addition": (
        "v_post : mV\nI = s*(v_post - E) : nA\nds/dt = -s/tau : uS\non spike: s = g",
        {"s": 0},
        r"a spike can only add to s \('s \+= ...'\)",
    ),
    "a current that is not linear in what jumps": (
        "v_post : mV\nI = s*s/(1*uS)*(v_post - E) : nA\nds/dt = -s/tau : uS\non spike: s += g",
        {"s": 0},
        "is not affine in s",
    ),
    "a current that flows without a spike": (
        "v_post : mV\nI = (s + g)*(v_post - E) : nA\nds/dt = -s/tau : uS\non spike: s += 1*uS",
        {"s": 0},
        "I must be proportional to the weight g",
    ),
    "a decay that is not linear": (
        "v_post : mV\nI = s*(v_post - E) : nA\nds/dt = -s*s/tau/(1*uS) : uS\non spike: s += g",
        {"s": 0},
        "is not affine in s",
    ),
    "a pulse in the current": (
        "v_pre : mV\nv_post : mV\nI = g*(s + pulse(1*ms))*(v_post - E) : nA\n"
        "ds/dt = (v_pre/E - s)/tau : 1",
        {"s": 0},
        r"I depends on pulse\(\) itself; let a state follow the pulse",
    ),
    "a state of its own that moves": (
        "v_post : mV\nI = s*(v_post - E) : nA\nds/dt = -s/tau : uS\ndc/dt = -c/tau : uS\n"
        "on spike: c += g; s += c\non post spike: c += g",
        {"s": 0, "c": 0},
        "c is a state of every single synapse that changes between spikes",
    ),
    "a jump with a source": (
        "v_post : mV\nI = s*(v_post - E) : nA\nds/dt = (0.1*uS - s)/tau : uS\non spike: s += g",
        {"s": 0},
        "must decay to 0 and start there",
    ),
    "a jump that starts open": (
        "v_post : mV\nI = s*(v_post - E) : nA\nds/dt = -s/tau : uS\non spike: s += g",
        {"s": 0.3},
        "must decay to 0 and start there",
    ),
    "a pulse with a source": (
        "v_post : mV\nI = g*s*(v_post - E) : nA\nds/dt = (pulse(tau) + 0.1 - s)/tau : 1",
        {"s": 0},
        "must decay to 0 and start there",
    ),
    "a pulse that starts open": (
        "v_post : mV\nI = g*s*(v_post - E) : nA\nds/dt = (pulse(tau) - s)/tau : 1",
        {"s": 0.3},
        "must decay to 0 and start there",
    ),
    "chance": (
        "v_post : mV\nI = s*(v_post - E) : nA\nds/dt = -s/tau : uS\non spike: s += g*rand()",
        {"s": 0},
        r"a spike reads rand\(\)",
    ),
    "a jump of the cell": (
        "v_post : mV\ndx/dt = -x/tau : 1\non spike: x += 1; v_post = E*x*g/(1*uS)",
        {"x": 0},
        r"a spike can only add to v_post",
    ),
}

REFUSED = {
    "neither pulse nor jump": (
        "v_post : mV\nI = g*s*(v_post - E) : nA\nds/dt = -s/tau : 1",
        {"s": 0},
        "has states that nothing drives",
    ),
    "two pulses": (
        "v_post : mV\nI = g*s*(v_post - E) : nA\n"
        "ds/dt = (pulse(tau) + pulse(2*tau))/tau - s/tau : 1",
        {"s": 0},
        "has pulses of 2 durations; give one",
    ),
}


@pytest.mark.parametrize(("equations", "initial", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_synapse_that_cannot_be_computed_is_refused(
    equations: str, initial: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = projection(equations, **initial)
    with pytest.raises(NetworkError, match=message) as caught:
        take_apart(given)
    assert "'odd'" in str(caught.value)
    assert "'cells_to_cells'" in str(caught.value)
    monkeypatch.setattr(tf, "function", None)  # nothing is compiled before that
    with pytest.raises(NetworkError, match=message):
        sf.simulate(sf.Network(CELLS, given), 1 * ms)


@pytest.mark.parametrize(("equations", "initial", "reason"), ALONE.values(), ids=ALONE.keys())
def test_what_no_rewrite_takes_is_general(equations: str, initial: dict, reason: str) -> None:
    given = projection(equations, **initial)
    form = take_apart(given)
    assert isinstance(form, General)
    assert set(form.closed + form.flowing) == set(initial)
    assert re.search(reason, form.reason)
    said = sf.Network(CELLS, given).explain()
    assert "general: each synapse by itself in every step, since no rewrite applies. " in said
    assert re.search(reason, said)


@pytest.mark.parametrize(
    ("name", "kind", "states"),
    [
        ("gaba_a", Graded, ("o",)),
        ("nach", Pulsed, "o"),
        ("exponential_conductance", Jumping, ("G",)),
        ("exponential_conductance_density", Jumping, ("G",)),
        ("exponential_current", Jumping, ("J",)),
        ("exponential_current_density", Jumping, ("J",)),
    ],
)
def test_what_the_catalogue_holds(name: str, kind: type, states: object) -> None:
    point = name in ("exponential_conductance", "exponential_current")
    unit = "nA" if point else "uA/cm**2"
    model = sf.Equations.parse(
        f"dv/dt = I_stim/C : mV\nI_stim : {unit}", C=f"1 {'nF' if point else 'uF/cm**2'}", v=-60
    )
    cells = sf.Population("cells", 2, model, threshold="v > 0*mV")
    parts = take_apart(sf.Projection(cells, cells, sf.load(name)))
    found = {Graded: "rows", Pulsed: "state", Jumping: "sums"}[kind]
    assert isinstance(parts, kind)
    assert getattr(parts, found) == states


def test_factors_are_found_through_definitions_signs_and_divisors() -> None:
    given = projection(
        "v_post : mV\nI = -drive*opened/k : nA\ndrive = E - v_post : mV\nopened = g*s : uS\n"
        "ds/dt = pulse(1*ms)*(1 - s)/tau - s/tau : 1",
        s=0,
    )
    assert isinstance(take_apart(given), Pulsed)


def test_spikes_are_needed_where_a_synapse_waits_for_them() -> None:
    quiet = sf.Population("quiet", 2, MODEL)
    with pytest.raises(NetworkError, match="threshold"):
        sf.Projection(quiet, CELLS, sf.load("exponential_current")(i=0.1 * nA))


def phases(current: str) -> sf.Projection:
    text = "dtheta/dt = 1/ms + I_stim/ms : 1\nI_stim : 1"
    cells = sf.Population("cells", 7, sf.Equations.parse(text, theta=0))
    ports = "theta_pre : 1\ntheta_post : 1\nlag = theta_pre - theta_post : 1\n"
    return sf.Projection(cells, cells, sf.Equations.parse(f"{ports}I = {current} : 1", w=0.1))


@pytest.mark.parametrize(
    ("current", "sums"),
    [
        ("w*sin(lag)", 2),
        ("w*cos(0.3 - lag)", 2),
        ("w*sin(lag)*cos(lag + 1)", 4),
        ("w*(sin(lag) + sin(-theta_post))", 3),
    ],
)
def test_sines_of_what_both_cells_give_are_taken_apart(current: str, sums: int) -> None:
    form = take_apart(phases(current))
    assert isinstance(form, Graded)
    assert len(form.terms) == sums


@pytest.mark.parametrize(
    ("current", "factor"),
    [
        ("w*" + "*".join(f"sin(lag + {k})" for k in range(8)), "sin(lag + 0)"),
        ("w*sin(theta_post - w*theta_pre)", "sin(theta_post - w * theta_pre)"),
        ("w*sin(lag*theta_pre)", "sin(lag * theta_pre)"),
    ],
)
def test_what_would_become_too_many_sums_or_none_is_computed_by_synapse(
    current: str, factor: str
) -> None:
    form = take_apart(phases(current))
    assert isinstance(form, General)
    assert factor in form.reason
