"""Voices: a glottal pulse train and noise through the formants of vowels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from sai_bench_builtin.datasets.procedural_sources.shaping import (
    band_noise,
    fade,
    place,
    resonator,
    seconds,
    wander,
)

# Mean formants F1, F2, F3 in Hz of nine vowels. Source: Peterson & Barney, JASA 24 (1952), table II.
FEMALE_VOWELS_HZ = (
    (310, 2790, 3310), (430, 2480, 3070), (610, 2330, 2990), (860, 2050, 2850), (850, 1220, 2810),
    (590, 920, 2710), (470, 1160, 2680), (370, 950, 2670), (760, 1400, 2780),
)  # fmt: skip
MALE_VOWELS_HZ = (
    (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
    (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390),
)  # fmt: skip
_OPEN_VOWEL = 4
_FORMANT_BANDWIDTHS_HZ = (70, 100, 150, 250)


@dataclass(frozen=True)
class Voice:
    """What stays the same while one person speaks.

    Attributes:
        vowels_hz: formants of the vowels, scaled to this speaker's vocal tract.
        fourth_hz: the fourth formant.
        pitch_hz: mean fundamental frequency.
        breath: level of the noise in voiced sounds.
    """

    vowels_hz: np.ndarray
    fourth_hz: float
    pitch_hz: float
    breath: float


def female_speech(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return speech-like syllables of a woman, fundamental 175 ... 250 Hz."""
    return _speech(rng, _voice(rng, FEMALE_VOWELS_HZ, 4200, (175, 250)), samples, sample_rate_hz)


def male_speech(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return speech-like syllables of a man, fundamental 85 ... 145 Hz."""
    return _speech(rng, _voice(rng, MALE_VOWELS_HZ, 3500, (85, 145)), samples, sample_rate_hz)


def laughter(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return bouts of laughter: breathy "ha" bursts, four to six a second, that fall in pitch and level."""
    female = rng.random() < 0.5
    vowels, fourth_hz, pitch = (
        (FEMALE_VOWELS_HZ, 4200, (280, 420)) if female else (MALE_VOWELS_HZ, 3500, (170, 280))
    )
    voice = _voice(rng, vowels, fourth_hz, pitch)
    rate_hz = rng.uniform(4, 6)
    parts, start_s = [], 0.0
    while start_s < samples / sample_rate_hz:
        bursts = rng.integers(4, 9)
        for burst in range(bursts):
            fall = 1 - 0.4 * burst / bursts
            parts.append((start_s, _ha(rng, voice, fall, 1 / rate_hz, sample_rate_hz)))
            start_s += rng.uniform(0.9, 1.1) / rate_hz
        start_s += rng.uniform(0.15, 0.5)
    return place(parts, samples, sample_rate_hz)


def _voice(rng, vowels_hz, fourth_hz, pitch_range_hz) -> Voice:
    tract = rng.uniform(0.93, 1.07)
    return Voice(
        vowels_hz=tract * np.array(vowels_hz, dtype=float),
        fourth_hz=tract * fourth_hz,
        pitch_hz=rng.uniform(*pitch_range_hz),
        breath=rng.uniform(0.02, 0.08),
    )


def _speech(rng, voice: Voice, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return phrases of three to nine syllables with short pauses between them."""
    rate_hz = rng.uniform(3.5, 5.5)
    parts, start_s = [], 0.0
    while start_s < samples / sample_rate_hz:
        syllables = rng.integers(3, 10)
        for syllable in range(syllables):
            length_s = rng.uniform(0.75, 1.25) / rate_hz
            declination = 1.08 - 0.16 * syllable / syllables
            parts.append((start_s, _syllable(rng, voice, declination, 1.15 * length_s, sample_rate_hz)))
            if rng.random() < 0.45:
                parts.append((start_s - 0.04, _fricative(rng, sample_rate_hz)))
            start_s += length_s
        start_s += rng.uniform(0.1, 0.3)
    return place(parts, samples, sample_rate_hz)


def _syllable(rng, voice: Voice, declination: float, length_s: float, sample_rate_hz: int) -> np.ndarray:
    samples = int(length_s * sample_rate_hz)
    glide = np.linspace(rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06), samples)
    pitch_hz = voice.pitch_hz * declination * (1 + glide + 0.01 * wander(rng, samples, sample_rate_hz, 20))
    first, second = rng.choice(len(voice.vowels_hz), 2)
    excitation = _glottis(rng, pitch_hz, voice.breath, sample_rate_hz)
    # A diphthong: one vowel fades into another, which spares time-varying filters.
    mix = np.clip(np.linspace(-0.5, 1.5, samples), 0, 1)
    vowel = (1 - mix) * _formants(excitation, voice, first, sample_rate_hz)
    vowel += mix * _formants(excitation, voice, second, sample_rate_hz)
    return rng.uniform(0.6, 1) * fade(samples, sample_rate_hz, 0.04) * vowel


def _ha(rng, voice: Voice, fall: float, length_s: float, sample_rate_hz: int) -> np.ndarray:
    samples = int(length_s * sample_rate_hz)
    voiced = np.clip((np.linspace(0, 1, samples) - 0.25) / 0.1, 0, 1)
    pitch_hz = voice.pitch_hz * fall * np.linspace(1.05, 0.9, samples)
    breath = 0.2 * rng.standard_normal(samples)
    excitation = voiced * _glottis(rng, pitch_hz, 3 * voice.breath, sample_rate_hz) + (1 - voiced) * breath
    return (
        fall * fade(samples, sample_rate_hz, 0.03) * _formants(excitation, voice, _OPEN_VOWEL, sample_rate_hz)
    )


def _glottis(rng, pitch_hz: np.ndarray, breath: float, sample_rate_hz: int) -> np.ndarray:
    """Return the derivative of the glottal flow (open quotient 0.6) plus breath noise.

    The flow is t^2 - t^3 within the open phase. Source: Rosenberg, JASA 49 (1971), polynomial pulse; its
    derivative 2t - 3t^2 includes the radiation at the lips.
    """
    phase = np.mod(np.cumsum(pitch_hz) / sample_rate_hz + rng.random(), 1) / 0.6
    pulses = np.where(phase < 1, 2 * phase - 3 * phase**2, 0)
    return pulses + breath * rng.standard_normal(len(pitch_hz))


def _formants(excitation: np.ndarray, voice: Voice, vowel: int, sample_rate_hz: int) -> np.ndarray:
    formants_hz = (*voice.vowels_hz[vowel], voice.fourth_hz)
    sections = [
        resonator(sample_rate_hz, frequency, bandwidth)
        for frequency, bandwidth in zip(formants_hz, _FORMANT_BANDWIDTHS_HZ, strict=True)
        if frequency < 0.48 * sample_rate_hz
    ]
    return signal.sosfilt(np.array(sections), excitation)


def _fricative(rng, sample_rate_hz: int) -> np.ndarray:
    """Return an s- or sh-like noise of 60 ... 130 ms."""
    samples = int(rng.uniform(0.06, 0.13) * sample_rate_hz)
    low_hz = rng.uniform(2500, 5000)
    noise = band_noise(rng, samples, sample_rate_hz, low_hz, low_hz * rng.uniform(1.4, 2))
    swell = np.sin(np.pi * seconds(samples, samples))
    return rng.uniform(0.15, 0.5) * swell * noise
