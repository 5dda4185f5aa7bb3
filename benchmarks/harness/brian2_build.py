"""Brian2's C++ standalone mode: how it is compiled and timed. Runs in Brian2's environment."""

import time
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms

DEFAULT_FLAGS = ["-w", "-O3", "-march=native", "-ffast-math", "-std=c++11"]
# A state update reads and writes so many arrays that GCC's limit on run-time alias checks keeps it
# scalar. "tuned" raises the limit, and the update is vectorised, exp included.
FLAGS = {
    "default": DEFAULT_FLAGS,
    "tuned": [*DEFAULT_FLAGS, "--param=vect-max-version-for-alias-checks=1000"],
}


def prepare(dtype: str, flags: str, dt: float) -> None:
    """Set the compiler's flags, the type of numbers and the step (ms), before anything is built."""
    if dtype == "float32":
        b2.prefs.core.default_float_dtype = np.float32
    b2.prefs.codegen.cpp.extra_compile_args_gcc = FLAGS[flags]
    b2.prefs.devices.cpp_standalone.openmp_threads = 0
    # By default all files are compiled at once, on the one core that the peers stay on.
    b2.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2"]
    b2.set_device("cpp_standalone", build_on_run=False)
    b2.defaultclock.dt = dt * ms


def finish(folder: Path, dtype: str) -> tuple[float, float]:
    """Compile and run.

    Returns:
        Brian2's own time of the run proper in seconds (writing of results is outside it), and the
        seconds of compiling.
    """
    begin = time.perf_counter()
    b2.device.build(directory=str(folder), compile=False, run=False)
    if dtype == "float32":
        _use_float_literals(folder)
    b2.device.compile_source(str(folder), "unix", debug=False, clean=False)
    compiled = time.perf_counter() - begin
    b2.device.run(directory=str(folder))
    return float(b2.device._last_run_time), compiled


def _use_float_literals(folder: Path) -> None:
    """Compile the state updates with literals of single precision.

    Brian2 writes double literals for any dtype, so that float32 would be computed in float64. The
    flag is not for all files: the clocks need their double steps.
    """
    with (folder / "makefile").open("a") as makefile:
        makefile.write(
            "\n%_stateupdater_codeobject.o: OPTIMISATIONS += -fsingle-precision-constant\n"
        )
