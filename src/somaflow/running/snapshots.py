"""Snapshots: what a checkpoint holds, as a run takes it."""

from collections.abc import Mapping

from somaflow.compiler.final import FinalState, KeptGroup
from somaflow.simulation.system import Array
from somaflow.storage.checkpoint import Checkpoint


def state_of(snapshot: Checkpoint, begin: int, dt: float) -> FinalState:
    """Return the state that a checkpoint holds.

    Args:
        snapshot: The checkpoint.
        begin: Steps made before the run.
        dt: The step in ms.
    """
    states: dict[str, dict[str, Array]] = {name: {} for name in snapshot.header["populations"]}
    for path, value in part_of(snapshot.arrays, "states").items():
        name, _, state = path.partition("/")  # a population's name has no "/"
        states[name][state] = value
    groups = {k: KeptGroup.from_json(told) for k, told in snapshot.header["groups"].items()}
    events, sizes = part_of(snapshot.arrays, "events"), snapshot.header["sizes"]
    return FinalState(begin + snapshot.step, dt, states, events, sizes, groups)


def part_of(arrays: Mapping[str, Array], begin: str) -> dict[str, Array]:
    """Return the arrays whose path begins so, by the rest of it."""
    begin = f"{begin}/"
    return {path[len(begin) :]: value for path, value in arrays.items() if path.startswith(begin)}
