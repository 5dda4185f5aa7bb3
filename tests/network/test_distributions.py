from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import NetworkError, UnitError, WrongTypeError
from somaflow.network.distributions import check_seed
from somaflow.units import mV, volt

COUNTER = (np.arange(200)[:, None], np.arange(200))


def test_uniform_stays_between_its_ends_and_has_its_mean() -> None:
    drawn = sf.Uniform(-1 * mV, 3 * mV, seed=4).draw(COUNTER, 1)
    assert drawn.unit == "mV"
    assert np.all((drawn.value > -1) & (drawn.value < 3))
    error = 4 / np.sqrt(12) / 200
    assert abs(drawn.value.mean() - 1) < 4 * error


def test_normal_has_its_moments() -> None:
    z = (sf.Normal(2 * mV, 0.5 * mV, seed=4).draw(COUNTER, 1).value - 2) / 0.5
    moments = [z.mean(), (z**2).mean() - 1, (z**3).mean(), (z**4).mean() - 3]
    # Standard errors of the first four moments of n normal numbers.
    errors = np.sqrt(np.array([1, 2, 15, 96]) / z.size)
    assert np.all(np.abs(moments) < 4 * errors)


@pytest.mark.parametrize("kind", [sf.Uniform, sf.Normal])
def test_numbers_depend_on_seed_stream_and_counter_alone(kind: Any) -> None:
    draw = kind(1.0, 2.0, seed=1).draw
    assert np.array_equal(draw(COUNTER, 1).value[5:7], draw((COUNTER[0][5:7], COUNTER[1]), 1).value)
    assert not np.any(draw(COUNTER, 1).value == draw(COUNTER, 2).value)
    assert not np.any(draw(COUNTER, 1).value == kind(1.0, 2.0, seed=2).draw(COUNTER, 1).value)


def test_both_ends_have_one_unit() -> None:
    assert sf.Uniform(-1 * mV, 0.003 * volt).high.value == 3
    with pytest.raises(UnitError):
        sf.Uniform(1 * mV, 3 * sf.units.ms)


@pytest.mark.parametrize(
    "build",
    [
        lambda: sf.Uniform(2, 1),
        lambda: sf.Uniform([1, 2], 3),
        lambda: sf.Normal(0, -1),
        lambda: sf.Normal(0, [1, 2]),
    ],
)
def test_numbers_that_make_no_distribution(build: Any) -> None:
    with pytest.raises(NetworkError):
        build()


def test_a_distribution_may_be_a_point() -> None:
    assert np.all(sf.Uniform(2, 2).draw(COUNTER, 0).value == 2)
    assert np.all(sf.Normal(2, 0).draw(COUNTER, 0).value == 2)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, None, "1", object()])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(WrongTypeError, match=r"a seed is an integer from 0 to 2\*\*63 - 1"):
        check_seed(seed)


def test_a_seed_of_numpy_is_one() -> None:
    assert type(check_seed(np.int64(3))) is int
