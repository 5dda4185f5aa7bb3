"""Tasks: members of a sweep that are computed together, and what comes back of each.

A task and its outcomes are all that crosses to another process and back, so all of it can be
pickled; of the sweep itself nothing does.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import xarray as xr

from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.running.arguments import read
from somaflow.running.job import Job, job_of
from somaflow.running.rows import run_together
from somaflow.settings import Duration
from somaflow.solvers.base import Solver
from somaflow.storage.solution import Solution
from somaflow.sweeping.reductions import Reduce, reduced, travels


@dataclass(frozen=True)
class Member:
    """One run of a sweep, as `sf.simulate` would be asked for it.

    Attributes:
        network: What to simulate.
        initial: Initial values in place of the models' own.
        seed: Of all that is drawn during the run.
        record: What is recorded.
    """

    network: Network
    initial: Mapping[str, Mapping[str, object]]
    seed: int
    record: tuple[Recorder, ...]


@dataclass(frozen=True)
class Settings:
    """What all members share.

    Attributes:
        duration: Biological time.
        dt: The step.
        solver: The method; None for the default.
        dtype: `"float64"` or `"float32"`.
        reduce: What is made of each member; None keeps its recordings.
        whole: Whether runs come back as they are, to be reduced where they come to.
    """

    duration: Duration
    dt: Duration
    solver: Solver | None
    dtype: str
    reduce: Reduce | None = None
    whole: bool = False

    def sent(self) -> "Settings":
        """Return them as they can be sent to another process, whatever `reduce` is."""
        return self if travels(self.reduce) else replace(self, reduce=None, whole=True)


@dataclass(frozen=True)
class Task:
    """Members that are computed in one go.

    Attributes:
        numbers: The place of each in the sweep.
        members: The runs.
        settings: What they share.
        rows: How many are rows of one compiled program; fewer members are filled up.
    """

    numbers: tuple[int, ...]
    members: Sequence[Member]
    settings: Settings
    rows: int


@dataclass(frozen=True)
class Outcome:
    """What came of one member.

    Attributes:
        number: Its place in the sweep.
        data: Its recordings as `Solution.to_xarray` lays them out, or what was made of them; the
            run itself where it is yet to be reduced; None where it failed.
        failure: Why it failed, in words; empty where it did not.
        compiled: Whether its task compiled something.
        process: Host and process that computed it.
    """

    number: int
    data: xr.Dataset | Solution | None
    failure: str
    compiled: bool
    process: str

    def reduced(self, reduce: Reduce | None) -> "Outcome":
        """Return it with what a reduction makes of its run, if that is yet to be done.

        Where the reduction raises, the member has failed.
        """
        if not isinstance(self.data, Solution):
            return self
        try:
            return replace(self, data=reduced(self.data, reduce))
        except Exception as error:  # whatever a user's function raises
            why = f"reduce failed: {type(error).__name__}: {error}"
            return replace(self, data=None, failure=why)


def compute(task: Task) -> list[Outcome]:
    """Run the members of a task; one that fails does not take the others with it.

    Args:
        task: The task.

    Returns:
        An outcome of each, in the order of the task.
    """
    settings = task.settings
    results = run_together([job(member, settings) for member in task.members], task.rows)
    where = f"{platform.node()}, process {os.getpid()}"
    outcomes = []
    for number, result in zip(task.numbers, results, strict=True):
        if isinstance(result, Solution):
            fresh = bool(result.statistics["compiled"])
            outcome = Outcome(number, result, "", fresh, where)
            outcomes.append(outcome if settings.whole else outcome.reduced(settings.reduce))
        else:
            outcomes.append(Outcome(number, None, str(result), False, where))
    return outcomes


def job(member: Member, settings: Settings) -> Job:
    """Return the run of a member, checked as `sf.simulate` checks it.

    Raises:
        RunError, NetworkError, UnitError, UnknownNameError, WrongTypeError: As `sf.simulate`.
    """
    return job_of(
        read(
            member.network,
            settings.duration,
            settings.dt,
            settings.solver,
            settings.dtype,
            member.seed,
            member.record,
            member.initial,
            None,
            None,
        )
    )
