"""The sound of one segment: read from the middle of a file, checked, at the rate that a system hears."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from sai_bench.audio import resample, resampling_ratio
from sai_bench.audio_header import unreadable
from sai_bench.errors import AudioError
from sai_bench.sphere import FRAMES_PER_S

_MARGIN_S = 0.05
"""Read before and after a segment that is resampled: its ends then are as in the recording."""


def read_segment(
    path: Path, channels: Sequence[int], first: int, frames: int, sample_rate_hz: int
) -> np.ndarray:
    """Return some channels of label frames first ... first + frames - 1, [M, S] float32 at a rate.

    Nothing else is read, and the result is that part of the whole recording resampled. Where the recording
    ends earlier, silence follows.

    Args:
        path: the file.
        channels: 0-based, in the wanted order.
        first: label frame.
        frames: how many.
        sample_rate_hz: of the result.

    Raises:
        AudioError: unreadable, cut short, or NaN or infinite samples.
    """
    wanted = range(segment_samples(first, sample_rate_hz), segment_samples(first + frames, sample_rate_hz))
    try:
        with open(path, "rb") as stream, soundfile.SoundFile(stream) as file:
            rate, length = file.samplerate, file.frames
            ratio = resampling_ratio(rate, sample_rate_hz)
            begin, end = (min(place, length) for place in _needed(wanted, rate, ratio))
            file.seek(begin)
            samples = file.read(end - begin, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise unreadable(path, error) from error
    if len(samples) < end - begin:
        raise AudioError(
            f"{path}: ends at {(begin + len(samples)) / rate:.3f} s, but its header says "
            f"{length / rate:.3f} s. Repair or copy the file again."
        )
    _check_finite(path, samples, begin / rate)
    heard = np.ascontiguousarray(samples.T[list(channels)])
    heard = resample(heard, rate, sample_rate_hz) if heard.size else heard
    return fitted(heard[:, wanted.start - int(begin * ratio) :], segment_samples(frames, sample_rate_hz))


def _needed(wanted: range, rate: int, ratio: Fraction) -> tuple[int, int]:
    """Return the first sample of a file that resampled ones hang on, and the one after the last."""
    if ratio == 1:
        return wanted.start, wanted.stop
    margin, block = round(_MARGIN_S * rate), ratio.denominator
    # The resampler treats blocks alike, so a part has to begin where a block does.
    begin = max(0, int(wanted.start / ratio) - margin) // block * block
    return begin, math.ceil(wanted.stop / ratio) + margin


def fitted(waveform: np.ndarray, samples: int) -> np.ndarray:
    """Return a waveform [M, S] cut to `samples`, or with silence behind it."""
    waveform = waveform[:, :samples]
    return np.pad(waveform, ((0, 0), (0, samples - waveform.shape[1])))


def segment_samples(frames: int, sample_rate_hz: int) -> int:
    """Return the samples of so many label frames."""
    return round(frames * sample_rate_hz / FRAMES_PER_S)


def _check_finite(path: Path, samples: np.ndarray, begin_s: float) -> None:
    if not np.isfinite(samples).all():
        raise AudioError(
            f"{path}: NaN or infinite samples near {begin_s:.1f} s. Expected finite samples; repair or "
            "export the file again."
        )
