"""What other simulators write otherwise: for each a sentence that says how it is written here."""

import ast
import re
from collections.abc import Container, Sequence

_TRUTHS = re.compile(r"^\s*(boolean|bool|integer|int)\b")
_FLAG = re.compile(r"^(?P<unit>[^(]*)\((?P<flag>[a-z][a-z ,-]*)\)\s*$")
_FLAGS = {
    "unless refractory": (
        "what stands still after a spike is said by the population: sf.Population(..., "
        "refractory=2*ms, hold=('v',))"
    ),
    "summed": "the current I of a synapse is summed over the synapses of a cell by itself",
    "event-driven": "between spikes the states of a synapse are in closed form by themselves",
    "clock-driven": "a state is advanced by the solver of the run",
    "linked": (
        "what is read of other cells is said by the population: sf.Population(..., "
        "links={'x': other['x']})"
    ),
    "constant": "a parameter has no line: give its value by name, as tau=10*ms",
    "constant over dt": "a definition is evaluated wherever it is needed",
    "shared": (
        "a parameter with one value is shared, and has no line: give it by name; a variable that "
        "all cells share is that of a population of one cell, sf.Population(..., "
        "links={'x': one['x']})"
    ),
    "scalar": "a parameter with one value is shared, and has no line: give it by name",
}
_DRIVEN = re.compile(r"^\s*(?P<name>[^\W\d]\w*_post)\s*=")
_EVENT = re.compile(r"^\s*on_(?P<side>pre|post)\s*[:=]\s*(?P<rest>.*)$")
# What is done at intervals, as calls say it.
_REGULAR = re.compile(r"^\s*@?([\w.]*\.)?(?P<name>every|run_regularly|network_operation)\(")
_DERIVATIVES = (
    re.compile(r"^\s*(?P<name>[^\W\d]\w*)\s*'\s*="),
    re.compile(r"^\s*d\s+(?P<name>[^\W\d]\w*)\s*/\s*d\s*t\s*="),
    re.compile(r"^\s*d\s*\(\s*(?P<name>[^\W\d]\w*)\s*\)\s*/\s*d\s*t\s*="),
    re.compile(r"^\s*d(?P<name>[^\W\d]\w*)\s*/\s*d\s+t\s*="),
)
_SCALED = re.compile(r"^(?P<factor>[^=:]*?)\*\s*d(?P<name>[^\W\d]\w*)\s*/\s*dt\s*=(?!=)")
_MAP = re.compile(
    r"^\s*(?P<name>[^\W\d]\w*?)\s*(_\{\s*\w+\s*\+\s*1\s*\}|\(\s*\w+\s*\+\s*1\s*\)|"
    r"\[\s*(?!n\s*\+)\w+\s*\+\s*1\s*\])\s*=(?!=)"
)
_CALLS = {
    "max": "write maximum(a, b)",
    "min": "write minimum(a, b)",
    "pow": "write x**2",
    "fabs": "write abs(x)",
    "ln": "write log(x)",
    "tan": "write sin(x)/cos(x)",
    "atan": "write arctan(x)",
    "atan2": "write arctan2(y, x)",
    "arcsin": "write arctan2(x, sqrt(1 - x**2))",
    "asin": "write arctan2(x, sqrt(1 - x**2))",
    "arccos": "write arctan2(sqrt(1 - x**2), x)",
    "acos": "write arctan2(sqrt(1 - x**2), x)",
    "sgn": "write sign(x)",
    "log2": "write log(x)/log(2)",
    "exp2": "write 2**x",
    "mod": "write a % b",
    "fmod": "write a % b",
    "square": "write x**2",
    "power": "write x**y",
    "sum": "write sum_post(w) in a rule 'every 350*ms: w *= 78.4/sum_post(w)', or sum_pre(w)",
    "rint": "write floor(x + 0.5)",
    "poisson": "write sf.PoissonInput or sf.SpikeSourcePoisson",
    "round": "write floor(x + 0.5)",
    "bool": "write a if condition else b, or int(condition)",
    "heaviside": "write int(x > 0)",
    "heav": "write int(x > 0)",
    "randn": "what is drawn for each cell is a distribution, as v=sf.Normal(-60*mV, 5*mV)",
}
_NAMES = {
    "not_refractory": "a cell in its refractory period does not spike anyway: leave it out",
    "lastspike": "the time since a spike is a state that grows and that a reset sets to 0",
    "i": "what differs from cell to cell is a parameter with an array for its value",
    "N": "the number of cells is a parameter, if equations need it: N=100",
    "PI": "write pi",
    "e": "write exp(x) for e**x",
    "True": "write 1, or a condition such as 1 > 0",
    "False": "write 0, or a condition such as 1 < 0",
    "inf": "numbers are finite",
}


def flag(unit: str, line: str = "") -> str | None:
    """Say how a unit with a flag behind it, such as `volt (unless refractory)`, is written.

    Args:
        unit: The unit.
        line: The line that it ends; may be empty.
    """
    if match := _TRUTHS.match(unit):
        return (
            f"{match[1]!r} is not a unit: states are real numbers, also those that are 0 or 1. End "
            "the line with ': 1', and write 'b > 0.5' where b is a condition."
        )
    match = _FLAG.match(unit)
    if match is None:
        return None
    said = [_FLAGS[key] for key in _known_flags(match["flag"])]
    if not said:
        return None
    own = match["unit"].strip()
    if (driven := _DRIVEN.match(line)) and "summed" in _known_flags(match["flag"]):
        name = driven["name"]
        return (
            f"drop the flag: {name!r} of all synapses is summed by itself, as the line "
            f"'{line.partition('(summed')[0].strip()}' says."
        )
    return f"a unit has no flag ({match['flag']}): end the line with ': {own}'; {'; '.join(said)}."


def _known_flags(text: str) -> list[str]:
    return [key for part in text.split(",") if (key := " ".join(part.split())) in _FLAGS]


def statement(line: str) -> str | None:
    """Say how a line that other simulators read is written here, or None where it is not one."""
    if match := _EVENT.match(line):
        event = "on spike" if match["side"] == "pre" else "on post spike"
        rest = match["rest"].strip().strip("'\"") or "..."
        return f"what a spike does is written '{event}: {rest}'."
    if _REGULAR.match(line):
        return (
            "what is done at intervals is written 'every 10*ms: w *= 0.99', and a Python function "
            "that is called at intervals is given to a run: sf.simulate(..., "
            "between=sf.Between(10*ms, function))."
        )
    for pattern in _DERIVATIVES:
        if match := pattern.match(line):
            return f"a derivative is written 'd{match['name']}/dt = ... : unit'."
    if match := _MAP.match(line):
        name = match["name"]
        return f"a map is written '{name}[n+1] = ... : unit', and what was before it '{name}[n]'."
    if "[n+1]" in "".join(line.partition("=")[2].split()):
        return "a map is made of what was before it: write out what stands for [n+1] on the right."
    if match := _SCALED.match(line.lstrip()):
        factor, name = match["factor"].strip(), match["name"]
        return f"the derivative stands alone: write 'd{name}/dt = (...)/{factor} : unit'."
    return None


def syntax(item: ast.AST, functions: Container[str]) -> str:
    """Say how a piece of Python that is no expression here is written, or an empty text."""
    match item:
        case ast.Call(func=ast.Attribute(attr=name)) if name in functions:
            return f"Functions have no module before them: write {name}(...)."
        case ast.Constant(value=bool()):
            return f"Here, {_NAMES[str(item.value)]}."
        case ast.Name(id="not_refractory" as name):
            return f"Here, {_NAMES[name]}."
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr()) | ast.UnaryOp(op=ast.Invert()):
            return "Conditions are joined by and, or, not: write (x > 0) and (y > 0)."
        case ast.BinOp(op=ast.FloorDiv()):
            return "Whole parts are written floor(a/b)."
        case ast.Compare(ops=[ast.Eq() | ast.NotEq() as op], left=left, comparators=[right]):
            near = "abs(a - b) < 0.5" if isinstance(op, ast.Eq) else "abs(a - b) > 0.5"
            if {part.id for part in (left, right) if isinstance(part, ast.Name)} == {"i", "j"}:
                near += "; that a cell does not reach itself is self_connections=False"
            return f"Numbers are hardly ever equal; whole numbers are compared by {near}."
        case ast.Compare(comparators=parts) if any(_joins(part) for part in [item.left, *parts]):
            return "Conditions are joined by and, or, not: write (x > 0) and (y > 0)."
        case ast.BinOp(op=ast.BitXor()):
            return "Powers are written x**2."
        case ast.Compare(left=left, ops=[_, _, *_], comparators=parts):
            ends = zip([left, *parts], item.ops, parts, strict=False)
            try:
                pairs = [ast.unparse(ast.Compare(a, [op], [b])) for a, op, b in ends]
            except RecursionError:  # which takes more frames than it takes to read
                pairs = ["0 < x", "x < 1"]
            return f"A comparison has two sides: write {' and '.join(pairs)}."
    return ""


def _joins(item: ast.AST) -> bool:
    return isinstance(item, ast.BinOp) and isinstance(item.op, ast.BitAnd | ast.BitOr)


def slip(text: str) -> str:
    """Say how operators of other languages are written that Python does not know."""
    if "&&" in text or "||" in text or re.search(r"!(?!=)", text):
        return "Conditions are joined by and, or, not: write x > 0 and not y > 0."
    return "Powers are written x**2, products a*b."


def call(name: str, arguments: Sequence[ast.AST] = ()) -> str:
    """Say how a function of other languages is written, or an empty text.

    Args:
        name: The function.
        arguments: What it is called with.
    """
    if name in _CALLS:
        return f" Here, {_CALLS[name]}."
    if any(isinstance(part, ast.Name) and part.id == "t" for part in arguments[:1]):
        return (
            " A course of time is a stimulus: a line 'I_stim : nA', and sf.Stimulus(cells, "
            "sf.Waveform(samples, every=1*ms))."
        )
    return ""


def drawn(text: str) -> str:
    """Say what stands for `rand()` in values of cells and synapses, or an empty text."""
    known = "rand()" in text or "randn()" in text
    return " What is drawn is a distribution, such as sf.Uniform(0*mV, 1*mV)." if known else ""


def port(name: str) -> str:
    """Say how something of the postsynaptic cell is changed, or an empty text."""
    if not name.endswith("_post"):
        return ""
    return (
        f" A state of the postsynaptic cell needs a line '{name} : unit'; an input is not assigned "
        f"to at spikes, but has a line '{name} = ... : unit'."
    )


def name(text: str) -> str:
    """Say how what a name of other simulators stands for is written, or an empty text."""
    if re.search(r"\w_(pre|post)$", text):
        return f" A quantity of the cell on that side is an input: add a line '{text} : unit'."
    return f" Here, {_NAMES[text]}." if text in _NAMES else ""
