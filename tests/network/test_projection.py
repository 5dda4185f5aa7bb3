from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import (
    MissingValueError,
    NetworkError,
    SomaflowError,
    UnitError,
    WrongTypeError,
)
from somaflow.units import cm, mS, mV, uF

C = 1 * uF / cm**2
S = mS / cm**2
CHANNELS = sf.catalogue("channels")
SYNAPSES = sf.catalogue("synapses")
TEXT = "dv/dt = (E - v)/(20*ms) + I_stim/(1*nF) : mV\nI_stim : nA"


def cells(name: str = "PN", size: int = 5, **options: Any) -> sf.Population:
    options = {"threshold": "v > 0*mV"} | options
    return sf.Population(name, size, sf.Neuron(C, leak=CHANNELS.leak), **options)


def point(text: str = TEXT, **options: Any) -> sf.Population:
    values = options.pop("values", {"E": -65 * mV, "v": -65})
    return sf.Population("P", 5, sf.Equations.parse(text, **values), **options)


def test_connections_are_ordered_and_name_cells_of_the_whole() -> None:
    pn = cells()
    pairs = sf.FromList([(0, 2), (1, 0), (0, 0)])
    made = sf.Projection(pn[[4, 1]], pn[2:], SYNAPSES.nach, pairs, [3, 2, 1] * S).connections()
    assert made.pre.tolist() == [1, 4, 4]
    assert made.post.tolist() == [2, 2, 4]
    assert made.weight.tolist() == [2, 1, 3]


def test_no_cell_of_a_view_reaches_itself_where_that_is_excluded() -> None:
    pn = cells()
    for connector in (sf.AllToAll(False), sf.FixedProbability(1.0, 0, False)):
        made = sf.Projection(pn[:3], pn[1:], SYNAPSES.nach, connector).connections()
        assert len(made.pre) == 3 * 4 - 2
        assert np.all(made.pre != made.post)


def test_weights() -> None:
    pn, ln = cells(), cells("LN", 3)
    table = np.arange(15.0).reshape(5, 3)
    made = sf.Projection(pn, ln, SYNAPSES.nach, weight=table * S).connections()
    assert np.array_equal(made.weight, table[made.pre, made.post])
    made = sf.Projection(pn, ln, SYNAPSES.nach, weight=0.2).connections()
    assert np.all(made.weight == 0.2)
    default = sf.Projection(pn, ln, SYNAPSES.nach(g=0.7 * S)).connections()
    assert np.all(default.weight == 0.7)
    drawn = sf.Projection(pn, ln, SYNAPSES.nach, weight=sf.Uniform(1 * S, 2 * S)).connections()
    assert np.all((drawn.weight > 1) & (drawn.weight < 2))
    assert len(np.unique(drawn.weight)) == 15


def project(**changes: Any) -> sf.Projection:
    given = {"pre": cells(), "post": cells("LN", 3), "synapse": SYNAPSES.nach} | changes
    return sf.Projection(**given)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"synapse": CHANNELS.leak}, WrongTypeError, "needs a synapse of the catalogue"),
        (
            {"pre": cells(threshold=None)},
            NetworkError,
            "waits for spikes, but 'PN' has no threshold",
        ),
        ({"post": point()}, UnitError, r"gives a current in uA/cm\*\*2, but 'P' takes nA"),
        (
            {"pre": point("dx/dt = -x/ms : 1", values={"x": 0}), "synapse": SYNAPSES.gaba_a},
            NetworkError,
            "reads 'v_pre', but population 'P' has no state 'v'",
        ),
        (
            {"post": point("dv/dt = -v/ms : mV", values={"v": 0})},
            NetworkError,
            "no input for a syn",
        ),
        (
            {"post": point("dv/dt = -v/ms + I_stim/ms : 1\nI_stim : 1", values={"v": 0})},
            UnitError,
            "reads 'v_post' in mV, but 'v' of 'P' is in 1",
        ),
        ({"weight": [1.0, 2.0]}, NetworkError, r"have shape \[2\]; give .* shape \[5, 3\]"),
        ({"weight": np.ones((3, 5))}, NetworkError, r"have shape \[3, 5\]"),
        (
            {"weight": [1.0], "connector": sf.FromList([(0, 0), (1, 1)])},
            NetworkError,
            r"shape \[1\]",
        ),
        ({"weight": 3 * mV}, UnitError, "'weight' of projection 'PN_to_LN'"),
        ({"weight": sf.Uniform(1 * mV, 2 * mV)}, UnitError, "'weight' of projection"),
        ({"weight": np.nan}, MissingValueError, "'weight' of projection 'PN_to_LN' is nan"),
    ],
)
def test_a_projection_that_does_not_fit(
    changes: dict[str, Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        project(**changes)
