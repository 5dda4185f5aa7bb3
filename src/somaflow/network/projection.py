"""Projections: synapses of one kind from one population to another."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.description import Description
from somaflow.errors import NetworkError, UnitError, WrongTypeError, nearest
from somaflow.mechanisms.catalogue import Mechanism
from somaflow.network.connectors import (
    AllToAll,
    Connector,
    FixedProbability,
    FromList,
    Indices,
    OneToOne,
)
from somaflow.network.distributions import Normal, Uniform
from somaflow.network.population import PopulationView, as_view
from somaflow.network.stimuli import require_current_input
from somaflow.units import Parameter


@dataclass(frozen=True)
class Connections:
    """The synapses of a projection, ordered by postsynaptic and then presynaptic cell.

    Attributes:
        pre: Presynaptic cell of each synapse, index into the whole population, shape [n].
        post: Postsynaptic cell, likewise.
        weight: Weight of each synapse in the coherent system, shape [n].
    """

    pre: Indices
    post: Indices
    weight: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Projection(Description):
    """Synapses from presynaptic to postsynaptic cells.

    Args:
        pre: A population or a view.
        post: A population or a view.
        synapse: A synapse of the catalogue, such as `syn.nach(g=0.05*mS/cm**2)`.
        connector: Which cell reaches which.
        weight: Value of the synapse's weight parameter (`g` of a conductance): a number; a
            distribution; an array of shape [n_pre, n_post]; with `FromList` an array of shape
            [n_synapses] in the order of the list. Default: what the synapse says.
        name: For messages and results; default `"<pre>_to_<post>"`.

    Raises:
        NetworkError: The cells lack what the synapse reads, or weights have the wrong shape.
        UnitError: The synaptic current or a weight has the wrong unit.
    """

    pre: PopulationView
    post: PopulationView
    synapse: Mechanism
    connector: Connector = AllToAll()  # noqa: RUF009 - it is frozen
    weight: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        setter = object.__setattr__
        setter(self, "pre", as_view(self.pre, "pre"))
        setter(self, "post", as_view(self.post, "post"))
        source, target = self.pre.population, self.post.population
        if self.name is None:
            setter(self, "name", f"{source.name}_to_{target.name}")
        elif not isinstance(self.name, str):
            raise WrongTypeError(f"the name of a projection is a text, not {self.name!r}.")
        if not isinstance(self.synapse, Mechanism) or self.synapse.kind != "synapse":
            raise WrongTypeError(
                f"projection {self.name!r} needs a synapse of the catalogue, such as "
                f"sf.catalogue('synapses').nach, not {self.synapse!r}."
            )
        if not isinstance(self.connector, (AllToAll, OneToOne, FixedProbability, FromList)):
            raise WrongTypeError(
                f"projection {self.name!r} needs a connector such as "
                f"sf.FixedProbability(0.5, seed=1), not {self.connector!r}."
            )
        held = {**self.synapse.equations.parameters, **self.synapse.equations.initial}
        for key, value in held.items():
            if isinstance(value, Parameter) and value.value.ndim:
                raise NetworkError(
                    f"projection {self.name!r}: {key!r} of synapse {self.synapse.name!r} has shape "
                    f"{value.value.shape}; give one number, and what differs between synapses as "
                    "weight=..."
                )
        self._check_ports()
        setter(self, "weight", self._checked_weight())

    def _check_ports(self) -> None:
        source, target = self.pre.population, self.post.population
        equations = self.synapse.equations
        for port, unit in equations.inputs.items():
            variable, _, side = port.rpartition("_")
            owner = {"pre": source, "post": target}.get(side)
            if owner is None or variable not in owner.equations.states:
                where = f"population {owner.name!r}" if owner else "a pre or post population"
                known = owner.equations.states if owner else ("v_pre", "v_post")
                raise NetworkError(
                    f"projection {self.name!r}: synapse {self.synapse.name!r} reads {port!r}, but "
                    f"{where} has no state {variable or port!r}.{nearest(variable or port, known)}"
                )
            found = owner.equations.states[variable].unit
            if units.dimensions(found) != units.dimensions(unit):
                raise UnitError(
                    f"projection {self.name!r}: synapse {self.synapse.name!r} reads {port!r} in "
                    f"{unit}, but {variable!r} of {owner.name!r} is in {found}."
                )
        if (equations.uses_pulse or equations.on_spike) and source.threshold is None:
            raise NetworkError(
                f"projection {self.name!r}: synapse {self.synapse.name!r} waits for spikes, but "
                f"{source.name!r} has no threshold."
            )
        wanted = require_current_input(target.name, target.equations.inputs, "a synapse")
        if "I" not in equations.definitions:
            raise NetworkError(f"synapse {self.synapse.name!r} defines no current I.")
        found = equations.definitions["I"].unit
        if units.dimensions(found) != units.dimensions(wanted):
            raise UnitError(
                f"projection {self.name!r}: synapse {self.synapse.name!r} gives a current in "
                f"{found}, but {target.name!r} takes {wanted}. Use the variant of the synapse "
                "whose name ends, or does not end, in _density."
            )

    def _checked_weight(self) -> Any:
        unit = self.synapse.equations.parameters[self.synapse.details["weight"]].unit
        if self.weight is None:
            return self.synapse.equations.parameters[self.synapse.details["weight"]]
        if isinstance(self.weight, (Uniform, Normal)):
            first = self.weight.low if isinstance(self.weight, Uniform) else self.weight.mean
            units.parameter(first, unit, "weight", f"projection {self.name!r}")
            return self.weight
        weight = units.parameter(self.weight, unit, "weight", f"projection {self.name!r}")
        allowed = {(), (len(self.pre), len(self.post))}
        if isinstance(self.connector, FromList):
            allowed.add((len(self.connector.pairs),))
        if weight.value.shape not in allowed:
            choices = " or ".join(str(list(shape)) for shape in sorted(allowed) if shape)
            raise NetworkError(
                f"the weights of projection {self.name!r} have shape {list(weight.value.shape)}; "
                f"give one number, a distribution, or an array of shape {choices}."
            )
        return weight

    def connections(self) -> Connections:
        """Build the synapses.

        Raises:
            NetworkError: The connector does not fit the sizes.
        """
        same = self.pre.population is self.post.population
        pre, post = self.connector.connect(self.pre.cells, self.post.cells, same)
        weight = self._weights(pre, post)
        pre, post = self.pre.cells[pre], self.post.cells[post]
        order = np.lexsort((pre, post))
        return Connections(pre[order], post[order], weight[order])

    def _weights(self, pre: Indices, post: Indices) -> NDArray[np.float64]:
        weight = self.weight
        if isinstance(weight, (Uniform, Normal)):
            return weight.draw((post, pre), 1).value
        if weight.value.ndim == 2:
            return weight.value[pre, post]
        return np.broadcast_to(weight.value, pre.shape)

    def __repr__(self) -> str:
        return f"Projection({self.name!r}, {self.synapse.name}, {self.connector!r})"
