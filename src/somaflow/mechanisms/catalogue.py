"""The catalogue: reads mechanism files, refuses incomplete ones, and runs their checks.

A file states its kind, source, equations, parameters with units, initial values, and at least one
check: numbers from a paper or from an independent implementation.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from somaflow import units
from somaflow.description import Description
from somaflow.equations.algebras import NumberAlgebra, Numbers
from somaflow.equations.equations import Equations, starts
from somaflow.equations.expression import Name, Node, evaluate, names
from somaflow.equations.statements import are_maps
from somaflow.errors import (
    MechanismError,
    MissingValueError,
    SomaflowError,
    UnknownMechanismError,
    UnknownNameError,
    WrongTypeError,
    nearest,
)
from somaflow.given import is_among, is_number, shown
from somaflow.mechanisms.files import Toml, read
from somaflow.units import Parameter

KINDS = {"channel": "channels", "synapse": "synapses", "pool": "pools", "neuron": "neurons"}
_FOLDER = Path(__file__).parent
_REQUIRED = {"kind", "title", "reference", "equations", "parameters", "check"}
_OPTIONAL = {
    "channel": {"initial", "ion"},
    "synapse": {"initial", "weight"},
    "pool": {"initial", "provides"},
    "neuron": {"initial", "threshold", "reset", "refractory"},
}
_DETAILS = {"ion", "weight", "threshold", "reset", "refractory"}  # all texts
_CHECK = {"at", "expect", "source", "tolerance"}


@dataclass(frozen=True, eq=False)
class Mechanism(Description):
    """A channel, synapse, pool or neuron from the catalogue or a user's own file.

    Call it to set parameters: `leak(g=0.15*mS/cm**2, E=-55*mV)`.

    Attributes:
        name: The file's name.
        kind: `channel`, `synapse`, `pool` or `neuron`.
        title: One line that says what it is.
        reference: Where the numbers come from.
        equations: The dynamics, with parameters and initial values.
        details: What a kind says beyond equations: `weight` (the parameter of a synapse that
            may differ between synapses, or the state where they are plastic), `ion` (what a
            channel's current carries), `provides` (the states of a pool that others read),
            `threshold`, `reset`, `refractory`.
    """

    name: str
    kind: str
    title: str
    reference: str
    equations: Equations
    details: dict[str, Any]

    def __post_init__(self) -> None:
        for key in ("name", "title", "reference"):
            if not isinstance(getattr(self, key), str):
                raise WrongTypeError(
                    f"the {key} of a mechanism is a text, not {shown(getattr(self, key))}."
                )
        if not is_among(self.kind, KINDS):
            raise MechanismError(f"kind is {shown(self.kind)}; it is one of {', '.join(KINDS)}.")
        if not isinstance(self.equations, Equations) or not isinstance(self.details, dict):
            raise WrongTypeError(
                f"{self.name!r} takes sf.Equations and a dict of details, not "
                f"{shown(self.equations)} and {shown(self.details)}."
            )

    def __call__(self, **values: object) -> "Mechanism":
        """Return the mechanism with other parameters or initial values.

        Args:
            **values: Quantities, or plain numbers in the declared units.

        Raises:
            UnknownNameError: The mechanism has no such parameter.
            UnitError: A value has the wrong unit.
        """
        try:
            equations = self.equations(**values)
        except SomaflowError as error:
            raise type(error)(f"{self.kind} {self.name!r}: {error}") from None
        return Mechanism(self.name, self.kind, self.title, self.reference, equations, self.details)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={p}" for key, p in self.equations.parameters.items())
        return f"{self.name}({values})"


class Catalogue:
    """The mechanisms of one kind, as attributes: `sf.catalogue("channels").leak`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __dir__(self) -> list[str]:
        return [path.stem for path in sorted((_FOLDER / self._folder).glob("*.toml"))]

    def __getattr__(self, name: str) -> Mechanism:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in dir(self):
            raise UnknownMechanismError(
                f"there is no {self._folder.removesuffix('s')} {name!r} in the catalogue."
                f"{nearest(name, dir(self))}"
            )
        return _catalogued(_FOLDER / self._folder / f"{name}.toml")

    def __iter__(self) -> Iterator[str]:
        return iter(dir(self))


def catalogue(kind: str) -> Catalogue:
    """Return the mechanisms of one kind.

    Args:
        kind: `"channels"`, `"synapses"`, `"pools"` or `"neurons"`.

    Raises:
        UnknownNameError: There is no such kind.
    """
    if not is_among(kind, KINDS.values()):
        raise UnknownNameError(f"no catalogue of {shown(kind)}.{nearest(kind, KINDS.values())}")
    return Catalogue(kind)


def load(name: str) -> Mechanism:
    """Return a mechanism by its name, or from a file of your own.

    Args:
        name: A name of the catalogue, such as `"hodgkin_huxley_1952"`, or the path of a
            `.toml` file.

    Raises:
        UnknownMechanismError: The catalogue has no such name.
        MechanismError: The file breaks a rule of the catalogue.
    """
    path = _path(name)
    return _catalogued(path) if path.is_relative_to(_FOLDER) else from_data(read(path), path.stem)


def _path(name: object) -> Path:
    if isinstance(name, (str, Path)) and str(name).endswith(".toml"):
        return Path(name)
    paths = {path.stem: path for path in sorted(_FOLDER.glob("*/*.toml"))}
    if not is_among(name, paths):
        raise UnknownMechanismError(f"there is no mechanism {shown(name)}.{nearest(name, paths)}")
    return paths[name]


@cache
def _catalogued(path: Path) -> Mechanism:
    return from_data(read(path), path.stem)


def from_data(data: Toml, name: str) -> Mechanism:
    """Build a mechanism from the contents of its file.

    Args:
        data: What the TOML file says.
        name: The mechanism's name.

    Raises:
        MechanismError: An unknown key, a missing reference, unit or check.
        EquationError: A slip in the equations.
    """
    if not isinstance(data, dict):
        raise MechanismError(f"{name}: a mechanism is a table of keys, not {shown(data)}.")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise MechanismError(f"{name}: kind is {kind!r}; it must be one of {', '.join(KINDS)}.")
    if missing := _REQUIRED - set(data):
        raise MechanismError(f"{name}: the file lacks {', '.join(sorted(missing))}.")
    allowed = _REQUIRED | _OPTIONAL[kind]
    for key in data:
        if key not in allowed:
            raise MechanismError(f"{name}: unknown key {key!r}.{nearest(key, allowed)}")
    _check_types(data, name)
    parameters = {}
    for key, value in data["parameters"].items():
        if not isinstance(value, str) or " " not in value.strip():
            raise MechanismError(
                f"{name}: parameter {key!r} is {value!r}; write its unit too, such as '0.3 mV', "
                "or '0.3 1' for a pure number."
            )
        parameters[key] = units.parameter(value, None, key, name)
    try:
        equations = Equations(data["equations"], parameters, dict(data.get("initial", {})))
    except SomaflowError as error:
        raise type(error)(f"{name}: {error}") from None
    if kind in ("channel", "pool") and (equations.on_spike or equations.rules):
        raise MechanismError(
            f"{name}: a {kind} is a part of a cell and has no 'on spike:' and no 'every' lines."
        )
    if are_maps(equations.states) and kind != "neuron":
        raise MechanismError(f"{name}: its states are maps, x[n+1] = ..., as only a neuron's are.")
    details = {key: data[key] for key in sorted(_OPTIONAL[kind] - {"initial"}) if key in data}
    if "provides" in details:
        details["provides"] = tuple(details["provides"])
    weight = details.get("weight")
    if kind == "synapse" and weight not in {*parameters, *equations.states}:
        raise MechanismError(f"{name}: weight is {weight!r}; it must name a parameter or a state.")
    title, reference = str(data["title"]), str(data["reference"])
    return Mechanism(name, kind, title, reference, equations, details)


def _check_types(data: Toml, name: str) -> None:
    for key in ("title", "reference", "equations"):
        if not isinstance(data[key], str) or not data[key].strip():
            raise MechanismError(f"{name}: the {key} is {data[key]!r}; it must be a text.")
    for key in ("parameters", "initial"):
        if not isinstance(data.get(key, {}), dict):
            raise MechanismError(f"{name}: {key} must be a table, not {shown(data[key])}.")
    for key in _DETAILS & set(data):
        if not isinstance(data[key], str):
            raise MechanismError(f"{name}: {key} is {shown(data[key])}; it must be a text.")
    provided = data.get("provides", [])
    if not isinstance(provided, list) or not all(isinstance(ion, str) for ion in provided):
        raise MechanismError(f"{name}: provides is {shown(provided)}; it must be a list of names.")
    all_checks = data["check"]
    if not isinstance(all_checks, list) or not all_checks:
        raise MechanismError(f"{name}: the file lacks a [[check]].")
    for number, check in enumerate(all_checks, 1):
        keys = set(check) if isinstance(check, dict) else set()
        if keys - _CHECK or not {"at", "expect", "source"} <= keys or not check["expect"]:
            raise MechanismError(
                f"{name}: check {number} has the keys {sorted(keys)}; it needs at, expect (of at "
                "least one number) and source, and may have tolerance."
            )
        _check_numbers(check, f"{name}: check {number}")


def _check_numbers(check: Toml, where: str) -> None:
    """Refuse a check whose numbers are none, or whose source is no text."""
    for key in ("at", "expect"):
        table = check[key]
        if not isinstance(table, dict) or not all(map(is_number, table.values())):
            raise MechanismError(
                f"{where}: {key} is {shown(table)}; it must be a table of names and numbers."
            )
    tolerance = check.get("tolerance", 0.0)
    if not is_number(tolerance) or tolerance < 0:
        raise MechanismError(
            f"{where}: tolerance is {shown(tolerance)}; it must be a number of at least 0."
        )
    if not isinstance(check["source"], str):
        raise MechanismError(f"{where}: source is {shown(check['source'])}; it must be a text.")


class Comparison(TypedDict):
    """A number of a check, and what the equations give; both in the declared unit."""

    name: str
    expected: float
    found: float
    tolerance: float  # relative
    source: str


def checks(mechanism_name: str) -> list[Comparison]:
    """Run the checks of a mechanism.

    Args:
        mechanism_name: What `load` takes.

    Returns:
        One comparison a number.
    """
    mechanism = load(mechanism_name)
    results: list[Comparison] = []
    for check in read(_path(mechanism_name))["check"]:
        for name, expected in check["expect"].items():
            value = value_at(mechanism.equations, name, check["at"])
            results.append(
                {
                    "name": name,
                    "expected": expected,
                    "found": value,
                    "tolerance": check.get("tolerance", 1e-9),
                    "source": check["source"],
                }
            )
    return results


def _define(equations: Equations, table: dict[str, Numbers], given: set[str]) -> None:
    """Evaluate those definitions that are not given and whose names all have values."""
    for key, definition in equations.definitions.items():
        if key in given:
            continue
        table.pop(key, None)
        # A check names only the inputs that it needs; what needs others is left out.
        if names(definition.expression) - set(units.NAMES) <= set(table):
            table[key] = evaluate(definition.expression, NumberAlgebra(table))


def value_at(equations: Equations, name: str, at: dict[str, float]) -> float:
    """Evaluate a definition, a derivative (`dm/dt`) or a steady state (`m_inf`) with NumPy.

    Args:
        equations: The equations.
        name: A definition; `dm/dt`; `m`, its initial value; or `m after spike` (or `m after post
            spike`), what the assignments at a spike make of it.
        at: Values of inputs and states, and of definitions in place of their formulas, in their
            declared units.

    Returns:
        The value in its declared unit (derivatives: per ms).

    Raises:
        UnknownNameError: The equations have no such name.
        MissingValueError: The value depends on something that `at` does not give.
    """
    derivative = re.fullmatch(r"d(.+)/dt", name)
    event = re.fullmatch(r"(.+) after (post )?spike", name)
    state = derivative[1] if derivative else event[1] if event else name
    unit = equations.unit(state)
    table: dict[str, Numbers] = {key: p.value for key, p in equations.parameters.items()}
    table |= {key: value * units.factor(equations.unit(key)) for key, value in at.items()}
    _define(equations, table, set(at))
    if event:
        for assignment in equations.on_post_spike if event[2] else equations.on_spike:
            if names(assignment.expression) - set(units.NAMES) <= set(table):
                table[assignment.name] = evaluate(assignment.expression, NumberAlgebra(table))
            else:
                table.pop(assignment.name, None)
            _define(equations, table, set(at))
    node: Node = Name(state if event else name)
    if derivative and state in equations.states:
        node = equations.states[state].expression
    elif name in equations.states and not event:
        initial = equations.require_initial(name, "the equations")
        if isinstance(initial, Parameter):
            return float(initial.declared)
        node = starts(equations).get(name, node)
    if missing := names(node) - set(units.NAMES) - set(table):
        raise MissingValueError(f"{name!r} needs the value of {', '.join(sorted(missing))}.")
    return float(np.asarray(evaluate(node, NumberAlgebra(table))) / units.factor(unit))
