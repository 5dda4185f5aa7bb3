from typing import Any

import numpy as np
import pytest
from scipy import sparse

import somaflow as sf
from somaflow.errors import NetworkError
from somaflow.units import mS, ms, mV, nA, nS, pS

LIF = sf.load("lif")
SYNAPSES = sf.catalogue("synapses")
A, B = sf.Population("a", 3, LIF), sf.Population("b", 4, LIF)
STDP = SYNAPSES.stdp_pair_all_to_all
PURE = "dG/dt = -G/(5*ms) : 1\nv_post : mV\nI = {sign}G*g*(v_post - E) : nA\non spike: G += w"
RATE = "v_post : mV\nv_pre : mV\nI = w*(v_pre - v_post)/R : nA"


def pure(sign: str = "") -> sf.Equations:
    return sf.Equations.parse(PURE.format(sign=sign), G=0, g=10 * nS, E=-80 * mV, w=1)


def project(weight: Any, synapse: Any = SYNAPSES.exponential_conductance, **others: Any) -> Any:
    return sf.Projection(A, B, synapse, weight=weight, **others)


REFUSED = {
    "one number": ({"weight": -1 * nS}, r"the weight is -1 nS; a conductance below 0"),
    "a plain number": ({"weight": -1}, "the weight is -1 uS; a conductance"),
    "as text": ({"weight": "-2 nS"}, "the weight is -2 nS"),
    "an expression": ({"weight": "(i - 1)*nS"}, r"weight of the pair \(0, 0\) is -1 nS"),
    "an array": (
        {"weight": np.arange(12).reshape(3, 4)[::-1] * nS - 1 * nS},
        r"of the pair \(2, 0\) is -1 nS",
    ),
    "a list": (
        {"weight": [1, -2] * nS, "connector": sf.FromList([(2, 3), (0, 1)])},
        r"of the pair \(0, 1\) is -2 nS",
    ),
    "a matrix": (
        {
            "weight": None,
            "connector": sf.FromSparse(sparse.coo_array(([1.0, -3.0], ([2, 0], [3, 1])), (3, 4))),
        },
        r"of the pair \(0, 1\) is -3 uS",
    ),
    "a distribution": (
        {"weight": sf.Normal(1 * nS, 3 * nS, seed=1)},
        r"of the pair \(\d, \d\) is -.* nS; .* A Normal takes a bound: low=\.\.\. in nS",
    ),
    "the synapse's own": (
        {"weight": None, "synapse": SYNAPSES.exponential_conductance(g=-1 * nS)},
        "a conductance below 0",
    ),
    "per area": (
        {"weight": sf.Uniform(-1 * mS, -0.5 * mS), "synapse": SYNAPSES.graded_conductance},
        "a conductance below 0",
    ),
    "a number that scales a conductance": (
        {"weight": -1, "synapse": pure()},
        "the weight is -1; a conductance below 0",
    ),
    "plastic, above": ({"weight": 5 * nS, "synapse": STDP}, r"is 5 nS; .* above w_max = 1.5 nS"),
    "plastic, below": ({"weight": -1 * nS, "synapse": STDP}, "is -1 nS; a conductance below 0"),
    "plastic, drawn": (
        {"weight": sf.LogNormal(1 * nS, 1 * nS, seed=1), "synapse": STDP},
        r"of the pair .* is .* nS; that is above w_max = 1.5 nS",
    ),
}


@pytest.mark.parametrize(("given", "words"), REFUSED.values(), ids=REFUSED)
def test_a_weight_that_cannot_be_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        project(**given).connections()


def test_what_can_be_is_taken() -> None:
    current, delta = SYNAPSES.exponential_current, SYNAPSES.delta
    for weight, synapse in (
        (-2 * nA, current),
        (-sf.LogNormal(1 * nA, 1 * nA, seed=1), current),
        (-1 * mV, delta),
        (0 * nS, SYNAPSES.exponential_conductance),
        (sf.Normal(1 * nS, 1 * nS, seed=1, low=0 * nS), SYNAPSES.exponential_conductance),
        (1500 * pS, STDP),  # the bound, in another unit
        (5 * nS, STDP(w_max=5 * nS)),
        (0 * nS, STDP),
        (-1, pure("-")),  # whose sign makes it a conductance above 0
    ):
        assert len(project(weight, synapse).connections()) == 12


def test_bounds_are_read_from_what_cuts_the_weight() -> None:
    text = (
        "dw/dt = 0/ms : 1\ndx/dt = -x/(20*ms) : 1\nv_post : mV\n"
        "on spike: x += 1; w = maximum(w - a, low); v_post += w*mV\n"
        "on post spike: w = minimum(top/2, w + a*x)"
    )
    synapse = sf.Equations.parse(text, x=0, w=1, a=0.1, low=-1, top=4)
    for weight in (-1, 0, 2):
        assert len(project(weight, synapse).connections()) == 12
    with pytest.raises(
        NetworkError, match=r"the weight is -1\.5; that is below low = -1, the bound"
    ):
        project(-1.5, synapse)
    with pytest.raises(NetworkError, match=r"the weight is 2\.5; that is above 2, the bound"):
        project(2.5, synapse)


def test_bounds_are_read_from_clip() -> None:
    text = (
        "dw/dt = 0*mV/ms : mV\nv_post : mV\non spike: v_post += w\n"
        "on post spike: w = clip(w + 0.1*mV, {low}, {high})"
    )
    synapse = sf.Equations.parse(text.format(low="0*mV", high="2*mV"), w=1 * mV)
    for weight in (0, 2):
        assert len(project(weight * mV, synapse).connections()) == 12
    with pytest.raises(NetworkError, match=r"the weight is 5 mV; that is above 2 mV, the bound"):
        project(5 * mV, synapse)
    with pytest.raises(NetworkError, match=r"the weight is -1 mV; that is below 0 mV, the bound"):
        project(-1 * mV, synapse)
    moving = sf.Equations.parse(text.format(low="-v_post", high="top"), w=1 * mV, top=3 * mV)
    assert len(project(-9 * mV, moving).connections()) == 12
    with pytest.raises(NetworkError, match="the weight is 4 mV; that is above top = 3 mV"):
        project(4 * mV, moving)


def test_soft_bounds_are_known_by_their_names() -> None:
    text = (
        "dw/dt = 0*mV/ms : mV\ndx/dt = -x/(20*ms) : 1\nv_post : mV\n"
        "on spike: x += 1; v_post += w\non post spike: w += a*x*(w_max - w)"
    )
    synapse = sf.Equations.parse(text, x=0, w=1 * mV, a=0.1, w_max=3 * mV)
    assert project(3 * mV, synapse).connections().weight[0] == 3
    with pytest.raises(NetworkError, match="the weight is 4 mV; that is above w_max = 3 mV"):
        project(4 * mV, synapse)


def test_a_coupling_without_a_conductance_may_have_any_sign() -> None:
    neural = sf.Equations.parse("x_post : 1\nx_pre : 1\nI = w*(x_pre - x_post) : 1/ms", w=1 / ms)
    text = "dx/dt = -x/ms + I_stim : 1\nI_stim : 1/ms"
    cells = sf.Population("n", 3, sf.Equations.parse(text, x=0))
    assert sf.Projection(cells, cells, neural, weight=-1 / ms).connections().weight[0] == -1
