"""Found: which MPI local workers are started by, and whether its launcher and library fit."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from somaflow.errors import MissingValueError
from somaflow.workers.mpi import INSTALL

LIBRARY = "MPI4PY_LIBMPI"  # where mpi4py looks for a library before all else
_LAUNCHERS = ("mpiexec", "mpirun")
# As their files are called: of MPICH's kin, of Open MPI, and of MPICH in Debian.
_LIBRARIES = ("libmpi.so", "libmpi.so.12", "libmpi.so.40", "libmpich.so.12", "libmpi.dylib")
_ASK = (
    "import mpi4py; mpi4py.rc.initialize = mpi4py.rc.finalize = False; "
    "from mpi4py import MPI; print(MPI.Get_library_version())"
)
_PATIENCE = 60.0  # seconds for a launcher or a library to say its version

# What says who made it, and which version it is.
_MAKERS = (
    ("Open MPI", r"Open MPI\)?\s+v?([\d.]+)"),
    ("Intel MPI", r"Intel\(R\) MPI Library.*?(\d+\.\d+)"),
    ("MVAPICH", r"MVAPICH2?\s+Version\s*:\s*([\d.]+)"),
    ("MPICH", r"(?:MPICH|HYDRA)[\s\S]*?Version:\s*([\d.]+)"),
)
# Variables by which a launcher, or the system of a cluster, tells what started this process, and
# those by which a user of Open MPI sets it up.
_OF_LAUNCHERS = (
    "PMI",
    "OMPI_",
    "PRTE_",
    "HYDI_",
    "HYDRA_",
    "MPI_LOCAL",
    "SLURM_",
    "LSB_",
    "PBS_NODEFILE",
    "PE_HOSTFILE",
    "TF_CONFIG",
)
_OF_USER = "OMPI_MCA_"


@dataclass(frozen=True)
class Mpi:
    """An MPI that was found.

    Attributes:
        launcher: The path of its `mpiexec` or `mpirun`.
        library: What is given to mpi4py as the path of its library; None leaves the choice to it.
        origin: Where it is from: the site's own, or the wheel `mpich`.
        launched: Who made the launcher, and its version; empty where it does not say.
        loaded: Who made the library that mpi4py loads, and its version; empty where none loads.
        failure: Why none loads.
    """

    launcher: str
    library: str | None
    origin: str
    launched: str
    loaded: str
    failure: str = field(default="", repr=False)

    @property
    def fits(self) -> bool:
        """Whether launcher and library belong together, as far as they say."""
        return bool(self.loaded) and (not self.launched or self.launched == self.loaded)

    def command(self, count: int) -> list[str]:
        """Return the words that start processes on this machine, before the processes' own.

        Args:
            count: How many.
        """
        words = [self.launcher, "-n", str(count)]
        if self.launched.startswith("Open MPI"):  # which would refuse more processes than cores
            words += ["--oversubscribe", "--bind-to", "none"]
        return words

    def environment(self, of: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a launcher of local processes.

        Args:
            of: That of this process. What told it of a launcher of its own is left out.
        """
        own = {
            name: text
            for name, text in of.items()
            if not name.startswith(_OF_LAUNCHERS)
            or (name.startswith(_OF_USER) and "OMPI_COMM_WORLD_SIZE" not in of)
        }
        if self.library is not None:
            own[LIBRARY] = self.library
        if self.launched.startswith("Open MPI") and os.geteuid() == 0:  # in a container
            own |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        return own


def find(environment: Mapping[str, str] = os.environ) -> Mpi:
    """Return the MPI that starts local workers: the site's own, else that of the wheel `mpich`.

    Args:
        environment: The environment of this process. The library that `MPI4PY_LIBMPI` names is the
            only one that is tried.

    Raises:
        MissingValueError: There is none whose launcher and library fit. It says what to install.
    """
    seen = []
    for mpi in candidates(environment):
        if mpi.fits:
            return mpi
        seen.append(mpi)
    message = f"several workers need MPI and mpi4py; install both by {INSTALL}."
    for mpi in seen:
        message += f" {mpi.launcher} ({mpi.launched or 'of an unknown kind'}) is there, but "
        if mpi.loaded:
            message += f"mpi4py loads the library of {mpi.loaded}, which does not fit."
        else:
            message += f"mpi4py loads no library: {mpi.failure}"
    raise MissingValueError(message)


def candidates(environment: Mapping[str, str] = os.environ) -> Iterator[Mpi]:
    """Iterate over what may start local workers, the site's own first.

    Of each launcher comes the first library that fits to it, or one that does not where none does.

    Args:
        environment: The environment of this process.
    """
    own = Path(sysconfig.get_path("scripts")).resolve()
    for folder in os.get_exec_path(dict(environment)):
        launcher = None if Path(folder).resolve() == own else _launcher(folder)
        if launcher is not None:
            yield _with_library(launcher, "the site's own", _of_site(launcher), environment)
    launcher = _launcher(str(own))
    if launcher is not None:
        beside = [str(Path(sys.prefix) / "lib")]
        yield _with_library(launcher, "the environment of this Python", beside, environment)


def _launcher(folder: str) -> str | None:
    return next(filter(None, (shutil.which(name, path=folder) for name in _LAUNCHERS)), None)


def _of_site(launcher: str) -> list[str]:
    """Return where the library of a launcher may be: beside it, or where the system looks."""
    roots = dict.fromkeys(path.parent.parent for path in (Path(launcher), Path(launcher).resolve()))
    files = (root / lib / name for root in roots for lib in ("lib", "lib64") for name in _LIBRARIES)
    beside = [str(path) for path in files if path.is_file()]
    return [*beside[:2], os.pathsep.join(_LIBRARIES)]


def _with_library(
    launcher: str, origin: str, libraries: list[str], environment: Mapping[str, str]
) -> Mpi:
    """Return an MPI with the first library that fits to its launcher, or with the last."""
    launched = maker(_said([launcher, "--version"], environment)[0])
    chosen = environment.get(LIBRARY)
    found = None
    for library in libraries if chosen is None else [chosen]:
        text, failure = _said([sys.executable, "-c", _ASK], {**environment, LIBRARY: library})
        loaded = maker(text) or text.strip().partition("\n")[0]
        found = Mpi(launcher, library, origin, launched, loaded, failure)
        if found.fits:
            break
    assert found is not None
    return found


def maker(text: str) -> str:
    """Return who made an MPI and its version, such as `MPICH 5.0.2`, of what it says of itself."""
    for name, pattern in _MAKERS:
        if match := re.search(pattern, text):
            return f"{name} {match[1]}"
    return ""


def _said(command: list[str], environment: Mapping[str, str]) -> tuple[str, str]:
    """Return what a command prints, and the last line of its failure."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    if done.returncode:
        return "", (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    return done.stdout, ""
