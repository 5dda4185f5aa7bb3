"""Projections: synapses of one kind from one population to another."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from somaflow.description import Description
from somaflow.equations.drawing import Distribution, held
from somaflow.equations.equations import Equations
from somaflow.errors import NetworkError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import shown
from somaflow.mechanisms.catalogue import Mechanism
from somaflow.network.attributes import Described, fixed
from somaflow.network.connections import Connections
from somaflow.network.connectors import AllToAll, Connector
from somaflow.network.drawn import PerSynapse, blocks, draw, name_of_part
from somaflow.network.fields import Field, default
from somaflow.network.fitting import Fit, fit, turned
from somaflow.network.intervals import check_joined_rules
from somaflow.network.joined import Joined
from somaflow.network.limits import Limits, limits_of
from somaflow.network.lists import FromList, FromSparse
from somaflow.network.pairs import OfPair, is_expression, written_unit
from somaflow.network.population import Population, PopulationView
from somaflow.network.ports import Symmetry, check_back, check_ports, is_gap_junction, uneven
from somaflow.network.random import seeded
from somaflow.network.recorder import Recorder
from somaflow.network.senders import sender_of
from somaflow.network.sides import Sides, as_side, sides_of
from somaflow.network.spatial import DistanceDependent
from somaflow.network.synaptic import Synaptic
from somaflow.network.wiring import Pairs, Rows, check_rows
from somaflow.units import Parameter, ms

_BLOCK = 1 << 20  # synapses looked at together where all are looked through


@fixed
@dataclass(frozen=True, eq=False)
class Projection(Synaptic, Described, Description):
    """Synapses from presynaptic to postsynaptic cells.

    Gap junctions between two populations conduct both ways: one projection is enough. So does a
    synapse whose text has a line `I_pre = ...`, the current out of the presynaptic cell. Within one
    population both directions are given, as `sf.Mutual` does. Equations of your own that have a
    delay act one way.

    Args:
        pre: A population or a view; or several of them joined, such as `pn + ln[:30]`, which a
            network takes apart into a projection `"<name>_<pre>_<post>"` for each pair. The
            connector, weights and delays see the joined cells, one behind the other.
        post: Likewise. It may be made of spike sources where the synapse learns from their spikes;
            its current then goes nowhere.
        synapse: A synapse of the catalogue, such as `syn.nach(g=0.05*mS/cm**2)`, or `Equations`
            of your own, whose weight is the parameter or the state that is called `w`. Each
            parameter and initial value is a number, or differs between synapses: a distribution,
            or an array as for `weight`.
        connector: Which cell reaches which.
        weight: Value of the synapse's weight (`g` of a conductance), or its initial value where
            the weight is a state: a number; a distribution; an expression of the pair of cells
            such as `"0.1*nS*exp(-d/(100*um))"`, of the distance `d`, the indices `i` (pre) and
            `j` (post) in the two sides, their sizes `N_pre` and `N_post`, and the positions
            `x_pre` to `z_post`; an array of shape [n_pre, n_post]; with `FromList` an array of
            shape [n_synapses] in the order of the list. Default: what the synapse says, or with
            `FromSparse` the entries of the matrix. A conductance is not negative, and a plastic
            weight begins within its bounds.
        delay: From a presynaptic spike, or what is read of the presynaptic cell, to its effect, in
            ms; at least 0. Given like a weight. Before the start a cell was what it is there.
        name: For messages and results; default `"<pre>_to_<post>"`. What has no seed, of the
            connector, the weights and the delays, gets one from it.
        on: Name of an event of the presynaptic population that takes the place of its spikes.
        into: The input of the postsynaptic cells that the synapses drive, such as `"I_dend"`;
            default: the only one. Of cells with several inputs, or without a state `v`, `v_post` is
            the voltage that this one drives. A gap junction joins the inputs of one name, if both
            cells have it.

    Raises:
        NetworkError: The cells lack what the synapse reads, weights or delays have the wrong
            shape, a delay or a conductance is negative, a plastic weight begins outside its
            bounds, or the connector does not fit the sizes.
        UnknownNameError: The postsynaptic cells have no such input.
        UnitError: The synaptic current, a weight or a delay has the wrong unit.
        MissingValueError: The weight has no value.
    """

    kind: ClassVar[str] = "projection"
    pre: Field[PopulationView]
    post: Field[PopulationView]
    synapse: Mechanism | Equations
    connector: Connector = AllToAll()  # noqa: RUF009 - it is frozen
    weight: Field[PerSynapse | None] = default(None)
    delay: Field[PerSynapse] = default(0 * ms)
    name: str | None = None
    on: str | None = None
    into: str | None = None
    sides: Sides = field(init=False, repr=False)
    varied: dict[str, PerSynapse] = field(init=False, repr=False)
    _written: str | None = field(init=False, repr=False)
    driven: list[tuple[Population, str]] = field(init=False, repr=False)
    fitted: Fit | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        setter = object.__setattr__
        setter(self, "pre", as_side(self.pre, "pre"))
        setter(self, "post", as_side(self.post, "post"))
        setter(self, "sides", sides_of(self.pre, self.post))
        names = ("_".join(p.name for p in side.owners) for side in self.sides[:2])
        self._check_name("_to_".join(names))
        self._check_synapse()
        if not isinstance(self.connector, Connector):
            raise WrongTypeError(
                f"projection {self.name!r} needs a connector such as "
                f"sf.FixedProbability(0.5), not {shown(self.connector)}."
            )
        setter(self, "delay", self._checked_delay())
        pairs = [(a, b) for a in self.sides.pre.owners for b in self.sides.post.owners]
        fits = [self._fit(*pair) for pair in pairs]
        ends = [(pair[1], one.into) for pair, one in zip(pairs, fits, strict=True)]
        ends += [(pair[0], one.back) for pair, one in zip(pairs, fits, strict=True)]
        setter(self, "driven", [(owner, into) for owner, into in ends if into is not None])
        if not self.is_joined:
            setter(self, "fitted", fits[0])
            setter(self, "into", fits[0].into)
        counts = len(self.sides.pre.owners), len(self.sides.post.owners)
        check_joined_rules(self.place, self.written, *counts)
        if self.is_joined and any(one.back is not None for one in fits):
            raise NetworkError(
                f"{self.place}: a synapse that conducts both ways joins one population with one; "
                "give a projection for each pair of populations."
            )
        self._check_sizes()
        setter(self, "varied", self._checked_varied())
        setter(self, "_written", written_unit(self.weight))
        setter(self, "weight", self._checked_weight())
        if isinstance(self.weight, Parameter) and not self.weight.value.ndim:
            self.check_within(self.weight.value.reshape(1))

    def _fit(self, source: Population, target: Population) -> Fit:
        """Return how the synapse fits two populations, once it is checked that it does."""
        fitted = fit(self.place, self.written, self.into, target, source, self.weight_name)
        ends = {"pre": sender_of(self, source), "post": target}
        check_ports(self.place, self.synapse_name, fitted.equations, ends, fitted.into)
        check_back(self.place, self.written, self.mutual)
        if (
            fitted.back is not None and self.is_gap_junction and source is not target
        ):  # which conducts both ways
            back = turned(self.written, fitted)
            ends = {"pre": target, "post": source}
            check_ports(self.place, self.synapse_name, back, ends, fitted.back)
        return fitted

    @property
    def is_joined(self) -> bool:
        """Whether it starts from or ends on several populations; a run has its `parts` instead."""
        return isinstance(self.pre, Joined) or isinstance(self.post, Joined)

    @cached_property
    def is_gap_junction(self) -> bool:
        """Whether its current is the same in both directions; none of your own that comes late."""
        late = isinstance(self.synapse, Equations) and self.one_delay != 0
        return is_gap_junction(self.written) and not late

    @property
    def mutual(self) -> bool:
        """Whether its pairs must be given both ways: those of gap junctions in one population."""
        return self.is_gap_junction and self.sides.same

    def _check_sizes(self) -> None:
        for view, role in ((self.pre, "presynaptic"), (self.post, "postsynaptic")):
            if not len(view):
                raise NetworkError(f"projection {self.name!r} has no {role} cells.")
        both = 0
        if self.sides.same:
            pre, post = self.sides.pre.cells, self.sides.post.cells
            both = len(np.intersect1d(pre, post, assume_unique=True))
        try:
            self.connector.fits(len(self.pre), len(self.post), both)
        except NetworkError as error:
            raise NetworkError(f"projection {self.name!r}: {error}") from None
        if isinstance(self.connector, DistanceDependent):
            self.sides.axes(self.place, "DistanceDependent")

    # ------------------------------------------------------- weights and delays

    def _checked_varied(self) -> dict[str, PerSynapse]:
        """Return the parameters and initial values that may differ between synapses."""
        unit = self.equations.unit
        varied = self._varied()
        if (weight := varied.get(self.weight_name or "")) is not None:
            raise NetworkError(
                f"{self.place}: {self.weight_name!r} of synapse {self.synapse_name!r} is {weight}; "
                "give one number, and what differs between synapses as weight=..."
            )
        return {key: self._checked(value, unit(key), key) for key, value in varied.items()}

    def _checked_weight(self) -> PerSynapse | None:
        name, weight = self.weight_name, self.weight
        entries = self.connector.values if isinstance(self.connector, FromSparse) else None
        if name is None:
            source = "weight=" if weight is not None else "the entries of FromSparse"
            if weight is not None or entries is not None:
                raise NetworkError(
                    f"projection {self.name!r}: synapse {self.synapse_name!r} has no weight that "
                    f"{source} could be: no parameter and no state 'w'. A matrix of booleans "
                    "is a pattern without weights."
                )
            return None
        if weight is not None:
            return self._checked(weight, self.equations.unit(name), "weight")
        return None if entries is not None else self._default_weight(name)

    @cached_property
    def _limits(self) -> Limits:
        """What a weight may be."""
        name = self.weight_name
        return Limits() if name is None else limits_of(self.equations, name)

    def check_within(self, weight: NDArray[np.float64], pairs: Pairs | None = None) -> None:
        """Refuse weights that are out of bounds.

        Args:
            weight: Weights in the coherent system.
            pairs: Their cells, for messages.

        Raises:
            NetworkError: One is.
        """
        where = f"projection {self.name!r}"
        self._limits.check(weight, self._written_unit, self.weight, where, pairs)

    @property
    def weight_unit(self) -> str:
        """The unit in which the synapse declares its weight; `"1"` where it has none."""
        return "1" if self.weight_name is None else self.equations.unit(self.weight_name)

    @property
    def _written_unit(self) -> str:
        """The unit in which the user wrote the weight, for messages."""
        return self._written or self.weight_unit

    @property
    def one_delay(self) -> float | None:
        """The delay of all synapses in ms; None where theirs differ."""
        if isinstance(self.delay, Parameter) and not self.delay.value.ndim:
            return float(self.delay.value)
        return None

    @cached_property
    def shortest_delay(self) -> float:
        """A number of ms that no delay is below; infinite where there is no synapse."""
        if isinstance(self.delay, OfPair):
            apart = self.sides.apart if self.delay.needs_positions else None
            return self.delay.lowest((len(self.pre), len(self.post)), apart)
        if isinstance(self.delay, Distribution):
            return self.delay.lowest
        return float(self.delay.value.min(initial=np.inf))

    def _checked_delay(self) -> PerSynapse:
        delay = self._checked(self.delay, "ms", "delay")
        lowest = 0.0
        if isinstance(delay, Distribution):
            lowest = delay.lowest
        elif isinstance(delay, Parameter):
            lowest = float(delay.value.min(initial=0.0))
        if lowest < 0:
            hint = "; give the distribution a bound, low=0*ms" if np.isinf(lowest) else ""
            raise NetworkError(
                f"the delays of projection {self.name!r} can be {lowest:g} ms; they must be at "
                f"least 0 ms{hint}."
            )
        return delay

    def _checked(self, values: object, unit: str, what: str) -> PerSynapse:
        where = f"projection {self.name!r}"
        if isinstance(values, str) and is_expression(values):
            values = OfPair(values)
        if isinstance(values, OfPair):
            values.require(unit, f"{what!r} of {where}")
            if not values.used:
                return Parameter(values.constant(), unit)
            if values.needs_positions:
                axes = self.sides.axes(self.place, f"{what}={values}", "d" in values.used)
                values.require_axes(axes, f"{what} of {where}")
            return values
        numbers: Parameter | Distribution = held(values, unit, what, where)
        if isinstance(numbers, Distribution):
            return numbers
        allowed = {(), (len(self.pre), len(self.post))}
        if isinstance(self.connector, FromList):
            allowed.add((len(self.connector.pairs),))
        if numbers.value.shape not in allowed:
            choices = " or ".join(str(list(shape)) for shape in sorted(allowed) if shape)
            many = f"{what}s" if what in ("weight", "delay") else f"values of {what!r}"
            raise NetworkError(
                f"the {many} of {where} have shape {list(numbers.value.shape)}; "
                f"give one number, a distribution, or an array of shape {choices}."
            )
        return numbers

    # ------------------------------------------------------------- the synapses

    @cached_property
    def parts(self) -> tuple["Projection", ...]:
        """The projections from one population to one that it is in a run: mostly itself."""
        if not self.is_joined:
            return (self,)
        return tuple(Projection(**block) for block in blocks(self._drawn))

    @property
    def names_of_parts(self) -> list[str]:
        """What the parts of one between joined populations are called; none of others."""
        pre, post, _ = self.sides
        return [name_of_part(self, a, b) for a in pre.owners for b in post.owners if self.is_joined]

    def seeded(self, seed: int) -> "Projection":
        """Return the projection as a network of this seed draws it: itself where nothing changes.

        Args:
            seed: The network's. At 0 nothing changes.
        """
        return self._with_seeds(seed) if seed else self

    def _with_seeds(self, seed: int) -> "Projection":
        before = {key: getattr(self, key) for key in ("connector", "weight", "delay")}
        after = {k: seeded(v, seed, "projection", str(self.name), k) for k, v in before.items()}
        values = {
            k: seeded(v, seed, "projection", str(self.name), f"parameter {k}")
            for k, v in self.varied.items()
        }
        if any(values[key] is not self.varied[key] for key in values):
            after["synapse"], before["synapse"] = self.synapse(**values), self.synapse
        changed = any(after[key] is not before[key] for key in before)
        return replace(self, **after) if changed else self

    @cached_property
    def _drawn(self) -> "Projection":
        """The projection with a seed wherever something random has none."""
        return self._with_seeds(0)

    def connections(self, rows: Rows | None = None) -> Connections:
        """Build the synapses, or those of some postsynaptic cells.

        What has no seed is drawn as in a network of seed 0. Those of another network are
        `network.projection(name).connections()`. Those between joined cells count all cells of
        the populations, one behind the other.

        Args:
            rows: `(start, stop)`, a range of positions in `post`; memory grows with its synapses
                alone. Default: all.

        Raises:
            NetworkError: A delay is negative, a probability not from 0 to 1, or a gap junction
                is not given in both directions.
        """
        if self.mutual:
            self.check()
        return draw(self._drawn, check_rows(rows, len(self.post)))

    def __getitem__(self, variable: str) -> Recorder:
        """Return the recorder of a state of the synapses, or of `"I"`.

        A state that each synapse has for itself, such as a plastic weight, is recorded in the order
        of `connections()`; one that all synapses of a presynaptic or of a postsynaptic cell share,
        or of which only the sum over a postsynaptic cell's synapses is known, once for each such
        cell. `"I"` is the total current that these synapses let out of each postsynaptic cell.

        Raises:
            WrongTypeError: It is not a text.
            UnknownNameError: There is no such variable, or it is a parameter and does not change.
            NetworkError: It is between joined populations, and its parts are recorded.
        """
        equations = self.equations
        if self.is_joined:
            raise NetworkError(
                f"projection {self.name!r} joins several populations; record its parts, such as "
                f"network.projection({self.names_of_parts[0]!r})[{shown(variable)}]."
            )
        if not isinstance(variable, str):
            raise WrongTypeError(
                f"projection {self.name!r}[...] takes the name of a variable, not "
                f"{shown(variable)}."
            )
        known = {*equations.states, *({"I"} & set(equations.definitions))}
        if variable in known:
            return Recorder(str(self.name), variable, of_projection=True)
        if variable in equations.parameters:
            raise UnknownNameError(
                f"{variable!r} of projection {self.name!r} is a parameter, which does not change; "
                "see connections()."
            )
        raise UnknownNameError(
            f"the synapses of projection {self.name!r} have no variable {variable!r} that can be "
            f"recorded.{nearest(variable, known)}"
        )

    def expected(self) -> float:
        """Return how many synapses there will be on average, at most."""
        sides = len(self.pre), len(self.post)
        connector = self._drawn.connector
        if isinstance(connector, DistanceDependent):
            return connector.expected(*sides, self.sides.apart)
        return connector.expected(*sides)

    def check(self) -> None:
        """Refuse a gap junction whose pairs are not given in both directions, with one weight.

        It takes memory for the cells and for some rows, whatever the number of synapses.

        Raises:
            NetworkError: A pair is given in one direction only, or with two weights.
        """
        if not self.mutual or "_symmetric" in self.__dict__:
            return
        size = self.pre.population.size
        symmetry = Symmetry(size, 1 + len(self.varied))
        for part in self._parts():
            symmetry.add(part.pre, part.post, (part.coherent, *part.own.values()))
        cell = symmetry.uneven()
        if cell is not None:
            reason = uneven(self._parts(), cell, self._written_unit)
            raise NetworkError(f"projection {self.name!r}: {reason}")
        object.__setattr__(self, "_symmetric", True)

    def _parts(self) -> Iterator[Connections]:
        """Iterate over the synapses, some rows at a time."""
        n_post = len(self.post)
        expected = self.expected()
        height = max(1, min(n_post, int(n_post * _BLOCK / max(expected, 1.0))))
        for start in range(0, n_post, height):
            yield draw(self._drawn, (start, min(start + height, n_post)))

    def __repr__(self) -> str:
        return f"Projection({self.name!r}, {self.synapse_name}, {self.connector!r})"
