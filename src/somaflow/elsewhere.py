"""What is called otherwise elsewhere: arguments and names of the package, each with a sentence."""

import functools
import inspect
from collections.abc import Callable, Container, Mapping
from typing import ParamSpec, TypeVar

from somaflow.errors import WrongTypeError, nearest

_P = ParamSpec("_P")
_T = TypeVar("_T")

# By the name of an argument elsewhere: by one that is known here, what is said then.
_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "interval": {"every": "Here it is every=."},
    "dt": {"every": "Here it is every=.", "interval": "Here it is interval=."},
    "N": {"size": "Here it is size=.", "n": "Here it is n=."},
    "on_pre": {"synapse": "What a spike does is a line 'on spike: ...' of the equations."},
    "on_post": {"synapse": "What a spike does is a line 'on post spike: ...' of the equations."},
    "on_event": {"on": "Here it is on=, the name of an event of the presynaptic cells."},
    "source": {"pre": "Here it is pre=."},
    "target": {"post": "Here it is post=."},
    "p": {"connector": "Write connector=sf.FixedProbability(p)."},
    "condition": {
        "connector": "Which cell reaches which is the connector=, such as sf.FromList(pairs)."
    },
    "method": {
        "solver": "Here it is solver=, such as sf.RK4().",
        "model": "The method belongs to the run: solver= of sf.simulate.",
        "synapse": "The method belongs to the run: solver= of sf.simulate.",
    },
    "namespace": {
        "model": "Values of parameters go with the equations: sf.Equations.parse(text, tau=10*ms).",
        "synapse": "Values of parameters go with the equations: sf.Equations.parse(text, w=1*nS).",
    },
    "spike_times": {"times": "Here it is times=."},
    "indices": {"cells": "Here it is cells=."},
    "rates": {"rate": "Here it is rate=."},
    "with_replacement": {"multapses": "Here it is multapses=."},
    "allow_multapses": {"multapses": "Here it is multapses=."},
    "allow_autapses": {"self_connections": "Here it is self_connections=."},
    "allow_self_connections": {"self_connections": "Here it is self_connections=."},
    "amp": {"amplitude": "Here it is amplitude=."},
    "delay": {"start": "Here it is start=, and stop= when it ends."},
    "dur": {"stop": "Here it is stop=, the time at which it ends."},
    "report": {"progress": "Here it is progress=."},
}
_RECORD = "What is kept is said to the run: sf.simulate(..., record=[{}])."
_DRAWN = "What is drawn is sf.FromSciPy(scipy.stats.{}), which takes any distribution of SciPy."
_NAMES: Mapping[str, str] = {
    "Gamma": _DRAWN.format("gamma(2, scale=3), ms"),
    "Exponential": _DRAWN.format("expon(scale=3), ms"),
    "Beta": _DRAWN.format("beta(2, 5)"),
    "Poisson": _DRAWN.format("poisson(4)"),
    "NeuronGroup": "Cells are sf.Population(name, size, equations, threshold=, reset=).",
    "Synapses": "Synapses are sf.Projection(pre, post, equations, connector, weight=, delay=).",
    "SpikeMonitor": _RECORD.format("cells.spikes"),
    "StateMonitor": _RECORD.format("cells['v'].every(1*ms)"),
    "PopulationRateMonitor": _RECORD.format("cells.rate(1*ms)"),
    "EventMonitor": _RECORD.format("cells.event('burst')"),
    "SpikeGeneratorGroup": (
        "Spikes at given times are sf.Population(name, size, sf.SpikeSourceArray(times, "
        "cells=[...])); the times come first."
    ),
    "PoissonGroup": "Poisson spikes are sf.Population(name, size, sf.SpikeSourcePoisson(10*Hz)).",
    "TimedArray": (
        "A course of time is a stimulus: a line 'I_stim : nA' of the cells and "
        "sf.Stimulus(cells, sf.Waveform(samples, every=1*ms))."
    ),
    "run": "A network is run by sf.simulate(network, 100*ms).",
    "start_scope": "A network is what sf.Network(...) is given; nothing is collected.",
    "seed": "The seeds are sf.Network(..., seed=) and sf.simulate(..., seed=).",
    "defaultclock": "The step belongs to the run: sf.simulate(..., dt=0.1*ms).",
}
_NAMES |= dict.fromkeys(
    ("network_operation", "NetworkOperation"),
    "A function that is called at intervals is given to the run: sf.simulate(..., "
    "between=sf.Between(10*ms, function)).",
)
_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "Population": {
        "run_regularly": "what is done at intervals is a line 'every 10*ms: ...' of the equations.",
        "set_spikes": "spikes are given to sf.SpikeSourceArray when it is made.",
        "N": "the number of cells is size.",
    },
    "Projection": {
        "connect": "which cell reaches which is said when it is made, by connector=.",
        "run_regularly": "what is done at intervals is a line 'every 10*ms: ...' of the equations.",
        "i": "the synapses are those of connections().",
        "j": "the synapses are those of connections().",
    },
    "Network": {
        "run": "a network is run by sf.simulate(network, 100*ms).",
        "add": "all parts are given when it is made: sf.Network(cells, synapses).",
        "store": "a run's state is run.final, from which sf.simulate(..., initial=) goes on.",
        "restore": "a run goes on from another's state: sf.simulate(..., initial=run.final).",
    },
}
_answering: set[type] = set()


def name_of_package(name: str) -> AttributeError | None:
    """Return what says how a name of other simulators is written, or None where it is not one."""
    if name not in _NAMES:
        return None
    return AttributeError(f"somaflow has no {name!r}. {_NAMES[name]}", name=name)


def attribute(owner: object, name: str, variables: Container[str] = ()) -> str:
    """Say that something has no such attribute, and how what is meant is written here.

    Args:
        owner: A population, a view of it, a projection or a network.
        name: The attribute.
        variables: The names of what its equations define.
    """
    kind = type(owner).__name__
    said = _ATTRIBUTES.get(kind.removesuffix("View"), {})
    if name in said:
        return f"a {kind} has no attribute {name!r}: {said[name]}"
    if name in variables:
        return (
            f"a {kind} has no attribute {name!r}: write [{name!r}] behind it to record this "
            f"variable; initial values are {name}=... of the equations, or initial= of the run."
        )
    return f"{kind!r} object has no attribute {name!r}"


def answering(thing: object) -> object:
    """Let a class say which argument is meant where it is given one that it has not.

    Args:
        thing: The class; anything else stays as it is.
    """
    init = vars(thing).get("__init__") if isinstance(thing, type) else None
    if init is None or thing in _answering:
        return thing
    assert isinstance(thing, type)
    thing.__init__ = checked(init, thing.__name__)
    _answering.add(thing)
    return thing


def checked(function: Callable[_P, _T], name: str | None = None) -> Callable[_P, _T]:
    """Return a function that says which argument is meant where it is given one it has not.

    Args:
        function: The function, whose signature stays.
        name: What it is called; default its own name.
    """
    known = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        return function

    @functools.wraps(function)
    def call(*arguments: _P.args, **named: _P.kwargs) -> _T:
        for key in named:
            if key not in known:
                own = [k for k in known if k != "self" and not k.startswith("_")]
                said = [text for k, text in _ARGUMENTS.get(key, {}).items() if k in own]
                hint = f" {said[0]}" if said else nearest(key, own)
                raise WrongTypeError(
                    f"{name or function.__name__} takes no argument {key!r}.{hint}"
                )
        return function(*arguments, **named)

    return call
