"""Pairing protocols: spike sources on both sides of plastic synapses, against closed forms."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError
from somaflow.units import Hz, ms, nS

LAGS = np.array([-40.0, -15.2, -3.1, 2.4, 10.0, 33.3])  # post - pre, in ms
A_PLUS, A_MINUS, TAU, W_MAX = 0.005, 0.00525, 20.0, 1.5  # of the catalogue; w_max in nS


def trains(times: Any) -> sf.SpikeSourceArray:
    """A train for each cell."""
    cells = np.repeat(np.arange(len(times)), [len(train) for train in times])
    return sf.SpikeSourceArray(np.concatenate(times) * ms, cells)


def learnt(pre: Any, post: Any, rule: str, **given: Any) -> np.ndarray:
    """The change of each weight in uS."""
    before, after = (
        sf.Population(name, len(times), trains(times))
        for name, times in (("before", pre), ("after", post))
    )
    plastic = sf.Projection(before, after, sf.load(rule)(**given), sf.OneToOne(), name="pairs")
    network = sf.Network(before, after, plastic)
    run = sf.simulate(network, 300 * ms, dt=0.1 * ms, record=plastic["w"].every(300 * ms))
    weights = np.asarray(run["pairs.w"])
    return weights[-1] - weights[0]


@pytest.mark.parametrize("rule", ["stdp_pair_all_to_all", "stdp_pair_nearest"])
def test_the_window_of_single_pairs(rule: str) -> None:
    pre = [[100.03]] * len(LAGS)
    change = learnt(pre, [[100.03 + lag] for lag in LAGS], rule)
    up = A_PLUS * W_MAX * np.exp(-np.abs(LAGS) / TAU)
    down = -A_MINUS * W_MAX * np.exp(-np.abs(LAGS) / TAU)
    unit = 1e-3  # recorded in the unit of the equations, uS
    assert change == pytest.approx(np.where(LAGS > 0, up, down) * unit, rel=1e-9)


@pytest.mark.parametrize("nearest", [False, True])
def test_all_pairs_and_the_nearest_ones(nearest: bool) -> None:
    first, second = [20.05, 60.02, 71.4], [65.3, 90.06]
    rule = "stdp_pair_nearest" if nearest else "stdp_pair_all_to_all"
    found = learnt([first], [second], rule)[0]
    change = 0.0
    for t in second:
        earlier = [s for s in first if s < t][-1 if nearest else 0 :]
        change += A_PLUS * sum(np.exp(-(t - s) / TAU) for s in earlier)
    for t in first:
        earlier = [s for s in second if s < t][-1:] if nearest else [s for s in second if s < t]
        change -= A_MINUS * sum(np.exp(-(t - s) / TAU) for s in earlier)
    assert found == pytest.approx(change * W_MAX * 1e-3, rel=1e-9)


def test_synapses_that_are_computed_each_by_itself() -> None:
    pre, post = [[20.05, 60.02], [33.0, 61.0]], [[65.3], [50.1, 50.9]]
    rule, each = "stdp_pair_all_to_all", np.full((2, 2), TAU)
    found = learnt(pre, post, rule, tau_plus=each * ms)
    assert found == pytest.approx(learnt(pre, post, rule), rel=1e-9)


def test_what_drives_nothing_is_told_and_what_reads_is_refused() -> None:
    pre = sf.Population("pre", 2, sf.SpikeSourcePoisson(10 * Hz))
    post = sf.Population("post", 3, sf.SpikeSourcePoisson(10 * Hz))
    plastic = sf.Projection(pre, post, sf.load("stdp_pair_all_to_all"), name="learn")
    assert "goes nowhere: post is made of spike sources" in sf.Network(pre, post, plastic).explain()
    with pytest.raises(NetworkError, match="spike sources, which can be presynaptic only, or"):
        sf.Projection(pre, post, sf.load("exponential_conductance"))
    text = "v_post : mV\ndw/dt = 0*nS/ms : nS\non post spike: w += nS*v_post/mV"
    with pytest.raises(NetworkError, match="reads 'v_post', but population 'post' has no state"):
        sf.Projection(pre, post, sf.Equations.parse(text, w=1 * nS))
    with pytest.raises(NetworkError, match="which have no input; leave into out"):
        sf.Projection(pre, post, sf.load("stdp_pair_all_to_all"), into="I_stim")
