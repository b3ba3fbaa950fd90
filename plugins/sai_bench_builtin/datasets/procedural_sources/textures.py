"""Textures: domestic appliances and dishes, running water."""

from __future__ import annotations

import numpy as np

from sai_bench_builtin.datasets.procedural_sources.shaping import (
    band_noise,
    decaying_modes,
    fade,
    place,
    seconds,
    strike,
    wander,
)


def domestic(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return a running appliance (two of three events) or the clatter of dishes."""
    return (_appliance if rng.random() < 0.67 else _dishes)(rng, samples, sample_rate_hz)


def water_tap(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return running water: steady hiss and 40 to 120 ringing bubbles a second.

    A bubble is a short sinusoid that rises a little in pitch. Source: van den Doel, Physically based models
    for liquid sounds, ACM Transactions on Applied Perception 2 (2005).
    """
    centre_hz = rng.uniform(1500, 3500)
    hiss = band_noise(rng, samples, sample_rate_hz, 0.4 * centre_hz, 3 * centre_hz)
    hiss *= 1 + 0.12 * wander(rng, samples, sample_rate_hz, 6)
    kinds = [_bubble(rng, sample_rate_hz) for _ in range(24)]
    count = int(samples / sample_rate_hz * rng.uniform(40, 120)) + 1
    starts_s = rng.uniform(0, samples / sample_rate_hz, count)
    chosen, gains = rng.integers(0, len(kinds), count), rng.uniform(0.2, 1, count)
    bubbles = place(
        ((s, g * kinds[k]) for s, k, g in zip(starts_s, chosen, gains, strict=True)), samples, sample_rate_hz
    )
    return fade(samples, sample_rate_hz, 0.05) * (hiss + rng.uniform(0.3, 0.8) * bubbles)


def _bubble(rng, sample_rate_hz: int) -> np.ndarray:
    samples = int(0.04 * sample_rate_hz)
    t = seconds(samples, sample_rate_hz)
    hz = np.exp(rng.uniform(np.log(500), np.log(2500)))
    decay_s = rng.uniform(0.004, 0.012)
    return np.sin(2 * np.pi * hz * t * (1 + rng.uniform(0.5, 4) * t)) * np.exp(-t / decay_s)


def _appliance(rng, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return a motor: harmonics of its rotation, slightly unsteady, and the noise of moving air."""
    motor_hz = rng.uniform(90, 280) * (1 + 0.01 * wander(rng, samples, sample_rate_hz, 3))
    phase = np.cumsum(motor_hz) / sample_rate_hz
    # A narrow pulse per turn has harmonics of almost equal strength far up.
    hum = np.exp(-((np.mod(phase, 1) - 0.5) ** 2) / (2 * rng.uniform(0.02, 0.05) ** 2))
    air = band_noise(rng, samples, sample_rate_hz, rng.uniform(100, 300), rng.uniform(1500, 4000))
    blend = rng.uniform(0.35, 0.7)
    sound = blend * (hum - hum.mean()) / hum.std() + (1 - blend) * air / air.std()
    return fade(samples, sample_rate_hz, 0.15) * sound


def _dishes(rng, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return clinks of crockery: three to eight a second, high inharmonic modes that decay fast."""
    length = int(0.3 * sample_rate_hz)
    duration_s = samples / sample_rate_hz
    parts = []
    for start_s in np.append(0, rng.uniform(0, duration_s, int(duration_s * rng.uniform(3, 8)))):
        modes_hz = rng.uniform(900, 2400) * np.array([1, 1.6, 2.3, 3.4, 4.7]) * rng.uniform(0.95, 1.05, 5)
        ring = decaying_modes(
            length, sample_rate_hz, modes_hz, rng.uniform(0.02, 0.08, 5), rng.uniform(0.2, 1, 5), 0
        )
        scrape = band_noise(rng, length, sample_rate_hz, 800, 7000)
        scrape *= strike(length, sample_rate_hz, rng.uniform(0.01, 0.08))
        parts.append((start_s, rng.uniform(0.3, 1) * (ring + 0.8 * scrape)))
    floor = 0.02 * rng.standard_normal(samples)
    return place(parts, samples, sample_rate_hz) + floor
