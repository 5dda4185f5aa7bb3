"""Child: a process that computes on one core: its environment, and how it ended."""

import signal
from collections.abc import Mapping, Sequence

from somaflow.errors import RunError

# One process, one core: whatever has threads of its own gets one.
THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


class WorkerLost(RunError):  # noqa: N818 - what happened, in the user's words
    """The process that computed something has ended in the middle of it.

    Args:
        how: How it ended.
        lines: The last that it wrote.
    """

    def __init__(self, how: str, lines: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join([f"{how}; it said last:" if lines else how, *lines]))
        self.how = how


def on_one_core(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child process that has one core to itself.

    Args:
        environment: That of this process.
    """
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **environment, **dict.fromkeys(THREADS, "1")}


def ended(status: int) -> str:
    """Return in words how a process ended.

    Args:
        status: As of `subprocess.Popen.returncode`: below 0 it is the number of a signal.
    """
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        how = f"ended by {signal.Signals(-status).name}"
    except ValueError:
        how = f"ended by signal {-status}"
    if -status == getattr(signal, "SIGKILL", None):
        how += " (as when memory runs out)"
    return how
