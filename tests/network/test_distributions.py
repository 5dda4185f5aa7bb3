import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.equations.drawing import Distribution, held
from somaflow.errors import MissingValueError, NetworkError, UnitError, WrongTypeError
from somaflow.network.random import check_seed
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


@pytest.mark.parametrize("kind", [sf.Uniform, sf.Normal, sf.LogNormal])
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
        lambda: sf.Normal(0, 1, low=[1, 2]),
        lambda: sf.Normal(0, 1, low=1, high=0),
        lambda: sf.Normal(0, 1, low=5),
        lambda: sf.Normal(0, 0, low=1),
        lambda: sf.LogNormal(0, 1),
        lambda: sf.LogNormal(1, -1),
        lambda: sf.LogNormal(1, [1, 2]),
    ],
)
def test_numbers_that_make_no_distribution(build: Any) -> None:
    with pytest.raises(NetworkError):
        build()


def test_a_distribution_may_be_a_point() -> None:
    assert np.all(sf.Uniform(2, 2, seed=1).draw(COUNTER, 0).value == 2)
    assert np.all(sf.Normal(2, 0, seed=1).draw(COUNTER, 0).value == 2)


def test_values_outside_the_bounds_are_drawn_again_and_others_kept() -> None:
    free = sf.Normal(2 * mV, 1 * mV, seed=4).draw(COUNTER, 1).value
    cut = sf.Normal(2 * mV, 1 * mV, seed=4, low=1.5 * mV, high=4 * mV).draw(COUNTER, 1).value
    inside = (free >= 1.5) & (free <= 4)
    assert np.array_equal(cut[inside], free[inside])
    assert np.all((cut >= 1.5) & (cut <= 4))
    # The mean of a truncated normal: (density at low - density at high)/share between them.
    density = [math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) for z in (-0.5, 2)]
    share = (math.erf(2 / math.sqrt(2)) - math.erf(-0.5 / math.sqrt(2))) / 2
    wanted = 2 + (density[0] - density[1]) / share
    assert abs(cut.mean() - wanted) < 4 * cut.std() / 200
    part = sf.Normal(2 * mV, 1 * mV, seed=4, low=1.5 * mV, high=4 * mV).draw(
        (COUNTER[0][7:9], 3), 1
    )
    assert np.array_equal(part.value, cut[7:9, 3:4])
    assert sf.Normal(0, 1, seed=1, low=-0.1).draw((3, 4), 1).value.shape == ()


def test_a_log_normal_has_the_mean_and_sd_of_the_values_themselves() -> None:
    drawn = sf.LogNormal(2 * mV, 1 * mV, seed=4).draw(COUNTER, 1)
    assert drawn.unit == "mV"
    assert drawn.value.min() > 0
    assert abs(drawn.value.mean() - 2) < 4 * 1 / 200
    assert abs(drawn.value.std() - 1) < 0.03
    spread = np.log(drawn.value)
    assert abs(spread.std() - math.sqrt(math.log(1.25))) < 0.01
    assert abs(((spread - spread.mean()) ** 3).mean() / spread.std() ** 3) < 0.05


def test_no_value_is_below_the_lowest() -> None:
    assert sf.Uniform(-1 * mV, 2 * mV).lowest == -1
    assert sf.Normal(1, 1).lowest == -math.inf
    assert sf.Normal(1, 0).lowest == 1
    assert sf.Normal(1, 1, low=0.5).lowest == 0.5
    assert sf.LogNormal(1, 1).lowest == 0


def test_a_distribution_shows_itself_with_units() -> None:
    assert str(sf.Uniform(1 * mV, 2 * mV, seed=3)) == "Uniform(low=1 mV, high=2 mV, seed=3)"


def test_a_distribution_is_no_number_where_nothing_draws_it() -> None:
    model = sf.Equations.parse("dx/dt = (a - x)/ms : 1", a=sf.Uniform(1, 2), x=0)
    with pytest.raises(MissingValueError, match=r"Uniform.* is drawn for the cells of a sf.Pop"):
        model.initial_values({}, "the equations")
    model = sf.Equations.parse("dx/dt = -x/ms : 1", x=sf.Uniform(1, 2))
    with pytest.raises(MissingValueError, match="is drawn"):
        model.initial_values({}, "the equations")


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, None, "1", object()])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(WrongTypeError, match=r"a seed is an integer from 0 to 2\*\*63 - 1"):
        check_seed(seed)


def test_a_seed_of_numpy_is_one() -> None:
    assert type(check_seed(np.int64(3))) is int


@pytest.mark.parametrize(
    "kind",
    [
        sf.Uniform(-1 * mV, 2 * mV, seed=3),
        sf.Normal(1 * mV, 2 * mV, seed=3, low=-1 * mV),
        sf.LogNormal(1 * mV, 2 * mV, seed=3),
    ],
    ids=repr,
)
def test_a_sign_turns_every_value_and_both_ends(kind: Distribution) -> None:
    cells = np.arange(50), np.zeros((), np.int64)
    turned = -kind
    values = kind.draw(cells, 7).value
    assert turned.draw(cells, 7).value.tolist() == (-values).tolist()
    assert turned.unit == kind.unit
    assert (turned.lowest, turned.highest) == (-kind.highest, -kind.lowest)
    assert kind.lowest <= values.min() <= values.max() <= kind.highest
    assert repr(turned) == f"-{kind!r}"
    assert pickle.loads(pickle.dumps(turned)) == turned != kind
    assert -turned is kind
    assert held(turned, "volt", "v").unit == "volt"
    assert held(turned, "volt", "v").draw(cells, 7).value.tolist() == (-values).tolist()
    # As a network gives a seed to what has none.
    other = dataclasses.replace(turned, seed=4)  # pyright: ignore[reportArgumentType]
    assert other == -dataclasses.replace(kind, seed=4)  # pyright: ignore[reportArgumentType]


def test_a_sign_is_taken_where_distributions_are() -> None:
    lif = sf.load("lif")
    drawn = [
        sf.Population("P", 9, lif(v=value)).equations.initial["v"].value
        for value in (sf.Uniform(50 * mV, 60 * mV, seed=2), -sf.Uniform(50 * mV, 60 * mV, seed=2))
    ]
    assert drawn[1].tolist() == (-drawn[0]).tolist()
    with pytest.raises(NetworkError, match=r"is -1\..* Hz"):
        source = sf.SpikeSourcePoisson(-sf.Uniform(1 * sf.units.Hz, 2 * sf.units.Hz, seed=1))
        sf.Population("S", 3, source)
