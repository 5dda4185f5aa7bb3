"""Squid axons in Jaxley: one-compartment cells with its `HH` channel, one thread.

The cells are mapped over their currents (`jax.vmap`). `--way lean` advances them by Jaxley's step
function in a `lax.scan` that counts spikes and keeps nothing else; `--way documented` is
`jx.integrate` of a stimulus array and a recorded voltage, as in Jaxley's tutorials. Both are
compiled by a first call, which is not timed. `--solver` is Jaxley's method for the voltage; the
gates are always advanced by exponential Euler.
"""

import os

os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxley as jx
import numpy as np
from harness import peer
from jaxley.channels import HH
from jaxley.integrate import build_init_and_step_fn

# A cylinder whose membrane is 1e-5 cm2: 1 uA/cm2 is then 0.01 nA.
AREA = 1e-5
RADIUS = float(np.sqrt(AREA * 1e8 / np.pi) / 2)


def axon(problem: peer.Problem) -> jx.Cell:
    """Return one axon with a place for its current."""
    compartment = jx.Compartment()
    cell = jx.Cell(jx.Branch(compartment, ncomp=1), parents=[-1])
    cell.insert(HH())
    cell.set("radius", RADIUS)
    cell.set("length", 2 * RADIUS)
    cell.set("capacitance", 1.0)
    cell.set("v", problem["v"])
    for gate, key in zip("mhn", ("m", "h", "n_gate"), strict=True):
        cell.set(f"HH_{gate}", problem[key])
    cell.stimulate(jx.step_current(0.0, 1.0, 0.0, problem["dt"], 1.0))
    cell.record(verbose=False)
    cell.to_jax()
    return cell


def lean(problem: peer.Problem, solver: str, steps: int) -> Callable[[Any], Any]:
    """Return a function from a current in nA to the last voltage and the number of spikes."""
    cell, dt = axon(problem), problem["dt"]
    init, advance = build_init_and_step_fn(cell, solver=solver)
    start, constants = init([], None, None, dt)
    if solver == "exp_euler":
        constants["exp_euler_transition"] = cell.build_exp_euler_transition_matrix(
            delta_t=dt, axial_conductances=constants["axial_conductances"]
        )
    where = cell.external_inds.copy()

    def one(current: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            state, count = carry
            before = state["v"][0]  # the call below changes the dict that it is given
            after = advance(state, constants, {"i": current[None]}, where, delta_t=dt)
            fired = (before < 0.0) & (after["v"][0] >= 0.0)
            return (after, count + fired), None

        (state, count), _ = jax.lax.scan(step, (start, jnp.zeros((), int)), length=steps)
        return state["v"][0], count

    return one


def documented(problem: peer.Problem, solver: str, steps: int) -> Callable[[Any], Any]:
    """Return the same by `jx.integrate`."""
    cell, dt = axon(problem), problem["dt"]
    cell.delete_stimuli()

    def one(current: Any) -> Any:
        stimulus = cell.data_stimulate(jnp.full(steps, current))
        v = jx.integrate(cell, data_stimuli=stimulus, delta_t=dt, solver=solver)[0]
        return v[-1], jnp.sum((v[:-1] < 0.0) & (v[1:] >= 0.0))

    return one


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--solver", choices=("bwd_euler", "exp_euler"), default="exp_euler")
    parser.add_argument("--way", choices=("lean", "documented"), default="lean")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    jax.config.update("jax_platform_name", "cpu")
    jax.config.update("jax_enable_x64", options.dtype == "float64")
    steps = round(options.duration / problem["dt"])
    one = {"lean": lean, "documented": documented}[options.way](problem, options.solver, steps)
    run = jax.jit(jax.vmap(one))
    currents = jnp.asarray(problem["I"] * AREA * 1e3)  # nA
    seconds = []
    for _ in range(2):
        begin = time.process_time()
        v, counts = jax.block_until_ready(run(currents))
        seconds.append(time.process_time() - begin)
    assert str(v.dtype) == options.dtype, v.dtype
    peer.answer(
        "Jaxley",
        options,
        problem,
        seconds[1],
        np.asarray(counts),
        compile_seconds=seconds[0] - seconds[1],
    )


if __name__ == "__main__":
    main()
