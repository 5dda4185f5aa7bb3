"""A nest of tensors in few."""

import numpy as np
import pytest
import tensorflow as tf

from somaflow.numerics.device import called_flat, traced
from somaflow.simulation.packing import Packing

NEST = {
    "a": (np.arange(6.0).reshape(2, 3), np.array([True, False])),
    "b": [np.float64(7.0), np.arange(9_000.0), np.array([], np.float64)],
    "c": np.array([3, 4], np.int32),
}


def same(one: object, other: object) -> None:
    tf.nest.assert_same_structure(one, other)
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), b)
        assert np.asarray(a).dtype == b.dtype


def test_small_tensors_of_a_type_are_one_and_a_large_one_is_alone() -> None:
    packing = Packing(NEST)
    few = packing.packed(tf.nest.map_structure(tf.constant, NEST))
    assert packing.count == len(few) == 4  # numbers, whether, whole numbers, and the large one
    assert sorted(int(tensor.shape[0]) for tensor in few) == [2, 2, 7, 9_000]
    same(packing.unpacked(few), NEST)
    same(packing.views(few), NEST)


def test_in_compiled_code_a_nest_comes_out_as_it_went_in() -> None:
    packing = Packing(NEST)

    def doubled(*few: tf.Tensor) -> tuple[tf.Tensor, ...]:
        nest = packing.unpacked(few)
        return packing.packed(
            tf.nest.map_structure(lambda x: x if x.dtype == tf.bool else x + x, nest)
        )

    few = packing.packed(tf.nest.map_structure(tf.constant, NEST))
    found = packing.views(called_flat(traced(doubled, *few))(few))
    same(found, tf.nest.map_structure(lambda x: x if x.dtype == bool else x + x, NEST))


@pytest.mark.parametrize("other", [(17, 16), (33,), (16, 18)])
def test_nests_that_fill_as_much_are_told_apart(other: tuple[int, ...]) -> None:
    one = Packing([np.zeros(n) for n in (16, 17)])
    assert one.shapes != Packing([np.zeros(n) for n in other]).shapes
