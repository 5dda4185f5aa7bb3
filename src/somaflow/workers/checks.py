"""Checks: what no worker can see by itself is refused of the whole."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from somaflow.compiler.final import FinalState
from somaflow.errors import NetworkError, RunError
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.workers.recording import axis_of


def check_places(
    recorder: Recorder, network: Network, whole: Collection[str], heard: Sequence[Any]
) -> None:
    """Refuse a recorder of synapses that are not there.

    Args:
        recorder: The recorder.
        network: The whole.
        whole: Projections whose synapses are all in one share, which looks itself.
        heard: What each worker says of the synapses that it has drawn.

    Raises:
        NetworkError: There are fewer synapses, or none.
    """
    name = recorder.owner
    if not recorder.of_projection or name in whole or axis_of(network, recorder) != "synapse":
        return
    size = sum(told[1].get(name, 0) for told in heard)
    chosen = np.zeros(0, np.int64) if recorder.cells is None else recorder.cells
    if not size:
        raise NetworkError(
            f"{recorder.key!r} is recorded, but projection {name!r} has no synapses; several "
            "workers record nothing of it: leave the recording or workers out."
        )
    for bad in chosen[(chosen < 0) | (chosen >= size)][:1]:
        raise NetworkError(
            f"{recorder.key!r} is recorded of {bad}, but projection {name!r} has {size} synapses "
            f"(0 to {size - 1})."
        )


def check_same(final: FinalState, network: Network) -> None:
    """Refuse a state of a network with other parts, of which no share can see what is new.

    Raises:
        RunError: Values are given for a projection that is not there, or a population is new.
    """
    names = {str(projection.name) for projection in network.projections}
    for gone in sorted(final.edits.keys() - names):
        raise RunError(
            f"values are given for synapses of {gone!r}, a projection that this network has not."
        )
    for population in network.populations:
        if population.name not in final.sizes:
            raise RunError(
                f"population {population.name!r} is not in the state that is given, and several "
                "workers cannot begin it anew; leave workers out, or give 1."
            )


def check_synapses(final: FinalState, now: FinalState) -> None:
    """Refuse a state of other synapses: each share has seen its own alone.

    Raises:
        RunError: They join other cells, or begin with other weights.
    """
    for group in now.groups.values():
        name = next(iter(group.members))
        old = final.groups.get(final.group_of.get(name, ""))
        if old is not None:
            old.check(name, group.wired or "", group.began or "")
