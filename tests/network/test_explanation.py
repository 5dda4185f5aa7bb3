from typing import Any

import pytest

import somaflow as sf
from somaflow.mechanisms.catalogue import Mechanism, from_data
from somaflow.network.explanation import exponential_methods
from somaflow.units import ms, mV, nF, uS

PASSIVE = """
dv/dt = (g*(E - v) + I_stim)/C : mV
I_stim : nA
"""
ADEX = """
dv/dt = (g*(E - v) + upstroke - w + I_stim)/C : mV
upstroke = g*D*exp((v - V_T)/D) : nA
dw/dt = (a*(v - E) - w)/tau : nA
I_stim : nA
"""
VALUES: dict[str, Any] = {"g": 0.01 * uS, "E": -60 * mV, "C": 0.2 * nF, "v": -60}


def cells(name: str, text: str = PASSIVE, **values: Any) -> sf.Population:
    model = sf.Equations.parse(text, **VALUES, **values)
    return sf.Population(name, 2, model, threshold="v > -50*mV")


def synapse(equations: str, name: str = "made") -> Mechanism:
    parameters = {"g": "0.1 uS", "E": "0 mV", "tau": "5 ms", "D": "16 mV"}
    data = {
        "kind": "synapse",
        "title": "made for a test",
        "reference": "none",
        "weight": "g",
        "equations": equations,
        "parameters": {key: text for key, text in parameters.items() if key in equations},
        "initial": {"s": 0},
        "check": [{"at": {}, "expect": {"I": 0.0}, "source": "none"}],
    }
    return from_data(data, name)


def said(network: sf.Network) -> dict[str, dict[str, str]]:
    entries = exponential_methods(network.populations, network.projections).entries
    return {part: dict(pairs) for part, pairs in entries}


BLOCKED = "v_post : mV\nI = g*s*open*(v_post - E) : nA\nopen = 1/(1 + exp(-v_post/D)) : 1\n"
PLAIN = "v_post : mV\nI = g*s*(v_post - E) : nA\n"
PULSED = "ds/dt = pulse(1*ms)*(1 - s)/tau - s/tau : 1"
EXACT = "exact: affine in itself"
GRADED = "graded by the presynaptic cell"


def test_the_text_names_every_state(lobe: sf.Network) -> None:
    text = lobe.explain()
    lines = text.splitlines()
    assert lines[:3] == [
        "Exponential methods",
        "  population PN",
        "    v     exact: affine in itself",
    ]
    assert "  synapses PN_to_LN (nach)\n    o  closed form between events\n" in text
    assert f"  synapses lateral (gaba_a)\n    o  {GRADED}; {EXACT}" in text
    found = said(lobe)
    assert set(found["population LN"]) == set(lobe.population("LN").equations.states)
    assert {what for pairs in found.values() for what in pairs.values()} == {
        EXACT,
        "closed form between events",
        f"{GRADED}; {EXACT}",
    }


def test_hodgkin_and_huxley_are_exact() -> None:
    pop = sf.Population("hh", 1, sf.load("hodgkin_huxley_1952"))
    assert said(sf.Network(pop)) == {"population hh": dict.fromkeys("vmhn", EXACT)}


def test_an_exponential_upstroke_takes_the_rosenbrock_form() -> None:
    pop = cells("adex", ADEX, D=2 * mV, V_T=-50 * mV, a=0.004 * uS, tau=100 * ms, w=0)
    assert said(sf.Network(pop))["population adex"] == {
        "v": "Rosenbrock form: dv/dt is not affine in v, because of exp((v - V_T) / D).",
        "w": EXACT,
    }


def test_a_magnesium_block_takes_the_voltage_it_reaches_with_it() -> None:
    one, two = cells("one"), cells("two")
    nmda = sf.Projection(one, two, synapse(BLOCKED + PULSED, "nmda"))
    back = sf.Projection(two, one, synapse(PLAIN + PULSED))
    assert said(sf.Network(one, two, nmda, back)) == {
        "population one": {"v": EXACT},
        "population two": {
            "v": "Rosenbrock form: the current of synapse 'nmda' in 'one_to_two' is not affine in "
            "v_post, because of exp(-v_post / D)."
        },
        "synapses one_to_two (nmda)": {"s": "closed form between events"},
        "synapses two_to_one (made)": {"s": "closed form between events"},
    }


def test_a_current_that_is_multiplied_by_the_voltage() -> None:
    text = "dv/dt = (g*(E - v) + I_stim*v/E)/C : mV\nI_stim : nA"
    one = cells("one", text)
    assert said(sf.Network(one))["population one"]["v"] == EXACT
    loop = sf.Projection(one, one, synapse(PLAIN + PULSED))
    assert said(sf.Network(one, loop))["population one"]["v"] == (
        "Rosenbrock form: dv/dt is not affine in v, because of I_stim * v. "
        "I_stim holds synaptic currents that depend on v."
    )


@pytest.mark.parametrize(
    ("gate", "what"),
    [
        ("v_pre : mV\nds/dt = (sigmoid(v_pre/D) - s)/tau : 1", f"{GRADED}; {EXACT}"),
        (
            "v_pre : mV\nds/dt = (drive - s*s)/tau : 1\ndrive = v_pre/D : 1",
            f"{GRADED}; Rosenbrock form: ds/dt is not affine in s, because of s * s.",
        ),
        (
            "ds/dt = pulse(1*ms)/tau - s*s/tau : 1",
            "each synapse by itself, with the solver; Rosenbrock form: ds/dt is not affine in s, "
            "because of s * s.",
        ),
    ],
    ids=["graded", "graded and not affine", "pulsed and not affine"],
)  # fmt: skip
def test_gates(gate: str, what: str) -> None:
    one = cells("one")
    made = sf.Projection(one, one, synapse(PLAIN + gate))
    assert said(sf.Network(one, made))["synapses one_to_one (made)"] == {"s": what}
