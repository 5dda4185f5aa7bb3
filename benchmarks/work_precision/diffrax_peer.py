"""diffrax: jitted, a pytree of states, `vmap` over the rows.

diffrax has no classical RK4. Two are given: from a `ButcherTableau`, the documented way, and with
the step written out, four evaluations one after the other, which XLA fuses better and which is the
fastest that we found for it. Of the layouts tried a dict of states was faster than one array;
`ForwardMode` against the default made no difference.

`layout` is `"vmap"`, where every row takes steps of its own, or `"shared"`, the rows in one state
with one step for all, as in torchdiffeq.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import peer
import problems

jax.config.update("jax_enable_x64", True)

CLASSICAL = diffrax.ButcherTableau(
    c=np.array([0.5, 0.5, 1.0]),
    b_sol=np.array([1.0, 2.0, 2.0, 1.0]) / 6.0,
    # Steps are constant and nobody reads the error: any embedded rule will do.
    b_error=np.array([1.0, 2.0, -4.0, 1.0]) / 6.0,
    a_lower=(np.array([0.5]), np.array([0.0, 0.5]), np.array([0.0, 0.0, 1.0])),
)


class TableauRK4(diffrax.AbstractERK):
    """The classical Runge-Kutta method from its table."""

    tableau: ClassVar[diffrax.ButcherTableau] = CLASSICAL
    interpolation_cls: ClassVar[Callable[..., Any]] = (
        diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    )

    def order(self, terms: Any) -> int:
        """Return 4."""
        return 4


class WrittenRK4(diffrax.AbstractSolver):
    """The classical Runge-Kutta method, its four stages written out."""

    term_structure: ClassVar[Any] = diffrax.ODETerm
    interpolation_cls: ClassVar[Any] = diffrax.LocalLinearInterpolation

    def order(self, terms: Any) -> int:
        """Return 4."""
        return 4

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> None:
        """Keep nothing between steps."""

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """Return the slope."""
        return terms.vf(t0, y0, args)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any
    ) -> tuple[Any, ...]:
        """Take one step."""
        dt = t1 - t0

        def ahead(slope: Any, part: float) -> Any:
            return jax.tree.map(lambda y, k: y + part * dt * k, y0, slope)

        k1 = terms.vf(t0, y0, args)
        k2 = terms.vf(t0 + dt / 2, ahead(k1, 0.5), args)
        k3 = terms.vf(t0 + dt / 2, ahead(k2, 0.5), args)
        k4 = terms.vf(t1, ahead(k3, 1.0), args)
        y1 = jax.tree.map(
            lambda y, a, b, c, d: y + dt / 6 * (a + 2 * b + 2 * c + d), y0, k1, k2, k3, k4
        )
        return y1, None, {"y0": y0, "y1": y1}, None, diffrax.RESULTS.successful


SOLVERS: dict[str, Callable[[], Any]] = {
    "RK4": WrittenRK4,
    "RK4 (tableau)": TableauRK4,
    "Tsit5": diffrax.Tsit5,
    "Dopri5": diffrax.Dopri5,
    "Kvaerno3": diffrax.Kvaerno3,
    "Kvaerno5": diffrax.Kvaerno5,
}


def compiled(name: str, method: str, constant: bool, per_row: bool, spread: Any) -> Any:
    """Return the jitted solve of (state, parameters, dt, rtol)."""
    problem = problems.PROBLEMS[name]

    def field(t: Any, y: Any, p: Any) -> Any:
        return problem.field(t, y, p, jnp)

    def solve(y: Any, p: Any, dt: Any, rtol: Any) -> tuple[Any, Any]:
        steps: Any = diffrax.ConstantStepSize()
        if not constant:
            steps = diffrax.PIDController(rtol=rtol, atol=rtol * problem.atol)
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            SOLVERS[method](),
            0.0,
            problem.t1,
            dt if constant else None,
            y,
            args=p,
            saveat=diffrax.SaveAt(t1=True),
            stepsize_controller=steps,
            max_steps=None,
            adjoint=diffrax.ForwardMode(),
            throw=False,
        )
        return found.ys, found.stats["num_steps"]

    return jax.jit(jax.vmap(solve, in_axes=(0, spread, None, None)) if per_row else solve)


def prepare(job: peer.Job) -> peer.Solve:
    """Return what solves the job; tolerances and steps are arguments of what is compiled."""
    name, rows = job["problem"], job["rows"]
    dtype = job.get("dtype", "float64")
    y0, given = problems.many(name, rows)
    y = {key: jnp.asarray(value, dtype) for key, value in y0.items()}
    parameters = {key: jnp.asarray(value, dtype) for key, value in given.items()}
    spread = {key: 0 if np.ndim(value) else None for key, value in given.items()}
    per_row = rows > 1 and job.get("layout", "vmap") == "vmap"
    constant = bool(job.get("dt"))
    key = (name, rows, job["method"], constant, per_row, dtype)
    if key not in _KNOWN:
        _KNOWN[key] = compiled(name, job["method"], constant, per_row, spread)
    call = _KNOWN[key]
    step = jnp.asarray(job.get("dt") or 0.0)
    rtol = jnp.asarray(job.get("rtol") or 0.0)

    def solve() -> tuple[np.ndarray, dict[str, Any]]:
        final, steps = jax.block_until_ready(call(y, parameters, step, rtol))
        states = np.stack([np.ravel(final[key]) for key in y0])  # [rows, 1] or [1, rows]
        return states, {"steps": int(np.max(steps))}

    return solve


_KNOWN: dict[tuple[Any, ...], Any] = {}

if __name__ == "__main__":
    peer.main(prepare)
