"""No step copies what is under way, however long the delays: the optimised module is read."""

import math
import re
from typing import Any

import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.numerics import programs
from somaflow.simulation import loop
from somaflow.units import ms, nA


class _CompiledError(Exception):
    """Ends a run before its first step."""


def optimised(monkeypatch: pytest.MonkeyPatch, network: sf.Network) -> str:
    """Return the module that XLA makes of a run's loop."""
    modules = []

    def stop(function: Any, *arguments: Any) -> Any:
        made = tf.function(function, jit_compile=True, autograph=False)
        modules.append(made.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo"))
        raise _CompiledError

    programs.clear()
    with monkeypatch.context() as patch, pytest.raises(_CompiledError):
        patch.setattr(loop, "traced", stop)
        sf.simulate(network, 10 * ms, dt=0.1 * ms, solver=sf.ExponentialEuler())
    return modules[0]


def test_no_step_copies_the_spikes_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longer the delay, the more a step would cost: what is read is in another slot."""
    cells = sf.Population("cells", 200, sf.load("lif"))
    synapse, connector = sf.load("exponential_current"), sf.FixedInDegree(20, seed=3)
    joined = sf.Projection(cells, cells, synapse, connector, weight=0.1 * nA, delay=3.7 * ms)
    module = optimised(monkeypatch, sf.Network(cells, joined))
    steps, _, _ = module.partition("\nENTRY ")
    held = 38 * 200  # spikes of the longest delay and of the step
    shapes = re.findall(r"= \w+\[([\d,]+)\]\S* copy\(", steps)
    assert "while(" in steps
    assert "[38,208]" in steps
    assert [shape for shape in shapes if math.prod(map(int, shape.split(","))) >= held] == []


@pytest.mark.slow
def test_no_step_copies_the_weights_that_a_rule_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
    dw/dt = 0*nA/ms : nA
    dG/dt = -G/(5*ms) : nA
    I = -G : nA
    on spike: G += w
    every 2*ms: w *= 7*nA/sum_post(w)
    """
    population = sf.Population("lif", 200, sf.load("lif"))
    synapse = sf.Equations.parse(text, w=0.1 * nA, G=0 * nA)
    connector = sf.FixedProbability(0.5, seed=1)
    projection = sf.Projection(population, population, synapse, connector)
    module = optimised(monkeypatch, sf.Network(population, projection))
    steps, _, _ = module.partition("\nENTRY ")
    shapes = re.findall(r"= f64\[([\d,]+)\]\S* copy\(", steps)
    many = len(projection.connections())
    assert [shape for shape in shapes if math.prod(map(int, shape.split(","))) >= many] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", ["weights", "sums"])
def test_no_spike_copies_the_weights(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """Whether what a spike adds is said before or after what it does to weights."""
    learns, adds = "w = clip(w - 0.01*nA*y, 0*nA, 1*nA)", "G += w; u = 0.5*u + w/nA"
    lines = [learns, adds] if first == "weights" else [adds, learns]
    text = f"""
    dw/dt = 0*nA/ms : nA
    du/dt = 0/ms : 1
    dG/dt = -G/(5*ms) : nA
    dx/dt = -x/(20*ms) : 1
    dy/dt = -y/(20*ms) : 1
    I = -G : nA
    on spike: {"; ".join(lines)}; x += 1
    on post spike: y += 1; u += w/nA; w = clip(w + 0.01*nA*x*u, 0*nA, 1*nA)
    """
    population = sf.Population("lif", 200, sf.load("lif"))
    synapse = sf.Equations.parse(text, w=0.1 * nA, G=0 * nA, x=0, y=0, u=0)
    joined = sf.Projection(population, population, synapse, sf.FixedProbability(0.5, seed=1))
    module = optimised(monkeypatch, sf.Network(population, joined))
    steps, _, _ = module.partition("\nENTRY ")
    assert "while(" in steps
    shapes = re.findall(r"= \w+\[([\d,]+)\]\S* copy\(", steps)
    assert [shape for shape in shapes if math.prod(map(int, shape.split(","))) >= 15_000] == []
