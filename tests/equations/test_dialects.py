import pytest

from somaflow import Equations
from somaflow.errors import EquationError, UnitError, UnknownNameError
from somaflow.units import ms, mV

LINES = {
    "flag of refractoriness": (
        "dv/dt = -v/tau : volt (unless refractory)",
        UnitError,
        r"end the line with ': volt'.*sf.Population\(\.\.\., refractory=",
    ),
    "constant": ("E : volt (constant)", UnitError, "a parameter has no line"),
    "two flags": (
        "I = v : volt (shared, constant over dt)",
        UnitError,
        "a parameter with one value .*a definition is evaluated",
    ),
    "summed": ("G = v : volt (summed)", UnitError, "summed over the synapses of a cell"),
    "event-driven": ("dv/dt = -v/tau : 1 (event-driven)", UnitError, "in closed form"),
    "an unknown flag": ("dv/dt = -v/tau : volt (odd)", UnitError, "is not a unit"),
    "on_pre": ("on_pre: v_post += w", EquationError, r"written 'on spike: v_post \+= w'"),
    "on_pre as a text": ("on_pre = 'w += 1'", EquationError, r"written 'on spike: w \+= 1'"),
    "on_post": ("on_post : w += 1", EquationError, r"written 'on post spike: w \+= 1'"),
    "a prime": ("X' = -X/tau : 1", EquationError, "written 'dX/dt = ... : unit'"),
    "a space": ("d X/dt = -X/tau : 1", EquationError, "written 'dX/dt"),
    "parentheses": ("d(X)/dt = -X/tau : 1", EquationError, "written 'dX/dt"),
    "a factor": ("tau*dX/dt = -X : 1", EquationError, r"write 'dX/dt = \(\.\.\.\)/tau : unit'"),
    "a power": ("dv/dt = -v^2/tau : 1", EquationError, r"Powers are written x\*\*2"),
    "a module": ("dv/dt = -np.exp(v)/tau : 1", EquationError, r"write exp\(\.\.\.\)"),
    "int of a number": ("dv/dt = int(v)/tau : 1", EquationError, "is none"),
    "atan": ("dv/dt = atan(v)/tau : 1", UnknownNameError, r"write arctan\(x\)"),
    "tan": ("dv/dt = tan(v)/tau : 1", UnknownNameError, r"write sin\(x\)/cos\(x\)"),
    "arcsin": ("dv/dt = arcsin(v)/tau : 1", UnknownNameError, "write arctan2"),
    "gamma": ("dv/dt = gamma(v)/tau : 1", UnknownNameError, "The functions are exp, "),
    "pi as a state": ("dpi/dt = -v/tau : 1", EquationError, "it is the number 3.14159"),
    "lastspike": ("dv/dt = -v/tau + lastspike : 1", UnknownNameError, "a state that grows"),
    "a quantity of a cell": ("I = F_pre*tau : 1", UnknownNameError, "a line 'F_pre : unit'"),
    "a declared parameter": ("tau : ms", EquationError, "unit of its value, so leave this line"),
}


@pytest.mark.parametrize(("line", "kind", "words"), LINES.values(), ids=LINES)
def test_what_others_write_otherwise_gets_a_sentence(
    line: str, kind: type[EquationError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        Equations.parse(f"\n{line}\n", tau=10 * ms)
    assert type(caught.value) is kind
    assert f"line 2: {line}" in str(caught.value)


def test_what_is_written_alike_is_read() -> None:
    made = Equations.parse("dX/dt = (E-X)/tau + xi*tau**-0.5*mV :  mV", tau=10 * ms, E=1 * mV)
    assert list(made.states) == ["X"]
