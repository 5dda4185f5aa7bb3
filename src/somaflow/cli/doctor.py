"""`somaflow doctor`: look whether what somaflow does not bring itself is there and works."""

from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.text import Text

from somaflow.errors import MissingValueError, SomaflowError
from somaflow.running import pickles
from somaflow.workers.carrying import here
from somaflow.workers.found import Mpi, candidates, find
from somaflow.workers.launch import launch
from somaflow.workers.mpi import INSTALL
from somaflow.workers.probe import latencies


def mpi(console: Console) -> bool:
    """Print which MPI local workers would be started by, and try it with two processes.

    Args:
        console: Where to.

    Returns:
        Whether it works.
    """
    say = _Lines(console)
    try:
        say.line("mpi4py", version("mpi4py"))
    except PackageNotFoundError:
        say.line("mpi4py", f"not installed: {INSTALL}")
        return False
    rank, size = here()
    if size > 1:
        say.line("this process", f"worker {rank} of {size}, which a launcher has started")
    for other in candidates():
        if not other.fits:
            say.line("not used", f"{other.launcher}: {_why(other)}")
    try:
        chosen = find()
    except MissingValueError:
        say.line("launcher", f"none that fits to a library; install one: {INSTALL}")
        return False
    say.line("launcher", f"{chosen.launcher} ({chosen.launched or 'it does not say its version'})")
    say.line("library", f"{chosen.loaded}, of {chosen.library}")
    say.line("from", chosen.origin)
    if size > 1:
        return True  # of which none starts others
    try:
        found = launch(2, pickles.packed(latencies, ""), mpi=chosen)
    except SomaflowError as error:
        say.line("two processes", str(error))
        return False
    times = ", ".join(f"{n // 1000} kB in {taken * 1e6:.0f} us" for n, taken in found.items())
    say.line("two processes", f"exchange {times} (median of 1000)")
    return True


def _why(mpi: Mpi) -> str:
    if not mpi.loaded:
        return f"mpi4py loads no library for it: {mpi.failure}"
    return f"it is of {mpi.launched}, and mpi4py loads a library of {mpi.loaded}"


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, what: str, text: str) -> None:
        self._console.print(Text(f"{what:<14} {text}"), soft_wrap=True)
