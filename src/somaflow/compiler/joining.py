"""Joining: from the projections and Poisson inputs of a network to the couplings of a run."""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from somaflow.compiler.continuing import Continuing
from somaflow.compiler.coupling import AnyCoupling, Group, Route, check_numbers, chords_of
from somaflow.compiler.each import Each
from somaflow.compiler.general import GeneralCoupling
from somaflow.compiler.graded import GradedCoupling
from somaflow.compiler.jumping import JumpingCoupling
from somaflow.compiler.layout import pad, padded
from somaflow.compiler.lower import Lowered
from somaflow.compiler.plastic import PlasticCoupling
from somaflow.compiler.poisson import PoissonCoupling, Weights
from somaflow.compiler.pulsed import PulsedCoupling
from somaflow.compiler.share import Share
from somaflow.compiler.wiring import Member, Wiring, delay_steps
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Node
from somaflow.errors import NetworkError
from somaflow.network import forms, groups
from somaflow.network.delayed import check_delay
from somaflow.network.form import Form
from somaflow.network.graded import Graded
from somaflow.network.groups import Grouping
from somaflow.network.jumping import Jumping
from somaflow.network.network import Network
from somaflow.network.plastic import Plastic
from somaflow.network.poisson import PoissonInput
from somaflow.network.projection import Projection
from somaflow.network.pulsed import Pulsed
from somaflow.network.senders import name_of_sender, with_happenings
from somaflow.network.synaptic import Synaptic
from somaflow.simulation.system import Array

# What computes each form; synapses of a form that is not here are computed each by itself.
KINDS: dict[type[Form], Callable[[Group, Wiring, np.dtype], AnyCoupling]] = {
    Graded: GradedCoupling,
    Pulsed: PulsedCoupling,
    Jumping: JumpingCoupling,
    Plastic: PlasticCoupling,
}


class Joining:
    """Makes the couplings of a network.

    Args:
        network: The network.
        dt: The step in ms.
        dtype: NumPy type of the run.
        before: The end of the run that goes on, or None.
        nodes: Fractions of the step at which the method asks for currents.
        share: The share of a whole that `network` has the cells of; None of a whole.
    """

    def __init__(
        self,
        network: Network,
        dt: float,
        dtype: DTypeLike,
        before: Continuing | None,
        nodes: tuple[float, ...],
        share: Share | None = None,
    ) -> None:
        self.share = share
        self.network, self.dt, self.before = network, dt, before
        self.dtype: np.dtype = np.dtype(dtype)
        self.populations, _ = with_happenings(network.populations)
        self.nodes = nodes
        self.place = {p.name: k for k, p in enumerate(self.populations)}

    def couplings(self) -> list[AnyCoupling]:
        """Return the couplings: groups of projections that share states, and Poisson inputs.

        Raises:
            NetworkError: A synapse cannot be computed.
        """
        apart = None if self.before is None else self.before.final.group_of
        share = self.share
        whole = groups.group(self.network.projections, apart) if share is None else None
        groupings = share.groupings() if share is not None else whole or []
        couplings: list[AnyCoupling] = [self._couple(self._group(g), g) for g in groupings]
        couplings += [self._counted(number, p) for number, p in enumerate(self.network.inputs)]
        if self.before is not None:
            self.before.check_projections(couplings)
        return couplings

    def _group(self, grouping: Grouping) -> Group:
        first = grouping.projections[0]
        form, equations, place = grouping.form, first.equations, forms.place_of(first)
        delay = delay_steps(first, self.dt)
        if delay != 0:
            check_delay(first, form)
        read = {name for a in equations.on_spike for name in equations.depends(a.expression)}
        read = sorted({name for name in read & set(equations.inputs) if name.endswith("_pre")})
        if read and delay != 0:
            raise NetworkError(
                f"{place} reads {read[0]} at the spike, and its spikes act later; where a spike "
                "reads variables of the presynaptic cell, leave delay out."
            )
        initial: dict[str, float] = {}
        if type(form) in KINDS:  # elsewhere, each synapse has its own
            values = equations.initial_values({}, first.synapse_name)
            initial = {s: float(np.asarray(v)) for s, v in values.items()}
        sender, share = name_of_sender(first), self.share
        group = Group(
            key=grouping.key,
            form=form,
            source=self.place[sender],
            initial=initial,
            lowered=self._lowered(first, form),
            delay=delay,
            place=place,
            nodes=self.nodes,
            heard=share is not None and delay is None and not share.has_all(sender),
        )
        if share is not None and group.key in share.staged and form.shown:
            source = self.populations[group.source]
            group.here = padded(source.size) if share.has_some(source.name) else 0
        for projection, own in zip(grouping.projections, grouping.forms, strict=True):
            self._add_route(group, projection, own)
        if self.before is not None:
            group.before = self.before.group(group)
            group.begun = self.before.begun(group, group.before)
        return group

    def _lowered(self, synaptic: Synaptic, form: Form, keep: tuple[Node, ...] = ()) -> Lowered:
        # What differs between synapses or within a run, beside the states.
        changing = {*synaptic.equations.inputs, synaptic.weight_name or "", *form.draws}
        single = self.dtype == np.float32
        return Lowered(synaptic.equations, frozenset(changing), keep, single)

    def _add_route(self, group: Group, projection: Projection, form: Form) -> None:
        target = self.place[projection.post.population.name]
        begin = group.width if group.routes else 0
        columns = slice(begin, begin + padded(self.populations[target].size))
        first = self.populations[target].first
        group.members.append(Member(projection, begin, first))
        group.routes.append(self._route(projection, form, target, columns))

    def _route(self, synaptic: Synaptic, form: Form, target: int, columns: slice) -> Route:
        """Return the way from the sums of a projection or Poisson input to its cells."""
        chords = chords_of(synaptic.equations, form.post)
        away = self.share is not None and not self.share.has_some(self.populations[target].name)
        if away:  # the cells that it reaches are in other shares
            chords = {}
        keep = (*form.post, *(slope for chord in chords.values() for slope in chord.slopes))
        lowered = self._lowered(synaptic, form, keep)
        into = None if away else synaptic.into
        return Route(str(synaptic.name), target, into, columns, form.post, chords, lowered)

    def _couple(self, group: Group, grouping: Grouping) -> AnyCoupling:
        n_pre, share = padded(self.populations[group.source].size), self.share
        if type(group.form) not in KINDS:
            return self._alone(group, grouping, n_pre)
        if share is None:
            synapses = groups.drawn(grouping.projections)
            chosen = groups.choose(grouping, self.dtype.itemsize, synapses)
        else:
            synapses = share.synapses[group.key]
            chosen = groups.chosen(grouping, share.degrees[group.key], self.dtype.itemsize)
            # What comes of its presynaptic cells is of all cells of the whole.
            if group.delay or group.heard or group.key in share.staged:
                n_pre = share.width(self.populations[group.source].name)
        before = group.before
        if before is not None and (group.delay is None) == (before.delay is None):
            routes = {route.projection for route in group.routes}
            # Others of the group may be in other shares.
            same = routes == before.members.keys() or (
                share is not None and routes <= before.members.keys()
            )
            chosen = chosen._replace(form=before.sums) if same else chosen
        counts = None if share is None else share.counts(group.key)
        wiring = Wiring(
            *(group.members, synapses, chosen, n_pre, group.width, self.dt, self.dtype), counts
        )
        if self.before is not None and before is not None and wiring.latest is not None:
            wiring.latest = max(wiring.latest, self.before.latest(group, before))
        values = self._values(group.members[0].projection.equations, 1)
        check_numbers(group, values)
        coupling = KINDS[type(group.form)](group, wiring, self.dtype)
        coupling.check(values, self.dt)
        return coupling

    def _alone(self, group: Group, grouping: Grouping, n_pre: int) -> GeneralCoupling:
        """Return the coupling of a projection whose synapses are computed each by itself."""
        projection = group.members[0].projection
        synapses = projection.connections()
        chosen = groups.choose(grouping, self.dtype.itemsize, [[synapses]])
        each = Each(projection, synapses, chosen, n_pre, group.width, self.dt, self.dtype)
        if self.before is not None and group.delay is None:
            group.begun = self.before.begun(group, group.before, each.longest)
        coupling = GeneralCoupling(group, each, self.dt, self.dtype)
        coupling.check(each.values, self.dt)
        return coupling

    def _values(self, equations: Equations, size: int) -> dict[str, Array]:
        return {
            name: pad(p.value, size).astype(self.dtype) for name, p in equations.parameters.items()
        }

    def _counted(self, number: int, given: PoissonInput) -> PoissonCoupling:
        equations, target = given.equations, self.place[given.post.population.name]
        starts = equations.initial_values({}, given.synapse_name)
        form = forms.take_apart(given)
        weights = Weights.of(given, self.dtype)
        group = Group(
            key=f"{given.synapse_name} of {given.name}",
            form=form,
            source=target,
            initial={s: float(np.asarray(v)) for s, v in starts.items()},
            lowered=self._lowered(given, form),
            delay=0,
            place=forms.place_of(given),
            routes=[self._route(given, form, target, slice(0, weights.width))],
            counted=number,
        )
        if self.before is not None:
            group.before = self.before.group(group)
        values = self._values(equations, 1)
        check_numbers(group, values)
        coupling = PoissonCoupling(group, weights, self.dtype)
        coupling.check(values, self.dt)
        return coupling
