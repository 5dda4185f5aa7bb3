"""The integral of a current over the steps of a run, wherever its borders are."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import WrongTypeError
from somaflow.network.waveforms import Course, over_steps, shares
from somaflow.units import ms, nA

DT, STEPS = 0.1, 40
PICO = 1e-3  # of nA, in the coherent system uA
SEVENTH = DT / 7 * ms
WAVES = {
    "across a border": (sf.Step(1 * nA, 0.25 * ms, 0.35 * ms), 0.1),
    "within a step": (sf.Step(1 * nA, 0.22 * ms, 0.28 * ms), 0.06),
    "of no length": (sf.Step(1 * nA, 0.25 * ms, 0.25 * ms), 0.0),
    "on the grid": (sf.Step(1 * nA, 0.3 * ms, 0.7 * ms), 0.4),
    "of 7 samples a step": (sf.Waveform(np.arange(14) * nA, every=SEVENTH, start=0.33 * ms), None),
    "of samples between steps": (sf.Waveform([2, 0, 3, 0] * nA, every=0.13 * ms), 0.65),
    "one sample within a step": (sf.Waveform([5, 0] * nA, every=0.02 * ms, start=0.44 * ms), 0.1),
    "ramp within a step": (sf.Ramp(0 * nA, 1 * nA, 0.22 * ms, 0.28 * ms), 0.03 + 3.72),
    "ramp that ends within a step": (sf.Ramp(1 * nA, 3 * nA, 0.2 * ms, 0.45 * ms), 0.5 + 3 * 3.55),
}  # fmt: skip


def middles() -> np.ndarray:
    return (np.arange(STEPS) + 0.5) * DT


def charge(course: Course) -> np.ndarray:
    """The integral over all steps, by Simpson's rule, which is exact for a ramp."""
    middle = np.broadcast_to(middles()[:, None], (STEPS, 3))
    times = middle + np.array([-0.5, 0, 0.5]) * DT
    values = over_steps(course, times, middle, DT)
    return (
        np.einsum("n,sn...->...", np.array([1, 4, 1]) / 6, values)
        * DT
        / PICO
        * course.amplitude.value
    )


@pytest.mark.parametrize("name", WAVES)
def test_the_charge_is_exact_wherever_the_borders_are(name: str) -> None:
    wave, wanted = WAVES[name]
    if wanted is None:  # 0, 1, 2, ... for a seventh of a step each, and 13 to the end
        wanted = sum(range(14)) * DT / 7 + 13 * (STEPS * DT - 0.33 - 14 * DT / 7)
    assert charge(wave) == pytest.approx(wanted, abs=1e-12)


def test_a_saturating_pulse_between_grid_points() -> None:
    pulse = sf.SaturatingPulse(1 * nA, on=0.25 * ms, off=0.85 * ms, rise=0.7 * ms, decay=0.9 * ms)
    top = -np.expm1(-0.6 / 0.7)
    wanted = 0.6 - 0.7 * top - top * 0.9 * np.expm1(-(STEPS * DT - 0.85) / 0.9)
    assert charge(pulse) == pytest.approx(wanted, rel=1e-7)
    short = sf.SaturatingPulse(1 * nA, on=0.22 * ms, off=0.28 * ms, rise=0.1 * ms, decay=9 * ms)
    first = over_steps(short, middles(), middles(), DT)[2] * DT
    high = -np.expm1(-0.6)
    assert first == pytest.approx(0.06 - 0.1 * high - high * 9 * np.expm1(-0.02 / 9), rel=1e-12)


def test_each_cell_has_its_share() -> None:
    samples = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    wave = sf.Waveform(samples * nA, every=0.06 * ms, start=0.17 * ms)
    assert charge(wave) == pytest.approx([0.06, 0.3, 0.0], abs=1e-13)
    ramp = sf.Ramp([0, 1] * nA, [1, 5] * nA, 0.22 * ms, 0.28 * ms)
    assert charge(ramp) == pytest.approx([0.03 + 3.72, 0.18 + 5 * 3.72], abs=1e-12)


def test_steps_that_no_border_cuts_have_the_shape_itself_to_the_bit() -> None:
    ramp = sf.Ramp(0 * nA, 1 * nA, 0.3 * ms, 2.7 * ms)
    middle = middles()
    for wave in (ramp, sf.Step(1 * nA, 0.3 * ms, 2.7 * ms), sf.Waveform(np.arange(30), every=DT)):
        found = over_steps(wave, middle + 0.02, middle, DT)
        assert np.array_equal(found, wave.shape(middle + 0.02, middle))


def test_a_border_on_the_grid_stays_there_in_a_long_run() -> None:
    for step in (3, 10_000_007, 10**9):
        middle = (step + np.arange(-2, 3) + 0.5) * DT
        wave = sf.Step(1 * nA, step * DT * ms)
        assert over_steps(wave, middle, middle, DT).tolist() == [0, 0, 1, 1, 1]
        assert shares([wave], middle, DT)[:, 0].tolist() == [0, 0, 1, 1, 1]


def test_the_shares_of_many_are_those_of_steps() -> None:
    borders = [(0.0, None), (0.13, 0.71), (0.24, 0.26), (0.3, 0.5), (-1.0, 0.45), (0.5, 0.5)]
    steps = [sf.Step(1 * nA, start, stop) for start, stop in borders]
    found = shares(steps, middles(), DT)
    for step, column in zip(steps, found.T, strict=True):
        assert np.array_equal(over_steps(step, middles(), middles(), DT), column)


def test_an_argument_of_another_name_is_told_by_its_own() -> None:
    named: dict[str, Any] = {"interval": 1 * ms}
    with pytest.raises(WrongTypeError, match=r"takes no argument 'interval'\. Here it is every="):
        sf.Waveform([1, 2] * nA, **named)
    with pytest.raises(WrongTypeError, match="Did you mean 'weight'"):
        sf.Projection(pre=None, post=None, synapse=None, wieght=1)  # pyright: ignore
