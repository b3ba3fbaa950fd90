"""Tonal sounds: telephone, music, plucked string and bell."""

from __future__ import annotations

import numpy as np
from scipy import signal

from sai_bench_builtin.datasets.procedural_sources.shaping import (
    band_noise,
    decaying_modes,
    fade,
    low_pass,
    place,
    seconds,
    strike,
)

_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_BELL_PARTIALS = (0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.66, 3.0, 4.0, 5.33)
"""Hum, prime, tierce, quint, nominal and upper partials of a church bell relative to the prime.

Source: Fletcher & Rossing, The Physics of Musical Instruments, 2nd edition (1998), table 21.1, rounded.
"""


def telephone(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return rings of an electronic telephone: two tones in fast alternation, with overtones and pauses."""
    low_hz = rng.uniform(900, 1700)
    high_hz = low_hz * rng.uniform(1.15, 1.45)
    warble_hz = rng.uniform(10, 22)
    ring_s, pause_s = rng.uniform(0.7, 1.6), rng.uniform(0.2, 0.7)
    length = int(ring_s * sample_rate_hz)
    upper = np.sin(2 * np.pi * warble_hz * seconds(length, sample_rate_hz)) > 0
    phase = 2 * np.pi * np.cumsum(np.where(upper, high_hz, low_hz)) / sample_rate_hz
    # Hard limiting of a sine gives the odd overtones of a piezo sounder.
    ring = np.tanh(rng.uniform(2, 5) * np.sin(phase)) + 0.3 * np.sin(2 * phase)
    ring = fade(length, sample_rate_hz, 0.01) * (ring + 0.04 * rng.standard_normal(length))
    starts_s = np.arange(0, samples / sample_rate_hz, ring_s + pause_s)
    return place([(start_s, ring) for start_s in starts_s], samples, sample_rate_hz)


def music(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return chords of a bright synthesiser over a drum beat."""
    beat_s = 60 / rng.uniform(85, 140)
    root_hz = 110 * 2 ** (rng.integers(0, 12) / 12)
    beats = int(samples / sample_rate_hz / beat_s) + 1
    parts = []
    for beat in range(beats):
        if beat % 2 == 0:
            parts.append((beat * beat_s, _chord(rng, root_hz, 2 * beat_s, sample_rate_hz)))
        drum = _kick(sample_rate_hz) if beat % 2 == 0 else _snare(rng, sample_rate_hz)
        parts += [(beat * beat_s, drum), ((beat + 0.5) * beat_s, _hat(rng, sample_rate_hz))]
    return place(parts, samples, sample_rate_hz)


def plucked_string(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return a melody on a plucked string, two to five notes a second."""
    root_hz = rng.uniform(150, 300)
    note_s = 1 / rng.uniform(2, 5)
    sharpness = rng.uniform(0.3, 0.7)
    parts, degree = [], int(rng.integers(0, 8))
    for start_s in np.arange(0, samples / sample_rate_hz, note_s):
        octave, step = divmod(degree, len(_MAJOR_SCALE))
        pitch_hz = root_hz * 2 ** (octave + _MAJOR_SCALE[step] / 12)
        parts.append((start_s, rng.uniform(0.6, 1) * _pluck(rng, pitch_hz, sharpness, sample_rate_hz)))
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 13))
    return place(parts, samples, sample_rate_hz)


def bell(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return strokes of a bell whose partials are inharmonic and decay, the higher the faster."""
    prime_hz = rng.uniform(350, 1100)
    partials = np.array(_BELL_PARTIALS) * rng.uniform(0.985, 1.015, len(_BELL_PARTIALS))
    decays_s = rng.uniform(0.6, 1.5) / partials**0.7
    gains = rng.uniform(0.4, 1, len(partials)) / partials**0.3
    phases = rng.uniform(0, 2 * np.pi, len(partials))
    length = int(3 * sample_rate_hz)
    ring = decaying_modes(length, sample_rate_hz, prime_hz * partials, decays_s, gains, phases)
    clapper = band_noise(rng, length, sample_rate_hz, 1500, 8000) * strike(length, sample_rate_hz, 0.02)
    stroke = ring + 1.2 * clapper
    interval_s = rng.uniform(0.4, 1.4)
    starts_s = np.arange(0, samples / sample_rate_hz, interval_s)
    return place([(s, rng.uniform(0.7, 1) * stroke) for s in starts_s], samples, sample_rate_hz)


def _chord(rng, root_hz: float, length_s: float, sample_rate_hz: int) -> np.ndarray:
    """Return a triad of the key as saw-tooth waves."""
    samples = int(length_s * sample_rate_hz)
    degree = int(rng.choice((0, 3, 4, 5)))
    chord = np.zeros(samples)
    for third in (0, 2, 4):
        octave, step = divmod(degree + third, len(_MAJOR_SCALE))
        pitch_hz = root_hz * 2 ** (1 + octave + _MAJOR_SCALE[step] / 12)
        chord += 2 * np.mod(pitch_hz * seconds(samples, sample_rate_hz) + rng.random(), 1) - 1
    chord = low_pass(chord, sample_rate_hz, rng.uniform(2000, 5000))
    return 0.3 * fade(samples, sample_rate_hz, 0.02) * chord


def _kick(sample_rate_hz: int) -> np.ndarray:
    samples = int(0.2 * sample_rate_hz)
    t = seconds(samples, sample_rate_hz)
    return np.sin(2 * np.pi * (55 * t + 4 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.06)


def _snare(rng, sample_rate_hz: int) -> np.ndarray:
    samples = int(0.2 * sample_rate_hz)
    return 0.6 * band_noise(rng, samples, sample_rate_hz, 300, 7000) * strike(samples, sample_rate_hz, 0.04)


def _hat(rng, sample_rate_hz: int) -> np.ndarray:
    samples = int(0.08 * sample_rate_hz)
    return (
        0.4 * band_noise(rng, samples, sample_rate_hz, 5000, 11000) * strike(samples, sample_rate_hz, 0.015)
    )


def _pluck(rng, pitch_hz: float, sharpness: float, sample_rate_hz: int) -> np.ndarray:
    """Return one note of 0.7 s: a noise burst that circulates in a delay line with a two-point average.

    Source: Karplus & Strong, Computer Music Journal 7 (1983), with loss 0.996.
    """
    samples = int(0.7 * sample_rate_hz)
    period = max(round(sample_rate_hz / pitch_hz - 0.5), 2)
    excitation = np.zeros(samples)
    burst = rng.uniform(-1, 1, period)
    burst -= burst.mean()  # the loop would keep an offset longer than any tone
    excitation[:period] = sharpness * burst + (1 - sharpness) * np.roll(burst, 1)
    loop = np.zeros(period + 2)
    loop[0] = 1
    loop[period:] = -0.5 * 0.996
    string = signal.lfilter([1.0], loop, excitation)
    thumb = 0.2 * rng.standard_normal(samples) * strike(samples, sample_rate_hz, 0.006)
    return fade(samples, sample_rate_hz, 0.005) * (string + thumb)
