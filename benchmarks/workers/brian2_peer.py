"""COBAHH with a delay in Brian2, C++ standalone, exponential Euler, with OpenMP."""

import contextlib
import sys
import tempfile
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms
from cobahh import brian2_peer as cobahh
from harness import brian2_build, peer


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--flags", choices=brian2_build.FLAGS, default="default")
    parser.add_argument("--rates", choices=("quotient", "exprel", "guard"), default="exprel")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    near = 1e-3 if options.dtype == "float32" else 1e-6
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        brian2_build.prepare(options.dtype, options.flags, problem["dt"])
        # One thread is compiled without OpenMP, as elsewhere.
        b2.prefs.devices.cpp_standalone.openmp_threads = (
            options.threads if options.threads > 1 else 0
        )
        network, spikes = cobahh.build(problem, options.rates, near)
        for part in network.objects:
            if isinstance(part, b2.Synapses):
                part.delay = problem["delay"] * ms
        network.run(options.duration * ms)
        seconds, whole = brian2_build.finish(Path(folder), options.dtype)
        counts = np.asarray(spikes.count)
    peer.answer("Brian2", options, problem, seconds, counts, compile_seconds=whole)


if __name__ == "__main__":
    main()
