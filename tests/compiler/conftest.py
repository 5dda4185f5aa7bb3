"""The plain result: passive cells, and for each pair of cells one synapse with states of its own.

RK4 in NumPy, crossings by linear interpolation, and the synapses in closed form between spikes. No
sum over synapses is ever a state, no synapse shares anything with another one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest

from somaflow.network import choice

REST, THRESHOLD = -60.0, -20.0
NODES = (0.0, 0.5, 0.5, 1.0)
Array = Any


class Cells(NamedTuple):
    """Passive cells of capacity 1: dv/dt = leak*(-60 - v) + drive + synapses.

    `drive` is `[n_pieces, n_cells]`, each piece holds for `every` steps. A spike is an upward
    crossing of -20, also one by what spikes move at a step's end; nothing is reset.
    """

    leak: Array
    drive: Array
    every: int


class Synapses(NamedTuple):
    """One synapse for each pair of cells.

    `kind` has `initial`, `later(z, time)`, `current(z, v_pre, v_post, w)` (inward) and for spikes
    `jump(z, w)`, whose entry `v_post`, if any, is added to the voltage; or for graded synapses
    `slope(z, v_pre, pulse)` and `duration`; or `events(z, ago, ago_post, dt, v_post, w)`, which
    does all that a step's spikes of both sides do, and returns the states and areas.
    `delay` is in steps, `[n_pre, n_post]`.
    """

    pre: str
    post: str
    kind: Any
    weight: Array
    delay: Array


class Result(NamedTuple):
    """Voltages `[n_steps + 1, n_cells]` and spikes (time, cell) by population; final states."""

    v: dict[str, Array]
    spikes: dict[str, list[tuple[float, int]]]
    states: list[dict[str, Array]]


class _Run:
    def __init__(self, cells: dict[str, Cells], synapses: Sequence[Synapses], dt: float) -> None:
        self.cells, self.synapses, self.dt = cells, synapses, dt
        self.v = {key: np.full(len(c.leak), REST) for key, c in cells.items()}
        self.z = [
            {name: np.full(s.weight.shape, start) for name, start in s.kind.initial.items()}
            for s in synapses
        ]
        for s, z in zip(synapses, self.z, strict=True):
            if "w" in z:
                z["w"] = s.weight.copy()
        self.areas: list[tuple[Synapses, Any]] = []
        self.left = [np.zeros(s.weight.shape) for s in synapses]  # of pulses of graded synapses
        self.since: dict[str, list[Array]] = {key: [] for key in cells}
        self.above = {key: v > THRESHOLD for key, v in self.v.items()}  # before spikes moved it
        self.spikes: dict[str, list[tuple[float, int]]] = {key: [] for key in cells}

    def slopes(self, k: int, v: Any, z: Any) -> tuple[dict[str, Array], list[dict[str, Array]]]:
        dv = {
            key: c.leak * (REST - v[key]) + c.drive[k // c.every] for key, c in self.cells.items()
        }
        dz = []
        for n, s in enumerate(self.synapses):
            v_pre = v[s.pre][:, None]
            dv[s.post] = dv[s.post] + s.kind.current(z[n], v_pre, v[s.post], s.weight).sum(0)
            covered = np.minimum(self.left[n], self.dt) / self.dt
            dz.append(s.kind.slope(z[n], v_pre, covered) if hasattr(s.kind, "slope") else {})
        return dv, dz

    def step(self, k: int) -> None:
        made: list[Any] = []
        for c in NODES:
            v, z = dict(self.v), [self.at(n, c * self.dt) for n in range(len(self.synapses))]
            if made:
                dv, dz = made[-1]
                v = {key: v[key] + c * self.dt * dv[key] for key in v}
                for own, slope in zip(z, dz, strict=True):
                    own |= {name: own[name] + c * self.dt * slope[name] for name in slope}
            made.append(self.slopes(k, v, z))
        before, start = self.v, self.z
        self.v = {
            key: v + self.dt * _mean([dv[key] for dv, _ in made]) for key, v in before.items()
        }
        flown = [
            {
                name: z[name] + self.dt * _mean([dz[n][name] for _, dz in made])
                for name in made[0][1][n]
            }
            for n, z in enumerate(start)
        ]
        lifted = {key: (v > THRESHOLD) & ~self.above[key] for key, v in before.items()}
        self.above = {key: v > THRESHOLD for key, v in self.v.items()}
        for key in self.cells:
            hit = (before[key] <= THRESHOLD) & (self.v[key] > THRESHOLD)
            rise = np.where(hit, self.v[key] - before[key], 1.0)
            since = np.where(hit, self.dt * ((self.v[key] - THRESHOLD) / rise), 0.0)
            # What spikes moved at the end of the last step has lifted these above the threshold.
            hit = hit | lifted[key]
            since = np.where(lifted[key], self.dt, since)
            self.since[key].append(since)
            self.spikes[key] += [((k + 1) * self.dt - since[i], i) for i in np.flatnonzero(hit)]
        seen = dict(self.v)
        for n, s in enumerate(self.synapses):
            self.arrive(n, s, k, flown[n], seen)
        for key in self.cells:
            self.charge(key)

    def at(self, n: int, time: Any) -> dict[str, Array]:
        """The states of the synapses some time after the step's start, without spikes."""
        kind = self.synapses[n].kind
        return dict(self.z[n]) if hasattr(kind, "slope") else kind.later(self.z[n], time)

    def arrive(self, n: int, s: Synapses, k: int, flown: Any, seen: dict[str, Array]) -> None:
        ago = np.zeros(s.weight.shape)
        for j, i in np.ndindex(*ago.shape):
            sent = k - s.delay[j, i]
            ago[j, i] = self.since[s.pre][sent][j] if sent >= 0 else 0.0
        hit = ago > 0
        if hasattr(s.kind, "slope"):
            self.z[n] = self.z[n] | flown
            if s.kind.duration:
                self.pulse(n, s, ago, seen[s.pre][:, None])
            return
        added = 0.0
        if hasattr(s.kind, "events"):
            since = self.since[s.post][k]
            z, area = s.kind.events(self.z[n], ago, since, self.dt, seen[s.post], s.weight)
        else:
            crossing = s.kind.later(self.z[n], self.dt - ago)
            jumped = s.kind.jump(crossing, s.weight)
            added = np.where(hit, jumped.pop("v_post", 0.0), 0.0).sum(0)
            calm, end = s.kind.later(self.z[n], self.dt), s.kind.later(jumped, ago)
            z = {name: np.where(hit, end[name], calm[name]) for name in calm}
            area = opened_area(s.kind, crossing, jumped, np.where(hit, ago, 0.0))
        self.z[n] = z
        self.v[s.post] = self.v[s.post] + added
        self.areas.append((s, area))

    def charge(self, key: str) -> None:
        """Move a population by what the flow of this step could not know.

        Over the areas the voltage moves along the chord from I to where it is 0: I(v)/v for the
        reversal potential 0 of all conductances here.
        """
        v, passed, rate = self.v[key], 0.0, 0.0
        for s, area in self.areas:
            if s.post == key:
                now = s.kind.current(area, None, v, s.weight).sum(0)
                depends = now != s.kind.current(area, None, v + 1, s.weight).sum(0)
                passed, rate = passed + now, rate + np.where(depends, now / v, 0.0)
        far = rate != 0
        self.v[key] = v + passed * np.where(far, np.expm1(rate) / np.where(far, rate, 1.0), 1.0)
        self.areas = [(s, area) for s, area in self.areas if s.post != key]

    def pulse(self, n: int, s: Synapses, ago: Array, v_pre: Array) -> None:
        covered = np.minimum(self.left[n], self.dt) / self.dt
        within = np.minimum(ago, s.kind.duration)
        new, old = (s.kind.slope(self.z[n], v_pre, pulse) for pulse in (1.0, covered))
        for name in new:
            moved = self.z[n] | {name: self.z[n][name] + 1}
            x = within * (s.kind.slope(moved, v_pre, 1.0)[name] - new[name])
            grown = within * np.where(x != 0, np.expm1(x) / np.where(x != 0, x, 1.0), 1.0)
            self.z[n][name] = self.z[n][name] + np.where(
                ago > 0, grown * (new[name] - old[name]), 0
            )
        rest = np.maximum(self.left[n] - self.dt, 0)
        self.left[n] = np.where(ago > 0, np.maximum(s.kind.duration - ago, 0), rest)


def opened_area(kind: Any, crossing: Any, jumped: Any, ago: Array) -> dict[str, Array]:
    """The integral of what a jump has opened, by Gauss's rule on either side of a pulse's end."""
    nodes, weights = np.polynomial.legendre.leggauss(10)
    end = np.minimum(crossing.get("left", np.zeros_like(ago)), ago)
    total = {name: np.zeros_like(ago) for name in crossing}
    for low, high in ((np.zeros_like(ago), end), (end, ago)):
        for x, weight in zip(nodes, weights, strict=True):
            time = (low + high) / 2 + x * (high - low) / 2
            with_it, without = kind.later(jumped, time), kind.later(crossing, time)
            for name, so_far in total.items():
                part = with_it[name] - without[name]
                total[name] = so_far + weight * (high - low) / 2 * part
    return total


def _mean(stages: list[Array]) -> Array:
    return (stages[0] + 2 * stages[1] + 2 * stages[2] + stages[3]) / 6


@pytest.fixture(scope="session")
def plain() -> Callable[..., Result]:
    """Return `run(cells, synapses, dt, n_steps)`, where cells and synapses are plain tuples."""

    def run(cells: Any, synapses: Any, dt: float, n_steps: int) -> Result:
        made = _Run(
            {key: Cells(*c) for key, c in cells.items()}, [Synapses(*s) for s in synapses], dt
        )
        traces = {key: [v] for key, v in made.v.items()}
        for k in range(n_steps):
            made.step(k)
            for key, trace in traces.items():
                trace.append(made.v[key])
        return Result({k: np.array(t) for k, t in traces.items()}, made.spikes, made.z)

    return run


@pytest.fixture(scope="session")
def forced() -> Callable[[str], Any]:
    """Return a context in which the compiler takes one form of sums wherever it is possible."""

    @contextmanager
    def force(form: str) -> Iterator[None]:
        def chosen(in_degrees: Any, n_pre: int, events: bool, single: bool, *sizes: int) -> Any:
            found = choose(in_degrees, n_pre, events, single, *sizes)
            taken = "loop" if single else form
            return found._replace(form=taken, nanoseconds={taken: 0.0}, bytes=0)

        choose = choice.choose
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(choice, "choose", chosen)
            yield

    return force
