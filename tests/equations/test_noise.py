import pickle
from typing import Any

import numpy as np
import pytest

from somaflow.equations.affine import ZERO
from somaflow.equations.algebras import NumberAlgebra, describe
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Node, evaluate, is_noise, names, parse, render
from somaflow.equations.noise import listed, shared
from somaflow.errors import EquationError, UnitError, UnknownNameError
from somaflow.units import dimensions, ms, mV

OU = "dx/dt = -x/tau + sigma*sqrt(2/tau)*xi_x : 1"
VALUES = {"tau": 20 * ms, "sigma": 0.5}


def value(node: Node, **table: Any) -> float:
    return float(evaluate(node, NumberAlgebra(table)))


def test_names_of_noise() -> None:
    noises = ["xi", "xi_x", "xi_", "xi_2", "na.xi", "na.xi_m"]
    assert [
        name for name in [*noises, "x", "xix", "axi", "x_i", "xi.m", "Xi"] if is_noise(name)
    ] == (noises)


def test_an_ornstein_uhlenbeck_process() -> None:
    found = Equations.parse(OU, **VALUES)
    assert found.noises == {"x": ("xi_x",)}
    drift, factors = found.drift_and_diffusion("x")
    diffusion = factors["xi_x"]
    assert value(drift, x=3, tau=20) == -0.15
    assert value(diffusion, sigma=0.5, tau=20) == pytest.approx(0.5 * np.sqrt(0.1))
    assert "xi_x" not in names(drift) | names(diffusion)


def test_equations_without_noise() -> None:
    found = Equations.parse("dx/dt = -x/tau : 1", tau=20 * ms)
    assert found.noises == {}
    assert found.drift_and_diffusion("x") == (parse("-x/tau"), {})
    with pytest.raises(UnknownNameError, match="no state 'tau'"):
        found.drift_and_diffusion("tau")


def test_noise_comes_through_definitions_and_may_depend_on_states() -> None:
    text = """
    dv/dt = (E - v)/tau + kick + pull : mV
    kick = -where(v > E, strong, 2*strong)/sqrt(tau) + rate : mV/ms
    strong = v*xi : mV/ms**0.5
    rate = v/tau : mV/ms
    pull = E/tau : mV/ms
    dw/dt = xi_w*mV/sqrt(tau) : mV
    """
    found = Equations.parse(text, E=1 * mV, tau=4 * ms)
    assert found.noises == {"v": ("xi",), "w": ("xi_w",)}
    drift, factors = found.drift_and_diffusion("v")
    diffusion = factors["xi"]
    assert names(drift) | names(diffusion) == {"E", "v", "tau", "pull", "rate"}
    table = {"E": 1, "tau": 4, "pull": 0.25, "rate": 0.125}
    # by hand: at v = 3 the condition holds, at v = 0.5 it does not
    assert value(drift, v=3, **table) == pytest.approx((1 - 3) / 4 + 0.125 + 0.25)
    assert value(diffusion, v=3, **table) == pytest.approx(-3 / 2)
    assert value(diffusion, v=0.5, **table) == pytest.approx(-2 * 0.5 / 2)
    assert found.drift_and_diffusion("w")[0] == ZERO


def test_states_may_share_a_noise_and_have_several() -> None:
    text = """
    dx/dt = -x/tau + (a*xi_x + both)/sqrt(tau) : 1
    both = x*xi_c*where(x > 1, b, 2*b) : 1/ms**0.5
    dy/dt = -both/sqrt(tau) : 1
    """
    found = Equations.parse(text, tau=4 * ms, a=3.0, b=2.0)
    assert found.noises == {"x": ("xi_x", "xi_c"), "y": ("xi_c",)}
    assert listed(found.noises) == ("xi_x", "xi_c")
    assert shared(found.noises) == "dx/dt has the noises xi_x and xi_c"
    drift, factors = found.drift_and_diffusion("x")
    assert value(drift, x=3, tau=4) == -0.75
    assert value(factors["xi_x"], x=3, tau=4, a=3, b=2) == 1.5
    assert value(factors["xi_c"], x=3, tau=4, a=3, b=2) == 3
    drift, factors = found.drift_and_diffusion("y")
    assert (drift, value(factors["xi_c"], x=0.5, tau=4, b=2)) == (ZERO, -1)


def test_what_keeps_noises_from_being_one_of_its_own_for_each_state() -> None:
    assert shared({"x": ("xi",), "y": ("xi_y",)}) is None
    assert shared({}) is None
    assert shared({"x": ("xi",), "y": ("xi",)}) == "the noise xi drives x and y"


def test_without_units_noise_is_a_pure_number() -> None:
    found = Equations.parse("dx/dt = -x + 0.3*xi : 1")
    assert found.pure_time
    assert found.noises == {"x": ("xi",)}


def test_noise_is_part_of_the_canonical_form() -> None:
    found = Equations.parse(OU, **VALUES, x=1)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.noises == found.noises
    assert found(sigma=0.1).noises == found.noises
    assert Equations.parse(OU.replace("xi_x", "xi"), **VALUES, x=1) != found


T = "tau**0.5"
BROKEN = {
    "squared": ("dx/dt = -x/tau + xi_x**2 : 1", "xi_x**2 is not linear in", "xi_x**2 :"),
    "in a function": ("dx/dt = exp(xi_x)/tau : 1", "exp(xi_x) is not linear", "exp(xi_x)"),
    "a divisor": ("dx/dt = 1/(xi_x*tau*tau**0.5) : 1", "not linear in the white noise", "1/(xi"),
    "in a condition": (
        "dx/dt = where(xi_x > 0/sqrt(tau), x, 1)/tau : 1",
        "xi_x > 0 / sqrt(tau) is not linear",
        "xi_x > 0",
    ),
    "squared by definitions": (
        "dx/dt = square : 1\nsquare = once*once : 1/ms\nonce = 2*xi_x : 1/ms**0.5",
        "once * once is not linear in the white noise xi_x",
        "once*once",
    ),
    "a product": (
        "dx/dt = xi_a*xi_b : 1",
        "the white noises xi_a and xi_b are multiplied",
        "xi_b :",
    ),
    "a product by definitions": (
        "dx/dt = xi_a*z : 1\nz = 3*xi_b : 1/ms**0.5",
        "the white noises xi_a and xi_b are multiplied",
        "z : 1",
    ),
    "of no state": (
        "dx/dt = -x/tau : 1\nz = 2 + xi*sqrt(tau) : 1",
        "the noise xi drives no state",
        "xi*sqrt",
    ),
    "a state": ("dxi/dt = -xi/tau : 1", "'xi' is taken: it is white noise", "xi/dt"),
    "a definition": ("dx/dt = -x/tau : 1\nxi_x = tau : ms", "'xi_x' is taken", "xi_x ="),
    "an input": ("dx/dt = -x/tau : 1\nxi_x : 1", "'xi_x' is taken", "xi_x :"),
    "on spike": ("dx/dt = xi_x/tau**0.5 : 1\non spike: x += 1 + xi_x*sqrt(tau)",
                 "an assignment cannot depend on the white noise xi_x", "xi_x*sqrt"),
    "assigned on spike": ("dx/dt = xi_x/tau**0.5 : 1\non spike: xi_x = 1", "not a state", "xi_x ="),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words", "place"), BROKEN.values(), ids=BROKEN.keys())
def test_a_noise_that_breaks_a_rule(text: str, words: str, place: str) -> None:
    with pytest.raises(EquationError) as caught:
        Equations.parse(text, tau=20 * ms)
    message, line, caret = str(caught.value).split("\n")
    assert words in message
    assert type(caught.value) is EquationError
    assert line[caret.index("^") :].startswith(place)


def test_a_noise_is_no_parameter() -> None:
    with pytest.raises(EquationError, match="'xi_x' is taken: it is white noise"):
        Equations.parse(OU, **VALUES, xi_x=3)


def test_the_unit_of_noise() -> None:
    with pytest.raises(UnitError, match=r"1/ms added to 1/ms\*\*0.5 \(that of white noise\)"):
        Equations.parse(OU.replace("*sqrt(2/tau)", ""), **VALUES)
    assert describe(dimensions("1/ms**0.5")).startswith("1/ms**0.5")


NOISY = Equations.parse(
    f"{OU}\nloud = 3*xi_y : 1/ms**0.5\ndy/dt = loud/sqrt(tau) : 1", **VALUES, x=0, y=0
)
ELSEWHERE = {
    "threshold": (lambda: NOISY.condition("x > xi_x*sqrt(tau)"), "a threshold", "xi_x*"),
    "threshold by definition": (lambda: NOISY.condition("x > loud"), "a threshold", "loud"),
    "a noise of no equation": (lambda: NOISY.condition("x > xi_q"), "a threshold", "xi_q"),
    "reset": (lambda: NOISY.assignments("x = 1; y += loud"), "an assignment", "loud"),
    "initial": (lambda: NOISY(x="2*xi_x"), "the initial value of 'x'", "xi_x"),
    "initial by definition": (lambda: NOISY(x="loud"), "the initial value of 'x'", "loud"),
}


@pytest.mark.parametrize(("use", "what", "place"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_noise_stands_in_derivatives_only(use: Any, what: str, place: str) -> None:
    with pytest.raises(EquationError) as caught:
        use()
    message, line, caret = str(caught.value).split("\n")
    assert message.startswith(f"{what} cannot depend on the white noise xi_")
    assert line[caret.index("^") :].startswith(place)


def test_initial_values_of_noisy_equations() -> None:
    assert NOISY(x="2*tau/(1*ms)").initial_values({}, "here")["x"] == 40
    assert render(NOISY.states["y"].expression) == "loud / sqrt(tau)"
