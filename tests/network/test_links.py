"""Links: what may be read of other cells, and what is said of what may not."""

import pickle
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import (
    NetworkError,
    SomaflowWarning,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.network.links import in_order
from somaflow.units import Hz, ms, mV, nA

TEXT = """
dx/dt = (-x + R*I_stim)/tau + s*sqrt(2/tau)*xi : mV
dn/dt = -n/tau + noise : 1
noise = sqrt(2/tau)*xi_n : Hz
driven = R*I_stim : mV
twice = 2*x + 1*mV*sin(t/ms) : mV
I_stim : nA
"""
MODEL = sf.Equations.parse(TEXT, R=1 * mV / nA, tau=5 * ms, s=1 * mV, x=0 * mV, n=0)
OTHER = sf.Population("other", 6, MODEL, threshold="x > 5*mV")
SOURCE = sf.Population("source", 6, sf.SpikeSourcePoisson(5 * Hz))
READER = "dy/dt = (H - y)/tau : mV\nH : mV\nbeyond = 2*H : mV"


def reader(
    read: Any, name: str = "reader", size: int = 6, y: Any = 0 * mV, text: str = READER, **more: Any
) -> sf.Population:
    equations = sf.Equations.parse(text, tau=5 * ms, y=y)
    return sf.Population(name, size, equations, links=read, **more)


@pytest.mark.parametrize(
    ("read", "error", "words"),
    [
        (["H"], WrongTypeError, "are a dict such as"),
        ({"H": "other.x"}, WrongTypeError, r"such as other\['x'\].*'H' for 'other.x'"),
        ({"H": OTHER}, WrongTypeError, "stands for a variable of other cells"),
        ({"G": OTHER["x"]}, NetworkError, "do not declare the link 'G'"),
        ({"y": OTHER["x"]}, NetworkError, "do not declare the link 'y'"),
        ({"H": OTHER["x"].every(1 * ms)}, NetworkError, "leave every"),
        ({"H": OTHER["x"].histogram([0, 1, 2] * mV)}, NetworkError, "mean"),
        ({"H": OTHER["x"].as_("name")}, NetworkError, "leave as_"),
        ({"H": OTHER.spikes}, NetworkError, "let a state jump at spikes"),
        ({"H": OTHER["x"][[]]}, NetworkError, "no cells"),
    ],
)
def test_what_is_no_link_is_said(read: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        reader(read)


@pytest.mark.parametrize(
    ("read", "error", "words"),
    [
        (sf.Recorder("oter", "x"), UnknownNameError, "'oter'.*'other'"),
        (sf.Recorder("other", "xx"), UnknownNameError, "'xx', which 'other' has not"),
        (sf.Recorder("source", "x"), UnknownNameError, "which 'source' has not"),
        (sf.Recorder("other", "driven"), NetworkError, "an input or a noise"),
        (sf.Recorder("other", "I_stim"), NetworkError, "an input or a noise"),
        (sf.Recorder("other", "noise"), NetworkError, "an input or a noise"),
        (OTHER["n"], UnitError, "declared in mV, but 'n' of 'other' is in 1"),
        (OTHER[:4]["x"], NetworkError, "reads 4 cells of 'other' for 6"),
        (sf.Recorder("other", "x", [0, 1, 2, 3, 4, 6]), NetworkError, "cell 6 of 'other'"),  # type: ignore[arg-type]
        (sf.Recorder("reader", "H"), NetworkError, r"reader.H -> reader.H"),
        (sf.Recorder("reader", "beyond").mean(), NetworkError, r"reader.H -> reader.H"),
    ],
)
def test_what_a_network_has_not_is_said(
    read: sf.Recorder, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        sf.Network(reader({"H": read}), OTHER, SOURCE)


def test_links_need_each_other_in_no_circle() -> None:
    a = reader({"H": sf.Recorder("b", "beyond")}, "a")
    b = reader({"H": a["beyond"]}, "b")
    with pytest.raises(NetworkError, match=r"need each other: (a.H -> b.H -> a|b.H -> a.H -> b)"):
        sf.Network(a, b)
    c = reader({"H": a["y"]}, "b")
    order = in_order(sf.Network(a, c).populations)
    assert [(link.target, link.name) for link in order] == [("b", "H"), ("a", "H")]


def test_an_initial_value_reads_no_link() -> None:
    with pytest.raises(NetworkError, match=r"initial value of 'y' .* the link 'H'"):
        reader({"H": OTHER["x"]}, y="2*H")


def test_a_name_is_a_link_or_nothing_drives_it() -> None:
    with pytest.warns(SomaflowWarning, match=r"is 0.* is a link: links=\{'H'"):
        sf.Network(reader({}))
    with pytest.raises(NetworkError, match="spike sources, which have no links"):
        sf.Population("p", 6, sf.SpikeSourcePoisson(5 * Hz), links={"H": OTHER["x"]})
    driven = "dy/dt = (I_stim*mV/nA - y)/tau : mV\nI_stim : nA"
    with pytest.raises(NetworkError, match="call what is read of other cells otherwise"):
        reader({"I_stim": OTHER["x"]}, text=driven)


def test_a_threshold_a_reset_and_a_refractory_condition_read_links() -> None:
    made = reader(
        {"H": OTHER["x"]}, threshold="y > beyond", reset="y = H", refractory="H > 1*mV", hold=("y",)
    )
    assert made.firing.waits


def test_synapses_read_links_and_assign_to_none() -> None:
    made = reader({"H": OTHER["x"].mean()}, threshold="y > 1*mV")
    adds = "on spike: y_post += k*{0}\n{0} : mV\ny_post : mV"
    for port in ("H_post", "H_pre", "beyond_pre"):
        sf.Projection(made, made, sf.Equations.parse(adds.format(port), k=0.1), name=port)
    sets = sf.Equations.parse("on spike: H_post += k\nH_post : mV", k=1 * mV)
    with pytest.raises(NetworkError, match="'H' of 'reader' is a variable of other cells"):
        sf.Projection(made, made, sets)


def test_links_are_part_of_the_description() -> None:
    def network(read: sf.Recorder) -> sf.Network:
        return sf.Network(reader({"H": read}), OTHER, seed=3)

    first = network(OTHER[::-1]["x"])
    assert pickle.loads(pickle.dumps(first)) == first
    assert first == network(OTHER[::-1]["x"])
    assert first != network(OTHER["x"])
    found = sf.diff(first, network(OTHER["x"].mean()))
    assert any("populations['reader'].links['H'].reduction" in line for line in found)
    assert np.array_equal(first.populations[0].links["H"].cells, np.arange(6)[::-1])  # type: ignore[arg-type]
    assert "link: other.x at each moment, of 6 cells" in first.explain()


def test_a_population_without_states_has_definitions() -> None:
    given = sf.Equations.parse("rate = 5*Hz*(1 + sin(t/ms)) : Hz")
    assert sf.Population("p", 3, given, threshold="rand() < rate*dt").spiking
    with pytest.raises(UnitError, match="sin"):
        sf.Equations.parse("x = sin(t) : 1")


@pytest.mark.parametrize("text", ["r0*x", "100*Hz*(1 + sin(2*pi*t/second))"])
def test_a_rate_that_is_an_expression_is_a_population(text: str) -> None:
    with pytest.raises(WrongTypeError, match="a population without dx/dt"):
        sf.SpikeSourcePoisson(text)
    assert sf.SpikeSourcePoisson("5 Hz") == sf.SpikeSourcePoisson(5 * Hz)
