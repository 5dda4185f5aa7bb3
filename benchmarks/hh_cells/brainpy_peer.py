"""Squid axons in BrainPy: `brainpy.dyn.HHLTC`, exponential Euler (`exp_auto`), one thread.

`--way lean` is a compiled loop (`brainpy.math.for_loop`) that counts the spikes and keeps nothing
else, compiled by a first call, which is not timed. `--way documented` is a `DSRunner` that monitors
them, as in BrainPy's tutorials; it compiles at every call, so its time is half of what thrice the
duration takes more than the duration.
"""

import os

os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import time

import brainpy as bp
import brainpy.math as bm
import jax
import numpy as np
from harness import peer


class Cells(bp.DynamicalSystem):
    """The axons, their currents, and the number of spikes of each."""

    def __init__(self, problem: peer.Problem) -> None:
        super().__init__()
        self.cells = bp.dyn.HHLTC(problem["n"], EL=-54.3, gL=0.3, V_th=0.0, method="exp_auto")
        self.current = bm.asarray(problem["I"])
        self.counts = bm.Variable(bm.zeros(problem["n"], dtype=int))

    def start(self, problem: peer.Problem) -> None:
        """Set the initial state."""
        for variable, key in zip("Vmhn", ("v", "m", "h", "n_gate"), strict=True):
            held = getattr(self.cells, variable)
            held.value = bm.full(problem["n"], problem[key], dtype=held.dtype)
        self.counts.value = bm.zeros_like(self.counts.value)

    def update(self) -> None:
        """Advance one step."""
        self.counts.value += self.cells(self.current)


def lean(system: Cells, problem: peer.Problem, duration: float) -> tuple[float, float]:
    """Return the seconds of a run, and those of compiling."""
    steps = bm.arange(round(duration / problem["dt"]))

    @bm.jit
    def run() -> None:
        bm.for_loop(system.step_run, steps)

    seconds = []
    for _ in range(2):
        system.start(problem)
        begin = time.process_time()
        run()
        jax.block_until_ready(system.counts.value)
        seconds.append(time.process_time() - begin)
    return seconds[1], seconds[0] - seconds[1]


def documented(system: Cells, problem: peer.Problem, duration: float) -> tuple[float, float]:
    """Return the same of BrainPy's own runner."""
    seconds = []
    for length in (duration, 3 * duration, duration):  # the first one warms up
        system.start(problem)
        begin = time.process_time()
        monitored = {"spike": lambda: system.cells.spike.value}
        runner = bp.DSRunner(system, monitors=monitored, progress_bar=False)
        runner.run(length)
        seconds.append(time.process_time() - begin)
    run = (seconds[1] - seconds[2]) / 2
    return run, seconds[2] - run


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--way", choices=("lean", "documented"), default="lean")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    bm.set_platform("cpu")
    if options.dtype == "float64":
        bm.enable_x64()
    bm.set_dt(problem["dt"])
    system = Cells(problem)
    chosen = {"lean": lean, "documented": documented}[options.way]
    seconds, compiled = chosen(system, problem, options.duration)
    counts = np.asarray(system.counts.value)
    assert str(system.cells.V.dtype) == options.dtype
    peer.answer("BrainPy", options, problem, seconds, counts, compile_seconds=compiled)


if __name__ == "__main__":
    main()
