"""Pulsed synapses: gates that transmitter pulses open, and the conductances that they open.

Between pulses a gate only decays, and so does the sum of the gates over the synapses of a cell,
with one rate. So the sum is a state, and synapses are visited only while a pulse lasts somewhere.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import (
    Group,
    Moment,
    Outcome,
    Route,
    Spikes,
    States,
    Variable,
    fractions,
    multiplied,
)
from somaflow.compiler.lower import TensorAlgebra, unit_factor
from somaflow.compiler.ring import Ring
from somaflow.compiler.wiring import Wiring
from somaflow.equations.expression import Node, evaluate
from somaflow.errors import NetworkError
from somaflow.network.pulsed import Pulsed
from somaflow.numerics.device import cast
from somaflow.numerics.functions import exprel
from somaflow.numerics.types import Tensor
from somaflow.units import Parameter


class PulsedCoupling:
    """A group of pulsed synapses.

    Args:
        group: The group.
        wiring: Its synapses.
        dtype: NumPy type of the run.
    """

    rows: dict[str, float] = {}  # noqa: RUF012 - never changed
    wired, each, follows, flowing = "", False, False, ()

    def __init__(self, group: Group, wiring: Wiring, dtype: Any) -> None:
        self.group, self.wiring, self.dtype = group, wiring, dtype
        self.places = fractions(group.nodes) if wiring.latest is not None else ()
        form = group.form
        assert isinstance(form, Pulsed)
        self.form = form

    def check(self, parameters: dict[str, Any], dt: float) -> None:
        """Refuse a closed form that does not rest at 0.

        Raises:
            NetworkError: The gate is not 0, or does not decay, between pulses.
        """
        table = {name: tf.constant(value) for name, value in parameters.items()}
        prepared = self.group.lowered.prepare(table)
        state = self.form.state
        off = float(_with_pulse(0.0, self.form.rate[0], prepared))
        if not (np.isfinite(off) and off < 0):
            raise NetworkError(
                f"{self.group.place}: between spikes {state} must decay, but its rate is "
                f"{off:g} per ms; are the time constants greater than 0?"
            )
        rest = float(_with_pulse(0.0, self.form.rate[1], prepared))
        start = self.group.initial[state]
        if abs(rest) > 0 or start != 0:
            unit = self.group.lowered.equations.unit(state)
            raise NetworkError(
                f"{self.group.place}: between spikes {state} must decay to 0 and start there; "
                f"found d{state}/dt = {Parameter(np.asarray(rest), f'{unit}/ms')} at 0 and a start "
                f"of {Parameter(np.asarray(start), unit)}."
            )

    def initial(self, batch: tuple[int, ...]) -> Any:
        """Return closed gates."""
        gate = np.full((*batch, self.wiring.n_pre), self.group.initial[self.form.state], self.dtype)
        made = {
            "sum": np.zeros((*batch, self.wiring.width), self.dtype),
            "gate": gate,
            "remaining": np.zeros_like(gate),
            # Steps until no pulse can last any more: what a step costs follows the spikes.
            "busy": np.zeros((), np.int32),
        }
        if self.wiring.latest is not None:
            made["late"] = Ring(self.wiring, len(self.places), batch).initial(self.dtype)
            made["late end"] = Ring(self.wiring, 2, batch).initial(self.dtype)
        return made

    def prepare(self, arrays: Any, table: Any, dt: float, nodes: tuple[float, ...]) -> Any:
        """Evaluate the rates, and the decay to each node."""
        prepared = self.group.lowered.prepare(table)
        a, b = self.form.rate
        on = _with_pulse(1.0, a, prepared)
        rates = {
            "off": _with_pulse(0.0, a, prepared),
            "on": on,
            "level": -_with_pulse(1.0, b, prepared) / on,
            "duration": _with_pulse(1.0, self.form.duration, prepared),
        }
        rates = {name: cast(value, self.dtype) for name, value in rates.items()}
        steps = tf.math.ceil(tf.reduce_max(rates["duration"]) / dt)
        decays = [tf.exp(rates["off"] * (c * dt)) for c in fractions(nodes)]
        return {
            "arrays": arrays,
            "rates": rates,
            "busy": tf.cast(steps, tf.int32) + 1,
            "decays": tf.stack(decays),
        }

    def arrive(self, event: Any, moment: Moment, prepared: Any) -> Any:
        """Return the sums at each node and at the end, and the gates at the end."""
        decays, rates = prepared["decays"], prepared["rates"]
        parts = moment.fractions
        gate, remaining, arrays = event["gate"], event["remaining"], prepared["arrays"]
        opened = list(tf.unstack(decays[(...,) + (None,) * event["sum"].shape.rank] * event["sum"]))
        later = self.wiring.latest is not None

        # Outside pulses a conductance only decays. Within them it gains what the gates gain over
        # decay: zero for a cell outside a pulse, so that leaving the sum out where all terms are
        # zero changes no bit.
        def gains() -> tuple[list[Tensor], Tensor]:
            made, end = [], gate
            for c, decay in zip(parts, tf.unstack(decays), strict=True):
                found = after(gate, remaining, c * moment.dt, rates)
                # Selected, not subtracted to zero: a product and a difference may be contracted,
                # and leave a rounding residue where 0 is meant.
                made.append(tf.where(remaining > 0, found - gate * decay, tf.zeros_like(gate)))
                end = tf.where(remaining > 0, found, gate * decay)
            return made, end

        if not later:

            def pulsing() -> Any:
                made, end = gains()
                added = [self.wiring.sum(arrays, gain) for gain in made]
                total = [a + b for a, b in zip(opened, added, strict=True)]
                return (*total, end, tf.maximum(remaining - moment.dt, 0))

            def silent() -> Any:
                return (*opened, gate * decays[-1], remaining)

            *opened, end, left = tf.cond(event["busy"] > 0, pulsing, silent)
            return self._at(moment, event, opened) | {"gate": end, "remaining": left}
        ring = Ring(self.wiring, len(parts), tuple(gate.shape[:-1]))

        # A ring passes no conditional: XLA would copy it in both branches.
        def pulsing_later() -> Any:
            made, end = gains()
            return tf.stack(made), end, tf.maximum(remaining - moment.dt, 0)

        def silent_later() -> Any:
            return tf.zeros([len(parts), *gate.shape], gate.dtype), gate * decays[-1], remaining

        made, end, left = tf.cond(event["busy"] > 0, pulsing_later, silent_later)
        late = ring.add(event["late"], arrays, made, moment.step)
        arrived, late = ring.take(late, moment.step)
        opened = [a + arrived[k] for k, a in enumerate(opened)]
        return self._at(moment, event, opened) | {"gate": end, "remaining": left, "late": late}

    @staticmethod
    def _at(moment: Moment, event: Any, opened: Any) -> dict[str, Any]:
        places = {0.0: event["sum"], **dict(zip(moment.fractions, opened, strict=True))}
        return {"sums": [*(places[c] for c in moment.nodes), event["sum"]], "end": places[1.0]}

    def sums(self, states: States, context: Any, node: int, prepared: Any) -> Any:
        """Return the sum of the gates over the synapses of each postsynaptic cell."""
        return [context["sums"][node]]

    def current(
        self, route: Route, owner: States, sums: Any, table: Any, of: tuple[Node, ...] | None = None
    ) -> Tensor | None:
        """Return the outward current of a route."""
        return multiplied(route, owner, sums, table, of)

    def slopes(self, states: States, context: Any, prepared: Any) -> dict[str, Tensor]:
        """Return nothing: no solver integrates a pulsed gate."""
        return {}

    def emit(
        self, event: Any, context: Any, spikes: Spikes, moment: Moment, prepared: Any
    ) -> Outcome | None:
        """Begin the pulses of the cells whose spikes arrive, each at its crossing."""
        since, rates, arrays = spikes.before, prepared["rates"], prepared["arrays"]
        gate, remaining = event["gate"], event["remaining"]
        hit = since > 0
        later = self.wiring.latest is not None
        ring = Ring(self.wiring, 2, tuple(gate.shape[:-1])) if later else None

        def pulsed() -> Any:
            crossing = after(gate, remaining, moment.dt - since, rates)
            rest = tf.maximum(remaining - (moment.dt - since), 0)
            whole = tf.zeros_like(since) + rates["duration"]
            opened = after(crossing, whole, since, rates)
            gain = tf.where(hit, opened - context["gate"], tf.zeros_like(gate))
            left = tf.where(hit, tf.maximum(whole - since, 0), context["remaining"])
            more = swept(crossing, whole, since, rates) - swept(crossing, rest, since, rates)
            area = tf.where(hit, more, tf.zeros_like(gate))
            if ring is not None:
                added = (gain, area)
            else:
                added = (self.wiring.sum(arrays, gain), self.wiring.sum(arrays, area))
            return (context["gate"] + gain, left, prepared["busy"], *added)

        def quiet() -> Any:
            nothing = tf.zeros_like(context["end"] if ring is None else gate)
            busy = tf.maximum(event["busy"] - 1, 0)
            return (context["gate"], context["remaining"], busy, nothing, nothing)

        opened, left, busy, *added = tf.cond(tf.reduce_any(hit), pulsed, quiet)
        made = {"gate": opened, "remaining": left, "busy": busy}
        if ring is not None:
            late = ring.add(event["late end"], arrays, tf.stack(added), moment.step)
            added, rest = ring.take(late, moment.step)
            made |= {"late": context["late"], "late end": rest}
        made["sum"] = context["end"] + added[0]
        return Outcome(made, [added[1]], {}, {})

    def variable(self, name: str, route: Route) -> Variable:
        """Return what reads the gate, which each presynaptic cell has once."""
        return Variable("pre", lambda event, _: event["gate"])


def _with_pulse(pulse: float, node: Node, prepared: dict[str, Any]) -> Any:
    def lookup(name: str) -> Any:
        return prepared[name] if name in prepared else unit_factor(name)

    return evaluate(node, TensorAlgebra(lookup, {"pulse": lambda _: pulse}))


def after(gate: Tensor, remaining: Tensor, time: Any, rates: dict[str, Any]) -> Tensor:
    """Return a pulsed gate after some time without a new pulse, in closed form.

    Args:
        gate: Its value now.
        remaining: How much longer its pulse lasts; 0 outside a pulse.
        time: How far to go, not negative.
        rates: `off` and `on`, the rate outside and within a pulse, and `level`, what the gate
            tends to within it.
    """
    within = tf.minimum(remaining, time)
    opened = rates["level"] + (gate - rates["level"]) * tf.exp(rates["on"] * within)
    return opened * tf.exp(rates["off"] * (time - within))


def swept(gate: Tensor, remaining: Tensor, time: Any, rates: dict[str, Any]) -> Tensor:
    """Return the integral of `after` from now on."""
    within = tf.minimum(remaining, time)
    risen = rates["level"] + (gate - rates["level"]) * exprel(rates["on"] * within)
    opened, left = after(gate, within, within, rates), time - within
    return within * risen + left * exprel(rates["off"] * left) * opened
