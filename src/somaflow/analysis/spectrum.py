"""Spectra of the local field potential (LFP), and how spikes lock to its rhythm.

The LFP is taken to be the mean membrane potential of the projection neurons, in mV at 1 kHz. The
measures are those that locust recordings are described with: the frequency of the peak, and the
locking of spikes to the band around it.

Wehr M, Laurent G (1999) Relationship between afferent and central temporal patterns in the locust
olfactory system. J Neurosci 19:381-390, doi:10.1523/JNEUROSCI.19-01-00381.1999.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from somaflow.errors import MissingValueError, WrongTypeError
from somaflow.given import array, shown

Floats = NDArray[np.float64]

PEAK_BAND = (8.0, 80.0)  # Hz, where a peak is looked for
POWER_BAND = (2.0, 100.0)  # Hz, the power that a peak is compared with
HALF_WIDTH = 4.0  # Hz, what counts as the peak on either side of it
_GRID = 0.25  # Hz, the most that frequencies of a spectrum are apart
_LEAST, _MOST = 1e-9, 1e15  # of a time or a frequency
_SILENT = 1e-6  # mV**2; the rhythm of a network is a million times stronger


@dataclass(frozen=True)
class Spectrum:
    """A power spectral density, and the peak in it.

    Attributes:
        frequencies: In Hz, ascending from 0, shape [n_frequencies].
        density: One-sided, in (unit of the signal)**2/Hz, same shape. Its integral is the
            variance of the windowed signal.
        peak: Frequency of the highest peak in 8 to 80 Hz; None where there is none, because the
            signal is too short (under two periods of 8 Hz), silent, or only falls or rises there.
        rho: Share of the power in 2 to 100 Hz that lies within 4 Hz of the peak, from 0 to 1;
            0 where there is no peak.
    """

    frequencies: Floats
    density: Floats
    peak: float | None
    rho: float


def field_potential(
    mean_voltage: ArrayLike, interval: float, start: float = 0.0, stop: float | None = None
) -> Floats:
    """Return part of a recording of the mean voltage at 1 kHz.

    The sample at each whole millisecond is kept; the mean over many cells has next to nothing
    above 500 Hz that this could fold back.

    Args:
        mean_voltage: Mean voltage in mV, shape [n_samples]; sample k is at k*interval.
        interval: Time between its samples in ms; 1 ms is a whole number of it.
        start: First time to keep, in ms.
        stop: The time to stop before, in ms; None keeps everything.

    Returns:
        Values in mV, 1 ms apart, shape [n]; none where the recording ends before `start`.

    Raises:
        WrongTypeError: The voltage is not one row of numbers, or 1 ms is not a multiple of the
            interval.
        MissingValueError: A value is not finite.
    """
    values = _row(mean_voltage, "mean_voltage")
    spacing, begin = _number(interval, "interval"), _number(start, "start")
    stride = round(1.0 / spacing) if spacing > 0 else 0
    if stride < 1 or abs(stride * spacing - 1.0) > 1e-6:
        raise WrongTypeError(
            f"interval is {spacing:g} ms; 1 ms must be a whole number of it, as of 0.1 ms."
        )
    first = max(0, round(begin))
    last = len(values) if stop is None else max(first, round(_number(stop, "stop")))
    return values[::stride][first:last]


def power_spectrum(signal: ArrayLike, interval: float = 1.0) -> Spectrum:
    """Return the power spectral density of a signal, and its peak.

    The mean is taken off, a periodic Hann window put on, and zeros are appended so that
    frequencies are at most 0.25 Hz apart. Normalised as a one-sided density: Welch PD (1967) The
    use of fast Fourier transform for the estimation of power spectra. IEEE Trans Audio
    Electroacoust 15:70-73, doi:10.1109/TAU.1967.1161901, with a single segment.

    Args:
        signal: Shape [n_samples], for example an LFP in mV.
        interval: Time between samples in ms.

    Raises:
        WrongTypeError: The signal is not one row of at least two numbers, or the interval is not
            a number greater than 0.
        MissingValueError: A value is not finite.
    """
    values, spacing = _row(signal, "signal"), _number(interval, "interval")
    if len(values) < 2:
        raise WrongTypeError(f"a spectrum needs at least 2 samples, not {len(values)}.")
    if spacing <= 0:
        raise WrongTypeError(f"interval is {spacing:g} ms; it must be greater than 0.")
    rate = 1000.0 / spacing
    n = len(values)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    padded = 1 << int(np.ceil(np.log2(max(n, rate / _GRID))))
    amplitude = np.fft.rfft((values - values.mean()) * window, padded)
    density = np.abs(amplitude) ** 2 / (rate * np.sum(window**2))
    density[1:-1] *= 2  # the negative frequencies; those at 0 and at the end have no twin
    frequencies = np.fft.rfftfreq(padded, 1.0 / rate).astype(np.float64)
    peak = _peak(frequencies, density) if n / rate >= 2 / PEAK_BAND[0] else None
    return Spectrum(frequencies, density, peak, _share(frequencies, density, peak))


def _peak(frequencies: Floats, density: Floats) -> float | None:
    """Return the frequency of the highest local maximum of the peak band, if it is the highest."""
    inside = np.flatnonzero((frequencies >= PEAK_BAND[0]) & (frequencies <= PEAK_BAND[1]))
    power = np.sum(density[_within(frequencies, POWER_BAND)]) * frequencies[1]
    if len(inside) == 0 or power < _SILENT:
        return None
    top = int(inside[np.argmax(density[inside])])
    beyond = top + 1 if top + 1 < len(density) else top - 1
    if density[top] < max(density[top - 1], density[beyond]):
        return None
    return float(frequencies[top])


def _share(frequencies: Floats, density: Floats, peak: float | None) -> float:
    if peak is None:
        return 0.0
    everything = _within(frequencies, POWER_BAND)
    near = everything & (np.abs(frequencies - peak) <= HALF_WIDTH)
    return float(np.sum(density[near]) / np.sum(density[everything]))


def _within(frequencies: Floats, band: tuple[float, float]) -> NDArray[np.bool_]:
    return (frequencies >= band[0]) & (frequencies <= band[1])


def vector_strength(
    times: ArrayLike,
    signal: ArrayLike,
    frequency: float,
    *,
    start: float = 0.0,
    interval: float = 1.0,
    half_width: float = HALF_WIDTH,
) -> float:
    """Return how strongly spikes lock to a rhythm: 1 is one phase for all, 0 any phase.

    The signal is limited to the band around `frequency`, its phase is read off at each spike (by
    the Hilbert transform), and the vector strength is the length of the mean of exp(i phase). Of n
    spikes at random it is about 0.9/sqrt(n).

    Goldberg JM, Brown PB (1969) Response of binaural neurons of dog superior olivary complex to
    dichotic tonal stimuli. J Neurophysiol 32:613-636, doi:10.1152/jn.1969.32.4.613.

    Args:
        times: Spike times in ms, shape [n_spikes]; those outside the signal are left out.
        signal: The LFP, shape [n_samples].
        frequency: Middle of the band in Hz, usually the peak of the signal's own spectrum.
        start: Time of sample 0 in ms.
        interval: Time between samples in ms.
        half_width: Half the width of the band in Hz.

    Returns:
        From 0 to 1; 0 where there is no spike or nothing in the band.

    Raises:
        WrongTypeError: Times or signal are not one row of numbers, or the frequency, interval or
            width is not a number greater than 0.
        MissingValueError: A value is not finite.
    """
    spikes, values = _row(times, "times"), _row(signal, "signal")
    begin = _number(start, "start")
    named = {"frequency": frequency, "interval": interval, "half_width": half_width}
    centre, spacing, width = (_number(value, name) for name, value in named.items())
    for name, value in zip(named, (centre, spacing, width), strict=True):
        if value <= 0:
            raise WrongTypeError(f"{name} is {value:g}; it must be greater than 0.")
    place = (spikes - begin) / spacing
    place = place[(place >= 0) & (place <= len(values) - 1)]
    if len(place) == 0:
        return 0.0
    bins = np.fft.fftfreq(len(values), spacing / 1000.0)
    band = (bins > 0) & (np.abs(bins - centre) <= width)
    analytic = np.fft.ifft(np.where(band, 2 * np.fft.fft(values), 0))
    grid = np.arange(len(values))
    at = np.interp(place, grid, analytic.real) + 1j * np.interp(place, grid, analytic.imag)
    length = np.abs(at)
    if not np.all(length > 0):
        return 0.0
    return float(np.abs(np.mean(at / length)))


# ---------------------------------------------------------------------- checks


def _row(values: object, name: str) -> Floats:
    row = array(values)
    if row is None or row.dtype.kind not in "iuf":
        raise WrongTypeError(f"{name} is a row of numbers, not {shown(values)}.")
    row = row.astype(np.float64)
    if row.ndim != 1:
        raise WrongTypeError(f"{name} is one row of numbers, not an array of shape {row.shape}.")
    if not np.all(np.isfinite(row)):
        bad = int(np.flatnonzero(~np.isfinite(row))[0])
        raise MissingValueError(f"{name}[{bad}] is {row[bad]}; it must be a finite number.")
    return row


def _number(value: object, name: str) -> float:
    number = None if isinstance(value, (str, bool)) else array(value)
    if number is None or number.ndim or number.dtype.kind not in "iuf":
        raise WrongTypeError(f"{name} is one finite number, not {shown(value)}.")
    if not _LEAST <= abs(float(number)) <= _MOST and number != 0:
        raise WrongTypeError(
            f"{name} is {shown(value)}; it must be a finite number, and but for 0 of a size from "
            f"{_LEAST:g} to {_MOST:g}."
        )
    return float(number)
