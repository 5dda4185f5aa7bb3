"""What a share is told within a step: what is known is split, and the first that is not stops."""

import numpy as np
import pytest
import tensorflow as tf

from somaflow.compiler.told import Told
from somaflow.simulation.stops import Untold


def test_what_is_told_is_split_and_what_is_not_stops_the_trace() -> None:
    told = Told([tf.constant(np.arange(5.0)), tf.zeros([0], tf.float64)], tf.float64)
    wanted = {("A", "v"): 3, ("B", "s"): 2}
    every = told.of_all({}, wanted)
    assert list(every) == list(wanted)
    assert np.array_equal(every["A", "v"], [0, 1, 2]) and np.array_equal(every["B", "s"], [3, 4])
    assert told.of_all({("A", "v"): tf.ones([2], tf.float64)}, {}) == {}
    own = {("A", "v"): tf.ones([2], tf.float64), ("C", "v"): tf.zeros([1], tf.float64)}
    with pytest.raises(Untold) as stopped:
        told.of_all(own, wanted)
    assert np.array_equal(stopped.value.shown, [1, 1, 0])
    assert stopped.value.own == {("A", "v"): 2, ("C", "v"): 1} and stopped.value.wanted == wanted
