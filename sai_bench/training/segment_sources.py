"""Where segments come from: recordings on disk, drawn or one after the other, or rendering on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from sai_bench.audio import resample, select_microphones
from sai_bench.audio_header import AudioHeader, read_header
from sai_bench.errors import AudioError, DatasetError, component_errors
from sai_bench.sphere import FRAME_S, FRAMES_PER_S, ArrayGeometry
from sai_bench.training.label_masks import read_occurrences, read_regions
from sai_bench.training.label_regions import LabelRegions, draw_regions
from sai_bench.training.mask_drawing import Rule
from sai_bench.training.segment_audio import fitted, read_segment, segment_samples
from sai_bench.training.segment_index import SegmentDraw, SegmentIndex

if TYPE_CHECKING:
    from sai_bench.interfaces import Dataset, Recording


class SegmentSource(Protocol):
    """Gives the segment of each item."""

    def segment(self, number: int, random: np.ndarray, channels: Sequence[int]) -> Heard:
        """Return the segment of item `number`; `random` are three numbers in [0, 1) that belong to it."""


@dataclass(frozen=True)
class Heard:
    """A segment before views and gains.

    Attributes:
        waveform: [M, S] float32 of the chosen channels.
        regions: labels, frames counted from the segment's beginning.
        name: recording and time.
    """

    waveform: np.ndarray
    regions: LabelRegions
    name: str


@dataclass(frozen=True)
class StoredRecordings:
    """Recordings on disk with their label masks.

    Attributes:
        recordings: R of them, of one array.
        masks: [R] their files of masks.
        frame_counts: [R] whole label frames of each.
        frames: label frames of a segment.
        sample_rate_hz: of the segments.
    """

    recordings: Sequence[Recording]
    masks: Sequence[Path]
    frame_counts: Sequence[int]
    frames: int
    sample_rate_hz: int

    @classmethod
    def of(
        cls, recordings: Sequence[Recording], masks: Sequence[Path], frames: int, sample_rate_hz: int
    ) -> StoredRecordings:
        """Read how long recordings are that have passed `dataset_check.problems_of`.

        Raises:
            AudioError: a file cannot be read.
        """
        counts = [_whole_frames(read_header(recording.audio_path)) for recording in recordings]
        return cls(recordings, masks, counts, frames, sample_rate_hz)

    @property
    def array(self) -> ArrayGeometry:
        """Return the array of all recordings."""
        return self.recordings[0].array

    def occurrences(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return frames and classes of the regions of each recording."""
        return [read_occurrences(path) for path in self.masks]

    def read(self, index: int, first: int, channels: Sequence[int]) -> Heard:
        """Return the segment of a recording that begins at a label frame.

        Raises:
            AudioError: the sound cannot be used; the message names the recording.
        """
        recording = self.recordings[index]
        try:
            waveform = read_segment(recording.audio_path, channels, first, self.frames, self.sample_rate_hz)
        except AudioError as error:
            raise AudioError(f"Recording {recording.name}: {error}") from error
        stop = min(first + self.frames, self.frame_counts[index])
        regions = read_regions(self.masks[index], first, stop)
        return Heard(waveform, regions, f"{recording.name} at {first * FRAME_S:.1f} s")


@dataclass(frozen=True)
class DrawnSegments:
    """Segments of recordings drawn at random, each item for itself.

    Attributes:
        recordings: on disk.
        index: of all places where a segment may start.
        draw: chooses among them.
    """

    recordings: StoredRecordings
    index: SegmentIndex
    draw: SegmentDraw

    def segment(self, number: int, random: np.ndarray, channels: Sequence[int]) -> Heard:
        """Return the segment that three random numbers lead to."""
        recording, first = self.index.place(self.draw.start(*random))
        return self.recordings.read(recording, first, channels)


class SuccessiveSegments:
    """All segments of recordings one after the other, without overlap.

    What is left at the end of a recording and is shorter than a segment is not heard, unless it is all.
    """

    def __init__(self, recordings: StoredRecordings):
        """Walk through recordings on disk."""
        self.recordings = recordings
        self.places = [
            (index, first)
            for index, count in enumerate(recordings.frame_counts)
            for first in range(0, max(1, count - recordings.frames + 1), recordings.frames)
        ]

    def segment(self, number: int, random: np.ndarray, channels: Sequence[int]) -> Heard:
        """Return segment `number` of the walk; nothing is random."""
        return self.recordings.read(*self.places[number], channels)


def _whole_frames(header: AudioHeader) -> int:
    # As for `label_frames`, a hundredth of a frame may be missing.
    return int(header.duration_s * FRAMES_PER_S + 0.01)


def heard_array(recorded: ArrayGeometry, microphones: Literal["mic", "all"]) -> ArrayGeometry:
    """Return the array that a system hears of a recording's."""
    return select_microphones(np.empty((recorded.microphones, 0), np.float32), recorded, microphones)[1]


def require_one_array(recordings: Sequence[Recording]) -> None:
    """Raise DatasetError unless all recordings were made by one array."""
    first = recordings[0]
    for other in recordings:
        if not is_same_array(first.array, other.array):
            raise DatasetError(
                f"Recordings {first.name} and {other.name} are of different arrays ({first.array.name} and "
                f"{other.array.name}). Expected one array in a split that is trained on; split the data set."
            )


def is_same_array(a: ArrayGeometry, b: ArrayGeometry) -> bool:
    """Return whether two arrays have the same capsules."""
    return a.baffle == b.baffle and np.array_equal(a.positions_m, b.positions_m)


@dataclass(frozen=True)
class RenderedRecordings:
    """A recording of one segment's length for each item, rendered when it is asked for.

    Attributes:
        dataset: that renders.
        split: whose rooms and sounds are used.
        first_number: of the recording of item 0.
        array: of all recordings.
        rule: how labels become masks.
        frames: label frames of a segment.
        sample_rate_hz: of the segments.
    """

    dataset: Dataset
    split: str
    first_number: int
    array: ArrayGeometry
    rule: Rule
    frames: int
    sample_rate_hz: int

    def segment(self, number: int, random: np.ndarray, channels: Sequence[int]) -> Heard:
        """Return the segment of an item; its recording hangs on its number alone.

        Raises:
            DatasetError: it is of another array than the others.
            StageError: the data set failed.
        """
        number += self.first_number
        name = f"online recording {number} of split {self.split}"
        with component_errors(f"Rendering {name} failed"):
            rendered = self.dataset.rendered(self.split, number, self.frames * FRAME_S)
        if not is_same_array(rendered.array, self.array):
            raise DatasetError(f"{name}: of another array ({rendered.array.name}) than the first one.")
        waveform = np.ascontiguousarray(rendered.waveform[list(channels)], dtype=np.float32)
        if not np.isfinite(waveform).all():
            raise AudioError(f"{name}: NaN or infinite samples. Expected finite samples.")
        waveform = resample(waveform, rendered.sample_rate_hz, self.sample_rate_hz)
        labels = [a for a in rendered.annotations if 0 <= a.metadata_frame_index < self.frames]
        samples = segment_samples(self.frames, self.sample_rate_hz)
        return Heard(fitted(waveform, samples), draw_regions(labels, self.rule), name)
