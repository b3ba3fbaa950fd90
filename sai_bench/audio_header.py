"""What the header of an audio file says, and whether the file is as long as it says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import soundfile

from sai_bench.errors import AudioError
from sai_bench.sphere import frame_count

_TOO_SHORT = re.compile(r"^data\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
"""What libsndfile notes of a wav whose samples are not all there; it reads the rest without complaint."""

_UNKNOWN_LENGTHS_FROM = 2**31 - 2**16
"""Programs that write a wav into a pipe declare about the largest length that there is."""


@dataclass(frozen=True)
class AudioHeader:
    """The header of an audio file.

    Attributes:
        channels: how many.
        samples: of each channel.
        rate_hz: sample rate.
    """

    channels: int
    samples: int
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Return the length in seconds."""
        return self.samples / self.rate_hz

    @property
    def label_frames(self) -> int:
        """Return how many label frames the recording has."""
        return frame_count(self.samples, self.rate_hz)


def read_header(path: Path) -> AudioHeader:
    """Read the header of an audio file; costs a millisecond, however long the file is.

    Raises:
        AudioError: it is missing or no audio file, or a wav that ends before its header says.
    """
    try:
        # Opened here, because soundfile cannot open every name that a file system allows.
        with open(path, "rb") as stream:
            info = soundfile.info(stream, verbose=True)
    except (OSError, RuntimeError) as error:
        raise unreadable(path, error) from error
    noted = _TOO_SHORT.search(info.extra_info)
    declared_bytes, present_bytes = map(int, noted.groups()) if noted else (0, 0)
    if present_bytes < declared_bytes < _UNKNOWN_LENGTHS_FROM:
        raise AudioError(
            f"{path}: {present_bytes} bytes of samples ({info.duration:.2f} s) are there, its header says "
            f"{declared_bytes}. It was not copied completely; copy or download it again."
        )
    return AudioHeader(info.channels, info.frames, info.samplerate)


def unreadable(path: Path, error: Exception) -> AudioError:
    """Return what to say about a file that is no audio, or not to its end."""
    if isinstance(error, FileNotFoundError):
        reason = "a link that leads nowhere" if Path(path).is_symlink() else "no such file"
    else:
        reason = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
    return AudioError(
        f"{path}: cannot be read as audio ({reason.rstrip('.')}). Expected a complete wav or flac file; copy "
        "or download it again."
    )
