"""Draw stability.png and print the tables of docs/concepts/stability.md, from that page's code.

python docs/images/make_stability.py
"""

import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

import somaflow as sf
from somaflow.errors import NonFiniteState
from somaflow.units import ms

HERE = Path(__file__).parent
PAGE = HERE.parent / "concepts" / "stability.md"
FENCE = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CLOSE = 0.05  # ms
BLUE, RED, GREEN, GREY = "#3465a4", "#cc0000", "#4e9a06", "#888a85"


def page() -> dict[str, Any]:
    """Return what the page's code defines; its own tables are printed by the way."""
    names: dict[str, Any] = {"__name__": "stability"}
    for match in FENCE.finditer(PAGE.read_text(encoding="utf-8")):
        exec(match[1], names)
    return names


def right_answers(names: dict[str, Any]) -> dict[str, float]:
    """Return the time of the last spike of each cell, converged, and print how well."""
    found = {}
    for name in ("slip", "mended"):
        times = []
        for solver, rtol in ((sf.Tsitouras(), 1e-9), (sf.Rosenbrock(), 1e-8)):
            sol = sf.solve(names[name], t1=200 * ms, rtol=rtol, every=0.005 * ms, solver=solver)
            v, t = sol["v"].values, sol.time
            k = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
            times.append(float(np.interp(0.0, v[k[-1] : k[-1] + 2], t[k[-1] : k[-1] + 2])))
        print(f"{name}: {len(k)} spikes, the last at {times}; highest v {v.max():.2f}")
        found[name] = times[0]
    return found


def limits(names: dict[str, Any], right: dict[str, float]) -> None:
    """Print up to which step each cell is right, and from which one it is not finite."""
    counts = np.unique(np.rint(200 / np.geomspace(0.005, 0.1, 150)).astype(int))[::-1]
    for name, solver in (
        ("slip", sf.RK4()),
        ("mended", sf.RK4()),
        ("slip", sf.ExponentialMidpoint()),
        ("slip", sf.Rosenbrock()),
    ):
        good, bad, wrong = 0.0, np.nan, np.nan
        for count in counts:
            dt = 200 / count
            found = names["spikes"](names[name], dt, solver)
            if isinstance(found, str):
                bad = dt
                break
            if np.isnan(wrong) and found[0] == 10 and abs(found[1] - right[name]) <= CLOSE:
                good = dt
            elif np.isnan(wrong):
                wrong = dt
        print(
            f"{name} {solver.name}: right up to {good:.4f}, wrong from {wrong:.4f}, not finite "
            f"from {bad:.4f}"
        )


def decays(axes: Any, names: dict[str, Any]) -> None:
    """Draw Euler's method on a decay."""
    t = np.linspace(0, 0.3, 300)
    axes.plot(t, np.exp(-50 * t), color="k", lw=2, label="solution")
    for dt, colour in ((0.01, GREEN), (0.03, BLUE), (0.04, GREY), (0.05, RED)):
        sol = sf.solve(names["decay"], 1.0, t1=0.6, dt=dt, solver=sf.Euler())
        axes.plot(sol.time, sol["y"].values, "o-", ms=3, lw=1, color=colour, label=f"dt = {dt}")
    axes.set(xlim=(0, 0.3), ylim=(-4, 4), xlabel="t", ylabel="y")
    axes.set_title("y' = -50 y by Euler's method", fontsize=10)
    axes.legend(fontsize=7, ncol=2)


def regions(axes: Any) -> None:
    """Draw where each method's factor of a step is 1 in size."""
    x, y = np.meshgrid(np.linspace(-4, 4, 400), np.linspace(-3.2, 3.2, 400))
    z = x + 1j * y
    factors = (
        ("Euler", 1 + z, BLUE),
        ("RK4", 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24, RED),
        ("implicit Euler (outside)", 1 / (1 - z + 1e-300), GREEN),
    )
    for name, factor, colour in factors:
        size = np.abs(factor)
        axes.contour(x, y, size, [1.0], colors=[colour])
        if not name.startswith("implicit"):
            axes.contourf(x, y, size, [0.0, 1.0], colors=[colour], alpha=0.15)
        axes.plot([], [], color=colour, label=name)
    axes.axhline(0, color="k", lw=0.5)
    axes.axvline(0, color="k", lw=0.5)
    axes.set(xlabel="real part of a dt", ylabel="imaginary part of a dt", aspect="equal")
    axes.set_title("regions of stability", fontsize=10)
    axes.legend(fontsize=7, loc="upper right")


def time_constants(axes: Any) -> None:
    """Draw tau_a of both cells, and the longest step that RK4 stands."""
    v = np.linspace(-90, 55, 300)
    rate = np.exp((v + 35.82) / 19.69) + np.exp(-(v + 79.69) / 12.7)
    phi = 3**1.25
    axes.semilogy(v, (1 / rate + 0.37) / phi, color=BLUE, label="mended")
    axes.semilogy(v, 1 / (rate + 0.37) / phi, color=RED, label="with the slip")
    for dt, style in ((0.05, "--"), (0.01, ":")):
        axes.axhline(dt / 2.785, color=GREY, ls=style, lw=1)
        axes.text(-88, dt / 2.785 * 1.08, f"least for RK4 at dt = {dt} ms", fontsize=7, color=GREY)
    axes.set(xlabel="v (mV)", ylabel="time constant of a (ms)")
    axes.set_title("I_A's activation", fontsize=10)
    axes.legend(fontsize=7)


def voltages(axes: Any, names: dict[str, Any]) -> None:
    """Draw the cells at several steps."""
    solution = sf.solve(names["slip"], t1=200 * ms, rtol=1e-9, every=0.05 * ms)
    axes.plot(solution.time, solution["v"].values, color="k", lw=2.5, label="slip, converged")
    for dt, colour in ((0.01, GREEN), (0.0125, RED)):
        sol = sf.solve(names["slip"], t1=200 * ms, dt=dt * ms, solver=sf.RK4())
        axes.plot(sol.time, sol["v"].values, color=colour, lw=1, label=f"slip, RK4, dt = {dt}")
    fine = sf.solve(names["mended"], t1=200 * ms, rtol=1e-9, every=0.05 * ms)
    axes.plot(fine.time, fine["v"].values, color=GREY, lw=2.5, label="mended, converged")
    sol = sf.solve(names["mended"], t1=200 * ms, dt=0.05 * ms, solver=sf.RK4())
    axes.plot(sol.time, sol["v"].values, color=BLUE, lw=1, label="mended, RK4, dt = 0.05")
    axes.set(xlim=(189.5, 194), ylim=(-80, 55), xlabel="t (ms)", ylabel="v (mV)")
    axes.set_title("the tenth spike", fontsize=10)
    axes.legend(fontsize=7, loc="lower right")


def blow_up(names: dict[str, Any]) -> None:
    """Print how the cell with the slip fails at the step that suffices for the mended one."""
    try:
        sf.solve(names["slip"], t1=200 * ms, dt=0.05 * ms, solver=sf.RK4())
    except NonFiniteState as error:
        print(error)


def main() -> None:
    """Print the numbers and draw the picture."""
    names = page()
    right = right_answers(names)
    limits(names, right)
    blow_up(names)
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), dpi=110)
    decays(axes[0, 0], names)
    regions(axes[0, 1])
    time_constants(axes[1, 0])
    voltages(axes[1, 1], names)
    figure.tight_layout()
    figure.savefig(HERE / "stability.png")


if __name__ == "__main__":
    main()
