"""Names in a network: what they stand for, and the network with other values there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError, RunError, SomaflowError, UnitError, UnknownNameError
from somaflow.network.network import Network
from somaflow.sweeping.places import Place, changed, check_apart, places_of
from somaflow.sweeping.space import Key
from somaflow.units import Hz, cm, mS, ms, mV, nA, nS, uA, uF

S = mS / cm**2
CHANNELS, SYNAPSES = sf.catalogue("channels"), sf.catalogue("synapses")


def _network(
    *,
    g_na: object = 100 * S,
    capacitance: object = 1 * uF / cm**2,
    tau: object = 20 * ms,
    refractory: object = 2 * ms,
    rates: object = 5 * Hz,
    p: float = 0.5,
    wiring: int = 1,
    weight: object = 0.1 * S,
    delay: object = 0 * ms,
    E: object = -80 * mV,
    current: object = 3 * uA / cm**2,
    stop: object = None,
    noise: object = 0.1 * nA,
    command: object = -60 * mV,
    rate: object = 100 * Hz,
    n: int = 10,
    jump: object = 0.1 * nA,
    seed: int = 0,
) -> Network:
    """Return a network with every kind of part; each argument is what one name stands for."""
    neuron = sf.Neuron(
        capacitance,
        na=CHANNELS.na_traub1991(g=g_na),
        k=CHANNELS.k_traub1991,
        leak=CHANNELS.leak(g=sf.Normal(0.1 * S, 0.01 * S)),
    )
    pn = sf.Population("PN", 6, neuron, threshold="v > 0*mV")
    lif = sf.Population("lif", 3, sf.load("lif")(tau=tau), refractory=refractory)
    noisy = sf.Population("noisy", 4, sf.SpikeSourcePoisson(rates))
    half = sf.FixedProbability(p, seed=wiring)
    inhibition = SYNAPSES.exponential_conductance_density(g=weight, E=E)
    current_step = sf.Step(current, 1 * ms, stop)
    return sf.Network(
        sf.Stimulus(pn[:2], current_step),
        sf.Projection(noisy, pn, inhibition, half, delay=delay),
        sf.Projection(pn, lif[1:], SYNAPSES.exponential_current(i=0.2 * nA), name="on.lif"),
        sf.Stimulus(lif, sf.OrnsteinUhlenbeck(0 * nA, noise, 5 * ms), name="background"),
        sf.VoltageClamp(pn[5:], command),
        sf.PoissonInput(lif, SYNAPSES.exponential_current(i=jump), rate, n),
        noisy,
        pn,
        lif,
        seed=seed,
    )


CASES: list[tuple[Key, str, object, str | None]] = [
    ("PN.na.g", "g_na", 80 * S, "mS/cm**2"),
    (("PN", "na.g"), "g_na", 80 * S, "mS/cm**2"),
    ("PN.na.g", "g_na", np.linspace(1, 6, 6) * S, "mS/cm**2"),
    ("PN.na.g", "g_na", sf.Uniform(1 * S, 2 * S, seed=3), "mS/cm**2"),
    ("PN.C", "capacitance", 2 * uF / cm**2, "uF/cm**2"),
    ("lif.tau", "tau", 0.015 * sf.units.second, "ms"),
    ("lif.refractory", "refractory", 3 * ms, "ms"),
    ("noisy.rate", "rates", 7 * Hz, "Hz"),
    ("noisy_to_PN.p", "p", 0.25, None),
    ("noisy_to_PN.seed", "wiring", 7, None),
    ("noisy->PN.weight", "weight", 0.3 * S, "mS/cm**2"),
    (("noisy->PN", "g"), "weight", 0.3 * S, "mS/cm**2"),
    ("noisy_to_PN.delay", "delay", 1.5 * ms, "ms"),
    ("noisy_to_PN.E", "E", -75 * mV, "mV"),
    ("Step on PN.amplitude", "current", 4 * uA / cm**2, "uA/cm**2"),
    ("Step on PN.amplitude", "current", [1.0, 2.0] * uA / cm**2, "uA/cm**2"),
    ("Step on PN.stop", "stop", 50 * ms, "ms"),
    ("background.sd", "noise", 0.4 * nA, "nA"),
    ("VoltageClamp on PN.voltage", "command", -40 * mV, "mV"),
    ("VoltageClamp on PN.amplitude", "command", -40 * mV, "mV"),
    ("lif_input.rate", "rate", 50 * Hz, "Hz"),
    ("lif_input.n", "n", 4, None),
    ("lif_input.i", "jump", 0.3 * nA, "nA"),
    ("network.seed", "seed", 5, None),
]


@pytest.mark.parametrize(("key", "argument", "value", "unit"), CASES)
def test_a_name_stands_for_what_a_network_was_made_with(
    key: Key, argument: str, value: Any, unit: str | None
) -> None:
    network = _network()
    place = places_of(network).find(key)
    assert place.unit == unit
    new, expected = changed(network, {place: value}), _network(**{argument: value})
    assert network == _network()
    bare = getattr(value, "magnitude", None)
    if bare is not None and sf.units.unit_text(value.units) == unit:
        assert changed(network, {place: bare}) == new
    if key == "noisy->PN.weight":  # of which the value that the synapse has stays
        assert str(new.projection("noisy_to_PN").weight) == "0.3 mS/cm**2"
        assert sf.diff(new, network) == [
            "projections['noisy_to_PN'].weight: 0.3 mS/cm**2 here, 0.1 mS/cm**2 there"
        ]
        return
    assert sf.diff(new, expected) == []
    assert new == expected


def test_many_values_are_set_at_once() -> None:
    network, places = _network(), places_of(_network())
    given = {
        places.find("PN.na.g"): 80 * S,
        places.find("PN.C"): 2 * uF / cm**2,
        places.find("noisy_to_PN.seed"): 4,
        places.find("noisy_to_PN.g"): 0.2 * S,
        places.find("Step on PN.stop"): 9 * ms,
        places.find("network.seed"): 6,
    }
    new = changed(network, given)
    expected = _network(
        g_na=80 * S, capacitance=2 * uF / cm**2, wiring=4, weight=0.2 * S, stop=9 * ms, seed=6
    )
    assert new == expected
    drawn = [str(net.population("PN").equations.parameters["leak.g"]) for net in (new, expected)]
    assert drawn[0] == drawn[1]
    for part in new.stimuli:
        assert any(part.target.population is population for population in new.populations)


def test_bounds_that_vary_together_need_not_fit_the_old_ones() -> None:
    cells = sf.Population("cells", 1, sf.load("hodgkin_huxley_1952"))
    course = sf.Ramp(0 * uA / cm**2, 1 * uA / cm**2, 10 * ms, 20 * ms)
    network = sf.Network(cells, sf.Stimulus(cells, course, name="up"))
    places = places_of(network)
    new = changed(network, {places.find("up.start"): 30, places.find("up.stop"): 40 * ms})
    assert (new.stimuli[0].waveform.start, new.stimuli[0].waveform.stop) == (30.0, 40.0)
    with pytest.raises(NetworkError, match="stops at 20"):
        changed(network, {places.find("up.start"): 30})


def test_a_name_with_a_dot_goes_as_a_pair_too() -> None:
    network = _network()
    place = places_of(network).find(("on.lif", "weight"))
    new = changed(network, {place: 0.5 * nA})
    assert str(new.projection("on.lif").weight) == "0.5 nA"
    assert places_of(network).find("on.lif.weight") == place


def test_states_are_initial_values_of_a_run() -> None:
    place = places_of(_network()).find("PN.na.m")
    assert place.path == ("initial",)
    assert changed(_network(), {place: 0.5}) == _network()


def test_a_plastic_weight_begins_elsewhere() -> None:
    pre = sf.Population("pre", 2, sf.SpikeSourcePoisson(10 * Hz))
    post = sf.Population("post", 2, sf.load("lif"))

    def network(w: object) -> Network:
        synapse = sf.Equations.parse(
            "dw/dt = -w/(1000*ms) : nA\ndi/dt = -i/tau : nA\nI = -i : nA\non spike: i += w",
            tau=5 * ms,
            w=w,
            i=0 * nA,
        )
        return sf.Network(pre, post, sf.Projection(pre, post, synapse))

    place = places_of(network(1 * nA)).find("pre->post.w")
    assert changed(network(1 * nA), {place: 2 * nA}) == network(2 * nA)


UNKNOWN = {
    "PN.na.gg": "Did you mean 'PN.na.g'",
    "PM.na.g": "Did you mean 'PN.na.g'",
    "lif.taw": "Did you mean 'lif.tau'",
    "noisy_to_PN.wieght": "Did you mean 'noisy_to_PN.weight'",
    "PM->lif.weight": "Did you mean 'PN->lif.weight'",
    "sede": "Did you mean 'seed'",
    "": "nothing in the network",
}


@pytest.mark.parametrize(("name", "words"), UNKNOWN.items())
def test_what_has_no_such_name_is_said(name: str, words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        places_of(_network()).find(name, ["seed"])


def test_a_name_of_two_things_is_refused() -> None:
    cells = sf.Population("cells", 2, sf.load("lif"))
    one = sf.Projection(cells, cells, SYNAPSES.exponential_current(i=1 * nA), name="one")
    two = sf.Projection(cells, cells, SYNAPSES.exponential_current(i=1 * nA), name="two")
    places = places_of(sf.Network(cells, one, two))
    assert places.find("two.i").part == 2
    with pytest.raises(UnknownNameError, match="cells->cells"):
        places.find("cells->cells.i")  # there are two
    step = sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0 * nA, 1 * nA, 5 * ms), name="cells")
    with pytest.raises(RunError, match=r"'cells.tau' may mean one of .*Population 'cells'"):
        places_of(sf.Network(cells, step)).find("cells.tau")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["noisy_to_PN.g", "noisy->PN.weight"], "'noisy_to_PN.g' and 'noisy->PN.weight' are one"),
        (["noisy_to_PN.p", "noisy->PN.p"], "are one thing"),
        (
            ["VoltageClamp on PN.amplitude", "VoltageClamp on PN.voltage"],
            "replaces what 'VoltageClamp on PN.amplitude' is a part of",
        ),
    ],
)
def test_one_thing_varies_once(names: list[str], words: str) -> None:
    network = _network()
    places: dict[str, Place] = {name: places_of(network).find(name) for name in names}
    with pytest.raises(RunError, match=words):
        check_apart(places, network)


BAD: list[tuple[str, Callable[[], object], type[SomaflowError]]] = [
    ("PN.na.g", lambda: 3 * mV, UnitError),
    ("PN.na.g", lambda: np.ones(5) * S, NetworkError),
    ("noisy_to_PN.weight", lambda: -1 * S, NetworkError),
    ("noisy_to_PN.weight", lambda: 1 * nS, UnitError),
    ("noisy_to_PN.p", lambda: 1.5, NetworkError),
    ("Step on PN.amplitude", lambda: 3 * mV, UnitError),
    ("Step on PN.stop", lambda: 0 * ms, NetworkError),
]


@pytest.mark.parametrize(("name", "value", "error"), BAD)
def test_a_value_that_cannot_be_is_refused(
    name: str, value: Callable[[], object], error: type[SomaflowError]
) -> None:
    network = _network()
    with pytest.raises(error):
        changed(network, {places_of(network).find(name): value()})
