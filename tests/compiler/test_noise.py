"""White noise in the equations of a population: which numbers it draws, and what they move."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.compiler.lower import Lowered
from somaflow.compiler.noise import apart, sources
from somaflow.errors import NetworkError, RunError, UnknownNameError, WrongTypeError
from somaflow.mechanisms.catalogue import Mechanism, from_data
from somaflow.network.forms import take_apart
from somaflow.network.random import named
from somaflow.numerics.random import normal
from somaflow.simulation import chunks
from somaflow.units import Hz, cm, ms, mV, nA, uF

NOISY = sf.Equations.parse(
    "dv/dt = (E - v + kick)/tau + I_stim/C : mV\nkick = S*sqrt(2*tau)*xi_v : mV\nI_stim : uA/cm**2",
    E=-65 * mV,
    S=2 * mV,
    tau=20 * ms,
    C=1 * uF / cm**2,
    v=-65,
)


def mechanism(kind: str, equations: str, **more: object) -> Mechanism:
    data = {
        "kind": kind,
        "title": "made for a test",
        "reference": "none",
        "equations": equations,
        "parameters": {"g": "0.1 mS/cm**2", "E": "0 mV", "tau": "5 ms"},
        "initial": {"s": 0},
        "check": [{"at": {}, "expect": {"I": 0.0}, "source": "none"}],
    }
    return from_data(data | more, "odd")


def test_each_mechanism_of_a_neuron_has_its_own_noise() -> None:
    channel = mechanism(
        "channel",
        "v : mV\nI = g*s*(v - E) : uA/cm**2\nds/dt = -s/tau + 0.1*sqrt(2/tau)*xi_s : 1",
    )
    neuron = sf.Neuron(1 * uF / cm**2, a=channel, b=channel)
    assert neuron.equations.noises == {"a.s": ("a.xi_s",), "b.s": ("b.xi_s",)}
    cells = sf.Population("two", 3, neuron)
    run = simulated(cells, cells["a.s"], cells["b.s"], duration=2)
    a, b = run["two.a.s"].values[-1], run["two.b.s"].values[-1]
    assert len({*a, *b}) == 6


def test_a_noisy_synapse_is_refused() -> None:
    model = sf.Equations.parse("dv/dt = I_stim/C : mV\nI_stim : uA/cm**2", C=1 * uF / cm**2, v=-65)
    cells = sf.Population("cells", 2, model, threshold="v > -50*mV")
    noisy = mechanism(
        "synapse",
        "v_post : mV\nI = g*s*(v_post - E) : uA/cm**2\nds/dt = -s/tau + sqrt(2/tau)*xi_s : 1",
        weight="g",
    )
    with pytest.raises(
        NetworkError,
        match=r"^synapse 'odd' of projection 'cells_to_cells': a synapse has no white noise",
    ):
        take_apart(sf.Projection(cells, cells, noisy))


def test_drift_and_factors_are_lowered_like_any_tree() -> None:
    drift, factors = apart(NOISY)
    assert drift.noises == {}
    assert set(drift.definitions) == set()
    tree = factors["v"]["xi_v"]
    lowered = Lowered(drift, frozenset({"I_stim"}), (tree,))
    parameters = {name: tf.constant(p.value) for name, p in NOISY.parameters.items()}
    states = {"v": tf.constant([-65.0, -45.0], tf.float64), "I_stim": tf.constant(0.5, tf.float64)}
    value = lowered.scope(lowered.prepare(parameters), states)
    assert np.asarray(value(lowered.derivative("v"))) == pytest.approx([0.5, -0.5])
    assert float(value(tree)) == pytest.approx(2 * np.sqrt(2 / 20))


def test_where_noises_are_in_blocks_of_independent_ones() -> None:
    assert sources({"y": ("xi",), "x": ("xi_x",)}, "xyz") is None
    assert sources({"x": ("xi",), "z": ("xi",)}, "xyz").tolist() == [[0, 1, 0]]  # pyright: ignore
    found = sources({"y": ("xi_a", "xi_b"), "z": ("xi_c", "xi_a"), "x": ("xi_b",)}, "xyz")
    assert found is not None
    assert found.tolist() == [[0, 1, 2], [3, 0, 1]]


# ---------------------------------------------------------------- the numbers of a run

DT = 0.1
WALK = sf.Equations.parse(
    """
    dx/dt = a*xi/sqrt(1*ms) : 1
    dy/dt = (a*xi_c + 0.5*xi)/sqrt(1*ms) : 1
    dz/dt = xi_c/sqrt(1*ms) : 1
    """,
    a=2.0,
    x=0,
    y=0,
    z=0,
)


def simulated(cells: sf.Population, *record: Any, duration: float, **more: Any) -> sf.Solution:
    others = more.pop("others", ())
    settings = {"solver": sf.EulerMaruyama(), "seed": 5, "dt": DT * ms} | more
    return sf.simulate(sf.Network(cells, *others), duration * ms, record=record, **settings)


def increments(seed: int, population: str, noise: str, steps: int, cells: int) -> Any:
    """The numbers as they are defined: by seed, names, step and cell."""
    stream = 6, *named(population), *named(noise)
    step, cell = np.arange(steps)[:, None], np.arange(cells)[None]
    words = seed & 0xFFFFFFFF, seed >> 32
    drawn = normal(words, stream, tf.constant(step), tf.constant(cell), tf.float64)
    return np.sqrt(DT) * drawn.numpy()


def test_a_number_belongs_to_its_seed_names_step_and_cell() -> None:
    seed = 3 + (7 << 32)
    cells = sf.Population("walk", 5, WALK, shared_noise=("xi_c",))
    run = simulated(cells, cells["x"], cells["y"], cells["z"], duration=2, seed=seed)
    own, common = (increments(seed, "walk", name, 20, 5) for name in ("xi", "xi_c"))
    common = np.broadcast_to(common[:, :1], own.shape)
    wanted = {"x": 2 * own, "y": 2 * common + 0.5 * own, "z": common}
    for name, moves in wanted.items():
        found = run[f"walk.{name}"].values[1:]
        np.testing.assert_allclose(found, np.cumsum(moves, axis=0), rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_bits_do_not_depend_on_chunks_recorders_parts_sizes_and_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = sf.Equations.parse(
        """
        dv/dt = (E - v + R*I_stim)/tau + (3 + 0.02*v/mV)*mV*(xi + xi_c)/sqrt(tau) : mV
        dw/dt = (v - w)/tau : mV
        I_stim : nA
        """,
        **{"E": -60 * mV, "R": 10 * mV / nA, "tau": 7 * ms, "v": -60 * mV, "w": -60 * mV},
    )

    def run(size: int = 6, duration: float = 9, tau: Any = 7 * ms, **more: Any) -> sf.Solution:
        cells = sf.Population(
            "cells", size, model(tau=tau), threshold="v > -59*mV", reset="v = -62*mV",
            refractory=0.5 * ms, shared_noise=("xi_c",),
        )  # fmt: skip
        synapse = sf.load("exponential_current")
        near = sf.Projection(cells[:3], cells[:3], synapse, weight=0.5 * nA, delay=0.4 * ms)
        more = {"solver": sf.StochasticHeun()} | more
        record = more.pop("record", lambda c: (c["v"], c["w"]))(cells)
        return simulated(cells, *record, duration=duration, others=[near], **more)

    def values(run: sf.Solution) -> Any:
        return np.stack([run["cells.v"].values, run["cells.w"].values])

    whole = values(run())
    assert np.ptp(whole[0], axis=0).min() > 1
    seldom = run(
        size=140, record=lambda c: (c["v"].every(0.9 * ms), c["w"].every(0.9 * ms), c.spikes)
    )
    np.testing.assert_array_equal(values(seldom)[..., :3], whole[:, ::9, :3])
    assert (seldom["cells.spikes"].cells < 3).any()
    first = run(duration=4)
    rest = run(duration=5, initial=first.final)
    np.testing.assert_array_equal(values(rest)[:, 1:], whole[:, 41:])
    rows = values(run(tau=np.array([[7.0], [3.0]]) * ms))
    np.testing.assert_array_equal(rows[:, :, 0], whole)
    np.testing.assert_array_equal(rows[:, :, 1], values(run(tau=3 * ms)))
    run(duration=4, sink=tmp_path / "a.zarr", checkpoint=2 * ms)
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 7)
    np.testing.assert_array_equal(values(run()), whole)
    resumed = sf.resume(tmp_path / "a.zarr", 9 * ms, progress=False)
    np.testing.assert_array_equal(values(resumed), whole)


# ---------------------------------------------------------------- where noise acts


def test_what_is_refractory_or_clamped_has_no_noise_and_resets_act_as_without() -> None:
    """Beside a plain result in NumPy, with the numbers of the run."""
    model = sf.Equations.parse(
        "dv/dt = (E - v)/tau + 3*mV*xi/sqrt(tau) : mV\ndw/dt = mV*xi/sqrt(tau) : mV",
        **{"E": -55 * mV, "tau": 5 * ms, "v": -60 * mV, "w": 0 * mV},
    )
    cells = sf.Population(
        "cells", 4, model, threshold="v > -54*mV", reset="v = -62*mV", refractory=1 * ms
    )
    clamp = sf.VoltageClamp(cells[3:], -70 * mV)
    run = simulated(cells, cells["v"], cells["w"], duration=30, others=[clamp])
    dw = increments(5, "cells", "xi", 300, 4) / np.sqrt(5)
    v, w, left = np.full(4, -60.0), np.zeros(4), np.zeros(4)
    v[3] = -70.0
    count = 0
    for step, kick in enumerate(dw):
        held = left > 0
        held[3] = True
        w = w + kick
        v = np.where(held, v, v + DT * (-55 - v) / 5 + 3 * kick)
        hit = (v > -54) & (left == 0)
        v, left = np.where(hit, -62, v), np.where(hit, 10, np.maximum(left - 1, 0))
        count += hit.sum()
        np.testing.assert_allclose(run["cells.v"].values[step + 1], v, rtol=1e-11)
        np.testing.assert_allclose(run["cells.w"].values[step + 1], w, rtol=1e-11, atol=1e-12)
    assert count > 2


@pytest.fixture(scope="module")
def by_method() -> list[tuple[Any, sf.Solution]]:
    """2 ms by each method: cells whose noise depends on their drive, and dx = s*x dW."""
    model = sf.Equations.parse(
        "dv/dt = R*I_stim*xi*sqrt(1*ms)/tau : mV\nI_stim : nA",
        **{"R": 2 * mV / nA, "tau": 5 * ms, "v": 0 * mV},
    )
    driven = sf.Population("driven", 3, model)
    drive = sf.Stimulus(driven, sf.Step([1, 0, 2] * nA, start=1 * ms))
    model = sf.Equations.parse("dx/dt = s*x*xi/sqrt(1*ms) : 1", s=0.5, x=1.0)
    cells = sf.Population("cells", 200, model)
    record = driven["v"], cells["x"].every(2 * ms)
    return [
        (solver, simulated(cells, *record, duration=2, others=[driven, drive], solver=solver))
        for solver in (sf.EulerMaruyama(), sf.StochasticHeun(), sf.Milstein())
    ]


@pytest.mark.slow
def test_a_factor_may_depend_on_what_drives_the_cell(by_method: Any) -> None:
    for solver, run in by_method:
        moves = increments(5, "driven", "xi", 20, 3) * 2 / 5 * [1, 0, 2]
        moves[:10] = 0
        if solver.name == "Stochastic Heun":  # the stimulus is half there at the border's node
            moves[9] = run["driven.v"].values[10]
        wanted = np.cumsum(moves, axis=0)
        np.testing.assert_allclose(run["driven.v"].values[1:], wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_methods_differ_by_what_they_say_and_the_order_shows(by_method: Any) -> None:
    """x(T) is exp(s*W - s**2*T/2) for Ito, exp(s*W) for Stratonovich."""
    brownian = increments(5, "cells", "xi", 20, 200).sum(axis=0)
    ends = {"Ito": np.exp(0.5 * brownian - 0.25), "Stratonovich": np.exp(0.5 * brownian)}
    errors = {}
    for solver, run in by_method:
        miss = run["cells.x"].values[-1] - ends[solver.calculus]
        errors[solver.name] = np.sqrt(np.mean(miss**2))
    # Leading terms: s**2*sqrt(T*dt/2) times the size of x, and smaller by sqrt(dt).
    assert 0.05 < errors["Euler-Maruyama"] < 0.2
    assert errors["Milstein"] < errors["Euler-Maruyama"] / 3
    assert errors["Stochastic Heun"] < errors["Euler-Maruyama"] / 3


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "solver", [None, sf.RK4(), sf.ExponentialEuler(), sf.Rosenbrock()], ids=lambda s: str(s)[:9]
)
def test_a_method_without_a_calculus_is_refused(solver: Any) -> None:
    cells = sf.Population("cells", 2, WALK)
    with pytest.raises(
        RunError, match=r"'cells' have white noise \(xi, xi_c\).*EulerMaruyama.*StochasticHeun"
    ):
        simulated(cells, duration=1, solver=solver)
    with pytest.raises(RunError, match="'cells' have white noise"):
        sf.plan(sf.Network(cells), 1 * ms, solver=solver)


def test_milstein_wants_a_noise_of_its_own_for_each_state() -> None:
    cells = sf.Population("cells", 2, WALK)
    with pytest.raises(RunError, match="in population 'cells' dy/dt has the noises xi_c and xi"):
        simulated(cells, duration=1, solver=sf.Milstein())
    with pytest.raises(RunError, match="in the equations dy/dt has the noises"):
        sf.solve(WALK, t1=1 * ms, dt=0.1 * ms, solver=sf.Milstein())


def test_a_stochastic_method_wants_noise() -> None:
    cells = sf.Population("cells", 2, sf.load("lif"))
    with pytest.raises(RunError, match="the equations of this network have no noise xi"):
        simulated(cells, duration=1)


def test_what_depends_on_noise_is_not_recorded() -> None:
    with pytest.raises(NetworkError, match="'kick' of 'cells' depends on the white noise xi_v"):
        sf.Population("cells", 2, NOISY)["kick"]


def test_a_shared_noise_has_to_be_there() -> None:
    with pytest.raises(UnknownNameError, match=r"'cells' have no noise 'xi_d'.*xi_c"):
        sf.Population("cells", 2, WALK, shared_noise=("xi_d",))
    with pytest.raises(WrongTypeError, match="a tuple of names such as"):
        sf.Population("cells", 2, WALK, shared_noise="xi_c")  # pyright: ignore
    with pytest.raises(NetworkError, match="names 'xi_c' twice"):
        sf.Population("cells", 2, WALK, shared_noise=("xi_c", "xi_c"))
    with pytest.raises(NetworkError, match="have no shared_noise"):
        sf.Population("cells", 2, sf.SpikeSourcePoisson(10 * Hz), shared_noise=("xi_c",))
