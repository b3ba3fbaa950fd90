"""Which synthesiser belongs to which class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sai_bench_builtin.datasets.procedural_sources import impacts, textures, tonal, voices
from sai_bench_builtin.datasets.procedural_sources.shaping import without_infrasound

Synthesiser = Callable[[np.random.Generator, int, int], np.ndarray]
"""(random generator, samples, sample_rate_hz) -> [samples] of any level."""

SYNTHESISERS: tuple[Synthesiser, ...] = (
    voices.female_speech,
    voices.male_speech,
    impacts.clapping,
    tonal.telephone,
    voices.laughter,
    textures.domestic,
    impacts.footsteps,
    impacts.door,
    tonal.music,
    tonal.plucked_string,
    textures.water_tap,
    tonal.bell,
    impacts.knock,
)
"""In the order of `sai_bench.sphere.CLASS_NAMES`."""


def synthesise(category: int, variation: int, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return the dry sound of one event.

    Args:
        category: class 0 ... 12.
        variation: seed of this event's sound; the same seed gives the same sound.
        samples: its length.
        sample_rate_hz: its rate, at least 8000.

    Returns:
        [samples] float64 with peak 1, without anything that nobody hears.
    """
    sound = SYNTHESISERS[category](np.random.default_rng(variation), samples, sample_rate_hz)
    sound = without_infrasound(sound, sample_rate_hz)
    return sound / max(np.abs(sound).max(), 1e-12)
