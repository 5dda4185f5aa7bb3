"""What is written as in other simulators gets a sentence that leads to how it is written here."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import (
    EquationError,
    NetworkError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.units import Mohm, Quantity, ms, mV, nA

TEXT = "dv/dt = (R*I_stim - v)/tau : mV\nI_stim : nA"
MODEL = sf.Equations.parse(TEXT, R=1 * Mohm, tau=10 * ms, v=0 * mV)
SPIKING: dict[str, Any] = {"threshold": "v > 10*mV", "reset": "v = 0*mV"}
CELLS = sf.Population("cells", 3, MODEL, **SPIKING)
OTHER = sf.Population("other", 3, MODEL, **SPIKING)
AMPA = sf.load("exponential_current")
NETWORK = sf.Network(CELLS, sf.Projection(CELLS, OTHER, AMPA, name="joined"), OTHER)
SPIKE_TIMES: Any = [0, 1, 2]
anything: Any = sf


def project(**options: Any) -> Any:
    return sf.Projection(CELLS, OTHER, AMPA, **options)


def population(**options: Any) -> Any:
    return sf.Population("cells", 3, MODEL, **{**SPIKING, **options})


def synapse(text: str) -> Any:
    return sf.Projection(CELLS, OTHER, sf.Equations.parse(text, w=1 * nA, tau=5 * ms))


INDICES: dict[str, Callable[[], Any]] = {
    "the order of SpikeGeneratorGroup": lambda: sf.SpikeSourceArray(SPIKE_TIMES, [1, 2, 1] * ms),
    "a list of quantities": lambda: sf.SpikeSourceArray(SPIKE_TIMES, [1 * ms, 2 * ms, 1 * ms]),
    "a view": lambda: CELLS[[1, 2] * ms],
    "one cell": lambda: CELLS[1 * ms],
    "a slice": lambda: CELLS[0 * ms : 2 * ms],
    "a recorder": lambda: CELLS["v"][[1, 2] * ms],
    "a slice of a recorder": lambda: CELLS["v"][: 2 * ms],
    "a Recorder": lambda: sf.Recorder("cells", "v", cells=[1, 2] * ms),
    "pairs": lambda: sf.FromList(Quantity([[0, 1], [1, 2]], "ms")),  # pyright: ignore
    "a list of pairs": lambda: sf.FromList([(0 * ms, 1 * ms)]),  # pyright: ignore
}


@pytest.mark.parametrize("build", INDICES.values(), ids=INDICES)
def test_indices_have_no_unit(build: Callable[[], Any]) -> None:
    with pytest.raises(WrongTypeError, match=r"(?s)not times: .* come first: sf\.SpikeSourceArray"):
        build()


ARGUMENTS: dict[str, tuple[Callable[[], Any], str]] = {
    "on_pre": (lambda: project(on_pre="v_post += w"), "'on spike: ...' of the equations"),
    "on_post": (lambda: project(on_post="w += 1"), "'on post spike: ...'"),
    "on_event": (lambda: project(on_event="burst"), "it is on="),
    "p": (lambda: project(p=0.1), r"connector=sf\.FixedProbability\(p\)"),
    "method": (lambda: population(method="euler"), r"solver= of sf\.simulate"),
    "N": (lambda: anything.Population("a", N=3, model=MODEL), "it is size="),
    "spike_times": (lambda: anything.SpikeSourceArray(spike_times=[1] * ms), "it is times="),
    "with_replacement": (lambda: anything.FixedTotal(3, with_replacement=True), "it is multapses="),
    "of simulate": (
        lambda: anything.simulate(NETWORK, 1 * ms, method="euler"),
        "simulate takes no argument 'method'. Here it is solver=",
    ),
    "of plan": (lambda: anything.plan(NETWORK, 1 * ms, sede=1), "Did you mean 'seed'"),
    "of solve": (lambda: anything.solve(MODEL, method="RK45"), "it is solver="),
    "of CurrentClamp": (lambda: anything.CurrentClamp(CELLS, amp=1 * nA), "it is amplitude="),
    "unlike any": (lambda: project(conector=sf.AllToAll()), "Did you mean 'connector'"),
}


@pytest.mark.parametrize(("build", "words"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_of_other_simulators_are_answered(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(WrongTypeError, match=words):
        build()


def test_functions_keep_their_signatures() -> None:
    assert [*inspect.signature(sf.simulate).parameters][:3] == ["network", "duration", "dt"]
    assert inspect.signature(sf.CurrentClamp).parameters["into"].default is None
    assert pickle.loads(pickle.dumps(sf.simulate)) is sf.simulate
    clamp = sf.CurrentClamp(CELLS, 1 * nA)
    assert clamp == sf.CurrentClamp(cells=CELLS, amplitude=1 * nA)


NAMES = {
    "Gamma": r"sf\.FromSciPy\(scipy\.stats\.gamma\(2, scale=3\), ms\)",
    "Exponential": r"scipy\.stats\.expon\(scale=3\), ms",
    "Beta": r"scipy\.stats\.beta",
    "Poisson": r"scipy\.stats\.poisson",
    "NeuronGroup": r"sf\.Population",
    "Synapses": r"sf\.Projection",
    "SpikeMonitor": r"record=\[cells\.spikes\]",
    "StateMonitor": r"record=\[cells\['v'\]\.every\(1\*ms\)\]",
    "PopulationRateMonitor": r"record=\[cells\.rate\(1\*ms\)\]",
    "SpikeGeneratorGroup": r"sf\.SpikeSourceArray\(times, cells=",
    "PoissonGroup": r"sf\.SpikeSourcePoisson",
    "TimedArray": r"sf\.Waveform\(samples, every=1\*ms\)",
    "network_operation": r"sf\.Between",
    "NetworkOperation": r"sf\.Between",
    "defaultclock": "dt=",
}


@pytest.mark.parametrize(("name", "words"), NAMES.items(), ids=NAMES)
def test_names_of_other_simulators_are_answered(name: str, words: str) -> None:
    assert not hasattr(sf, name)
    with pytest.raises(AttributeError, match=words):
        getattr(sf, name)


def test_running_is_answered_and_its_module_stays() -> None:
    with pytest.raises(AttributeError, match=r"sf\.simulate\(network"):
        anything.__getattr__("run")
    from somaflow import run

    assert inspect.ismodule(run)


ATTRIBUTES: dict[str, tuple[object, str, str]] = {
    "a state": (CELLS, "v", r"write \['v'\] behind it to record .* v=\.\.\. of the equations"),
    "an input": (CELLS, "I_stim", r"write \['I_stim'\]"),
    "of a view": (CELLS[:2], "v", r"a PopulationView has no attribute 'v': write \['v'\]"),
    "of synapses": (NETWORK.projections[0], "J", r"write \['J'\]"),
    "run_regularly": (CELLS, "run_regularly", r"'every 10\*ms: \.\.\.'"),
    "connect": (NETWORK.projections[0], "connect", "by connector="),
    "run": (NETWORK, "run", r"sf\.simulate\(network"),
    "any other": (CELLS, "colour", "^'Population' object has no attribute 'colour'"),
    "a private one": (CELLS, "_colour", "^'Population' object has no attribute '_colour'"),
    "of Python": (CELLS, "__len_hint__", "^'Population' object has no attribute '__len_hint__'"),
}


@pytest.mark.parametrize(("owner", "name", "words"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_variables_are_no_attributes(owner: object, name: str, words: str) -> None:
    assert not hasattr(owner, name)
    with pytest.raises(AttributeError, match=words):
        getattr(owner, name)


def test_initial_values_are_not_assigned() -> None:
    for owner in (CELLS, CELLS[:2]):
        with pytest.raises(dataclasses.FrozenInstanceError, match=r"v=\.\.\. of the equations"):
            owner.v = -60 * mV  # pyright: ignore
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'size'"):
            owner.size = 3  # pyright: ignore


@pytest.mark.parametrize("thing", [CELLS, CELLS[:2], NETWORK.projections[0], NETWORK])
def test_descriptions_are_copied_as_before(thing: Any) -> None:
    assert copy.copy(thing) == copy.deepcopy(thing) == pickle.loads(pickle.dumps(thing)) == thing
    empty: Any = object.__new__(type(thing))
    with pytest.raises(AttributeError):
        empty.equations  # noqa: B018 - as where something is asked for before it is made


NORMAL: Any = sf.Normal(1 * nA, 0.1 * nA)
COMPUTED: dict[str, Callable[[], Any]] = {
    "twice": lambda: 2 * NORMAL,
    "divided": lambda: NORMAL / 2,
    "shifted": lambda: NORMAL + 1 * nA,
    "subtracted": lambda: 1 - NORMAL,
    "with a unit": lambda: 2 * nA * sf.Normal(1, 1),  # pyright: ignore
    "an array": lambda: np.ones(2) * NORMAL,
}


@pytest.mark.parametrize("compute", COMPUTED.values(), ids=COMPUTED)
def test_distributions_are_not_computed_with(compute: Callable[[], Any]) -> None:
    with pytest.raises(
        WrongTypeError, match=r"sf\.Normal\(2\*mean, 2\*sd\), or give sf\.FromSciPy"
    ):
        compute()


DRAWN = r"a distribution, such as sf\.Uniform\("
INPUT = r"'I_stim_post = \.\.\. : "
ELSE: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a weight": (lambda: project(weight="rand()*nA"), UnknownNameError, DRAWN),
    "a delay": (lambda: project(delay="rand()*ms"), UnknownNameError, DRAWN),
    "a refractory period": (lambda: population(refractory="2*ms+1*ms*rand()"), UnitError, DRAWN),
    "a parameter": (lambda: MODEL(tau="rand()*ms"), UnitError, DRAWN),
    "not_refractory": (
        lambda: population(threshold="v > 10*mV and not_refractory"),
        EquationError,
        "not_refractory' is none. Here, .* leave it out",
    ),
    "oneself": (
        lambda: project(weight="int(i != j)*nA"),
        EquationError,
        "self_connections=False",
    ),
    "an input at a spike": (
        lambda: synapse("dw/dt = 0*nA/tau : nA\non spike: I_stim_post += w"),
        EquationError,
        INPUT + "unit'",
    ),
    "a declared input at a spike": (
        lambda: synapse("I_stim_post : nA\ndw/dt = 0*nA/tau : nA\non spike: I_stim_post += w"),
        NetworkError,
        INPUT + "nA'",
    ),
    "a list of populations": (
        lambda: anything.Projection([CELLS, OTHER], OTHER, AMPA),
        WrongTypeError,
        r"written pn \+ ln",
    ),
    "a method as a link": (
        lambda: population(links={"I_stim": OTHER["v"].mean}),
        WrongTypeError,
        r"call it, \.mean\(\)",
    ),
    "a method as a recorder": (
        lambda: anything.simulate(NETWORK, 1 * ms, dt=0.1 * ms, record=[CELLS[:2].rate]),
        WrongTypeError,
        r"call it, \.rate\(1\*ms\)",
    ),
}


@pytest.mark.parametrize(("build", "kind", "words"), ELSE.values(), ids=ELSE)
def test_what_others_write_leads_to_what_is_written_here(
    build: Callable[[], Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build()


def test_noise_of_a_synapse_is_refused_under_any_method() -> None:
    text = "ds/dt = -s/tau + xi/sqrt(tau) : 1\nI = w*s : nA\non spike: s += 1"
    noisy = sf.Network(CELLS, OTHER, synapse(text))
    for solver in (sf.EulerMaruyama(), sf.RK4()):
        with pytest.raises(NetworkError, match="a synapse has no white noise"):
            sf.simulate(noisy, 1 * ms, dt=0.1 * ms, solver=solver, record=[])
