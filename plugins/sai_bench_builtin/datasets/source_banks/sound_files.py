"""Sounds in files: finding them, looking whether they can be used, cutting an event from one."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import soundfile

from sai_bench.audio import resample
from sai_bench.audio_header import read_header
from sai_bench.errors import AudioError, DatasetError
from sai_bench.folder_search import files_below
from sai_bench_builtin.datasets.procedural_sources.shaping import fade, without_infrasound

SUFFIXES = (".wav", ".flac")
_SHORTEST_S = 0.02
_REMEMBERED_S = 20
_BLOCK_S = 0.01
_FADE_S = 0.005
_SILENT = 1e-4
_PAUSE = 1e-5
"""Blocks whose power is below this, relative to the loudest, are cut off at both ends of a file (-50 dB)."""
_LOUD_ENOUGH = 1e-2
"""A cut has at least this much power, relative to the loudest cut of the same length (-20 dB)."""


def list_sounds(folder: Path) -> dict[str, int]:
    """Return all wav and flac files below a folder, relative to it and in order, with their sizes in bytes.

    Links to folders are followed, each once; hidden files and folders are left out.
    """
    sounds = (p for p in files_below(folder) if p.suffix.lower() in SUFFIXES and p.is_file())
    sizes_bytes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sounds}
    return dict(sorted(sizes_bytes.items()))


def why_unusable(path: Path) -> str | None:
    """Return what is wrong with a file as far as its header tells; None: nothing."""
    try:
        header = read_header(path)
    except AudioError as error:
        return str(error).removeprefix(f"{path}: ")
    if header.samples == 0:
        return "empty. Expected a sound"
    if header.duration_s < _SHORTEST_S:
        return f"{1000 * header.duration_s:.1f} ms long. Expected at least {1000 * _SHORTEST_S:g} ms"
    return None


def cut_sound(path: Path, rng: np.random.Generator, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Return a mono sound of a given length from a file.

    Silence at both ends of the file goes. From what is longer, a stretch is cut at random, but none that is
    20 dB weaker than another would be; what is shorter is played over and over. All ends are faded (5 ms).

    Args:
        path: wav or flac file with any number of channels, at any rate.
        rng: where to cut; of files above 20 s, only a random stretch is read.
        samples: length of the result.
        sample_rate_hz: its rate.

    Returns:
        [samples] float64 with peak 1, without infrasound.

    Raises:
        DatasetError: the file is unreadable or silent, or holds NaN or infinite samples.
    """
    sound = _read(path, rng, samples / sample_rate_hz, sample_rate_hz)
    power = _block_powers(sound, sample_rate_hz)
    block = _block(sample_rate_hz)
    loud = np.flatnonzero(power > _PAUSE * power.max())
    sound = sound[loud[0] * block : (loud[-1] + 1) * block]
    if len(sound) > samples:
        start = _choose_start(rng, power[loud[0] : loud[-1] + 1], len(sound), samples, block)
        sound = sound[start : start + samples]
    piece = sound * fade(len(sound), sample_rate_hz, _FADE_S)
    event = np.resize(piece, samples)
    if samples % len(piece):
        event *= fade(samples, sample_rate_hz, _FADE_S)
    event = without_infrasound(event, sample_rate_hz)
    return event / max(np.abs(event).max(), 1e-12)


def _choose_start(rng, power: np.ndarray, length: int, samples: int, block: int) -> int:
    """Return where to cut `samples` from a sound: at the start of a block, not in a pause."""
    summed = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(0, (length - samples) // block + 1)
    ends = np.minimum(starts + -(-samples // block), len(power))
    energy = summed[ends] - summed[starts]
    return int(rng.choice(starts[energy >= _LOUD_ENOUGH * energy.max()])) * block


def _block(sample_rate_hz: int) -> int:
    return round(_BLOCK_S * sample_rate_hz)


def _block_powers(sound: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    block = _block(sample_rate_hz)
    return np.mean(np.append(sound, np.zeros(-len(sound) % block)).reshape(-1, block) ** 2, axis=1)


def _read(path: Path, rng: np.random.Generator, wanted_s: float, sample_rate_hz: int) -> np.ndarray:
    """Return a file's sound [samples] float64, mono and resampled; of a long file a random stretch."""
    try:
        header = read_header(path)
        most = int(max(wanted_s + _BLOCK_S, _REMEMBERED_S) * header.rate_hz)
        if header.samples <= most and header.duration_s <= _REMEMBERED_S:
            return _remembered(path, sample_rate_hz)
        start = int(rng.integers(max(header.samples - most, 0) + 1))
        return _load(path, sample_rate_hz, start, most)
    except AudioError as error:
        raise DatasetError(str(error)) from error


@functools.lru_cache(maxsize=64)
def _remembered(path: Path, sample_rate_hz: int) -> np.ndarray:
    return _load(path, sample_rate_hz, 0, -1)


def _load(path: Path, sample_rate_hz: int, start: int, frames: int) -> np.ndarray:
    try:
        with open(path, "rb") as stream, soundfile.SoundFile(stream) as file:
            rate = file.samplerate
            file.seek(start)
            channels = file.read(frames, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise DatasetError(f"{path}: cannot be read as audio ({error}). Repair or remove it.") from error
    mono = channels.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise DatasetError(f"{path}: holds NaN or infinite samples. Repair or remove it.")
    sound = resample(mono[None], rate, sample_rate_hz)[0].astype(float)
    if not len(sound) or np.abs(sound).max() < _SILENT:
        raise DatasetError(f"{path}: silent, at least from {start / rate:.1f} s on. Repair or remove it.")
    return sound
