"""Doctor: why a state of a network ceased to be finite, and what to try."""

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import tensorflow as tf

from somaflow.compiler.abreast import apart
from somaflow.compiler.diagnosis.findings import Finding, Rate
from somaflow.compiler.diagnosis.moments import (
    NODES,
    FlowRow,
    Index,
    Moment,
    Stage,
    moved,
    nudged,
    rows_of,
)
from somaflow.compiler.diagnosis.terms import Term, measure, origin, summands, text_of
from somaflow.compiler.states import Constants, Parameters
from somaflow.compiler.step import FlowState, NetworkDynamics
from somaflow.equations.events import falls_on
from somaflow.equations.expression import Binary, Call, Name, render, walk
from somaflow.simulation.replay import Failure
from somaflow.simulation.system import Array, numbered

# At a node of the step: how much of it to go along the slopes found there, to the next of them.
_STAGES = ((0, 0.5), (1, 0.5), (1, 1.0), (2, 0.0))
_BACK = (64, 32, 16, 8, 4, 2, 1, 0)  # steps before the last finite state that are looked at
_CELLS = 4  # of each row that are looked at
_STATES, _OPERANDS = 8, 4  # that are listed
# An explicit method of one stage is stable while dt times the rate is below this; RK4 up to 2.79.
_STABLE = 2.0
_HOPELESS = 1000.0
_GROWS = 0.01  # dt times a positive rate from which a state counts as running away


class Doctor:
    """Says why a step of a network did not end finite.

    Args:
        dynamics: The functions of the network.
        parameters: Their parameters, as arrays.
    """

    def __init__(self, dynamics: NetworkDynamics, parameters: Parameters) -> None:
        self.dynamics, self.parameters = dynamics, parameters

    def __call__(self, failure: Failure) -> str:
        """Return what happened in that step, in a few lines, the first of which says all at once.

        Args:
            failure: The step.
        """
        parameters = tf.nest.map_structure(tf.constant, self.parameters)
        constants = self.dynamics.prepare(parameters, failure.dt, NODES)
        with np.errstate(all="ignore"):
            return _Case(self.dynamics, constants, failure).report()


class _Case:
    """One failure."""

    def __init__(self, dynamics: NetworkDynamics, constants: Constants, failure: Failure) -> None:
        self.dynamics, self.constants, self.failure = dynamics, constants, failure
        self.dt, self.rows = failure.dt, tuple(rows_of(dynamics))
        self.start = self.stage(0)

    def stage(self, back: int) -> Stage:
        """Return the start of the bad step, or of one before."""
        carry = self.failure.before if back == 0 else self.failure.earlier(back)
        step = self.failure.step - back
        return Stage(Moment(self.dynamics, self.constants, carry, step, self.dt), 0, carry.flow)

    def of(self, flow: FlowState, row: FlowRow) -> Array:
        """Return a row of the flow state without padding."""
        size = self.dynamics.layouts[row.population].size
        return np.asarray(flow[row.block])[row.row][..., :size]

    # ------------------------------------------------------------------ what happened

    @cached_property
    def bad(self) -> dict[FlowRow, Array]:
        """Where each row is not finite at the step's end; only rows with such a place."""
        masks = {row: ~np.isfinite(self.of(self.failure.after.flow, row)) for row in self.rows}
        return {row: mask for row, mask in masks.items() if mask.any()}

    @cached_property
    def finding(self) -> Finding | None:
        """The term that overflowed, at the places where the Runge-Kutta method would look."""
        stage, flow = self.start, self.failure.before.flow
        for k, (_, part) in enumerate(_STAGES):
            finding = self._traced(stage)
            if finding is not None:
                return finding
            flow = moved(self.failure.before.flow, stage.slopes, part * self.dt)
            if k + 1 == len(_STAGES) or not all(np.isfinite(block).all() for block in flow):
                return None
            stage = Stage(self.start.moment, _STAGES[k + 1][0], flow)
        return None

    def _traced(self, stage: Stage) -> Finding | None:
        """Return where the slopes of a stage lost their finite value; best a cell of its own."""
        passed_on = None
        for row, mask in self.bad.items():
            wrong = ~np.isfinite(self.of(stage.slopes, row)) & mask
            for where in np.argwhere(wrong)[:_CELLS]:
                index = tuple(int(k) for k in where)
                cell = stage.cell(row, index)
                term = cell.derivative(row.equations(self.dynamics)[1])
                if term.finite:
                    continue
                finding = Finding(row, index, stage, cell, *origin(term))
                if not self._is_input(finding):
                    return finding
                passed_on = passed_on or finding
        return passed_on

    @staticmethod
    def _is_input(finding: Finding) -> bool:
        node = finding.term.node
        return isinstance(node, Name) and node.name in finding.cell.equations.inputs

    @cached_property
    def where(self) -> tuple[FlowRow, Index]:
        """The row and the cell in which it began, as far as can be told."""
        if self.pulled is not None:
            return self.pulled[0], self.pulled[1]
        if self.finding is not None:
            return self.finding.row, self.finding.index
        row, mask = next(iter(self.bad.items()))
        return row, tuple(int(k) for k in np.argwhere(mask)[0])

    @cached_property
    def pulled(self) -> tuple[FlowRow, Index, float] | None:
        """A cell at which synapses pull beyond the solver's reach, and dt times their rate."""
        start, pull = self.start, self.dynamics.pull
        for row, mask in self.bad.items():
            k = row.population
            if row.gate is not None:
                continue
            rates = pull(k, start.states, start.sums, start.drive, self.constants)
            rate = rates.get(row.state)
            if rate is None:
                continue
            share = np.broadcast_to(-self.dt * np.asarray(rate)[..., : mask.shape[-1]], mask.shape)
            strong = np.argwhere(mask & (share > self.dynamics.reach))
            if len(strong):
                return row, (index := tuple(int(n) for n in strong[0])), float(share[index])
        return None

    @cached_property
    def largest(self) -> Term:
        """The largest of the terms whose sum is the derivative."""
        row, index = self.where
        equations, state = row.equations(self.dynamics)
        cell = self.start.cell(row, index)
        terms = summands(cell, equations.states[state].expression)
        return max(terms, key=lambda term: abs(float(term.value)))

    def rates(self, back: int) -> list[Rate]:
        """Return how fast each state of the cell changed with itself, gates that act on it too."""
        (row, index), stage = self.where, self.start if back == 0 else self.stage(back)
        part = 1e-6 if self.dynamics.tables.dtype == np.float64 else 2e-3
        rates = []
        for other in self.rows:
            same = other.gate is None and other.population == row.population
            if same or other == row or self._acts(other, row):
                # The gates of different cells are independent of each other.
                flow, change = nudged(stage, other, index if same else ..., part)
                slopes = Stage(stage.moment, 0, flow).slopes
                new, old = (np.asarray(s[other.block])[other.row] for s in (slopes, stage.slopes))
                quotients = (new - old)[index if same else ...] / change
                if np.isfinite(quotients).all():
                    rates.append(Rate(other, float(quotients.min()), stage.moment.step * self.dt))
        return rates

    def _acts(self, other: FlowRow, row: FlowRow) -> bool:
        """Tell whether a row is of gates through which a population is driven."""
        if other.gate is None:
            return False
        routes = self.dynamics.couplings[other.gate[0]].group.routes
        return any(route.target == row.population for route in routes)

    @cached_property
    def fastest(self) -> Rate | None:
        """The state that first changed too fast for an explicit method at this dt."""
        for back in _BACK:
            if back <= self.failure.reach:
                rate = min(self.rates(back), key=lambda rate: rate.rate, default=None)
                if rate is not None and -rate.rate * self.dt > _STABLE:
                    return rate
        return None

    # ------------------------------------------------------------------ in words

    def report(self) -> str:
        if not self.bad:
            return self._events()
        if self.pulled is not None:
            return "\n  ".join([*self._pulled(*self.pulled), *self._input(), *self._advice()])
        lines = [self._head(), *self._gate(), self._values(), *self._term()]
        return "\n  ".join([*lines, *self._advice()])

    def _head(self) -> str:
        row, index = self.where
        equations, state = row.equations(self.dynamics)
        value = self.of(self.failure.after.flow, row)[index]
        was = measure(self.of(self.failure.before.flow, row)[index], equations.unit(state))
        return (
            f"{row.name}{self._place(row, index)} is {value} at t = {self._end:g} ms "
            f"(one step before it was {was})."
        )

    def _place(self, row: FlowRow, index: Index) -> str:
        return numbered(index, self.dynamics.populations[row.population].first)

    def _pulled(self, row: FlowRow, index: Index, pull: float) -> list[str]:
        """Say that the run was ended, since what follows would have been nonsense."""
        k = row.population
        cell = f"{self.dynamics.populations[k].name}{self._place(row, index)}"
        routes = [r for c in self.dynamics.couplings for r in c.group.routes if r.target == k]
        names = ", ".join(repr(route.projection) for route in routes if route.chords)
        return [
            f"the run was ended at t = {self.failure.step * self.dt:g} ms: the synapses of {names} "
            f"pull at {cell} with {pull / self.dt:.3g} per ms.",
            f"In dt = {self.dt:g} ms that is {pull:.3g}, and this explicit method is stable up to "
            f"{self.dynamics.reach:.3g}; what it gives beyond is wrong.",
        ]

    @property
    def _end(self) -> float:
        return (self.failure.step + 1) * self.dt

    def _gate(self) -> list[str]:
        row, _ = self.where
        if row.gate is None:
            return []
        coupling, state = row.gate
        group = self.dynamics.couplings[coupling].group
        names = ", ".join(repr(route.projection) for route in group.routes)
        return [f"It is {state} of the synapses of {names}, which a presynaptic cell has once."]

    def _values(self) -> str:
        row, index = self.where
        equations = self.dynamics.populations[row.population].equations
        texts = []
        for other in self.rows:
            if other.population == row.population and other.gate is None:
                value = self.of(self.failure.before.flow, other)[index]
                texts.append(f"{other.state} = {measure(value, equations.unit(other.state))}")
        more = f" and {len(texts) - _STATES} more" if len(texts) > _STATES else ""
        return f"Last finite values: {', '.join(texts[:_STATES])}{more}."

    def _term(self) -> list[str]:
        finding, (row, _) = self.finding, self.where
        state = row.equations(self.dynamics)[1]
        if finding is None:
            cell, term = self.start.cell(*self.where), self.largest
            text = f"The largest term of d{state}/dt there: {cell.show(term.node, term.value)}."
            return [text, *self._input()]
        whose = f"d{state}/dt" if finding.inside is None else finding.inside
        operands = finding.cell.operands(finding.term)
        given = f", with {', '.join(operands)}" if operands else ""
        text = f"The term: in {whose}, {text_of(finding.term.node)} is {finding.term.value}{given}"
        if finding.stage is not self.start:
            text += f" (within the step{self._there(finding)})"
        return [f"{text}.", *self._input()]

    @staticmethod
    def _there(finding: Finding) -> str:
        """Name the states on which a term depends and that its operands do not show."""
        equations, node = finding.cell.equations, finding.term.node
        names = {part.node.name for part in finding.term.parts if isinstance(part.node, Name)}
        read = [s for s in equations.states if s in equations.depends(node) - names]
        values = [finding.cell.show(Name(state), finding.cell.values[state]) for state in read]
        return f", at {', '.join(values[:_OPERANDS])}" if values else ""

    @cached_property
    def most(self) -> tuple[str, str, str] | None:
        """Who gave the most of an input, how much, and of which, if the term depends on that."""
        (row, index), finding = self.where, self.finding
        stage, term = (
            (self.start, self.largest) if finding is None else (finding.stage, finding.term)
        )
        equations = row.equations(self.dynamics)[0]
        if row.gate is not None:
            return None
        used = equations.depends(term.node) & set(equations.inputs)
        parts = [part for part in stage.inward(row.population, index) if part[2] in used]
        if not parts:
            return None
        who, most, into = max(
            parts, key=lambda part: math.inf if math.isnan(part[1]) else abs(part[1])
        )
        return who, measure(most, equations.unit(into)), into

    def _input(self) -> list[str]:
        if self.most is None:
            return []
        return [f"Most of {self.most[2]} comes from {self.most[0]}: {self.most[1]}."]

    def _events(self) -> str:
        """Report synapses whose state alone is not finite."""
        tables = self.dynamics.tables
        groups = apart(self.failure.after.event.groups, tables.made_of, self.failure.step + 1)
        for coupling in tables.apart:
            leaves = map(np.asarray, tf.nest.flatten(groups.get(coupling.group.key, ())))
            numbers = [leaf for leaf in leaves if np.issubdtype(leaf.dtype, np.floating)]
            wrong = [x[~np.isfinite(x)] for x in numbers if not np.isfinite(x).all()]
            if wrong:
                names = ", ".join(repr(route.projection) for route in coupling.group.routes)
                lines = [
                    f"the state of the synapses of {names} is {wrong[0][0]} at t = {self._end:g} "
                    "ms.",
                    "Spikes change it, no derivative is at fault. Look at the weights and at what "
                    "the synapse does on a spike or at intervals.",
                ]
                return "\n  ".join([*lines, *self._wider(None)])
        return f"the state is not finite at t = {self._end:g} ms."

    # ------------------------------------------------------------------ what to try

    def _advice(self) -> list[str]:
        finding = self.finding
        if finding is None and self.pulled is None and (ruled := self._ruled()):
            return [f"Try: {line}" for line in ruled]
        lines = [] if _divides_by_zero(finding) else self._speed()
        if self.pulled is not None and not lines:
            most = _rounded(self.dynamics.reach / self.pulled[2] * self.dt)
            lines = [f"dt <= {most:g} ms, or sf.ExponentialEuler(), or smaller weights."]
        if not lines:
            runaway = [] if _divides_by_zero(finding) else self._runaway()
            lines = [*runaway, *self._operation(finding), *self._wider(finding), *self._too_much()]
        return [f"Try: {line}" for line in lines or [f"Is dt = {self.dt:g} ms too large?"]]

    def _ruled(self) -> list[str]:
        """Say which rules at intervals have changed the state at the step's end."""
        equations, state = self.where[0].equations(self.dynamics)
        return [
            f"'every {render(rule.interval)}:' is done at this time, and sets {item.name} = "
            f"{render(item.expression)}."
            for rule in equations.rules
            for item in rule.assignments
            if item.name == state and falls_on(rule, equations.parameters, self._end)
        ]

    def _speed(self) -> list[str]:
        rate = self.fastest
        if rate is None:
            return []
        constant = -1 / rate.rate
        what = f"at t = {rate.time:g} ms {rate.row.name} had a time constant of {constant:.2g} ms"
        if constant * _HOPELESS < self.dt:
            return [
                f"{what}, far below dt = {self.dt:g} ms. Are the numbers in that term, and "
                "their units, as they should be?"
            ]
        return [
            f"dt <= {_rounded(constant):g} ms, or sf.ExponentialEuler(): {what}, and dt = "
            f"{self.dt:g} ms is too large for that with an explicit method such as sf.RK4()."
        ]

    def _runaway(self) -> list[str]:
        row, _ = self.where
        state = row.equations(self.dynamics)[1]
        rate = next(iter(self._own_rates()), 0.0)
        if rate * self.dt < _GROWS or self.most is not None:
            return []
        resets = self.dynamics.populations[row.population].firing.resets
        if row.gate is None and state in {assignment.name for assignment in resets}:
            return [
                f"d{state}/dt grows with {state} itself there (by {rate:.3g}/ms): it ran away "
                "within one step, before the threshold was seen at its end. Use a smaller dt, a "
                "lower threshold, or a bound such as minimum() on what grows."
            ]
        return [
            f"d{state}/dt grows with {state} itself there (by {rate:.3g}/ms), so that {state} may "
            "run away at any dt. Is a sign wrong, or are a threshold and a reset missing?"
        ]

    def _own_rates(self) -> Iterator[float]:
        """Iterate over the rates of the state itself, from the last step backwards."""
        for back in reversed(_BACK):
            if back <= self.failure.reach:
                yield from (rate.rate for rate in self.rates(back) if rate.row == self.where[0])

    def _too_much(self) -> list[str]:
        if self.most is None:
            return []
        return [f"is {self.most[1]} from {self.most[0]} meant? See its amplitude or weight."]

    @staticmethod
    def _operation(finding: Finding | None) -> list[str]:
        """Say what is to be done about an operation that has no finite result."""
        if finding is None:
            return []
        term, node = finding.term, finding.term.node
        if _divides_by_zero(finding):
            below = text_of(node.right) if isinstance(node, Binary) else ""
            exponential = any(
                isinstance(item, Call) and item.function in ("exp", "expm1") for item in walk(node)
            )
            if term.parts[0].value == 0 and exponential:
                return [
                    "0/0 at that point. Write x/(exp(x) - 1) as 1/exprel(x), which is 1 at x = 0 "
                    "(sf.math.exprel in a function)."
                ]
            return [
                f"keep {below} away from 0, with where() or maximum(), or mend the equation: "
                "it has no finite value there."
            ]
        match node:
            case Call(function="exp" | "expm1"):
                most = math.log(float(np.finfo(finding.cell.kind).max))
                return [
                    f"exp overflows above {most:.4g}: keep {text_of(term.parts[0].node)} below "
                    "that, with minimum(), or see what made it so large."
                ]
            case Call(function="log" | "sqrt") | Binary(operator="**"):
                if np.isnan(term.value) or float(term.parts[0].value) == 0:
                    base = text_of(term.parts[0].node)
                    return [f"keep {base} above 0, with maximum(): there is no real value below."]
        return []

    def _wider(self, finding: Finding | None) -> list[str]:
        """Advise float64 where the same term has a value in it."""
        if self.dynamics.tables.dtype == np.float64:
            return []
        if finding is not None and not finding.cell.in_float64().term(finding.term.node).finite:
            return []
        return ['dtype="float64": float32 ends at 3.4e38.']


def _divides_by_zero(finding: Finding | None) -> bool:
    """Tell whether a term is something divided by 0."""
    if finding is None or not isinstance(finding.term.node, Binary):
        return False
    return finding.term.node.operator == "/" and float(finding.term.parts[1].value) == 0


def _rounded(value: float) -> float:
    """Return a positive number rounded down to 1, 2 or 5 times a power of ten."""
    # Found by differences, it may be a little below the round number that it is.
    power = 10.0 ** math.floor(math.log10(value * 1.001))
    return max(digit for digit in (1, 2, 5) if digit <= value / power * 1.001) * power
