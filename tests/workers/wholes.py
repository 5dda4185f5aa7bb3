"""Networks that several shares compute, and what makes two runs the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import somaflow as sf
from somaflow.network.shares import BLOCK, Bounds
from somaflow.running.arguments import read
from somaflow.running.job import Job, job_of
from somaflow.storage.sinks import MemorySink
from somaflow.units import mV
from somaflow.workers.dividing import bounds_of
from somaflow.workers.exchange import in_turn
from somaflow.workers.running import Errand, first, other

RATES = ("v > -50*mV", "v = -60*mV")


def lif(drive: str = "nA", **values: Any) -> sf.Equations:
    """Return a leaky cell that a current, or a density of one, drives."""
    resistance = "100*Mohm" if drive == "nA" else "10*kohm*cm**2"
    text = f"dv/dt = (-60*mV - v + I*({resistance}))/(20*ms) : mV\nI : {drive}"
    return sf.Equations.parse(text, **({"v": -60 * mV} | values))


def cut(network: sf.Network, count: int) -> list[Bounds]:
    """Return unequal ranges of cells; of three shares or more one has none of a population."""
    bounds: list[dict[str, tuple[int, int]]] = [{} for _ in range(count)]
    for place, population in enumerate(network.populations):
        chosen = list(range(count))
        if count > 2:
            del chosen[(0, -1, 1)[place % 3]]
        weights = np.cumsum([3, 1, 5, 2, 4][: len(chosen)])
        ends = np.rint(weights * population.size / weights[-1] / BLOCK).astype(int) * BLOCK
        ends = np.minimum([0, *ends[:-1], population.size], population.size)
        for k, begin, end in zip(chosen, ends[:-1], ends[1:], strict=True):
            if end > begin:
                bounds[k][population.name] = int(begin), int(end)
    return [dict(own) for own in bounds]


def asked(network: sf.Network, duration: Any, **keywords: Any) -> Job:
    """Return the job of `sf.simulate`."""
    given = {"dt": None, "solver": None, "dtype": "float64", "seed": 0, "record": ()}
    given |= {"initial": None, "sink": None, "checkpoint": None} | keywords
    return job_of(read(network, duration, *given.values()))


def shared(job: Job, bounds: int | Sequence[Bounds], sink: Any = None) -> sf.Solution:
    """Run a job by several shares in this process."""
    bounds = bounds_of(job, bounds) if isinstance(bounds, int) else bounds
    count = len(bounds)
    errand = Errand(job, sink or MemorySink(), False, bounds)
    return in_turn([first(errand, count), *(other(k) for k in range(1, count))])[0]


def differences(whole: sf.Solution, parts: sf.Solution, record: Sequence[sf.Recorder]) -> list[str]:
    """Return in what two runs differ: recordings, statistics and the state at the end."""
    found = []
    for recorder in record:
        one, two = whole[recorder.key], parts[recorder.key]
        if recorder.of_spikes and recorder.interval is None:
            pairs = [(one.times, two.times), (one.cells, two.cells)]
            pairs += [(one[name].values, two[name].values) for name in recorder.kept]
            same = all(np.array_equal(a, b) for a, b in pairs)
        else:
            same = one.identical(two)
        found += [] if same else [recorder.key]
    skipped = {k for k in whole.statistics if "seconds" in k or k == "compiled"}
    for name in sorted(set(whole.statistics) - skipped):
        if whole.statistics[name] != parts.statistics[name]:
            found.append(f"{name}: {whole.statistics[name]}, {parts.statistics[name]}")
    return found + different_states(whole.final, parts.final)


def different_states(whole: sf.FinalState, parts: sf.FinalState) -> list[str]:
    """Return in what two states differ; what fills up blocks may."""
    pairs = [("sizes", whole.sizes, parts.sizes), ("groups", whole.groups, parts.groups)]
    pairs += [("populations", whole.states.keys(), parts.states.keys())]
    pairs += [("events", whole.events.keys(), parts.events.keys())]
    found = [f"{name}: {one}, {two}" for name, one, two in pairs if one != two]
    for name, states in whole.states.items():
        for state, values in states.items():
            if not np.array_equal(values, parts.states[name][state]):
                found.append(f"{name}.{state} at the end")
    for path in whole.events.keys() & parts.events.keys():
        one, two = whole.events[path], parts.events[path]
        if (one.shape, one.dtype) != (two.shape, two.dtype) or not np.array_equal(
            real(whole, path, one), real(whole, path, two)
        ):
            found.append(f"{path} at the end {one.shape} {two.shape}")
    return found


def real(state: sf.FinalState, path: str, array: np.ndarray) -> np.ndarray:
    """Return what an array has of cells that there are."""
    kind, _, name = path.partition(" ")
    if kind in ("spikes", "refractory", "above") and name in state.sizes:
        return array[..., : state.sizes[name]]
    key = max((k for k in state.groups if path.startswith(f"{k}/")), key=len, default="")
    members = state.groups[key].members if key else {}
    part = path.removeprefix(f"{key}/").partition("/")[0]
    if part in ("sum", "sums", "post") and members:
        ranges = (np.arange(b, b + state.sizes[target]) for target, b, _ in members.values())
        return array[..., np.concatenate(list(ranges))]
    if part == "pre":
        assert state.network is not None
        return array[..., : state.network.projection(next(iter(members))).pre.population.size]
    return array


def contents(store: Path) -> dict[Path, bytes]:
    """Return all that is recorded in a store."""
    files = [f for f in store.rglob("*") if f.is_file() and f.parent != store]
    return {f.relative_to(store): f.read_bytes() for f in files}
