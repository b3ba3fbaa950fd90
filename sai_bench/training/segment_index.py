"""Where segments may start in the recordings of a split, what sounds in them, and how they are drawn.

A labelled segment belongs to its classes in parts, as large as their shares of its labels. To draw one, first
a class is drawn, then a segment by how much of it belongs to that class. With the natural shares of the
classes every labelled segment comes up equally often, and other shares change just that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sai_bench.sphere import CLASSES


@dataclass(frozen=True)
class SegmentIndex:
    """All places where a segment may start, numbered through the recordings.

    Attributes:
        first_starts: [R+1] number of the first start in each recording; the last is the count of all.
        silent: [n] starts of segments without any label.
        sounding: for each class the starts of segments that belong to it, [n_c].
        shares: for each class the running sum of how much of those segments belongs to it, [n_c].
    """

    first_starts: np.ndarray
    silent: np.ndarray
    sounding: tuple[np.ndarray, ...]
    shares: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls, frame_counts: Sequence[int], occurrences: Sequence[tuple[np.ndarray, np.ndarray]], frames: int
    ) -> SegmentIndex:
        """Look through recordings.

        Args:
            frame_counts: [R] whole label frames of each recording; one that is shorter than a segment has
                one start.
            occurrences: of each recording the label frames [n] and classes [n] of its regions.
            frames: label frames of a segment.
        """
        silent, sounding, shares = [], [[] for _ in range(CLASSES)], [[] for _ in range(CLASSES)]
        first_starts = [0]
        for frame_count, (labelled, classes) in zip(frame_counts, occurrences, strict=True):
            counts = _counts(labelled, classes, frame_count, frames)
            total = counts.sum(axis=1)
            silent.append(first_starts[-1] + np.flatnonzero(total == 0))
            for category in np.flatnonzero(counts.any(axis=0)):
                starts = np.flatnonzero(counts[:, category])
                sounding[category].append(first_starts[-1] + starts)
                shares[category].append(counts[starts, category] / total[starts])
            first_starts.append(first_starts[-1] + len(counts))
        return cls(
            np.array(first_starts),
            _joined(silent),
            tuple(map(_joined, sounding)),
            tuple(np.cumsum(_joined(parts)) for parts in shares),
        )

    def __len__(self) -> int:
        return int(self.first_starts[-1])

    def place(self, start: int) -> tuple[int, int]:
        """Return the recording and the label frame of a start."""
        recording = int(np.searchsorted(self.first_starts, start, side="right")) - 1
        return recording, int(start - self.first_starts[recording])


class SegmentDraw:
    """Draws starts at random; the same random numbers give the same start."""

    def __init__(self, index: SegmentIndex, class_balance: float, silent_share: float):
        """Fix how often classes and silence come up.

        Args:
            index: of all starts.
            class_balance: 0: every labelled segment alike; 1: every class alike.
            silent_share: how often segments without labels come up, relative to their natural share.
        """
        self._index = index
        amounts = np.array([shares[-1] if len(shares) else 0.0 for shares in index.shares])
        silence = silent_share * len(index.silent)
        everything = silence + amounts.sum()
        self.is_possible = everything > 0
        """Whether there is anything to draw."""
        self._silence = silence / max(everything, 1e-300)
        self._present = np.flatnonzero(amounts)
        weights = amounts[self._present] ** (1 - class_balance)
        self._class_ends = np.cumsum(weights) / max(weights.sum(), 1e-300)

    def start(self, is_silent: float, which_class: float, which: float) -> int:
        """Return a start for three random numbers in [0, 1)."""
        index = self._index
        if is_silent < self._silence:
            return int(index.silent[int(which * len(index.silent))])
        place = int(np.searchsorted(self._class_ends, which_class, side="right"))
        category = self._present[min(place, len(self._present) - 1)]
        ends = index.shares[category]
        place = int(np.searchsorted(ends, which * ends[-1], side="right"))
        return int(index.sounding[category][min(place, len(ends) - 1)])


def _counts(labelled: np.ndarray, classes: np.ndarray, frame_count: int, frames: int) -> np.ndarray:
    """Return how many regions of each class the segment at each start has, [starts, K]."""
    inside = labelled < frame_count
    per_frame = np.zeros((max(frame_count, frames) + 1, CLASSES), np.int64)
    np.add.at(per_frame, (labelled[inside] + 1, classes[inside]), 1)
    summed = np.cumsum(per_frame, axis=0)
    return summed[frames:] - summed[:-frames]


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
