"""Synaptic: what a projection and a Poisson input have in common: a synapse and its weight."""

from typing import ClassVar

import numpy as np

from somaflow.equations.drawing import Distribution, Setting
from somaflow.equations.equations import Equations
from somaflow.errors import MissingValueError, NetworkError, WrongTypeError
from somaflow.given import shown
from somaflow.mechanisms.catalogue import Mechanism
from somaflow.units import Parameter


class Synaptic:
    """Something that acts on cells through a synapse.

    Attributes:
        kind: What it is called in messages.
        name: Its name.
        synapse: A synapse of the catalogue, or equations.
        into: The input of the cells that it drives, or None.
    """

    kind: ClassVar[str]
    name: str | None
    synapse: Mechanism | Equations
    into: str | None

    @property
    def place(self) -> str:
        """Kind and name, for messages."""
        return f"{self.kind} {self.name!r}"

    @property
    def equations(self) -> Equations:
        """The equations of a synapse, with the names that its cells have for what it reads."""
        fitted = self.__dict__.get("fitted")
        return self.written if fitted is None else fitted.equations

    @property
    def written(self) -> Equations:
        """The equations of a synapse as they are written, whatever cells they join."""
        return self.synapse if isinstance(self.synapse, Equations) else self.synapse.equations

    @property
    def synapse_name(self) -> str:
        """What the synapse is called in messages: its name in the catalogue, or `equations`."""
        return self.synapse.name if isinstance(self.synapse, Mechanism) else "equations"

    @property
    def weight_name(self) -> str | None:
        """The parameter or state of the synapse that is its weight, or None."""
        if isinstance(self.synapse, Mechanism):
            return self.synapse.details.get("weight")
        own = {*self.equations.parameters, *self.equations.states}
        return "w" if "w" in own else None

    def _check_name(self, default: str) -> None:
        if self.name is None:
            object.__setattr__(self, "name", default)
        name = self.name
        if not isinstance(name, str):
            raise WrongTypeError(f"the name of a {self.kind} is a text, not {shown(name)}.")
        # It is a part of the names of arrays in stores and checkpoints.
        if not (name[:1].isalnum() or name[:1] == "_") or not name.isprintable() or "/" in name:
            raise NetworkError(
                f"{name!r} cannot be the name of a {self.kind}: it begins with a letter, a digit "
                "or _, and has no '/' and no line break."
            )

    def _check_synapse(self) -> None:
        synapse = self.synapse
        if not isinstance(synapse, Equations) and (
            not isinstance(synapse, Mechanism) or synapse.kind != "synapse"
        ):
            raise WrongTypeError(
                f"{self.place} needs a synapse of the catalogue, such as "
                f"sf.catalogue('synapses').nach, or sf.Equations, not {shown(synapse)}."
            )

    def _varied(self) -> dict[str, Parameter | Distribution]:
        """Return the parameters and initial values that are not one number."""
        equations = self.equations
        return {
            key: value
            for key, value in (*equations.parameters.items(), *equations.initial.items())
            if isinstance(value, Distribution)
            or (isinstance(value, Parameter) and value.value.ndim)
        }

    def _default_weight(self, name: str) -> Setting:
        equations = self.equations
        if name in equations.parameters:
            return equations.parameters[name]
        where = f"synapse {self.synapse_name!r}"
        if name not in equations.initial:
            raise MissingValueError(
                f"{self.place}: the weight {name!r} of {where} is a state without an "
                f"initial value; give weight=... in {equations.unit(name)}."
            )
        value = equations.initial_values({}, where)[name]
        return Parameter(np.asarray(value, np.float64), equations.unit(name))


def varied_delays(projection: Synaptic) -> bool:
    """Tell whether the delays of a projection's synapses differ; a Poisson input has none."""
    delay = getattr(projection, "delay", None)
    return delay is not None and (not isinstance(delay, Parameter) or delay.value.ndim > 0)


def place_of(projection: Synaptic) -> str:
    """Return what a projection's synapse is called in messages."""
    return f"synapse {projection.synapse_name!r} of {projection.place}"
