"""Neuron: a membrane made of mechanisms, written out as one system of equations."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from somaflow import units
from somaflow.description import Description
from somaflow.equations import noise
from somaflow.equations.drawing import Distribution, Setting, held
from somaflow.equations.equations import Equations, from_draft, starts
from somaflow.equations.expression import Binary, Name, Node, Number, substitute
from somaflow.equations.writing import Draft
from somaflow.errors import MissingValueError, NetworkError, WrongTypeError, nearest
from somaflow.given import shown
from somaflow.mechanisms.catalogue import Mechanism
from somaflow.units import mV

# What a stimulus or a synapse drives, in every neuron of the catalogue and here.
CURRENT_INPUT = "I_stim"


@dataclass(frozen=True, eq=False, init=False)
class Neuron(Description):
    """One compartment: C dv/dt = I_stim - sum of the currents of its channels.

    Args:
        C: Capacitance, per area (uF/cm**2) or of the whole cell (nF).
        v: Initial membrane potential; gates start at their steady state there, unless their
            mechanism says otherwise.
        **mechanisms: Channels and pools, under the names by which their variables will go:
            with `na=...` there are `na.m` and `na.I`.

    Raises:
        NetworkError: Two pools provide one ion, or a mechanism needs what none provides.
        UnitError: A current has another unit than C allows.
        WrongTypeError: Something is not a channel or a pool.
        MissingValueError: C is not greater than 0.
    """

    C: Setting
    v: Setting
    mechanisms: dict[str, Mechanism]

    def __init__(self, C: object, v: object = -65 * mV, **mechanisms: Any) -> None:
        capacitance = held(C, None, "C", "Neuron")
        # A description is rebuilt with its fields, so all of them may come under this one name.
        if isinstance(mechanisms.get("mechanisms"), dict):
            mechanisms = {**mechanisms.pop("mechanisms"), **mechanisms}
        object.__setattr__(self, "C", _checked_capacitance(capacitance))
        object.__setattr__(self, "v", held(v, "mV", "v", "Neuron"))
        object.__setattr__(self, "mechanisms", mechanisms)
        for name, mechanism in mechanisms.items():
            if not isinstance(mechanism, Mechanism) or mechanism.kind not in ("channel", "pool"):
                raise WrongTypeError(
                    f"Neuron({name}=...) takes a channel or a pool of the catalogue, not "
                    f"{shown(mechanism)}."
                )
        object.__setattr__(self, "_equations", self._compose())

    @property
    def equations(self) -> Equations:
        """The membrane and all its mechanisms as one system of equations."""
        return self._equations  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(self, **values: object) -> "Neuron":
        """Return the neuron with other values, as mechanisms and equations do.

        Args:
            **values: Quantities, or plain numbers in the declared units: of `C`, of `v`, or of
                what a mechanism has, under the name by which it goes, `**{"na.g": 80*mS/cm**2}`.

        Raises:
            UnknownNameError: There is no such parameter or state.
            UnitError: A value has the wrong unit.
            MissingValueError: C is not greater than 0.
        """
        equations = self.equations(**values)  # no unit has changed, so nothing is composed anew
        mechanisms = dict(self.mechanisms)
        for name, value in values.items():
            owner, dot, own = name.partition(".")
            if dot:
                mechanisms[owner] = mechanisms[owner](**{own: value})
        new = object.__new__(type(self))
        vars(new).update(
            C=_checked_capacitance(equations.parameters["C"]),
            v=equations.initial["v"],
            mechanisms=mechanisms,
            _equations=equations,
        )
        return new

    def _compose(self) -> Equations:
        current = {units.dimensions("uF/cm**2"): "uA/cm**2", units.dimensions("nF"): "nA"}
        unit = current.get(units.dimensions(self.C.unit))
        if unit is None:
            raise WrongTypeError(f"C is in {self.C.unit}; it must be in uF/cm**2 or in nF.")
        channels = [key for key, m in self.mechanisms.items() if m.kind == "channel"]
        total: Node = Name(CURRENT_INPUT)
        for key in channels:
            total = Binary("-", total, Name(f"{key}.I"))
        draft = Draft()
        draft.declare(CURRENT_INPUT, unit)
        draft.derive("v", Binary("/", total, Name("C")), "mV")
        parameters: dict[str, Setting] = {"C": self.C}
        initial: dict[str, Setting | str] = {"v": self.v}
        for key, mechanism in self.mechanisms.items():
            own = mechanism.equations
            new = {
                name: Name(f"{key}.{name}")
                for name in (
                    *own.states,
                    *own.definitions,
                    *own.parameters,
                    *noise.listed(own.noises),  # else two mechanisms would share one noise
                )
            } | {name: self._provider(key, name) for name in own.inputs}
            for name, variable in own.definitions.items():
                tree = substitute(variable.expression, new)
                draft.define(f"{key}.{name}", tree, variable.unit)
            for name, variable in own.states.items():
                tree = substitute(variable.expression, new)
                draft.derive(f"{key}.{name}", tree, variable.unit)
            parameters |= {f"{key}.{name}": value for name, value in own.parameters.items()}
            for name, value in own.initial.items():
                state, tree = f"{key}.{name}", starts(own).get(name)
                initial[state] = draft.start(state, substitute(tree, new)) if tree else value
        return from_draft(draft, parameters, initial)

    def _provider(self, reader: str, name: str) -> Node:
        """Return what stands for an input of a mechanism: v, an ion's current, a pool's state."""
        if name == "v":
            return Name("v")
        if match := re.fullmatch(r"I_(\w+)", name):
            carriers = [
                key for key, m in self.mechanisms.items() if m.details.get("ion") == match[1]
            ]
            total: Node = Name(f"{carriers[0]}.I") if carriers else Number(0.0)
            for key in carriers[1:]:
                total = Binary("+", total, Name(f"{key}.I"))
            if carriers:
                return total
            raise NetworkError(
                f"mechanism {reader!r} reads {name}, but no channel of this neuron carries "
                f"{match[1]!r}."
            )
        pools = {
            provided: key
            for key, m in self.mechanisms.items()
            for provided in m.details.get("provides", ())
        }
        providers = [
            key for key, m in self.mechanisms.items() if name in m.details.get("provides", ())
        ]
        if len(providers) == 1:
            return Name(f"{providers[0]}.{name}")
        problem = "none provides it" if not providers else f"{' and '.join(providers)} provide it"
        raise NetworkError(
            f"mechanism {reader!r} reads {name!r}, but {problem}."
            f"{nearest(name, pools) if not providers else ''}"
        )

    def __repr__(self) -> str:
        parts = [f"C={self.C}", f"v={self.v}"]
        return f"Neuron({', '.join(parts + [f'{k}={m!r}' for k, m in self.mechanisms.items()])})"


def _checked_capacitance(value: Setting) -> Setting:
    drawn = isinstance(value, Distribution)
    if value.lowest < 0 if drawn else np.any(value.value <= 0):
        raise MissingValueError(f"C is {value}; it must be greater than 0.")
    return value
