"""What becomes of the crossings of a chunk."""

import numpy as np

from somaflow.running.writers import ordered


def test_spikes_are_ordered_by_time_and_then_by_place() -> None:
    rng, shape = np.random.default_rng(0), (6, 2, 5)
    for count in rng.integers(0, 60, 200):
        steps, *places = np.unravel_index(np.sort(rng.permutation(60)[:count]), shape)
        times = (2 * steps + rng.choice([0, 1, 2], count)) / 20  # the end of a step begins the next
        for ascending in (True, False):
            if not ascending:
                places[-1] = rng.permutation(5)[places[-1]]
            found = ordered(times, steps, tuple(places), ascending)
            np.testing.assert_array_equal(found, np.lexsort((*reversed(places), times)))
