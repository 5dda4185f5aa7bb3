"""Tables of a network: groups of synapses, layouts, parameters, inputs and the initial state."""

from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from somaflow import description
from somaflow.compiler.abreast import abreast, apart, together
from somaflow.compiler.continuing import Continuing
from somaflow.compiler.coupling import AnyCoupling, Route, is_heard
from somaflow.compiler.drives import Drives, noise_names
from somaflow.compiler.final import FinalState, KeptGroup, flattened
from somaflow.compiler.first import first_values
from somaflow.compiler.general import by_itself
from somaflow.compiler.joining import Joining
from somaflow.compiler.layout import Layout, pad, padded
from somaflow.compiler.lifted import lifted
from somaflow.compiler.links import Links
from somaflow.compiler.lower import Lowered
from somaflow.compiler.noise import WhiteNoise
from somaflow.compiler.past import Past
from somaflow.compiler.share import Share
from somaflow.compiler.single import GeneralState
from somaflow.compiler.spiking import Spiking
from somaflow.compiler.states import EventState, Parameters, RecordingParameters
from somaflow.compiler.timing import warn_of_coarse_times
from somaflow.equations.equations import Equations
from somaflow.errors import NetworkError, RunError, nearest
from somaflow.given import is_among, shown
from somaflow.network import groups
from somaflow.network.network import Network
from somaflow.network.senders import with_happenings
from somaflow.numerics.memory import available_bytes, free_in_words, in_words
from somaflow.simulation import memory
from somaflow.simulation.system import Array, Carry, Row
from somaflow.solvers.base import Solver
from somaflow.solvers.runge_kutta import RK4
from somaflow.solvers.stages import nodes_of


class Tables:
    """What a network's pure functions close over.

    Attributes:
        populations: In the order of the network, and behind them their events, as populations of
            cells without states; `place` gives each name's index.
        owners: The place of the population whose cells each is of: its own, but of events.
        lowered: Their equations without noise, static parts told from changing ones.
        noises: Their white noise.
        spiking: The threshold, reset and refractory period of each.
        apart: Groups of projections that share presynaptic states, and Poisson inputs.
        couplings: The same as they are computed: groups of one kind as one.
        made_of: Those of `apart` that each is made of.
        routes: All routes with the place of their coupling, in the order in which currents are
            added.
        layouts: Rows of each population's packed block.
        drives: The stimuli, voltage clamps and spike sources.
        shaken: The places of the populations that a reset changes.
        struck: Whether what happens at a step's end can lift the cells of each population above
            their threshold, where the crossing matters: cells without a reset, and events.
        links: What the equations of cells read of other cells.
        delays: The longest delay in steps of the spikes of each population; 0 where none is kept.
        heard: The couplings whose spikes are put under way once all are heard of, each with its
            place.
        past: What synapses read with a delay.
        each: The couplings that compute each synapse by itself, with their places among all.
        flowing: Those with a block of the flow state, behind those of the populations.
        batch: Leading axes of state and parameters; set by `initial`.
        n_synapses: Number of synapses.
        stacked: Of how many networks of one structure these are the tables; None of one.
        share: The share of a whole that the network has the cells of; None of a whole.
    """

    unseen = ("network", "duration", "before", "given", "n_synapses", "solver")

    def __init__(
        self,
        network: Network,
        dt: float,
        duration: float,
        dtype: DTypeLike,
        initial: Mapping[str, Mapping[str, object]] | FinalState,
        seed: int = 0,
        solver: Solver | None = None,
        between: bool = False,
        rows: int | None = None,
        share: Share | None = None,
    ) -> None:
        self.network, self.dt, self.stacked, self.share = network, dt, rows, share
        self.dtype: np.dtype = np.dtype(dtype)
        self.solver = RK4() if solver is None else solver
        self.duration = duration
        self.populations, self.owners = with_happenings(network.populations)
        self.before: Continuing | None = None
        self.given: Mapping[str, Mapping[str, object]] = {}
        if isinstance(initial, FinalState):
            self.before = Continuing(initial, self.populations, dt, dtype)
        else:
            self.given = initial
        self.place = {p.name: k for k, p in enumerate(self.populations)}
        self.spiking = [
            Spiking(p, self.populations[owner], dt, self.dtype)
            for p, owner in zip(self.populations, self.owners, strict=True)
        ]
        self.noises = [WhiteNoise(p, dt, self.dtype) for p in self.populations]
        self.lowered = [self._lower(k) for k in range(len(self.populations))]
        warn_of_coarse_times(self)
        self._check_memory()
        nodes = nodes_of(self.solver)
        self.apart = Joining(network, dt, dtype, self.before, nodes, share).couplings()
        self.couplings, self.made_of = abreast(self.apart, dt, self.dtype)
        self.routes = self._in_order()
        # With what only they have, such as spikes of each synapse.
        self.each = [
            (c, coupling) for c, coupling in enumerate(self.couplings) if by_itself(coupling)
        ]
        self.flowing = [(c, coupling) for c, coupling in self.each if coupling.flowing]
        self.layouts = self._lay_out()
        called = None if share is None else noise_names(share.whole)
        self.drives = Drives(network, dt, duration, self.dtype, seed, called)
        self.delays = [0] * len(self.populations)
        for coupling in self.apart:
            group = coupling.group
            late = group.delay or 0 if group.form.waits else 0
            self.delays[group.source] = max(self.delays[group.source], late)
        for _, coupling in self.each:
            source, late = coupling.group.source, coupling.longest * coupling.form.waits
            self.delays[source] = max(self.delays[source], late)
        self.heard = [(c, known) for c, known in enumerate(self.couplings) if is_heard(known)]
        self.past = Past(self.couplings, self.populations, nodes)
        self.shaken, self.struck = lifted(
            *(self.populations, self.owners, self.spiking, self.couplings, self._edited(between)),
            reached=() if share is None else share.reached(),
        )
        self.links = Links(network.links, self.populations, self.dtype)
        for k in self.links.lifting(self.spiking):
            self.struck[k] = True
        self.seen = self._seen()
        self.n_synapses = sum(coupling.wiring.choice.synapses for coupling in self.apart)
        self.batch: tuple[int, ...] = ()

    # ------------------------------------------------------------------ tables

    def _edited(self, between: bool) -> Iterable[str]:
        """Return the names of the populations whose states are changed between two steps."""
        return self.place if between else self.before.final.before if self.before else ()

    def _seen(self) -> dict[int, list[str]]:
        """Return the definitions that the synapses of a population read, by its place."""
        seen: dict[int, set[str]] = {}
        for coupling in self.couplings:
            source = coupling.group.source
            known = self.populations[source].equations.definitions
            for route in coupling.group.routes:
                inputs = route.lowered.equations.inputs
                read = {name.removesuffix("_pre") for name in inputs if name.endswith("_pre")}
                if read & known.keys():
                    seen.setdefault(source, set()).update(read & known.keys())
        return {source: sorted(names) for source, names in seen.items()}

    def senders(self, c: int) -> list[str]:
        """Return the populations whose spikes a coupling gets, one behind the other."""
        return [self.populations[part.group.source].name for part in self.made_of[c]]

    def shape(self, k: int) -> tuple[int, ...]:
        """Return the shape of a variable of a population, padding included."""
        return (*self.batch, self.layouts[k].padded)

    def _check_memory(self) -> None:
        needed = groups.expected_bytes(self.network.projections, self.dtype.itemsize)
        free = available_bytes()
        if free is not None and needed > free:
            largest = max(self.network.projections, key=lambda p: p.expected())
            raise NetworkError(
                f"the synapses need about {in_words(needed)} of memory, but {free_in_words(free)}; "
                f"the most belong to projection {largest.name!r}. Use "
                "float32, fewer synapses, or a larger machine."
            )

    def _lower(self, k: int) -> Lowered:
        equations, noise = self.populations[k].equations, self.noises[k]
        pairs = zip(self.owners, self.spiking, strict=True)
        spiking = [own for owner, own in pairs if owner == k]
        dynamic = frozenset(equations.inputs).union(*(own.draws for own in spiking))
        nodes = (node for own in spiking for node in own.nodes)
        return Lowered(noise.drift, dynamic, (*nodes, *noise.nodes), self.dtype == np.float32)

    def _in_order(self) -> list[tuple[int, Route]]:
        own = (route.projection for coupling in self.apart for route in coupling.group.routes)
        order = {name: place for place, name in enumerate(own)}
        routes = [
            (c, r) for c, coupling in enumerate(self.couplings) for r in coupling.group.routes
        ]
        return sorted(routes, key=lambda item: order[item[1].projection])

    def _lay_out(self) -> list[Layout]:
        layouts, start = [], 0
        for k, population in enumerate(self.populations):
            rows = [row for c in self.couplings if c.group.source == k for row in c.rows]
            states = (*population.equations.states, *rows)
            layouts.append(Layout(population.name, population.size, start, states))
            start += padded(population.size)
        return layouts

    # -------------------------------------------------------------- parameters

    def _values(self, equations: Equations, size: int) -> dict[str, Array]:
        return {
            name: pad(p.value, size).astype(self.dtype) for name, p in equations.parameters.items()
        }

    def parameters(self, recordings: RecordingParameters) -> Parameters:
        """Return every parameter, padded, as arrays of the run's dtype.

        Args:
            recordings: What recorders need.
        """
        begun = [c.group for c in self.apart if c.group.begun is not None]
        return Parameters(
            cells=[
                self._values(p.equations, p.size)
                | lowered.exact(
                    {n: pad(v.value, p.size) for n, v in p.equations.parameters.items()}
                )
                for p, lowered in zip(self.populations, self.lowered, strict=True)
            ],
            synapses={
                route.projection: values
                for coupling in self.couplings
                for route, values in zip(
                    coupling.group.routes, self._of_synapses(coupling), strict=True
                )
            },
            sums=[coupling.wiring.arrays for coupling in self.couplings],
            drives=self.drives.parameters(),
            refractory={s.key: s.steps for s in self.spiking if s.steps is not None},
            begun={g.key: np.asarray(g.begun, np.int64) for g in begun},
            recordings=recordings,
            links=self.links.arrays,
        )

    def _of_synapses(self, coupling: AnyCoupling) -> list[dict[str, Array]]:
        """Return the parameters of each projection, or of the Poisson input, of a coupling."""
        group = coupling.group
        if by_itself(coupling):
            return [coupling.wiring.values]
        if group.counted is not None:
            return [self._values(self.network.inputs[group.counted].equations, 1)]
        return [self._values(member.projection.equations, 1) for member in group.members]

    # ------------------------------------------------------------ initial state

    def initial(self) -> Carry:
        """Return the state at step 0.

        Raises:
            RunError: An initial value for an unknown state, or of the wrong shape or unit.
        """
        for name, values in self.given.items():
            if not is_among(name, self.place):
                raise RunError(f"initial names {shown(name)}.{nearest(name, self.place)}")
            if not isinstance(values, Mapping):
                raise RunError(f"initial[{name!r}] is a dict of states, not {shown(values)}.")
        per_cell = [self._first_cells(k) for k in range(len(self.populations))]
        if self.before is not None:
            self.batch = self.before.batch
        elif self.stacked is not None:
            self.batch = (self.stacked,)
        else:
            self.batch = self._leading(per_cell)
        rows: dict[str, Array] = {}
        for coupling in self.apart:
            known = None if self.before is None else self.before.rows(coupling)
            rows |= {row: np.full((), start) for row, start in coupling.rows.items()}
            rows |= known or {}
        blocks = []
        for layout, cells in zip(self.layouts, per_cell, strict=True):
            if not layout.states:
                continue  # spike sources; they have no block
            shape = (*self.batch, layout.size)
            held = [np.broadcast_to({**cells, **rows}[state], shape) for state in layout.states]
            block = np.stack([pad(row, layout.size) for row in held])
            blocks.append(block.astype(self.dtype))
        event = self._initial_events()
        begun = 0
        if self.before is not None:
            event, begun = self.before.events(event, self.apart), self.before.clocks.now
        groups = together(event.groups, self.made_of, begun)
        event = event._replace(noise=self.drives.numbered(event.noise), groups=groups)
        for _, coupling in self.each:
            kept = event.groups[coupling.group.key]
            assert isinstance(kept, GeneralState)
            event.groups[coupling.group.key] = kept._replace(flow={})
            blocks += [np.stack(list(kept.flow.values()))] if kept.flow else []
        remembered = memory.empty(self.solver, tuple(blocks))
        if remembered and self.before is not None:
            remembered = memory.restored(remembered, self._method, self.before.final.events)
            remembered = memory.anew(remembered, self._moved(self.before.final))
        return Carry(tuple(blocks), event, memory=remembered)

    def _moved(self, final: FinalState) -> list[Array]:
        """Return of each block of the flow state which columns have values given for them."""
        moved = []
        for layout in self.layouts:
            if layout.states:
                known = layout.name in final.before  # else nothing has moved
                cells = final.moved(layout.name) if known else np.zeros(layout.size)
                shape = (*self.batch, layout.size)
                moved.append(pad(np.broadcast_to(cells, shape), layout.size) > 0)
        for _, coupling in self.flowing:
            names = {route.projection for route in coupling.group.routes}
            moved.append(np.array(bool(names & final.edits.keys())))
        return moved

    @cached_property
    def _method(self) -> str:
        """The key of what the method remembers: of other numbers, or at another dt, it is past."""
        digest = description.fingerprint({"network": self.network, "dt": self.dt})
        settings = sorted(vars(self.solver).items()) if hasattr(self.solver, "__dict__") else []
        plain = [(k, v) for k, v in settings if isinstance(v, (bool, int, float, str))]
        return f"method {type(self.solver).__qualname__} {self.solver.name} {plain} of {digest}"

    def _first_cells(self, k: int) -> Mapping[str, ArrayLike]:
        """Return the states of a population with which the run begins."""
        known = None if self.before is None else self.before.cells(self.populations[k].name)
        if known is not None:
            return known
        population = self.populations[k]
        return first_values(population, self.given.get(population.name, {}), self.network.seed)

    def _leading(self, per_cell: list[Mapping[str, ArrayLike]]) -> tuple[int, ...]:
        """Return the leading axes of initial values and parameters."""
        leading = [np.shape(v)[:-1] for cells in per_cell for v in cells.values() if np.ndim(v)]
        leading += [
            p.value.shape[:-1]
            for population in self.populations
            for p in population.equations.parameters.values()
            if p.value.ndim
        ]
        try:
            return np.broadcast_shapes(*leading)
        except ValueError as error:
            raise RunError(
                f"leading axes of parameters and initial values do not fit each other: {leading}."
            ) from error

    def final(self, carry: Carry, steps: int) -> FinalState:
        """Return the state at the end of a run, as arrays by name."""
        states, blocks = {}, iter(carry.flow)
        for layout in self.layouts:
            if layout.states:
                rows = np.asarray(next(blocks))[..., : layout.size]
                states[layout.name] = dict(zip(layout.states, rows, strict=True))
        sizes = {p.name: p.size for p in self.populations}
        groups = {coupling.group.key: self._kept(coupling) for coupling in self.apart}
        event = carry.event._replace(
            noise=self.drives.named(carry.event.noise),
            groups=apart(carry.event.groups, self.made_of, steps),
            past=self.past.of_cells(carry.event.past),
        )
        for coupling in self.apart:
            if coupling.ordered is not None:
                key, kept = coupling.group.key, event.groups[coupling.group.key]
                own = {n: np.asarray(v)[..., coupling.ordered] for n, v in kept.own.items()}
                event.groups[key] = kept._replace(own=own)
        for _, coupling in self.flowing:
            key = coupling.group.key
            flow = dict(zip(coupling.form.flowing, np.asarray(next(blocks)), strict=True))
            event.groups[key] = event.groups[key]._replace(flow=flow)
        known = flattened(event.named())
        if carry.memory:
            known |= memory.named(carry.memory, self._method)
        return FinalState(steps, self.dt, states, known, sizes, groups, self.network)

    def _kept(self, coupling: AnyCoupling) -> KeptGroup:
        group = coupling.group
        members = {
            r.projection: (self.populations[r.target].name, r.columns.start, r.columns.stop)
            for r in group.routes
        }
        source, form = self.populations[group.source].name, coupling.wiring.choice.form
        known = group.begun, coupling.wired, coupling.places, coupling.began
        return KeptGroup(source, members, group.delay, form, *known)

    def _initial_events(self) -> EventState:
        event = EventState(self.drives.initial(), {}, {}, {}, {}, {})
        for coupling in self.apart:
            start = coupling.initial(self.batch)
            if start is not None:
                event.groups[coupling.group.key] = start
        for k, population in enumerate(self.populations):
            shape = (*self.batch, padded(population.size))
            if self.spiking[k].waits:
                event.refractory[self.spiking[k].key] = np.zeros(shape, np.int32)
            if self.struck[k]:
                event.above[f"above {population.name}"] = np.zeros(shape, np.bool_)
            if self.delays[k]:
                width = shape[-1] if self.share is None else self.share.width(population.name)
                spikes = np.zeros((self.delays[k] + 1, *self.batch, width), self.dtype)
                event.spikes[f"spikes {population.name}"] = spikes
        return event._replace(past=self.past.empty(self.batch, self.dtype))

    def rows(self) -> tuple[Row, ...]:
        rows = []
        pairs = zip(self.layouts, self.populations, strict=True)
        flowing = [(layout, population.first) for layout, population in pairs if layout.states]
        for k, (layout, number) in enumerate(flowing):
            for r, state in enumerate(layout.states):
                rows.append(
                    Row(
                        f"{layout.name}.{state}",
                        lambda flow, k=k, r=r, n=layout.size: np.asarray(flow[k])[r][..., :n],
                        number,
                    )
                )
        for k, (_, coupling) in enumerate(self.flowing, len(flowing)):
            for r, state in enumerate(coupling.form.flowing):
                rows.append(
                    Row(
                        f"{coupling.name}.{state}",
                        lambda flow, k=k, r=r, n=coupling.wiring.count: np.asarray(flow[k])[r][
                            ..., :n
                        ],
                    )
                )
        return tuple(rows)

    def count_states(self) -> int:
        """Return how many differential equations are solved, those of synapses included."""
        states = sum(p.size * len(p.equations.states) for p in self.populations)
        for coupling in self.apart:
            group = coupling.group
            n_pre = self.populations[group.source].size
            n_post = sum(self.populations[route.target].size for route in group.routes)
            states += group.form.count(n_pre, n_post, coupling.wiring.choice.synapses)
        return states
