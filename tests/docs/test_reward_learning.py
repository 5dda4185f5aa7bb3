"""The page on learning by reward: its weights are those of a computation from event to event."""

from typing import Any

import numpy as np
import pytest
from pages import DOCS, run


def weight(pre: np.ndarray, post: np.ndarray, rewards: np.ndarray, end: float) -> float:
    """The weight of one synapse at the end, in mV; times in ms."""
    x = y = c = dopamine = now = 0.0
    s, rate = 1.0, 1 / 1000 + 1 / 200
    events = [(t, "pre") for t in pre] + [(t, "post") for t in post] + [(t, "D") for t in rewards]
    for time, kind in sorted([*events, (end, "end")]):
        span = time - now
        s = min(max(s - c * dopamine * np.expm1(-span * rate) / rate, 0.0), 4.0)
        x, y = x * np.exp(-span / 20), y * np.exp(-span / 20)
        c, dopamine, now = c * np.exp(-span / 1000), dopamine * np.exp(-span / 200), time
        if kind == "pre":
            x, c = 1.0, c - 0.015 * y
        elif kind == "post":
            y, c = 1.0, c + 0.01 * x
        elif kind == "D":
            dopamine += 0.5
    return s


@pytest.mark.slow
def test_the_rewarded_synapse_reaches_its_bound_and_all_weights_are_right() -> None:
    names: dict[str, Any] = run(DOCS / "models/reward-learning.md")
    found = names["s"][-1]
    # What spikes add to a cell comes at the end of their step, which is half a step later.
    post, rewards = (1e3 * names[key] + 0.5 for key in ("post", "rewards"))
    wanted = [weight(1e3 * train, post, rewards, 40_000.0) for train in names["trains"]]
    np.testing.assert_allclose(found, wanted, atol=0.02)
    assert found[0] > 3.99
    assert found[1:].mean() < 1
