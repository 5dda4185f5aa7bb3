"""Equations: differential equations as text or as a Python function, checked when made."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from somaflow import units
from somaflow.description import Description
from somaflow.equations import checking, dialects, events, noise, statements
from somaflow.equations.affine import check_size
from somaflow.equations.algebras import NOISE, PURE, Numbers, UnitAlgebra, describe
from somaflow.equations.drawing import Setting, held
from somaflow.equations.expression import (
    RAND,
    Binary,
    Call,
    Name,
    Node,
    dependencies,
    evaluate,
    is_condition,
    parse,
    render,
    walk,
)
from somaflow.equations.initial import Arrays, Draw, finite, lacking, of_cells, resolve
from somaflow.equations.statements import AT_THE_START, Assignment, Variable, check_names
from somaflow.equations.tracing import trace_derivatives
from somaflow.equations.writing import Draft, canonical
from somaflow.errors import (
    EquationError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
    nearest,
)
from somaflow.given import is_among, shown
from somaflow.units import Dimensions


@dataclass(frozen=True, eq=False)
class Equations(Description):
    """A system of ordinary differential equations with units.

    Make one with `Equations.parse` or `Equations.from_function`. The text has one statement a
    line; `#` begins a comment; `x[n+1] = a*x[n]*(1 - x[n]) : 1` is a map, made once a step::

        dv/dt = (E_L - v + R*I)/tau : mV     a state, and the unit of the state
        I = g*(E_L - v) : nA                 a definition
        I_ext : nA                           an input, given by whatever drives the equations
        on spike: g += weight                an assignment at each spike (in synapses), also to an
                                             input of the postsynaptic cell, such as v_post
        on post spike: w += a                the same at each spike of the postsynaptic cell
        every 10*ms: w *= 0.99               the same at intervals, of a synapse or a cell

    There `rand()` is a number from 0 to 1, drawn for each synapse and spike.
    In a derivative `xi`, or `xi_` and more, is white noise of unit 1/sqrt(time):
    `dx/dt = -x/tau + sigma*sqrt(2/tau)*xi_x : 1`.

    Attributes:
        text: The statements in canonical form, which is what equality compares.
        source: The statements as they were written.
        parameters: Value and unit of each parameter; scalars, or one value per cell.
        initial: Initial value of states: a value with unit, or an expression as text.
        states: The states in the order of the text.
        definitions: The definitions, each after those that it needs.
        inputs: Unit of each input.
        noises: The white noises of each state that has any.
        on_spike: What happens at a spike.
        on_post_spike: What happens at a spike of the postsynaptic cell.
        rules: What is done at intervals.
        pure_time: True where time is a pure number, because no unit occurs at all.
    """

    reads_text: ClassVar[bool] = True
    text: str
    parameters: dict[str, Setting]
    initial: dict[str, Setting | str]
    states: dict[str, Variable] = field(init=False)
    definitions: dict[str, Variable] = field(init=False)
    inputs: dict[str, str] = field(init=False)
    noises: dict[str, tuple[str, ...]] = field(init=False)
    on_spike: tuple[Assignment, ...] = field(init=False)
    on_post_spike: tuple[Assignment, ...] = field(init=False)
    rules: tuple[events.Rule, ...] = field(init=False)
    pure_time: bool = field(init=False)
    source: str = field(init=False)
    _own: frozenset[str] = field(init=False)
    _starts: dict[str, Node] = field(init=False, default_factory=dict)
    _tables: dict[Any, Any] = field(init=False, default_factory=dict)

    @classmethod
    def parse(cls, text: str, **parameters: Any) -> "Equations":
        """Read equations from text.

        Args:
            text: The statements; see the class.
            **parameters: Value of each parameter, as a quantity or a pure number. The name of a
                state gives its initial value, in its declared unit.

        Returns:
            The checked equations.

        Raises:
            EquationError: A syntax slip, a definition cycle, an assignment to a parameter.
            UnitError: Units that do not fit, in an equation or in a value.
            UnknownNameError: A name that nothing defines.
        """
        if not isinstance(text, str):
            raise WrongTypeError(
                f"equations are text, one statement a line, not {shown(text)}; "
                "a function goes to Equations.from_function."
            )
        defined = statements.state_names(text)
        values = {
            key: held(value, None, key) for key, value in parameters.items() if key not in defined
        }
        initial = {key: value for key, value in parameters.items() if key in defined}
        return cls(text, values, initial)

    @classmethod
    def from_function(
        cls, function: Callable[..., object], initial: Mapping[str, object], **parameters: object
    ) -> "Equations":
        """Trace a Python function into equations.

        Args:
            function: `f(t, y)` or `f(t, y, p)`, which returns a dict of derivatives; `y` and `p`
                are dicts of states and parameters. It uses Python operators and `sf.math`.
            initial: Initial value of each state; its unit is the unit of the state.
            **parameters: Value of each parameter.

        Returns:
            The same object that `parse` makes from the equivalent text.

        Raises:
            TraceError: The function does something that cannot be traced, such as calling `tf`.
        """
        if not callable(function) or not isinstance(initial, Mapping):
            raise WrongTypeError("from_function needs f(t, y, p) and initial={'x': ..., ...}.")
        states = {key: units.parameter(value, None, key) for key, value in initial.items()}
        traced = trace_derivatives(function, states, parameters)
        lines = [f"d{key}/dt = {render(traced[key])} : {states[key].unit}" for key in states]
        return cls.parse("\n".join(lines), **{**parameters, **states})

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise WrongTypeError(f"equations are text, not {shown(self.text)}.")
        self._read({}, {})

    def _read(self, trees: Mapping[str, Node], starts: Mapping[str, Node]) -> None:
        """Set all fields from the text, and from those of its trees that are known."""
        lines = statements.read(self.text, self.parameters, trees)
        states, definitions = lines.states, lines.definitions
        if not (states or definitions or lines.spikes):
            raise EquationError("there are no equations in this text.")
        setter = object.__setattr__
        setter(self, "states", states)
        setter(self, "inputs", lines.inputs)
        setter(self, "definitions", definitions)
        setter(self, "_own", frozenset({*states, *definitions, *lines.inputs, *self.parameters}))
        for variable in (*states.values(), *definitions.values()):
            check_names(variable.expression, self._own, frozenset(), variable.line, variable.number)
        setter(self, "definitions", statements.in_order(definitions))
        setter(self, "noises", noise.find(states, self.definitions))
        declared = (*self.inputs.values(), *(p.unit for p in self.parameters.values()))
        setter(self, "pure_time", checking.is_pure(states, definitions, declared))
        checking.check(states, self.definitions, self.dimensions(), self.parameters, self.pure_time)
        setter(self, "on_spike", events.read_spikes(lines, self.assignments, False))
        setter(self, "on_post_spike", events.read_spikes(lines, self.assignments, True))
        setter(self, "rules", events.read_rules(lines, self))
        self._start({}, self.initial, starts)
        setter(self, "parameters", dict(sorted(self.parameters.items())))
        setter(self, "source", self.text)
        spikes = {"spike": self.on_spike, "post spike": self.on_post_spike}
        text = canonical(self.inputs, self.definitions, self.states, spikes)
        setter(self, "text", "\n".join([text, *events.written(self.rules)]))

    def dimensions(self, pure_time: bool | None = None) -> dict[str, Dimensions]:
        """Return the dimensions of every name that the equations define or use."""
        pure = self.pure_time if pure_time is None else pure_time
        table = {key: units.dimensions(p.unit) for key, p in self.parameters.items()}
        table |= {key: units.dimensions(unit) for key, unit in self.inputs.items()}
        both = {**self.states, **self.definitions}
        table |= {key: units.dimensions(variable.unit) for key, variable in both.items()}
        table |= {name: PURE if pure else NOISE for name in noise.listed(self.noises)}
        return table | {"t": PURE if pure else units.dimensions("ms")}

    def _advising(
        self, table: Mapping[str, Dimensions], node: Node, wanted: Dimensions | None = None
    ) -> AbstractContextManager[None]:
        """Name the unit of parameters that are plain numbers, where units of a tree do not fit."""
        own = partial(checking.sides, self.states, self.definitions, self.pure_time)
        return checking.advising(self.parameters, table, lambda: [*own(), (node, wanted)])

    def _start(
        self,
        kept: Mapping[str, Setting | str],
        given: Mapping[str, object],
        trees: Mapping[str, Node],
    ) -> None:
        """Set the initial values: what is given, once it is checked, in place of what was kept.

        Of what is given, `trees` has the expressions that are known as trees.
        """
        values = {
            key: self._initial(key, given[key], trees.get(key)) if key in given else kept[key]
            for key in {**kept, **given}
        }
        ordered = {key: values[key] for key in self.states if key in values}
        object.__setattr__(self, "initial", ordered)

    def _initial(self, name: str, value: object, tree: Node | None) -> Setting | str:
        if name not in self.states:
            raise UnknownNameError(
                f"there is no state {name!r} to give an initial value.{nearest(name, self.states)}"
            )
        self._starts.pop(name, None)
        if isinstance(value, str):
            node = tree or parse(value)
            statements.refuse_condition(node, value)
            check_names(node, self._own, AT_THE_START, value)
            noise.refuse(node, self.definitions, f"the initial value of {name!r}", value)
            table = self._dimensions(AT_THE_START)
            with self._advising(table, node, table[name]):
                dimensions = evaluate(node, UnitAlgebra(table, value))
                if dimensions != table[name]:
                    raise UnitError(
                        f"the initial value of {name!r} is {describe(dimensions)}, not "
                        f"{self.states[name].unit}.",
                        value,
                    )
            self._starts[name] = node
            return render(node)
        return held(value, self.states[name].unit, name, "the initial state")

    def condition(self, text: str, known: frozenset[str] = frozenset()) -> Node:
        """Read a condition such as `v > -50*mV` on these equations.

        Args:
            text: Comparisons, joined by `and`, `or` and `not`.
            known: What has a value too: `dt`, the step of a run; `rand()`, drawn in each; `i`.

        Raises:
            EquationError, UnitError, UnknownNameError: As for equations.
        """
        if (node := parse(text)) is self._tables.get((text, known)):
            return node  # it was checked, and no other values can change that
        check_names(node, self._own, known, text)
        noise.refuse(node, self.definitions, "a threshold", text)
        if not is_condition(node):
            raise EquationError("a threshold is a comparison such as v > -50*mV.", text)
        table = self._dimensions(known)
        with self._advising(table, node):
            evaluate(node, UnitAlgebra(table, text))
        return self._tables.setdefault((text, known), node)

    def _dimensions(self, known: frozenset[str]) -> dict[str, Dimensions]:
        if known not in self._tables:
            table = self.dimensions()
            every = {"dt": table["t"], RAND: PURE, statements.CELL: PURE}
            self._tables[known] = {name: every[name] for name in known & every.keys()} | table
        return self._tables[known]

    def assignments(
        self,
        text: str,
        line: str | None = None,
        offset: int = 0,
        number: int | None = None,
        ports: frozenset[str] = frozenset(),
        known: frozenset[str] = frozenset(),
    ) -> tuple[Assignment, ...]:
        """Read assignments such as `v = -65*mV; w += b`, separated by `;` or line ends.

        Inputs named in `ports` may be assigned to as well. `known` is as for `condition`.

        Raises:
            EquationError: A slip, or an assignment to something that is not a state.
            UnitError, UnknownNameError: As for equations.
        """
        if not isinstance(text, str):
            raise WrongTypeError(f"assignments are a text such as 'v = -65*mV', not {shown(text)}.")
        if line is None and "\n" in text:
            rows = text.split("\n")
            return tuple(item for row in rows for item in self.assignments(row, known=known))
        line = text if line is None else line
        items: list[Assignment] = []
        table = self._dimensions(known)
        for match, start in statements.split_assignments(text, line, offset, number):
            name, operator = statements.name_of(match), match[2]
            column = start + match.start(1)
            if name not in self.states and name not in ports:
                kind, hint = "not a state", dialects.port(name) or nearest(name, self.states)
                if name in self.parameters:
                    kind, unit = "a parameter", self.parameters[name].unit
                    hint = f" Write 'd{name}/dt = 0*{unit}/ms : {unit}' to make it one."
                raise EquationError(
                    f"{name!r} is {kind}; only states can be assigned to.{hint}",
                    line,
                    column,
                    number,
                )
            node = parse(match[3], line, start + match.start(3), number)
            statements.refuse_condition(node, line, number)
            check_names(node, self._own, known, line, number)
            noise.refuse(node, self.definitions, "an assignment", line, number)
            if operator != "=":
                node = Binary(operator[0], Name(name), node, column=node.column)
            with self._advising(table, node, table[name]):
                unit = evaluate(node, UnitAlgebra(table, line, number))
                if unit != table[name]:
                    raise UnitError(
                        f"{name!r} is {describe(table[name])}; it cannot become {describe(unit)}.",
                        line,
                        node.column,
                        number,
                    )
            items.append(Assignment(name, node))
        return tuple(items)

    def __call__(self, **values: object) -> "Equations":
        """Return the equations with other values for parameters or initial states.

        Raises:
            UnknownNameError: There is no such parameter or state.
            UnitError: A value has the wrong unit.
        """
        parameters, initial = dict(self.parameters), {}
        for name, value in values.items():
            if name in self.parameters:
                unit = self.parameters[name].unit
                parameters[name] = held(value, unit, name)
            elif name in self.states:
                initial[name] = value
            else:
                known = {*self.parameters, *self.states}
                raise UnknownNameError(f"there is no parameter {name!r}.{nearest(name, known)}")
        # No unit can have changed, so nothing is checked again but the initial values given.
        new = object.__new__(type(self))
        vars(new).update(vars(self), parameters=parameters, _starts={**self._starts})
        new._start(self.initial, initial, {})
        return new

    def depends(self, node: Node) -> set[str]:
        """Return all names that a tree depends on, through definitions."""
        return dependencies(node, {key: v.expression for key, v in self.definitions.items()})

    def drift_and_diffusion(self, state: str) -> noise.Parts:
        """Return the drift of dstate/dt, and the factor of each of its noises, as trees.

        Definitions that depend on a noise are written out.

        Raises:
            UnknownNameError: There is no such state.
        """
        if state not in self.states:
            raise UnknownNameError(f"there is no state {state!r}.{nearest(state, self.states)}")
        if state not in self.noises:
            return self.states[state].expression, {}
        drift, factors = noise.parts(self.states[state], self.definitions, self.noises[state])
        for part in (drift, *factors.values()):
            check_size(part, {}, f"d{state}/dt")
        return drift, factors

    def unit(self, name: str) -> str:
        """Return the declared unit of a state, definition, parameter or input.

        Raises:
            UnknownNameError: There is none of that name.
        """
        known = {*self.states, *self.definitions, *self.parameters, *self.inputs}
        if not is_among(name, known):
            raise UnknownNameError(f"the equations have no {shown(name)}.{nearest(name, known)}")
        for table in (self.states, self.definitions, self.parameters):
            if name in table:
                return table[name].unit
        return self.inputs[name]

    @cached_property
    def uses_pulse(self) -> bool:
        """Whether an equation calls `pulse`, which only a synapse can answer."""
        both = (*self.states.values(), *self.definitions.values())
        parts = (item for variable in both for item in walk(variable.expression))
        return any(isinstance(item, Call) and item.function == "pulse" for item in parts)

    def initial_values(
        self, given: Mapping[str, Numbers], where: str, draw: Draw | None = None
    ) -> Arrays:
        """Return the initial value of every state, in the coherent system.

        Args:
            given: Values that take the place of the equations' own, in the coherent system.
            where: What the equations belong to, for messages.
            draw: Returns the numbers of the cells, of `"i"`, or what the first `rand()` in the
                initial value of v draws for each, of `"v: 0"`; None where there are no cells.

        Returns:
            An array for each state, in the order of the states.

        Raises:
            MissingValueError: A state has none, one that is not finite, or one that needs cells.
        """
        own = {key: self.require_initial(key, where) for key in self.states if key not in given}
        table: dict[str, Numbers] = {key: p.value for key, p in self.parameters.items()}
        table |= {key: np.zeros(()) for key in self.inputs} | {"t": 0.0} | dict(given)
        table |= {key: value.value for key, value in own.items() if not isinstance(value, str)}
        waiting = {key: self._starts[key] for key, value in own.items() if isinstance(value, str)}
        waiting = of_cells(waiting, AT_THE_START - self._own, table, where, draw)
        table = resolve(waiting, table, self.definitions, where)
        return finite({key: table[key] for key in self.states}, where)

    def require_initial(self, name: str, where: str) -> Setting | str:
        """Return the initial value of a state.

        Raises:
            MissingValueError: None was given.
        """
        if name not in self.initial:
            raise lacking(self.states[name], where)
        return self.initial[name]

    def __repr__(self) -> str:
        lines = [line.strip() for line in self.source.strip().splitlines()]
        values = [f"{key} = {value}" for key, value in self.parameters.items()]
        return "Equations(\n  " + "\n  ".join(lines + values) + "\n)"


def from_draft(
    draft: Draft, parameters: Mapping[str, Setting], initial: Mapping[str, Setting | str]
) -> Equations:
    """Return the equations that a draft's text is, without reading its trees again.

    Raises:
        SomaflowError: As where the text is read.
    """
    new = object.__new__(Equations)
    vars(new).update(text=draft.text, parameters={**parameters}, initial={**initial})
    vars(new).update(_starts={}, _tables={})
    new._read(draft.trees, draft.starts)
    return new


def starts(equations: Equations) -> Mapping[str, Node]:
    """Return the trees of those initial values that are expressions."""
    return equations._starts
