"""Ties: what holds populations together in one share of a network, and a division in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from somaflow.equations.drawing import Distribution
from somaflow.network.delayed import read_between_spikes
from somaflow.network.forms import take_apart
from somaflow.network.groups import Grouping, group
from somaflow.network.network import Network
from somaflow.network.population import Population
from somaflow.network.projection import Projection
from somaflow.network.recorder import Recorder
from somaflow.network.shares import BLOCK, Bounds

_SHOWN = 3  # projections of one kind that are named
_MOST = 0.9  # of the cells; where one share has more, others have next to nothing to do
_LONGEST = 1 << 30  # steps, in place of the delay of no synapse
_FEW = 16_000  # cells with which two workers were measured to take as long as one
_STEPS = 10  # from exchange to exchange, as it was measured
_EACH = 2.0  # ms of a processor for each exchange within a step, as measured (design/workers.md)


@dataclass(frozen=True)
class Held:
    """Populations that must be whole in one share.

    Attributes:
        names: Their names.
        reasons: What holds them together, in words.
    """

    names: tuple[str, ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.names)}: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Division:
    """How several workers share a run.

    Attributes:
        cells: Of each worker how many cells of each population it has.
        interval_steps: Steps from one exchange to the next.
        interval_ms: The same in biological ms.
        whole: What is whole in one worker, and why.
        at_least: Whether the interval may turn out to be longer, once delays are drawn.
        told: The projections whose cells are told something within each step.
        exchanges: How many exchanges a step has for them, that of its spikes among them; 0 where
            there is none within a step.
    """

    cells: tuple[dict[str, int], ...]
    interval_steps: int
    interval_ms: float
    whole: tuple[Held, ...]
    at_least: bool = False
    told: tuple[str, ...] = ()
    exchanges: int = 0

    def __str__(self) -> str:
        lines = []
        for k, own in enumerate(self.cells):
            said = ", ".join(f"{name} {count:,}" for name, count in own.items())
            lines.append(f"{f'worker {k}':<25} {said or 'no cells'}")
        steps = f"{self.interval_steps:,} step{'s' * (self.interval_steps > 1)}"
        or_more = ", or more" if self.at_least else ""
        lines.append(f"{'exchange every':<25} {steps}, {self.interval_ms:,.6g} ms{or_more}")
        if self.told:
            cost = f"{self.exchanges} exchanges, up to {self.exchanges * _EACH:g} ms of a processor"
            lines.append(f"{'in each step':<25} {cost}, for {_listed(self.told)}")
        lines += [f"{'whole in one worker':<25} {held}" for held in self.whole]
        return "\n".join(lines)

    def doubt(self) -> str:
        """Return why several workers gain little or nothing; empty where they do."""
        counts = [sum(own.values()) for own in self.cells]
        if self.told:
            return (
                f"cells of different workers act on each other within a step by "
                f"{_listed(self.told)}, so each step has {self.exchanges} exchanges, which take "
                f"up to {self.exchanges * _EACH:g} ms of a processor in each worker. An antennal "
                "lobe of 830 cells took more than 200 times as long as in one process "
                "(docs/design/workers.md). Leave workers out where memory allows; for many runs "
                "sf.sweep uses all cores."
            )
        most = max(counts) / sum(counts)
        if most <= _MOST:
            if sum(counts) > _FEW and self.interval_steps >= _STEPS:
                return ""
            return (
                f"{len(counts)} workers have {sum(counts):,} cells to share, and an exchange every "
                f"{self.interval_ms:,.6g} ms. Two workers were not faster than one with "
                f"{_FEW:,} cells and an exchange every {_STEPS} steps, and slower with fewer cells "
                "(docs/design/workers.md); for many runs sf.sweep uses all cores."
            )
        why = ". ".join(map(str, self.whole)) or f"cells are shared in blocks of {BLOCK}"
        share = "all cells" if most == 1 else f"{max(counts):,} of {sum(counts):,} cells"
        return (
            f"of {len(counts)} workers one has {share}, which cannot be shared: {why}. The run is "
            "hardly faster than in one process; for many runs sf.sweep uses all cores."
        )


def leaves_little(bounds: Sequence[Bounds]) -> bool:
    """Tell whether one of some workers has nearly all cells."""
    counts = [sum(end - begin for begin, end in own.values()) for own in bounds]
    return max(counts) > _MOST * sum(counts)


def goes_by_spikes(projection: Projection, dt: float) -> bool:
    """Tell whether all that a projection carries are spikes that arrive a step later or more.

    Args:
        projection: The projection.
        dt: The step in ms.
    """
    return not _tie(projection, dt)


def shortest_delay(projection: Projection, dt: float) -> int:
    """Return the smallest delay that a synapse of a projection may have, in steps.

    Args:
        projection: The projection.
        dt: The step in ms.
    """
    steps = min(max(projection.shortest_delay, 0) / dt, _LONGEST)
    # What is drawn is above the bound, not at it, so half a step is rounded up.
    return int(steps + 0.5) if isinstance(projection.delay, Distribution) else round(steps)


def told_within(projection: Projection, dt: float) -> bool:
    """Tell whether workers can tell each other within a step what a projection carries.

    Args:
        projection: The projection.
        dt: The step in ms.
    """
    form, delay = take_apart(projection), projection.one_delay
    if form.reason or projection.equations.rules or delay is None:
        return False
    if round(delay / dt) >= 1:  # what is read late is kept for each step
        return form.shown and form.waits and not read_between_spikes(projection)
    reads = any(name.endswith("_pre") for name in projection.equations.inputs)
    return form.shown or (form.waits and form.events and not reads)


def shown_states(projection: Projection) -> tuple[str, ...]:
    """Return the states of a synapse that are kept with the presynaptic cells themselves."""
    return tuple(projection.equations.states) if take_apart(projection).shown else ()


def currents_of(network: Network, recorder: Recorder) -> str | None:
    """Return the population whose currents a recorder may look at; None where it does not."""
    if recorder.of_spikes:
        return None
    if recorder.of_projection:
        projection = network.projection(recorder.owner)
        states, owner = projection.equations.states, projection.post.population.name
    else:
        states, owner = network.population(recorder.owner).equations.states, recorder.owner
    return None if recorder.variable in states else owner


def _noise_is_driven(population: Population) -> bool:
    """Tell whether the factor of a noise depends on what drives the cells.

    A method then looks at what drives them more often, in those workers alone that have such cells.
    """
    equations = population.equations
    inputs = equations.inputs.keys() - population.links.keys()
    factors = (equations.drift_and_diffusion(state)[1] for state in equations.noises)
    return any(equations.depends(tree) & inputs for own in factors for tree in own.values())


def _tie(projection: Projection, dt: float) -> str:
    """Return why the cells of a projection meet within a step; empty where they do not."""
    form = take_apart(projection)
    if any(name.endswith("_pre") for name in projection.equations.inputs):
        return "presynaptic variables are read"
    if form.reason:
        return "synapses are computed each by itself"
    if projection.equations.rules:
        return "synapses have rules at intervals"
    if not (form.waits and form.events):
        return "synapses act at all times"
    if shortest_delay(projection, dt) >= 1:
        return ""
    may_be = "are" if projection.one_delay is not None else "differ and may be"
    return f"delays {may_be} shorter than a step"


def together(
    network: Network, recorders: Iterable[Recorder], dt: float, staged: bool = False
) -> list[Held]:
    """Return the populations that must be whole in one share, in sets that must be in the same.

    A population that nothing holds together is not among them.

    Args:
        network: The network.
        recorders: What is recorded: what is reduced over the cells of a population holds it
            together, and what is over the synapses of a projection those that it reaches.
        dt: The step in ms.
        staged: Whether workers tell each other within a step what they can.
    """
    home = {p.name: p.name for p in network.populations}
    ties: list[tuple[str, str, str]] = []  # a population, what holds it, and where

    def root(name: str) -> str:
        while home[name] != name:
            name = home[name]
        return name

    def join(one: str, other: str, reason: str, where: str) -> None:
        ties.append((one, reason, where))
        home[root(one)] = root(other)

    recorders = list(recorders)
    # Looked at after each step, when nobody is told anything.
    followed = {currents_of(network, r) for r in recorders if r.over_time is not None}
    staged = staged and not any(map(_noise_is_driven, network.populations))
    tied = (pair for grouping in group(network.projections) for pair in _of_group(grouping, dt))
    for projection, reason in tied:
        ends = projection.pre.population.name, projection.post.population.name
        if not (staged and told_within(projection, dt) and ends[1] not in followed):
            join(*ends, reason, str(projection.name))
    for link in network.links:
        where = f"{link.target} ({link.read.key})"
        join(link.target, link.read.owner, "variables of other cells are read", where)
    for population in network.populations:
        if population.equations.rules:
            join(population.name, population.name, "there are rules at intervals", population.name)
    for recorder in recorders:
        if recorder.reduction is not None and not recorder.of_spikes:
            owner = recorder.owner
            if recorder.of_projection:
                projection = network.projection(owner)
                own = staged and recorder.variable in shown_states(projection)
                owner = (projection.pre if own else projection.post).population.name
            join(owner, owner, "all cells are recorded as one", recorder.key)
        if recorder.of_projection:
            projection = network.projection(recorder.owner)
            if projection.one_delay is None and recorder.variable in take_apart(projection).traces:
                # It moves with the spikes as they are sent, and a share hears of these later.
                ends = projection.pre.population.name, projection.post.population.name
                reason = "delays differ and what presynaptic cells keep is recorded"
                join(*ends, reason, recorder.key)
    reasons: dict[str, dict[str, list[str]]] = {}
    for name, reason, where in ties:
        reasons.setdefault(root(name), {}).setdefault(reason, []).append(where)
    return [
        Held(
            tuple(name for name in home if root(name) == key),
            tuple(f"{reason} in {_listed(places)}" for reason, places in found.items()),
        )
        for key, found in reasons.items()
    ]


def _of_group(grouping: Grouping, dt: float) -> list[tuple[Projection, str]]:
    """Return the projections of a group that tie populations, each with why."""
    found = [(projection, _tie(projection, dt)) for projection in grouping.projections]
    if grouping.projections[0].one_delay is None and any(reason for _, reason in found):
        # What spikes send is under way for all of them together.
        with_others = "delays differ, and others of the same synapse are not shared"
        return [(projection, reason or with_others) for projection, reason in found]
    return [(projection, reason) for projection, reason in found if reason]


def _listed(places: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"{', '.join(places[:_SHOWN])}{more}"
