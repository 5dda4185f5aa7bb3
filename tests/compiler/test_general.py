"""General synapses equal plain NumPy and the rewrites, synapse by synapse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.errors import NetworkError, RunError
from somaflow.network import forms
from somaflow.network.random import named
from somaflow.numerics.random import derive, fraction_of
from somaflow.units import ms, mV, nA, nF, nS, uS

DT, T = 0.1, 30.0  # ms
LEAK, REST, C = 0.01, -60.0, 0.2  # uS, mV, nF
TIMES = np.array([1.234, 2.345, 2.3501, 5.05, 8.77, 8.7712, 14.2001, 14.9031, 20.002, 23.456])
SENDERS = np.array([0, 1, 2, 0, 2, 1, 0, 1, 2, 0])
# By postsynaptic and then presynaptic cell, as in `connections()`; several synapses of a pair.
PAIRS = [(0, 0), (1, 0), (2, 0), (0, 1), (0, 1), (0, 1), (1, 1), (2, 1)]
DELAY = np.array([0.0, 1.0, 2.0, 0.3, 0.1, 0.7, 2.5, 3.0])
N = len(PAIRS)


def passive(name: str, size: int, current: Any = 0.1, leak: float = LEAK) -> sf.Population:
    text = "dv/dt = (g*(E - v) + I_stim + I0)/C : mV\nI_stim : nA"
    values = {"g": leak * uS, "E": REST * mV, "C": C * nF, "I0": np.full(size, current) * nA}
    model = sf.Equations.parse(text, v=np.linspace(REST, REST + 2, size), **values)
    return sf.Population(name, size, model, threshold="v > -52*mV")


def senders() -> sf.Population:
    return sf.Population("s", 3, sf.SpikeSourceArray(TIMES * ms, SENDERS))


def projection(text: str, weight: Any = None, leak: float = LEAK, **given: Any) -> sf.Network:
    cells, sources = passive("b", 2, 0.0, leak), senders()
    connector = sf.FromList(PAIRS, multapses=True)
    delay = given.pop("delay", DELAY * ms)
    unit = 1 * nS if hasattr(weight, "units") else 1
    synapse = sf.Equations.parse(text, w=unit, **given)
    made = sf.Projection(sources, cells, synapse, connector, weight, delay, name="p")
    return sf.Network(cells, sources, made)


def run(network: sf.Network, record: list[Any], duration: float = T, **given: Any) -> sf.Solution:
    settings = {"solver": sf.RK4(), "progress": False, "dt": DT * ms, "seed": 4}
    return sf.simulate(network, duration * ms, record=record, **settings | given)


def arrivals(synapse: int) -> np.ndarray:
    return TIMES[PAIRS[synapse][0] == SENDERS] + DELAY[synapse]


RELEASE = """
v_post : mV
I = G*(1 + G/(1*uS))*(v_post - E0) : nA
dG/dt = -G/tau : uS
du/dt = (U - u)/tf : 1
on spike: u = u + U*(1 - u); G += w*where(rand() < u, 1, 0)
"""


def releasing() -> sf.Network:
    numbers = {"tau": np.linspace(2, 9, N) * ms, "U": sf.Uniform(0.2, 0.8), "tf": 7 * ms}
    weight = np.linspace(1, 2, N) * nS
    return projection(RELEASE, weight, E0=0 * mV, G=0, u="U", **numbers)


def released(made: Any, name: str, samples: np.ndarray) -> tuple[Any, Any]:
    """G and u of each synapse at some times: plain NumPy, from spike to spike."""
    tau, chance, weight = np.linspace(2, 9, N), made.own["U"], np.linspace(1e-3, 2e-3, N)
    key = derive((4, 0), (5, *named(name), 0))
    g, u = np.zeros((len(samples), N)), np.tile(chance, (len(samples), 1))
    for k in range(N):
        now, level = chance[k], 0.0
        for time, following in zip(arrivals(k), [*arrivals(k)[1:], np.inf], strict=True):
            now = now + chance[k] * (1 - now)
            drawn = fraction_of(key, int(time / DT), k, "float64").numpy()
            level += weight[k] * (drawn < now)
            later = (samples > time) & (samples < following)
            g[later, k] = level * np.exp(-(samples[later] - time) / tau[k])
            u[later, k] = chance[k] + (now - chance[k]) * np.exp(-(samples[later] - time) / 7)
            span = following - time
            level *= np.exp(-span / tau[k])
            now = chance[k] + (now - chance[k]) * np.exp(-span / 7)
    return g, u


@pytest.mark.slow
def test_chance_delays_and_parameters_of_each_synapse() -> None:
    network = releasing()
    p = network.projection("p")
    made = run(network, [p["G"], p["u"]])
    connections = p.connections()
    assert len(set(connections.own["U"])) == N
    g, u = released(connections, "p", made["p.G"].time)
    assert g.any(axis=0).sum() > 4
    np.testing.assert_allclose(made["p.G"].values, g, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(made["p.u"].values, u, rtol=1e-12)


def test_variables_of_the_cell_are_assigned_to_synapse_after_synapse() -> None:
    text = """
        v_post : mV
        dk/dt = 0/ms : 1
        on spike: k = 0.5*k + 0.1; v_post = v_post + k*(E0 - v_post); v_post *= 1 - w
    """
    weight = np.linspace(0.01, 0.05, N)
    network = projection(text, weight, leak=0.0, E0=-20 * mV, k=0.0)
    cells = network.population("b")
    made = run(network, [cells["v"]])
    v, k, expected = np.array([REST, REST + 2]), np.zeros(N), []
    for step in range(int(T / DT) + 1):
        expected.append(v.copy())
        for synapse, (_, post) in enumerate(PAIRS):
            if ((arrivals(synapse) / DT).astype(int) == step).any():
                k[synapse] = 0.5 * k[synapse] + 0.1
                v[post] = v[post] + k[synapse] * (-20 - v[post])
                v[post] *= 1 - weight[synapse]
    np.testing.assert_allclose(made["b.v"].values, expected, rtol=1e-13)


BOTH = """
v_pre : mV
v_post : mV
I = w*s*s*(v_post - v_pre)*exp(v_post/(30*mV)) : nA
ds/dt = (1 - s)/ta*exp(v_pre/(40*mV)) - s*s/tb*exp(v_post/(50*mV)) : 1
"""


def both_cells() -> tuple[sf.Network, Callable[[float, Any], Any], Any]:
    a, b = passive("a", 3, np.array([0.0, 0.03, 0.05])), passive("b", 2, 0.02)
    ta = np.linspace(0.2, 2, 6).reshape(3, 2)
    numbers = {"ta": ta * ms, "tb": 0.3 * ms, "s": np.linspace(0, 0.5, 6).reshape(3, 2)}
    synapse = sf.Equations.parse(BOTH, **numbers, w=1 * uS)
    network = sf.Network(a, b, sf.Projection(a, b, synapse, weight=0.02 * uS, name="p"))

    def slope(t: float, y: Any) -> Any:
        va, vb, s = y[:3], y[3:5], y[5:].reshape(2, 3)  # in the order of connections()
        ds = (1 - s) / ta.T * np.exp(va / 40) - s * s / 0.3 * np.exp(vb / 50)[:, None]
        i = (0.02 * s * s * (vb[:, None] - va) * np.exp(vb / 30)[:, None]).sum(axis=1)
        da = (LEAK * (REST - va) + np.array([0.0, 0.03, 0.05])) / C
        return np.concatenate([da, (LEAK * (REST - vb) + 0.02 - i) / C, ds.ravel()])

    s = np.linspace(0, 0.5, 6).reshape(3, 2).T.ravel()
    return network, slope, np.concatenate([REST + np.arange(3.0), [REST, REST + 2], s])


@pytest.mark.slow
@pytest.mark.parametrize(
    "solver", [sf.RK4(), sf.Heun(), sf.ExponentialMidpoint(), sf.Rosenbrock()], ids=repr
)
def test_a_state_that_reads_both_cells_has_the_order_of_the_solver(solver: Any) -> None:
    network, slope, start = both_cells()
    exact = solve_ivp(slope, (0, 4), start, method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1]
    p, b = network.projection("p"), network.population("b")
    errors = []
    for dt in (0.1, 0.05):
        made = run(network, [p["s"], b["v"]], 4.0, dt=dt * ms, solver=solver)
        found = np.concatenate([made["b.v"].values[-1], made["p.s"].values[-1]])
        errors.append(np.abs(found - exact[3:]).max())
    assert errors[1] < 1e-4
    assert np.log2(errors[0] / errors[1]) > solver.order - 0.35


JUMPING = """
v_post : mV
I = w*s*s*(v_post - E0) : nA
ds/dt = c*(1 - s)/ta - s*s/tb*exp(v_post/(50*mV)) : 1
dc/dt = -c/tc : 1
on spike: c += 1; s = s + 0.3*(1 - s)
"""


def test_spikes_move_states_of_the_solver_with_second_order() -> None:
    numbers = {"ta": 9 * ms, "tb": 3 * ms, "tc": 2 * ms, "E0": 0 * mV, "s": 0.0, "c": 0.0}
    network = projection(JUMPING, 2 * nS, **numbers)
    post = np.array([post for _, post in PAIRS])

    def slope(t: float, y: Any) -> Any:
        v, s, c = y[:2], y[2 : 2 + N], y[2 + N :]
        ds = c * (1 - s) / 9 - s * s / 3 * np.exp(v[post] / 50)
        i = np.bincount(post, 0.002 * s * s * v[post], 2)
        return np.concatenate([(LEAK * (REST - v) - i) / C, ds, -c / 2])

    events = sorted((time, k) for k in range(N) for time in arrivals(k) if time < T)
    y, now = np.concatenate([[REST, REST + 2], np.zeros(2 * N)]), 0.0
    for time, k in [*events, (T, None)]:
        y = solve_ivp(slope, (now, time), y, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
        now = time
        if k is not None:
            y[2 + k] += 0.3 * (1 - y[2 + k])
            y[2 + N + k] += 1
    p, b, errors = network.projection("p"), network.population("b"), []
    for dt in (0.1, 0.05, 0.025):
        made = run(network, [p["s"], p["c"], b["v"]], dt=dt * ms)
        found = [made[key].values[-1] for key in ("b.v", "p.s", "p.c")]
        np.testing.assert_allclose(found[2], y[2 + N :], rtol=1e-11)
        errors.append([np.abs(found[0] - y[:2]).max(), np.abs(found[1] - y[2 : 2 + N]).max()])
    order = np.log2(np.array(errors[0]) / errors[2]) / 2
    assert (order > 1.5).all(), errors
    assert np.max(errors[2]) < 1e-3


# ------------------------------------------------------------------ beside the rewrites

STDP = """
v_post : mV
I = G*(v_post - E0) : nA
dG/dt = -G/tau : uS
dw/dt = 0*uS/ms : uS
dx/dt = -x/tp : 1
dy/dt = -y/tm : 1
on spike: x += 1; w = w - B*y; G += w
on post spike: y += 1; w = w + A*x
"""


def stdp() -> sf.Equations:
    numbers = {"tau": 5 * ms, "tp": 8 * ms, "tm": 11 * ms, "A": 0.4 * nS, "B": 0.3 * nS}
    return sf.Equations.parse(STDP, E0=0 * mV, G=0, w=6 * nS, x=0, y=0, **numbers)


REWRITES: dict[str, tuple[Any, Any]] = {
    "a jump": (sf.load("exponential_conductance"), {"delay": 1.5 * ms}),
    "a chain": (sf.load("double_exponential_conductance"), {}),
    "an alpha function": (sf.load("alpha_conductance"), {}),
    "traces": (sf.load("tsodyks_markram_conductance"), {"delay": 0.3 * ms}),
    "the cell": (sf.load("delta"), {"weight": 0.7 * mV}),
    "plastic": (stdp(), {"delay": 0.9 * ms}),
    "delays that differ": (
        sf.load("exponential_conductance"),
        {"delay": sf.Uniform(0.2 * ms, 3 * ms, seed=3)},
    ),
    "graded": (sf.load("graded_conductance"), {"source": "b"}),
    "a gap junction": (sf.load("gap_junction"), {"source": "b"}),
}


def beside(synapse: Any, given: dict[str, Any]) -> tuple[sf.Network, list[Any]]:
    a, b = passive("a", 4, np.array([0.1, 0.12, 0.15, 0.2])), passive("b", 3, 0.075)
    drive = sf.Stimulus(a, sf.OrnsteinUhlenbeck(0 * nA, 1.2 * nA, 1 * ms), name="x")
    more = sf.Stimulus(b, sf.OrnsteinUhlenbeck(0 * nA, 1.2 * nA, 1 * ms), name="y")
    own = {"weight": 6 * nS} | given
    source = {"a": a, "b": b}[own.pop("source", "a")]
    connector = sf.FixedProbability(0.8, seed=2) if source is a else sf.AllToAll()
    made = sf.Projection(source, b, synapse, connector, name="p", **own)
    current = [made["I"]] if "I" in made.equations.definitions else []
    return sf.Network(a, b, made, drive, more), [b["v"], b.spikes, *current]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets no rewrite apply from then on."""

    def refused(projection: Any) -> Any:
        raise NetworkError("no rewrite, for a test.")

    return lambda: monkeypatch.setattr(forms, "_rewritten", refused)


@pytest.mark.parametrize(("synapse", "given"), REWRITES.values(), ids=REWRITES.keys())
def test_a_rewrite_is_the_general_form(
    synapse: Any, given: dict[str, Any], alone: Callable[[], None]
) -> None:
    network, record = beside(synapse, given)
    rewritten = run(network, record, 60.0)
    alone()
    assert "no rewrite applies" in network.explain()
    made = run(network, record, 60.0)
    assert len(made["b.spikes"].times) > 2
    np.testing.assert_allclose(made["b.spikes"].times, rewritten["b.spikes"].times, atol=1e-7)
    for key in set(made) - {"b.spikes"}:
        np.testing.assert_allclose(made[key].values, rewritten[key].values, rtol=1e-9, atol=1e-11)


def test_pulses_have_second_order(alone: Callable[[], None]) -> None:
    network = projection(
        "v_post : mV\nI = w*o*(v_post - E0) : nA\ndo/dt = a*(1 - o)*pulse(dur) - b*o : 1",
        3 * nS,
        **{"a": 0.5 / ms, "b": 0.2 / ms, "dur": 0.73 * ms, "E0": 0 * mV, "o": 0.0},
        delay=0 * ms,
    )
    b = network.population("b")
    exact = run(network, [b["v"].every(0.5 * ms)], dt=0.1 / 32 * ms)["b.v"].values
    alone()
    errors = [
        np.abs(run(network, [b["v"].every(0.5 * ms)], dt=dt * ms)["b.v"].values - exact).max()
        for dt in (0.1, 0.025)
    ]
    assert errors[0] < 0.05
    assert np.log2(errors[0] / errors[1]) / 2 > 1.5


# --------------------------------------------------------------------- as a whole


def everything() -> tuple[sf.Network, list[Any]]:
    network = releasing()
    b = network.population("b")
    text = JUMPING + "on post spike: c += 0.1*rand()\n"
    numbers = {"ta": 9 * ms, "tb": sf.Uniform(1 * ms, 3 * ms), "tc": 2 * ms, "E0": 0 * mV}
    synapse = sf.Equations.parse(text, w=5 * nS, s=0.0, c=sf.Uniform(0, 0.1), **numbers)
    a = passive("a", 3, 0.12)
    q = sf.Projection(a, b, synapse, delay=sf.Uniform(0.2 * ms, 2 * ms), name="q")
    drive = sf.Stimulus(a, sf.OrnsteinUhlenbeck(0 * nA, 1.2 * nA, 1 * ms), name="x")
    network = sf.Network(a, *network.parts, q, drive)
    p = network.projection("p")
    record = [b["v"], b.spikes, p["G"], p["u"], q["s"], q["c"], p["I"], q["I"]]
    return network, record


KEYS = ("b.v", "p.G", "p.u", "q.s", "q.c", "p.I", "q.I")


@pytest.mark.filterwarnings("ignore:.* spike times")
def test_a_run_goes_on_and_comes_from_a_store_with_all_bits(tmp_path: Path) -> None:
    network, record = everything()
    whole = run(network, record)
    assert len(whole["b.spikes"].times)
    first = run(network, record, 13.3)
    rest = run(network, record, T - 13.3, initial=first.final)
    for key in KEYS:
        assert np.array_equal(whole[key].values[-len(rest[key].time) :], rest[key].values)
    store = tmp_path / "run.zarr"
    run(network, record, 13.3, sink=str(store))
    resumed = sf.resume(str(store), T * ms, progress=False)
    for key in KEYS:
        assert np.array_equal(whole[key].values, resumed[key].values)
    for path, value in whole.final.events.items():
        assert np.array_equal(value, resumed.final.events[path]), path


def test_bits_do_not_depend_on_recorders() -> None:
    network, record = everything()
    whole, few = run(network, record), run(network, record[:1])
    assert np.array_equal(whole["b.v"].values, few["b.v"].values)


@pytest.mark.filterwarnings("ignore:.* spike times")
def test_other_synapses_or_delays_do_not_go_on() -> None:
    network, record = everything()
    first = run(network, record[:1], 5.0)
    a, b = network.population("a"), network.population("b")
    q = network.projection("q")
    other = sf.Projection(a, b, q.synapse, delay=sf.Uniform(0.2 * ms, 1 * ms), name="q")
    changed = sf.Network(*(part for part in network.parts if part is not q), other)
    with pytest.raises(
        RunError, match="joins other cells than in the state that is given, or with"
    ):
        run(changed, record[:1], 5.0, initial=first.final)


def test_an_explanation_says_why_and_at_what_cost() -> None:
    said = everything()[0].explain()
    assert "since no rewrite applies. a spike reads rand()." in said
    assert "8 synapses in" in said
    assert "each by itself in every step, about" in said
    assert "s  each synapse by itself, with the solver; Rosenbrock form" in said
    assert "c  each synapse by itself, in closed form between events" in said


def test_a_name_that_begins_as_another_one_is_another() -> None:
    a, b = passive("a", 2, 0.1), passive("b", 2, 0.02)
    text = """
        v_pre : mV
        v_post : mV
        I = w*s*r*(v_post - E0) : nA
        ds/dt = (exp(v_pre/(20*mV)) - s)/tau : 1
        dr/dt = (s - r)/tau : 1
    """
    numbers = {"tau": 3 * ms, "E0": 0 * mV, "s": 0.1, "r": 0.2}
    synapse = sf.Equations.parse(text, w=1 * uS, **numbers)
    projections = [
        sf.Projection(a, b, synapse(tau=tau * ms), name=name)
        for tau, name in ((3, "p"), (5, "p) s"), (7, "p r"))
    ]
    network, record = sf.Network(a, b, *projections), [b["v"], *(p["s"] for p in projections)]
    whole = run(network, record, 4.0)
    first = run(network, record, 1.5)
    rest = run(network, record, 2.5, initial=first.final)
    for key in whole:
        assert np.array_equal(whole[key].values[-len(rest[key].time) :], rest[key].values)
