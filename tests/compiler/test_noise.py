"""Networks refuse equations with noise; `drift_and_diffusion` can be lowered."""

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.compiler.lower import Lowered
from somaflow.errors import NetworkError
from somaflow.mechanisms.catalogue import Mechanism, from_data
from somaflow.network.forms import take_apart
from somaflow.units import cm, ms, mV, uA, uF

NOISY = sf.Equations.parse(
    "dv/dt = (E - v + kick)/tau + I_stim/C : mV\nkick = S*sqrt(2*tau)*xi_v : mV\nI_stim : uA/cm**2",
    E=-65 * mV,
    S=2 * mV,
    tau=20 * ms,
    C=1 * uF / cm**2,
    v=-65,
)
REASON = (
    r"equations with noise \({}\) run in sf.solve\(..., solver=sf.EulerMaruyama\(\)\); "
    "a network takes noise as a stimulus, such as sf.OrnsteinUhlenbeck"
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


def test_a_noisy_population_is_described_but_not_run() -> None:
    noisy = sf.Population("noisy", 3, NOISY, threshold="v > -50*mV")
    network = sf.Network(noisy)
    assert "exact" in network.explain()
    with pytest.raises(NetworkError, match="^population 'noisy': " + REASON.format("xi_v")):
        sf.simulate(network, 1 * ms)


def test_each_mechanism_of_a_neuron_has_its_own_noise() -> None:
    channel = mechanism(
        "channel",
        "v : mV\nI = g*s*(v - E) : uA/cm**2\nds/dt = -s/tau + 0.1*sqrt(2/tau)*xi_s : 1",
    )
    neuron = sf.Neuron(1 * uF / cm**2, a=channel, b=channel)
    assert neuron.equations.noises == {"a.s": "a.xi_s", "b.s": "b.xi_s"}
    population = sf.Population("two", 1, neuron)
    with pytest.raises(NetworkError, match="'two': " + REASON.format("a.xi_s, b.xi_s")):
        sf.simulate(sf.Network(population, sf.CurrentClamp(population, 0 * uA / cm**2)), 1 * ms)


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
        match="^synapse 'odd' of projection 'cells_to_cells': " + REASON.format("xi_s"),
    ):
        take_apart(sf.Projection(cells, cells, noisy))


def test_drift_and_diffusion_are_lowered_like_any_tree() -> None:
    drift, diffusion = NOISY.drift_and_diffusion("v")
    lowered = Lowered(NOISY, frozenset({"I_stim", "xi_v"}), (drift, diffusion))
    parameters = {name: tf.constant(p.value) for name, p in NOISY.parameters.items()}
    states = {"v": tf.constant([-65.0, -45.0], tf.float64), "I_stim": tf.constant(0.5, tf.float64)}
    value = lowered.scope(lowered.prepare(parameters), states)
    assert np.asarray(value(drift)) == pytest.approx([0.5, -0.5])
    assert float(value(diffusion)) == pytest.approx(2 * np.sqrt(2 / 20))
