"""The peers' environments: `.bench/venv` for Brian2, NEST and NEURON, `.bench/jax` for the others.

A package that is missing is installed by pip, once. One that cannot be installed leaves its peers
out, with the reason printed; the others go on.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

BENCH = Path(__file__).parents[2] / ".bench"
# Where each package is installed, as what, and beside which others.
PACKAGES = {
    "brian2": ("venv", ["brian2==2.9.0", "numpy<2.4", "setuptools"]),
    "nest-simulator": ("venv", ["nest-simulator==3.10.0", "numpy<2.4"]),
    "neuron": ("venv", ["neuron==9.0.2", "numpy<2.4"]),
    "jaxley": ("jax", ["jaxley==0.14.0"]),
    "brainpy": ("jax", ["brainpy==2.8.2"]),
}


@cache
def python(package: str) -> Path | None:
    """Return the Python that has a package, installed if need be; None where it cannot be.

    Args:
        package: A name of `PACKAGES`.
    """
    folder, wanted = PACKAGES[package]
    executable = BENCH / folder / "bin" / "python"
    try:
        if not executable.exists():
            BENCH.mkdir(exist_ok=True)
            _call(sys.executable, "-m", "venv", str(BENCH / folder))
        if not _has(executable, package, wanted[0].rpartition("==")[2]):
            print(f"installing {wanted[0]} into {BENCH / folder}", file=sys.stderr)
            _call(str(executable), "-m", "pip", "install", "-q", *wanted)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        print(f"left out: {wanted[0]} cannot be installed: {said[-1]}", file=sys.stderr)
        return None
    return executable


def _has(executable: Path, package: str, version: str) -> bool:
    ask = f"import importlib.metadata as m, sys; sys.exit(m.version({package!r}) != {version!r})"
    return subprocess.run([executable, "-c", ask], check=False, capture_output=True).returncode == 0


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
