"""Impacts: claps, footsteps, doors and knocks, as bursts of noise and decaying modes."""

from __future__ import annotations

import numpy as np
from scipy import signal

from sai_bench_builtin.datasets.procedural_sources.shaping import (
    band_noise,
    decaying_modes,
    place,
    resonator,
    strike,
)


def clapping(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return one to six people clapping at two to five claps a second each."""
    parts = []
    for _ in range(rng.integers(1, 7)):
        interval_s = 1 / rng.uniform(2, 5)
        hands_hz = rng.uniform(700, 2200)
        decay_s = rng.uniform(0.006, 0.016)
        for start_s in _regular(rng, samples / sample_rate_hz, interval_s, jitter=0.08):
            hz = hands_hz * rng.uniform(0.9, 1.1)
            length = int(6 * decay_s * sample_rate_hz)
            burst = band_noise(rng, length, sample_rate_hz, 0.7 * hz, 2.5 * hz)
            burst = rng.uniform(0.5, 1) * strike(length, sample_rate_hz, decay_s) * burst
            parts.append((start_s, burst))
    return place(parts, samples, sample_rate_hz)


def footsteps(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return steps at 1.4 to 2.6 a second: a thump of the heel, then the scuff of the sole."""
    floor_hz, sole_hz = rng.uniform(60, 140), rng.uniform(900, 3500)
    decay_s, scuff = rng.uniform(0.02, 0.045), rng.uniform(0.15, 0.6)
    roll_s = rng.uniform(0.07, 0.14)
    length = int(0.25 * sample_rate_hz)
    parts = []
    for start_s in _regular(rng, samples / sample_rate_hz, 1 / rng.uniform(1.4, 2.6), jitter=0.05):
        modes_hz = floor_hz * np.array([1, 2.3, 4.1, 7.7]) * rng.uniform(0.95, 1.05, 4)
        heel = decaying_modes(length, sample_rate_hz, modes_hz, decay_s, [1, 0.5, 0.3, 0.15], 0)
        click = band_noise(rng, length, sample_rate_hz, 300, 2500) * strike(length, sample_rate_hz, 0.006)
        sole = band_noise(rng, length, sample_rate_hz, sole_hz, 2 * sole_hz)
        sole *= strike(length, sample_rate_hz, rng.uniform(0.02, 0.05), attack_s=0.02)
        level = rng.uniform(0.7, 1)
        parts += [(start_s, level * (heel + 0.5 * click)), (start_s + roll_s, level * scuff * sole)]
    return place(parts, samples, sample_rate_hz)


def door(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return doors that creak and slam, again and again until the event ends."""
    panel_hz = rng.uniform(55, 110)
    parts, start_s = [], 0.0
    while start_s < samples / sample_rate_hz:
        creak = _creak(rng, rng.uniform(0.4, 1), sample_rate_hz)
        parts.append((start_s, creak))
        start_s += len(creak) / sample_rate_hz + rng.uniform(0, 0.1)
        parts.append((start_s, _slam(rng, panel_hz, sample_rate_hz)))
        start_s += rng.uniform(0.4, 0.9)
    return place(parts, samples, sample_rate_hz)


def knock(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return groups of two to five knocks on wood, four to seven a second."""
    modes_hz = rng.uniform(150, 320) * np.array([1, 1.9, 3.1, 4.6])
    decays_s = rng.uniform(0.015, 0.03) * np.array([1, 0.7, 0.5, 0.35])
    length = int(0.2 * sample_rate_hz)
    parts, start_s = [], 0.0
    while start_s < samples / sample_rate_hz:
        interval_s = 1 / rng.uniform(4, 7)
        for _ in range(rng.integers(2, 6)):
            gains = np.array([1, 0.7, 0.5, 0.3]) * rng.uniform(0.7, 1.3, 4)
            wood = decaying_modes(length, sample_rate_hz, modes_hz, decays_s, gains, 0)
            click = band_noise(rng, length, sample_rate_hz, 500, 5000) * strike(length, sample_rate_hz, 0.004)
            parts.append((start_s, rng.uniform(0.6, 1) * (wood + 0.6 * click)))
            start_s += interval_s * rng.uniform(0.9, 1.1)
        start_s += rng.uniform(0.2, 0.6)
    return place(parts, samples, sample_rate_hz)


def _regular(rng, duration_s: float, interval_s: float, jitter: float) -> np.ndarray:
    """Return roughly regular times from about 0 to `duration_s`."""
    count = int(duration_s / interval_s) + 1
    times = interval_s * (np.arange(count) + jitter * rng.standard_normal(count) + 0.3 * rng.random())
    return times[times < duration_s]


def _creak(rng, length_s: float, sample_rate_hz: int) -> np.ndarray:
    """Return stick-slip pulses, faster towards the end, through the resonances of a hinge and panel."""
    samples = int(length_s * sample_rate_hz)
    rate_hz = np.linspace(rng.uniform(20, 50), rng.uniform(70, 180), samples)
    slips = np.diff(np.floor(np.cumsum(rate_hz) / sample_rate_hz), prepend=0) > 0
    excitation = slips * rng.uniform(0.3, 1, samples) + 0.01 * rng.standard_normal(samples)
    sections = [
        resonator(sample_rate_hz, hz, hz / 12) for hz in rng.uniform((450, 1000, 2000), (900, 2000, 3400))
    ]
    parts = [signal.sosfilt(section[None], excitation) for section in sections]
    creak = sum(part / np.abs(part).max() for part in parts)
    return 0.3 * creak * np.linspace(0.5, 1, samples)


def _slam(rng, panel_hz: float, sample_rate_hz: int) -> np.ndarray:
    samples = int(0.6 * sample_rate_hz)
    modes_hz = panel_hz * np.array([1, 1.7, 2.6, 3.9, 5.3]) * rng.uniform(0.97, 1.03, 5)
    thump = decaying_modes(samples, sample_rate_hz, modes_hz, 0.09, [1, 0.8, 0.6, 0.4, 0.3], 0)
    burst = band_noise(rng, samples, sample_rate_hz, 150, 4000)
    burst *= strike(samples, sample_rate_hz, rng.uniform(0.02, 0.05))
    latch = band_noise(rng, samples, sample_rate_hz, 2000, 6000) * strike(samples, sample_rate_hz, 0.006)
    return rng.uniform(0.8, 1) * (thump + 1.5 * burst + 0.8 * np.roll(latch, int(0.03 * sample_rate_hz)))
