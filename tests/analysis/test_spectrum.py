"""Spectra and locking, against closed forms."""

import numpy as np
import pytest

import somaflow as sf
from somaflow.analysis import field_potential, power_spectrum, vector_strength

TIME = np.arange(500.0)  # ms, at 1 kHz


def sine(frequency: float, amplitude: float = 1.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * TIME / 1000 + 0.3)


@pytest.mark.parametrize("frequency", [10.0, 22.0, 22.6, 47.3, 79.0])
def test_the_peak_of_a_sine_is_its_frequency(frequency):
    found = power_spectrum(sine(frequency, 3.0) - 65.0)
    assert found.peak == pytest.approx(frequency, abs=0.3)


def test_all_power_of_a_sine_is_at_its_peak():
    # The main lobe of a Hann window over T = 0.5 s ends 2/T = 4 Hz from its middle and holds
    # 99.95 % of its power (Harris 1978, doi:10.1109/PROC.1978.10837).
    assert power_spectrum(sine(22.0)).rho > 0.999


def test_the_integral_is_the_variance():
    found = power_spectrum(sine(24.0, 2.0))
    total = found.density.sum() * (found.frequencies[1] - found.frequencies[0])
    assert total == pytest.approx(2.0, rel=1e-6)  # amplitude**2/2


def test_the_density_of_white_noise_is_flat_at_its_value():
    noise = np.random.default_rng(5).normal(0.0, 2.0, 200_000)
    found = power_spectrum(noise)
    inside = (found.frequencies > 5) & (found.frequencies < 495)
    # sd**2 spread over 500 Hz
    assert found.density[inside].mean() == pytest.approx(4.0 / 500, rel=0.02)


def test_rho_of_two_sines_is_the_share_of_the_stronger():
    found = power_spectrum(sine(22.0, 2.0) + sine(60.0, 1.0))
    assert found.peak == pytest.approx(22.0, abs=0.3)
    assert found.rho == pytest.approx(4 / 5, abs=0.01)


def test_the_sampling_interval_sets_the_scale():
    fine = np.sin(2 * np.pi * 22.0 * np.arange(0, 500, 0.1) / 1000)
    assert power_spectrum(fine, 0.1).peak == pytest.approx(22.0, abs=0.3)


def test_white_noise_agrees_with_an_independent_periodogram():
    signal = pytest.importorskip("scipy.signal")
    noise = np.random.default_rng(2).normal(size=512)
    ours = power_spectrum(noise)
    frequencies, density = signal.periodogram(noise, 1000.0, "hann", nfft=4096, detrend="constant")
    np.testing.assert_allclose(ours.frequencies, frequencies)
    np.testing.assert_allclose(ours.density, density, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(
    "signal",
    [
        np.full(500, -65.0),  # silent
        sine(22.0)[:200],  # under two periods of 8 Hz
        -65 + 5 * np.exp(-TIME / 100),  # only falls
        sine(150.0, 5.0) * 0 - 65 + 1e-5 * sine(22.0),  # next to nothing
    ],
)
def test_there_is_no_peak(signal):
    found = power_spectrum(signal)
    assert found.peak is None
    assert found.rho == 0


def test_the_field_potential_keeps_whole_milliseconds():
    fine = np.arange(0, 1000.05, 0.1)
    np.testing.assert_allclose(field_potential(fine, 0.1, 100, 600), np.arange(100, 600))
    np.testing.assert_allclose(field_potential(fine, 0.1), np.arange(0, 1001))
    assert len(field_potential(fine, 0.1, 2000, 3000)) == 0


def test_spikes_at_one_phase_have_strength_one():
    spikes = 100.0 + np.arange(20, 480, 1000 / 20.0)
    signal = np.sin(2 * np.pi * 20.0 * TIME / 1000)
    assert vector_strength(spikes, signal, 20.0, start=100.0) == pytest.approx(1.0, abs=1e-4)


def test_spikes_at_two_opposite_phases_have_strength_zero():
    spikes = np.arange(25, 474, 1000 / 40.0)[:18]
    signal = np.sin(2 * np.pi * 20.0 * TIME / 1000)
    assert vector_strength(spikes, signal, 20.0) == pytest.approx(0.0, abs=1e-3)


def test_spread_phases_have_the_strength_of_their_distribution():
    # Phases spread evenly over half a cycle: |mean exp(i phase)| = 2/pi.
    offsets = (np.arange(50) + 0.5) / 50 * 25.0
    spikes = np.sort(np.concatenate([50 * k + offsets for k in range(1, 9)]))
    signal = np.sin(2 * np.pi * 20.0 * TIME / 1000)
    assert vector_strength(spikes, signal, 20.0) == pytest.approx(2 / np.pi, abs=1e-3)


def test_a_poisson_train_does_not_lock():
    rng = np.random.default_rng(1)
    strengths = [
        vector_strength(np.sort(rng.uniform(0, 499, 400)), sine(20.0), 20.0) for _ in range(50)
    ]
    # Of n random phases the mean length is sqrt(pi/(4 n)) (Rayleigh).
    assert np.mean(strengths) == pytest.approx(np.sqrt(np.pi / 1600), rel=0.2)


def test_no_spikes_and_no_rhythm_give_zero():
    assert vector_strength([], sine(20.0), 20.0) == 0
    assert vector_strength([100.0], np.zeros(500), 20.0) == 0
    assert vector_strength([900.0], sine(20.0), 20.0) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: power_spectrum(object()),
        lambda: power_spectrum(np.zeros((2, 2))),
        lambda: power_spectrum([1.0]),
        lambda: power_spectrum(TIME, 0.0),
        lambda: power_spectrum(TIME, object()),
        lambda: field_potential(object(), 0.1),
        lambda: field_potential(TIME, 0.3),
        lambda: field_potential(TIME, 1.0, object()),
        lambda: vector_strength(object(), TIME, 20.0),
        lambda: vector_strength([1.0], object(), 20.0),
        lambda: vector_strength([1.0], TIME, -1.0),
        lambda: vector_strength([1.0], TIME, object()),
    ],
)
def test_nonsense_has_an_error_of_ours(call):
    with pytest.raises(sf.errors.WrongTypeError):
        call()


def test_nan_is_named():
    with pytest.raises(sf.errors.MissingValueError, match=r"signal\[3\] is nan"):
        power_spectrum([0.0, 1.0, 2.0, np.nan])
