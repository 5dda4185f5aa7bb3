"""Account: what a run's results tell of it."""

from collections.abc import Mapping

from somaflow.compiler.final import FinalState
from somaflow.equations.drawing import Distribution, held
from somaflow.network.network import Network
from somaflow.notation import Json
from somaflow.running.job import Job
from somaflow.settings import meta
from somaflow.units import Parameter


def meta_of(job: Job, sums: Json) -> dict[str, Json]:
    """Return all that is needed to repeat a run, as plain JSON.

    Args:
        job: The run.
        sums: How the sums of each group of projections are computed.
    """
    return meta(
        {"network": job.network, "initial": _held(job.initial, job.network)},
        {
            "start_ms": job.begin * job.dt,
            "duration_ms": job.duration,
            "dt_ms": job.dt,
            "seed": job.seed,
            "dtype": job.dtype,
            "sums": sums,
            **({} if job.until is None else {"until": job.until}),
        },
        job.solver,
    )


def counted(spikes: Mapping[str, int]) -> dict[str, int]:
    """Return numbers of spikes by the names of populations, where those are clear.

    Args:
        spikes: The numbers by the keys of recordings.
    """
    counts: dict[str, int] = {}
    for key, count in spikes.items():
        name = key.removesuffix(".spikes")
        counts[key if name in counts else name] = count
    return counts


def _held(
    initial: Mapping[str, Mapping[str, object]] | FinalState, network: Network
) -> dict[str, dict[str, Parameter | Distribution]]:
    """Return initial values as a description; of another run's end only its names."""
    if isinstance(initial, FinalState):
        return {name: {} for name in initial.states}
    return {
        name: {
            state: held(value, network.population(name).equations.unit(state), state)
            for state, value in values.items()
        }
        for name, values in initial.items()
    }
