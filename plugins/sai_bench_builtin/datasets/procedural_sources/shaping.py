"""Building blocks of the synthesisers: noise, filters, resonances, envelopes, placing bursts in time."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
from scipy import signal

_LOWEST_HZ = 30


def seconds(samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return the time of each sample in seconds."""
    return np.arange(samples) / sample_rate_hz


def band_noise(
    rng: np.random.Generator, samples: int, sample_rate_hz: int, low_hz: float, high_hz: float
) -> np.ndarray:
    """Return white noise between two frequencies (second-order slopes), about unit level in its band."""
    return band_pass(rng.standard_normal(samples), sample_rate_hz, low_hz, high_hz)


def band_pass(sound: np.ndarray, sample_rate_hz: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Return `sound` between two frequencies; limits beyond the Nyquist frequency are pulled below it."""
    high_hz = min(high_hz, 0.45 * sample_rate_hz)
    band = (min(low_hz, 0.8 * high_hz), high_hz)
    return signal.sosfilt(signal.butter(1, band, "bandpass", fs=sample_rate_hz, output="sos"), sound)


def low_pass(sound: np.ndarray, sample_rate_hz: int, cutoff_hz: float) -> np.ndarray:
    """Return `sound` below a frequency (second-order slope)."""
    cutoff_hz = min(cutoff_hz, 0.45 * sample_rate_hz)
    return signal.sosfilt(signal.butter(2, cutoff_hz, fs=sample_rate_hz, output="sos"), sound)


def without_infrasound(sound: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return `sound` without what nobody hears: below 30 Hz it falls by 24 dB an octave.

    Image sources would add up such a remnant in phase, and levels would speak of it.
    """
    return signal.sosfilt(_infrasound_filter(sample_rate_hz), sound)


@functools.lru_cache(maxsize=8)
def _infrasound_filter(sample_rate_hz: int) -> np.ndarray:
    return signal.butter(4, _LOWEST_HZ, "high", fs=sample_rate_hz, output="sos")


def resonator(sample_rate_hz: int, frequency_hz: float, bandwidth_hz: float) -> np.ndarray:
    """Return a second-order section [6] with one resonance and unit gain at 0 Hz (a formant).

    Source: Klatt, Software for a cascade/parallel formant synthesizer, JASA 67 (1980), equation 2.
    """
    c = -np.exp(-2 * np.pi * bandwidth_hz / sample_rate_hz)
    b = 2 * np.exp(-np.pi * bandwidth_hz / sample_rate_hz) * np.cos(2 * np.pi * frequency_hz / sample_rate_hz)
    return np.array([1 - b - c, 0, 0, 1, -b, -c])


def decaying_modes(samples: int, sample_rate_hz: int, frequencies_hz, decays_s, gains, phases) -> np.ndarray:
    """Return the sum of exponentially decaying sinusoids; modes beyond the Nyquist frequency are left out.

    Args:
        samples: length of the result.
        sample_rate_hz: its rate.
        frequencies_hz: [modes].
        decays_s: [modes], time to fall to 1/e.
        gains: [modes].
        phases: [modes] in radians.
    """
    frequencies, decays, gains, phases = np.broadcast_arrays(frequencies_hz, decays_s, gains, phases)
    audible = frequencies < 0.48 * sample_rate_hz
    poles = (2j * np.pi * frequencies - 1 / decays) / sample_rate_hz
    starts = gains * np.exp(1j * phases)
    return _geometric(starts[audible], np.exp(poles[audible]), samples).imag


def _geometric(starts: np.ndarray, ratios: np.ndarray, samples: int, block: int = 256) -> np.ndarray:
    """Return sum_m starts[m] * ratios[m]**n for n = 0 ... samples-1 with few exponentials."""
    within = ratios[:, None] ** np.arange(block)
    between = starts[:, None] * (ratios[:, None] ** block) ** np.arange(-(-samples // block))
    # einsum without optimisation sums in a fixed order; a BLAS product depends on its thread count.
    return np.einsum("mi,mj->ij", between, within, optimize=False).ravel()[:samples]


def strike(samples: int, sample_rate_hz: int, decay_s: float, attack_s: float = 0.001) -> np.ndarray:
    """Return an envelope with a linear attack and an exponential decay, peak about 1."""
    t = seconds(samples, sample_rate_hz)
    return np.minimum(t / attack_s, 1) * np.exp(-t / decay_s)


def fade(samples: int, sample_rate_hz: int, fade_s: float) -> np.ndarray:
    """Return an envelope that is 1 with raised-cosine ends."""
    ramp = min(max(int(fade_s * sample_rate_hz), 1), max(samples // 2, 1))
    envelope = np.ones(samples)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
    envelope[:ramp] *= rise
    envelope[samples - ramp :] *= rise[::-1]
    return envelope


def place(parts: Iterable[tuple[float, np.ndarray]], samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return the sum of sounds that start at given times in seconds; what lies beyond the end is cut off."""
    out = np.zeros(samples)
    for start_s, sound in parts:
        start = max(int(start_s * sample_rate_hz), 0)
        if start < samples:
            out[start : start + len(sound)] += sound[: samples - start]
    return out


def wander(rng: np.random.Generator, samples: int, sample_rate_hz: int, rate_hz: float) -> np.ndarray:
    """Return a smooth random curve of about unit variance that changes `rate_hz` times a second."""
    knots = max(int(samples / sample_rate_hz * rate_hz) + 4, 4)
    positions = np.linspace(0, knots - 1, samples)
    return np.interp(positions, np.arange(knots), rng.standard_normal(knots))
