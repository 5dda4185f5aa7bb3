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
    "boolean": ("b : boolean", UnitError, "states are real numbers, .* End the line with ': 1'"),
    "integer with a flag": ("b : integer (constant)", UnitError, "states are real numbers"),
    "summed by its own line": (
        "g_post = v*tau : ms (summed)",
        UnitError,
        r"drop the flag: .* the line 'g_post = v\*tau : ms' says",
    ),
    "equal": ("dv/dt = int(v == 1)/tau : 1", EquationError, r"abs\(a - b\) < 0\.5"),
    "unequal": ("dv/dt = int(v != 1)/tau : 1", EquationError, r"abs\(a - b\) > 0\.5"),
    "a course of time": ("dv/dt = stim(t)/tau : 1", UnknownNameError, r"sf\.Waveform\(samples"),
    "&": ("dv/dt = int(v > 1 & v < 2)/tau : 1", EquationError, "joined by and, or, not"),
    "|": ("dv/dt = int((v > 1) | (v < 0))/tau : 1", EquationError, "joined by and, or, not"),
    "~": ("dv/dt = int(~(v > 1))/tau : 1", EquationError, "joined by and, or, not"),
    "&&": ("dv/dt = int(v > 1 && v < 2)/tau : 1", EquationError, "joined by and, or, not"),
    "||": ("dv/dt = int(v > 1 || v < 2)/tau : 1", EquationError, "joined by and, or, not"),
    "!": ("dv/dt = int(!(v > 1))/tau : 1", EquationError, "joined by and, or, not"),
    "fmod": ("dv/dt = fmod(v, 2)/tau : 1", UnknownNameError, "write a % b"),
    "square": ("dv/dt = square(v)/tau : 1", UnknownNameError, r"write x\*\*2"),
    "power": ("dv/dt = power(v, 3)/tau : 1", UnknownNameError, r"write x\*\*y"),
    "sum": ("every 10*ms: w *= 2/sum(w)", UnknownNameError, r"write sum_post\(w\) in a rule"),
    "True": ("dv/dt = True/tau : 1", EquationError, "write 1"),
    "//": ("dv/dt = (v//2)/tau : 1", EquationError, r"written floor\(a/b\)"),
    "e": ("dv/dt = e**v/tau : 1", UnknownNameError, r"write exp\(x\) for e\*\*x"),
    "lastspike": ("dv/dt = -v/tau + lastspike : 1", UnknownNameError, "a state that grows"),
    "a quantity of a cell": ("I = F_pre*tau : 1", UnknownNameError, "a line 'F_pre : unit'"),
    "a declared parameter": ("tau : ms", EquationError, "unit of its value, so leave this line"),
}


@pytest.mark.parametrize(("line", "kind", "words"), LINES.values(), ids=LINES)
def test_what_others_write_otherwise_gets_a_sentence(
    line: str, kind: type[EquationError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        Equations.parse(f"\n{line}\n{'dw/dt = 1/tau : 1' if 'every' in line else ''}", tau=10 * ms)
    assert type(caught.value) is kind
    assert f"line 2: {line}" in str(caught.value)


def test_what_is_written_alike_is_read() -> None:
    made = Equations.parse("dX/dt = (E-X)/tau + xi*tau**-0.5*mV :  mV", tau=10 * ms, E=1 * mV)
    assert list(made.states) == ["X"]
