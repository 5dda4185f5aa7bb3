"""Links: cells read variables of other cells, at each moment and in each part of a step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.numerics import programs
from somaflow.simulation import chunks
from somaflow.units import Hz, ms, mV, nA, nS

METHODS = [sf.RK4(), sf.ExponentialMidpoint(), sf.ImplicitEuler()]
ORDERS = [(sf.RK4(), 4), (sf.ExponentialMidpoint(), 2), (sf.Rosenbrock(), 3)]
KINDS = [(sf.RK4(), "float64"), (sf.ExponentialEuler(), "float32")]


def values(made: sf.Solution, key: str) -> np.ndarray:
    return made[key].values


def simulated(network: sf.Network, duration: float, **given: Any) -> sf.Solution:
    chosen: dict[str, Any] = {"dt": 0.1 * ms, "progress": False, "record": []}
    return sf.simulate(network, duration * ms, **chosen | given)


# ------------------------------------------------------------------ Wilson and Cowan

RATES = """
    dr/dt = (-r + 1/(1 + exp(-(w*r - g*H + P - theta)/width)))/tau : 1
    H : 1
    """
GIVEN: dict[str, Any] = {"w": 11.0, "g": 10.0, "theta": 3.0, "width": 0.8, "tau": 10 * ms}
DRIVE, START = np.linspace(1.0, 2.0, 23), np.linspace(0.0, 0.5, 23)
INHIBITION = "dh/dt = (-h + 1/(1 + exp(-(w*R - theta)/width)))/tau : 1\nR : 1"


def wilson_cowan(**more: Any) -> sf.Network:
    """23 excitatory units, which a population of one unit inhibits by their mean rate."""
    rates = sf.Equations.parse(RATES, P=DRIVE, r=START, **GIVEN)
    inhibition = sf.Equations.parse(INHIBITION, w=9.0, theta=3.5, width=0.7, tau=20 * ms, h=0.1)
    excite = sf.Population("excite", 23, rates, links={"H": sf.Recorder("inhibit", "h")}, **more)
    inhibit = sf.Population("inhibit", 1, inhibition, links={"R": excite["r"].mean()})
    return sf.Network(excite, inhibit)


def exact(duration: float) -> np.ndarray:
    def slope(_: float, y: np.ndarray) -> np.ndarray:
        r, h = y[:-1], y[-1]
        own = 1 / (1 + np.exp(-(11 * r - 10 * h + DRIVE - 3) / 0.8))
        other = 1 / (1 + np.exp(-(9 * r.mean() - 3.5) / 0.7))
        return np.append((own - r) / 10, (other - h) / 20)

    found = solve_ivp(slope, (0, duration), [*START, 0.1], "DOP853", rtol=1e-13, atol=1e-14)
    return found.y[:, -1]


def end_of(network: sf.Network, duration: float, **given: Any) -> np.ndarray:
    states = simulated(network, duration, **given).final.states
    return np.concatenate([states["excite"]["r"], states["inhibit"]["h"]], axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "order"), ORDERS, ids=[s.name for s, _ in ORDERS])
def test_a_method_keeps_its_order(solver: Any, order: int) -> None:
    wanted = exact(40.0)
    first, second = (
        np.abs(end_of(wilson_cowan(), 40.0, solver=solver, dt=dt * ms) - wanted).max()
        for dt in (1.0, 0.5)
    )
    assert np.log2(first / second) == pytest.approx(order, abs=0.45)


def test_the_mean_inhibits_as_in_scipy() -> None:
    found = end_of(wilson_cowan(), 100.0, dt=0.05 * ms)
    assert np.abs(found - exact(100.0)).max() < 1e-9
    single = end_of(wilson_cowan(), 100.0, dt=0.05 * ms, dtype="float32")
    assert np.abs(single - exact(100.0)).max() < 1e-4


# --------------------------------------------------------- one to one, as one population


@pytest.mark.slow
@pytest.mark.parametrize("solver", METHODS[:2], ids=lambda solver: solver.name)
def test_pairs_are_a_population_of_two_variables(solver: Any) -> None:
    size = 37
    start = np.linspace(-70, -50, size) * mV
    numbers: dict[str, Any] = {"E": -60 * mV, "tau": 10 * ms, "T": 30 * ms}
    v = "dv/dt = (E - v + u)/tau : mV"
    u = "du/dt = (0.5*(E - v) - u)/T : mV"
    both = sf.Population(
        "both", size, sf.Equations.parse(f"{v}\n{u}", v=start, u=1 * mV, **numbers)
    )
    one = sf.Equations.parse(f"{v}\nu : mV", v=start, E=-60 * mV, tau=10 * ms)
    two = sf.Equations.parse(f"{u}\nv : mV", u=1 * mV, E=-60 * mV, T=30 * ms)
    first = sf.Population("first", size, one, links={"u": sf.Recorder("second", "u")})
    second = sf.Population("second", size, two, links={"v": first["v"]})
    together = simulated(sf.Network(both), 20, solver=solver)
    apart = simulated(sf.Network(first, second), 20, solver=solver)
    for name, owner in (("v", "first"), ("u", "second")):
        mine, theirs = apart.final.states[owner][name], together.final.states["both"][name]
        assert np.abs(mine - theirs).max() < 1e-12 * np.abs(theirs).max()


FOLLOWER = sf.Equations.parse("dy/dt = (H - y)/tau : mV\nH : mV", tau=5 * ms, y=0 * mV)


def sources(size: int = 20) -> sf.Population:
    text = "dx/dt = -x/tau : mV\nscaled = 2*x + shift : mV"
    start = np.linspace(1, 3, size) * mV
    return sf.Population(
        "other",
        size,
        sf.Equations.parse(text, tau=10 * ms, shift=np.arange(size) * mV, x=start),
    )


OTHER = sources()


# Size of the population that reads, what it reads, and that in NumPy.
READ: list[tuple[int, sf.Recorder, Callable[[Any], Any]]] = [
    (20, OTHER["x"], lambda x: x),
    (20, OTHER[::-1]["x"], lambda x: x[::-1]),
    (3, OTHER["x"][[4, 4, 19]], lambda x: x[[4, 4, 19]]),
    (3, OTHER[[7]]["scaled"], lambda x: np.full(3, 2 * x[7] + 7)),
    (1, OTHER[[7]]["x"], lambda x: x[[7]]),
    (3, OTHER["x"].mean(), lambda x: np.full(3, x.mean())),
    (5, OTHER["scaled"].sum(), lambda x: np.full(5, (2 * x + np.arange(20)).sum())),
    (5, OTHER[[3, 18]]["x"].mean(), lambda x: np.full(5, x[[3, 18]].mean())),
    (40, OTHER[:1]["x"], lambda x: np.full(40, x[0])),
]


@pytest.fixture(scope="module")
def readers() -> sf.Solution:
    """A population for each way to read another one, all in one network."""
    made = [
        sf.Population(f"reader{k}", size, FOLLOWER, links={"H": read})
        for k, (size, read, _) in enumerate(READ)
    ]
    record = [*(reader["H"] for reader in made), OTHER["x"]]
    return simulated(sf.Network(*made, OTHER), 5, record=record)


@pytest.mark.parametrize("k", range(len(READ)))
def test_which_cells_are_read(k: int, readers: sf.Solution) -> None:
    for found, x in zip(values(readers, f"reader{k}.H"), values(readers, "other.x"), strict=True):
        assert found == pytest.approx(READ[k][2](x), rel=1e-14)


@pytest.mark.slow
def test_a_link_of_a_link_and_of_the_population_itself() -> None:
    text = "dx/dt = (m - x)/tau : mV\nm : mV\nabove = x - m : mV"
    own = sf.Equations.parse(text, tau=10 * ms, x=np.linspace(0, 4, 9) * mV)
    a = sf.Population("a", 9, own, links={"m": sf.Recorder("a", "x").mean()})
    b = sf.Population("b", 9, FOLLOWER, links={"H": a["above"]})
    c = sf.Population("c", 2, FOLLOWER, links={"H": b["H"][[0, 8]]})
    for solver in METHODS[1:]:
        record = [a["x"], b["H"], c["H"]]
        made = simulated(sf.Network(c, b, a), 10, solver=solver, record=record)
        x = values(made, "a.x")
        assert x.mean(-1) == pytest.approx(np.full(len(x), 2.0), rel=1e-12)
        spread = np.linspace(-2, 2, 9) * np.exp(-1.0)
        assert x[-1] - 2 == pytest.approx(spread, abs=2e-2)
        assert values(made, "b.H") == pytest.approx(x - 2, abs=1e-12)
        assert values(made, "c.H") == pytest.approx(x[:, [0, 8]] - 2, abs=1e-12)


# ------------------------------------------------------------------------ promises


def everything(batch: bool = False, tau: Any = 12 * ms) -> tuple[sf.Network, list[sf.Recorder]]:
    """Links in derivatives, thresholds, resets, refractory conditions, synapses, noise."""
    tau = [[9.0], [12.0]] * ms if batch else tau
    text = """
        dx/dt = (1 - x)/tau + a*(m - x)*G/Hz/tau : 1
        m : 1
        G : Hz
        rate = r0*(x + m) : Hz
    """
    x = np.linspace(0.1, 0.9, 35)
    slow = sf.Population(
        "slow", 35, sf.Equations.parse(text, tau=tau, a=0.02, r0=40 * Hz, x=x),
        links={"m": sf.Recorder("slow", "x").mean(), "G": sf.Recorder("global", "g")},
    )  # fmt: skip
    whole = sf.Equations.parse("dg/dt = (R - g)/T : Hz\nR : Hz", T=7 * ms, g=1 * Hz)
    one = sf.Population("global", 1, whole, links={"R": slow[::3]["rate"].mean()})
    drawn = sf.Population(
        "drawn", 50, sf.Equations.parse("p = k*R : Hz\nR : Hz", k=3.0),
        threshold="rand() < p*dt", links={"R": one["g"]},
    )  # fmt: skip
    cell = sf.Equations.parse(
        "dv/dt = (E - v + R*I_stim + b*h)/tau : mV\nI_stim : nA\nh : 1\nH : Hz",
        E=-60 * mV, R=10 * mV / nA, b=6 * mV, tau=10 * ms, v="-65*mV + 10*mV*rand()",
    )  # fmt: skip
    lif = sf.Population(
        "lif", 35, cell, threshold="v > -55*mV - 0.02*mV/Hz*H", reset="v = -62*mV - 2*mV*h",
        refractory="h > 0.3 and v < -60*mV", hold=("v",),
        links={"h": slow["x"], "H": one["g"]},
    )  # fmt: skip
    graded = sf.Equations.parse("I = -w*x_pre*h_post : nA\nx_pre : 1\nh_post : 1", w=0.02 * nA)
    current = sf.load("exponential_current")
    half = sf.FixedProbability(0.5, seed=3)
    network = sf.Network(
        *(lif, drawn, slow, one),
        sf.Projection(slow, lif, graded, half, name="graded"),
        sf.Projection(drawn, lif, current, half, 0.3 * nA, delay=0.5 * ms, name="jumps"),
    )
    record = [lif["v"], lif["h"], one["g"], slow["x"], slow["rate"].mean(), lif.spikes]
    return network, [*record, drawn.spikes]


def bits(made: sf.Solution) -> dict[str, bytes]:
    found = {}
    for key in made:
        held = made[key]
        arrays = [held.values] if hasattr(held, "values") else [held.times, held.cells]
        found[key] = b"".join(np.asarray(array).tobytes() for array in arrays)
    states = made.final.states
    found |= {f"{p} {s}": v.tobytes() for p, own in states.items() for s, v in own.items()}
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "dtype"), KINDS)
def test_chunks_and_parts_change_no_bit(
    solver: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, record = everything()
    chosen: dict[str, Any] = {"solver": solver, "dtype": dtype, "seed": 2}
    whole = simulated(network, 12, record=record, **chosen)
    assert len(whole["lif.spikes"].times) > 5
    assert len(whole["drawn.spikes"].times) > 5
    half = simulated(network, 7, record=record, **chosen)
    rest = simulated(network, 5, initial=half.final, record=record, **chosen)
    assert rest.final.states.keys() == whole.final.states.keys()
    for name, states in whole.final.states.items():
        for state, value in states.items():
            assert rest.final.states[name][state].tobytes() == value.tobytes(), (name, state)
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 17)
    programs.clear()
    assert bits(simulated(network, 12, record=record, **chosen)) == bits(whole)


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "dtype"), KINDS)
def test_rows_of_a_batch_are_runs_alone(solver: Any, dtype: str) -> None:
    network, record = everything(batch=True)
    together = simulated(network, 12, record=record[:4], solver=solver, dtype=dtype)
    for row, tau in enumerate((9.0, 12.0)):
        network, record = everything(tau=tau * ms)
        alone = simulated(network, 12, record=record[:4], solver=solver, dtype=dtype)
        for key in ("lif.v", "global.g", "slow.x"):
            assert np.array_equal(values(together, key)[:, row], values(alone, key)), (row, key)


@pytest.mark.slow
def test_a_resumed_run_is_the_run(tmp_path: Any) -> None:
    network, record = everything()
    chosen: dict[str, Any] = {"dt": 0.1 * ms, "progress": False, "record": record, "seed": 2}
    whole = sf.simulate(network, 10 * ms, **chosen)
    sf.simulate(network, 6 * ms, sink=tmp_path / "run.zarr", **chosen)
    longer = sf.resume(tmp_path / "run.zarr", 10 * ms, progress=False)
    assert bits(longer)["lif.v"] == bits(whole)["lif.v"]
    assert sf.load_network(tmp_path / "run.zarr") == network


def test_other_cells_and_numbers_compile_once() -> None:
    def network(cells: list[int], some: list[int], tau: float) -> sf.Network:
        text = "dy/dt = (H + M - y)/tau : mV\nH : mV\nM : mV"
        reader = sf.Population(
            "reader", 3, sf.Equations.parse(text, tau=tau * ms, y=0 * mV),
            links={"H": OTHER["x"][cells], "M": OTHER["x"][some].mean()},
        )  # fmt: skip
        return sf.Network(reader, OTHER)

    first = simulated(network([0, 1, 2], [5, 6], 5.0), 2)
    other = simulated(network([9, 9, 2], [1, 0], 6.0), 2)
    assert not other.statistics["compiled"]
    apart = [made.final.states["reader"]["y"] for made in (first, other)]
    assert np.all(apart[0] != apart[1])
    assert simulated(network([9, 9, 2], [1, 0, 4], 6.0), 2).statistics["compiled"]


# -------------------------------------------------------------------------- spikes


def test_a_jump_of_what_is_read_lifts_a_cell_above_its_threshold() -> None:
    """As if the jump was its own: the cell spikes at the start of the next step, once."""
    jumping = sf.Equations.parse("dx/dt = 1*mV/ms : mV\nn = 0*mV + x : mV", x=0 * mV)
    a = sf.Population("a", 2, jumping, threshold="x > 1.05*mV",
                      reset="x = 20*mV*(1 - int(x > 15*mV))")  # fmt: skip
    still = sf.Equations.parse("dy/dt = 0*mV/ms : mV\nH : mV", y=0 * mV)
    b = sf.Population("b", 2, still, threshold="H > 10*mV", links={"H": a["x"]})
    made = simulated(sf.Network(a, b), 3, record=[a.spikes, b.spikes, a["x"]])
    first = made["a.spikes"].times.min()
    assert first == pytest.approx(1.05)
    times = made["b.spikes"].times
    assert times.min() == pytest.approx(1.1)


def test_a_reset_reads_what_was_there_before_all_resets() -> None:
    text = "dv/dt = 1*mV/ms : mV\nH : mV"
    one, two = (sf.Equations.parse(text, v=start * mV) for start in (0.0, 3.0))
    a = sf.Population("a", 1, one, threshold="v > 1.05*mV", reset="v = -H",
                      links={"H": sf.Recorder("b", "v")})  # fmt: skip
    b = sf.Population("b", 1, two, threshold="v > 4.05*mV", reset="v = -H", links={"H": a["v"]})
    made = simulated(sf.Network(a, b), 1.1)
    assert made.final.states["a"]["v"] == pytest.approx([-4.1], rel=1e-12)
    assert made.final.states["b"]["v"] == pytest.approx([-1.1], rel=1e-12)


LEVEL = "dD/dt = (1 - D)/tau_D : 1"
THREE_FACTORS = sf.Equations.parse(
    """
    I = -J : nA
    dJ/dt = -J/tau : nA
    dw/dt = 0*nA/ms : nA
    D_post : 1
    on spike: w += A*D_post; J += w
    """, tau=5 * ms, A=1 * nA, w=0 * nA, J=0 * nA,
)  # fmt: skip


@pytest.mark.slow
def test_dopamine_gates_plasticity() -> None:
    """Each spike adds to its weights what D is then, as where each cell has a D of its own."""
    times, cells = np.array([4.0, 9.0, 15.0, 22.0]), np.array([0, 1, 0, 1])
    pre = sf.Population("pre", 2, sf.SpikeSourceArray(times * ms, cells))
    text = "dv/dt = (-v + R*I_stim)/tau : mV\nI_stim : nA\n"
    numbers: dict[str, Any] = {"R": 1 * mV / nA, "tau": 5 * ms, "v": 0 * mV}
    given: dict[str, Any] = {"tau_D": 30 * ms, "D": 0.0}
    dopamine = sf.Population("dopamine", 1, sf.Equations.parse(LEVEL, **given))
    linked = sf.Equations.parse(f"{text}D : 1", **numbers)
    whole = sf.Equations.parse(f"{text}{LEVEL}", **numbers, **given)
    ends = []
    for post in (
        sf.Population("post", 3, linked, links={"D": dopamine["D"]}),
        sf.Population("post", 3, whole),
    ):
        joined = sf.Projection(pre, post, THREE_FACTORS, delay=1.5 * ms, name="joined")
        network = sf.Network(dopamine, pre, post, joined)
        made = simulated(network, 30, record=[joined["w"], post["v"]])
        ends.append((values(made, "joined.w")[-1], values(made, "post.v")[-1]))
    wanted = [(1 - np.exp(-(times[cells == k] + 1.5) / 30)).sum() for k in (0, 1)]
    assert ends[0][0] == pytest.approx(np.take(wanted, joined.connections().pre), rel=0.01)
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-12)
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-12)


def test_a_rate_of_cells_makes_poisson_spikes() -> None:
    wave = sf.Equations.parse("drate/dt = 0*Hz/ms : Hz", rate=np.array([0.0, 50.0, 200.0]) * Hz)
    cells = sf.Population("cells", 3, wave)
    given = sf.Equations.parse("R : Hz\np = 2*R : Hz")
    drawn = sf.Population("drawn", 3000, given, threshold="rand() < p*dt",
                          links={"R": cells["rate"][np.repeat([0, 1, 2], 1000)]})  # fmt: skip
    made = simulated(sf.Network(cells, drawn), 100, record=[drawn.spikes, drawn["p"]], seed=4)
    counts = np.bincount(made["drawn.spikes"].cells // 1000, minlength=3) / 1000 / 0.1
    assert counts[0] == 0
    assert counts[1] == pytest.approx(100, abs=4)
    assert counts[2] == pytest.approx(400, abs=8)
    assert values(made, "drawn.p").shape == (1001, 3000)


def test_a_clamped_membrane_is_read_at_its_command() -> None:
    cell = sf.Equations.parse("dv/dt = -v/tau : mV", tau=10 * ms, v=0 * mV)
    held = sf.Population("held", 2, cell)
    reader = sf.Population("reader", 2, FOLLOWER, links={"H": held["v"]})
    clamp = sf.VoltageClamp(held, -20 * mV, start=0 * ms)
    made = simulated(sf.Network(held, reader, clamp), 5, record=[reader["H"], reader["y"]])
    assert np.all(values(made, "reader.H") == -20)
    assert values(made, "reader.y")[-1] == pytest.approx(np.full(2, -20 * (1 - np.exp(-1))))


@pytest.mark.slow
def test_gap_junctions_and_noise_where_links_are() -> None:
    text = "dv/dt = (-v + R*(1 + H)*I_stim)/tau + s*(1 + H)*sqrt(2/tau)*xi : mV\nI_stim : nA\nH : 1"
    level = sf.Population("level", 1, sf.Equations.parse("dh/dt = -h/T : 1", T=10 * ms, h=1.0))
    numbers: dict[str, Any] = {"R": 1 * mV / nA, "tau": 10 * ms, "s": 1 * mV}
    cells = sf.Population(
        "cells", 4, sf.Equations.parse(text, v=np.arange(4) * mV, **numbers),
        links={"H": level["h"]},
    )  # fmt: skip
    gap = sf.Projection(cells, cells, sf.load("gap_junction"), weight=1 * nS, name="gap")
    made = simulated(sf.Network(level, cells, gap), 5, solver=sf.Milstein())
    assert np.isfinite(made.final.states["cells"]["v"]).all()


def test_the_doctor_knows_links() -> None:
    text = "dv/dt = exp(H/mV)*mV/ms : mV\nH : mV"
    up = sf.Population("up", 2, sf.Equations.parse("dx/dt = x/tau : mV", tau=1 * ms, x=1 * mV))
    cells = sf.Population("cells", 2, sf.Equations.parse(text, v=0 * mV), links={"H": up["x"]})
    with pytest.raises(sf.errors.NonFiniteState, match=r"exp\(H / mV\) is inf, with H"):
        simulated(sf.Network(up, cells), 20, dt=0.5 * ms)
