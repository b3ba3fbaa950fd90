"""The grid that AudioMAE works on: log-mel frames and bands, and the patches that they are cut into.

Numbers of the published encoders; no library is imported, so that the config model can use them.
"""

from __future__ import annotations

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
MEL_BANDS = 128

PATCH = 16
"""Side of a patch, in frames and in bands."""

TIME_PATCHES, MEL_PATCHES = 64, MEL_BANDS // PATCH
"""The grid of the published positional embedding: 1024 frames x 128 bands, time before mel."""


def fbank_frames(samples: int) -> int:
    """Return how many whole windows of the filterbank fit into so many samples (at least one)."""
    return 1 + (samples - WINDOW_SAMPLES) // HOP_SAMPLES
