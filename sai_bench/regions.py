"""What the detector hands on: candidates of a whole recording with their masks, stored compactly.

Fusion, export and compression work on this, so none of them needs a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from sai_bench.sphere import CLASSES, COLUMNS

ENERGY_STEPS = 255
"""A mask's energies are stored as whole steps of its peak / 255."""


@dataclass(frozen=True)
class Regions:
    """The kept candidates of one recording.

    Attributes:
        frame_count: [] label frames of the recording.
        frames: [n] int32, label frame of each candidate.
        scores: [n] float32 detector scores in [0, 1].
        classes: [n] uint8, the most probable class of each candidate.
        class_probabilities: [n, K] float16; too coarse to tell classes apart where "no object" takes nearly
            all of the probability.
        masks: [n] int32, which mask each candidate uses; candidates may share one.
        mask_starts: [m+1] int64; mask i owns pixels mask_starts[i] to mask_starts[i+1].
        pixels: [total] uint16, row * 360 + column.
        energies: [total] uint8, 255 = the mask's peak.
    """

    frame_count: np.ndarray
    frames: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    class_probabilities: np.ndarray
    masks: np.ndarray
    mask_starts: np.ndarray
    pixels: np.ndarray
    energies: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def points(self, mask: int, least_energy: float = 0.0) -> np.ndarray:
        """Return a mask as [k, 3] float64 points (x, y, energy in (0, 1]) of at least `least_energy`."""
        owned = slice(self.mask_starts[mask], self.mask_starts[mask + 1])
        pixels = self.pixels[owned].astype(np.int64)
        energies = self.energies[owned] / ENERGY_STEPS
        kept = energies >= least_energy
        y, x = np.divmod(pixels[kept], COLUMNS)
        return np.stack([x, y, energies[kept]], axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields as named arrays, for storage."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Regions:
        """Return what `arrays` described."""
        return cls(**{f.name: arrays[f.name] for f in fields(cls)})

    @classmethod
    def empty(cls, frame_count: int) -> Regions:
        """Return the regions of a recording in which nothing was found."""
        return cls(
            frame_count=np.int64(frame_count),
            frames=np.zeros(0, np.int32),
            scores=np.zeros(0, np.float32),
            classes=np.zeros(0, np.uint8),
            class_probabilities=np.zeros((0, CLASSES), np.float16),
            masks=np.zeros(0, np.int32),
            mask_starts=np.zeros(1, np.int64),
            pixels=np.zeros(0, np.uint16),
            energies=np.zeros(0, np.uint8),
        )


def join(parts: Sequence[Regions], first_frames: Sequence[int], frame_count: int) -> Regions:
    """Put the regions of successive segments together.

    Args:
        parts: regions with frames counted from their segment's start.
        first_frames: the recording's label frame at which each segment starts.
        frame_count: label frames of the recording.
    """
    if not parts:
        return Regions.empty(frame_count)
    masks_before = np.cumsum([0] + [len(p.mask_starts) - 1 for p in parts])
    pixels_before = np.cumsum([0] + [len(p.pixels) for p in parts])
    return Regions(
        frame_count=np.int64(frame_count),
        frames=np.concatenate(
            [p.frames + first for p, first in zip(parts, first_frames, strict=True)]
        ).astype(np.int32),
        scores=np.concatenate([p.scores for p in parts]),
        classes=np.concatenate([p.classes for p in parts]),
        class_probabilities=np.concatenate([p.class_probabilities for p in parts]),
        masks=np.concatenate(
            [p.masks + before for p, before in zip(parts, masks_before, strict=False)]
        ).astype(np.int32),
        mask_starts=np.concatenate(
            [[0]] + [p.mask_starts[1:] + b for p, b in zip(parts, pixels_before, strict=False)]
        ).astype(np.int64),
        pixels=np.concatenate([p.pixels for p in parts]),
        energies=np.concatenate([p.energies for p in parts]),
    )
