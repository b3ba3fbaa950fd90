"""Reading all samples of a recording once, a block at a time: levels, clipping, NaN."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from sai_bench.audio_header import unreadable
from sai_bench.errors import AudioError

_BLOCK_VALUES = 2**20
"""Samples of all channels that are in memory at once: 4 MiB."""

FULL_SCALE = 1 - 2**-15
"""From here on a sample counts as clipped: the largest that 16 bits can say."""


@dataclass(frozen=True)
class SampleFacts:
    """What the samples of a recording say.

    Attributes:
        samples: of each channel.
        peaks: [M] largest magnitude in each channel, NaN and infinite samples aside.
        invalid: NaN and infinite samples in all channels.
        first_invalid: (channel from 1, sample) of the earliest of them, None if there are none.
        clipped: samples at full scale in all channels.
    """

    samples: int
    peaks: np.ndarray
    invalid: int
    first_invalid: tuple[int, int] | None
    clipped: int

    @property
    def clipped_share(self) -> float:
        """Return the share of samples at full scale."""
        return self.clipped / max(1, self.samples * len(self.peaks))


def scan_samples(path: Path) -> SampleFacts:
    """Read a file to its end.

    Raises:
        AudioError: it cannot be decoded to its end.
    """
    try:
        with open(path, "rb") as stream, soundfile.SoundFile(stream) as audio:
            facts, promised = _scan(audio), audio.frames
    except (OSError, RuntimeError) as error:
        raise unreadable(path, error) from error
    if facts.samples < promised:
        raise AudioError(
            f"{path}: ends after {facts.samples} of {promised} samples. It was not copied completely; "
            "copy or download it again."
        )
    return facts


def _scan(audio: soundfile.SoundFile) -> SampleFacts:
    peaks = np.zeros(audio.channels, dtype=np.float32)
    samples = invalid = clipped = 0
    first_invalid = None
    size = max(1, _BLOCK_VALUES // audio.channels)
    while len(block := audio.read(size, dtype="float32", always_2d=True)):  # [size, M]
        valid = np.isfinite(block)
        if not valid.all():
            if first_invalid is None:
                sample, channel = np.argwhere(~valid)[0].tolist()
                first_invalid = (channel + 1, samples + sample)
            invalid += int(valid.size - valid.sum())
            block = np.where(valid, block, 0)
        magnitudes = np.abs(block)
        peaks = np.maximum(peaks, magnitudes.max(axis=0))
        clipped += int((magnitudes >= FULL_SCALE).sum())
        samples += len(block)
    return SampleFacts(samples, peaks, invalid, first_invalid, clipped)
