from typing import Any

import pytest

import somaflow as sf
from somaflow.errors import (
    NetworkError,
    UnknownNameError,
)
from somaflow.units import cm, uA, uF

C = 1 * uF / cm**2
A = uA / cm**2
CHANNELS = sf.catalogue("channels")
SYNAPSES = sf.catalogue("synapses")


def cells(name: str = "PN", size: int = 5, **options: Any) -> sf.Population:
    options = {"threshold": "v > 0*mV"} | options
    return sf.Population(name, size, sf.Neuron(C, leak=CHANNELS.leak), **options)


def project(**changes: Any) -> sf.Projection:
    given = {"pre": cells(), "post": cells("LN", 3), "synapse": SYNAPSES.nach} | changes
    return sf.Projection(**given)


def test_the_parts_of_a_network(lobe: sf.Network) -> None:
    assert [p.name for p in lobe.populations] == ["PN", "LN"]
    assert [p.name for p in lobe.projections] == ["PN_to_LN", "LN_to_PN", "lateral"]
    assert len(lobe.stimuli) == 3
    assert lobe.population("LN").size == 4
    assert "Population('PN', 6)" in repr(lobe)
    with pytest.raises(UnknownNameError, match=r"no population 'PM'. Did you mean 'PN'"):
        lobe.population("PM")


def test_networks_that_do_not_fit() -> None:
    pn, ln = cells(), cells("LN", 3)
    with pytest.raises(NetworkError, match="at least one Population"):
        sf.Network()
    with pytest.raises(NetworkError, match="two parts of the network are called 'PN'"):
        sf.Network(pn, cells())
    with pytest.raises(NetworkError, match="'PN', which is not among the parts"):
        sf.Network(ln, project(pre=pn, post=ln))
    with pytest.raises(NetworkError, match="'LN', which is not among the parts"):
        sf.Network(pn, project(pre=pn, post=ln))
    with pytest.raises(NetworkError, match="'LN', which is not among the parts"):
        sf.Network(pn, sf.CurrentClamp(ln, 1 * A))
    twice = project(pre=pn, post=ln), project(pre=pn, post=ln)
    with pytest.raises(NetworkError, match="called 'PN_to_LN'"):
        sf.Network(pn, ln, *twice)
    assert (
        len(sf.Network(pn, ln, twice[0], project(pre=pn, post=ln, name="other")).projections) == 2
    )
