"""Reading recordings, checking them, and the project's one resampler."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import soundfile

from sai_bench.errors import AudioError
from sai_bench.sphere import FRAMES_PER_S, MIC_CAPSULES_BY_YAW_DEG, ArrayGeometry

if TYPE_CHECKING:
    from sai_bench.interfaces import Recording

_LARGEST_DENOMINATOR = 4000
_LARGEST_SAMPLE = 1e6  # far above integers that nobody scaled to 1; networks overflow further up

KNOWN_CHANNELS = {4: "MIC", 32: "em32"}


def read_recording(path: Path, channels: int | None = None) -> tuple[np.ndarray, int]:
    """Read a multichannel recording.

    Args:
        path: a file that soundfile reads, such as wav or flac.
        channels: how many channels it must have; None: 4 (MIC) or 32 (em32).

    Returns:
        waveform [M, S] float32 with full scale 1, and its sample rate in Hz.

    Raises:
        AudioError: unreadable, wrong channel count, empty, shorter than a label frame, NaN, infinite or
            absurdly loud.
    """
    try:
        # Opened here, because soundfile cannot open every name that a file system allows.
        with open(path, "rb") as stream:
            samples, rate = soundfile.read(stream, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        reason = "no such file" if not Path(path).exists() else str(error)
        raise AudioError(
            f"{path}: cannot be read as audio ({reason}). Expected a wav or flac file."
        ) from error
    waveform = np.ascontiguousarray(samples.T)
    found, length = waveform.shape
    if found not in ([channels] if channels else KNOWN_CHANNELS):
        expected = " or ".join(f"{n} channels ({name})" for n, name in KNOWN_CHANNELS.items())
        if channels:
            expected = f"{channels} channels, as the data set says"
        raise AudioError(
            f"{path}: has {found} channel{'s' * (found != 1)}, expected {expected}. "
            "Record or export the raw array channels."
        )
    if length * FRAMES_PER_S < rate:
        raise AudioError(
            f"{path}: {length} samples at {rate} Hz are {length / rate:.3f} s, shorter than one label frame. "
            "Expected at least 0.1 s of audio."
        )
    _check_samples(path, waveform, rate)
    return waveform, rate


def _check_samples(path: Path, waveform: np.ndarray, rate: int) -> None:
    """Raise AudioError unless all samples are finite and of a level that a recording can have."""
    bad = ~np.isfinite(waveform)
    if bad.any():
        channel, sample = np.argwhere(bad)[0]
        number = int(bad.sum())
        raise AudioError(
            f"{path}: {number} sample{'s are' if number > 1 else ' is'} NaN or infinite, "
            f"{'the first ' * (number > 1)}in channel {channel + 1} at {sample / rate:.3f} s. "
            "Expected finite samples; repair or export the file again."
        )
    largest = max(float(waveform.max()), -float(waveform.min()))
    if largest > _LARGEST_SAMPLE:
        raise AudioError(
            f"{path}: its samples reach {largest:.3g}, where full scale is 1. Expected at most "
            f"{_LARGEST_SAMPLE:g}; export the file again at its true level."
        )


def read_heard(
    recording: Recording, microphones: Literal["mic", "all"]
) -> tuple[np.ndarray, int, ArrayGeometry]:
    """Read the channels of a recording that a system listens to.

    Returns:
        waveform [M, S] float32, its sample rate in Hz, and the array of the M channels.

    Raises:
        AudioError: as `read_recording`.
    """
    waveform, rate = read_recording(recording.audio_path, recording.array.microphones)
    waveform, array = select_microphones(waveform, recording.array, microphones)
    return waveform, rate, array


def select_microphones(
    waveform: np.ndarray, array: ArrayGeometry, microphones: Literal["mic", "all"]
) -> tuple[np.ndarray, ArrayGeometry]:
    """Return the channels that a system listens to, and their array.

    Args:
        waveform: [M, S].
        array: the capsules of the M channels.
        microphones: `mic`: of an em32 only the four MIC capsules; `all`: everything.
    """
    if microphones == "all" or array.name != "em32":
        return waveform, array
    capsules = MIC_CAPSULES_BY_YAW_DEG[0]
    return np.ascontiguousarray(waveform[np.array(capsules) - 1]), array.subset("mic", capsules)


def resampling_ratio(from_hz: int, to_hz: int) -> Fraction:
    """Return how many samples `resample` makes of one. Blocks of `denominator` samples are treated alike."""
    return Fraction(to_hz, from_hz).limit_denominator(_LARGEST_DENOMINATOR)


def resample(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Return `waveform` [M, S] at another rate (torchaudio's windowed-sinc resampler, its defaults).

    The resampler's kernel grows with the denominator of the ratio of the rates. Odd rates such as 44101 Hz
    are therefore taken for the nearest simple ratio; that stretches time by less than 0.02%.
    """
    if from_hz == to_hz:
        return waveform
    import torch
    import torchaudio

    ratio = resampling_ratio(from_hz, to_hz)
    resampled = torchaudio.functional.resample(torch.from_numpy(waveform), ratio.denominator, ratio.numerator)
    return resampled.numpy()
