"""Training segments, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sai_bench.sphere import ArrayGeometry
from sai_bench.training.label_regions import LabelRegions
from sai_bench.training.mask_sets import EMPTY
from sai_bench.training.targets import Grid, MaskTargets


@dataclass(frozen=True)
class Segment:
    """One segment as it is heard.

    Attributes:
        waveform: [M, S] float32.
        regions: its labels, frames counted from its beginning.
        masks: grid (h, w) -> [m, h, w] float32 of each mask of the regions.
        name: recording and time, for messages.
    """

    waveform: np.ndarray
    regions: LabelRegions
    masks: Mapping[Grid, np.ndarray]
    name: str


@dataclass(frozen=True)
class SegmentBatch:
    """What a step of training gets.

    Attributes:
        waveform: [B, M, S] float32 at the front end's rate.
        targets: labels of the B segments.
        array: the capsules of the M channels.
        names: [B] recording and time of each segment, for messages.
    """

    waveform: torch.Tensor
    targets: MaskTargets
    array: ArrayGeometry
    names: list[str]


def collate(
    segments: Sequence[Segment], frames: int, array: ArrayGeometry, class_agnostic: bool
) -> SegmentBatch:
    """Return a batch; frames have as many slots as the fullest of them needs, at least one.

    Args:
        segments: B of them with masks on the same grids.
        frames: label frames of a segment.
        array: the capsules of their channels.
        class_agnostic: whether all classes become 0.
    """
    slots = [_slots(segment.regions.frames) for segment in segments]
    shape = len(segments), frames, max(1, *(int(s.max(initial=-1)) + 1 for s in slots))
    classes, instances = np.full(shape, EMPTY, np.int64), np.full(shape, EMPTY, np.int64)
    masks = {grid: np.zeros((*shape, *grid), np.float32) for grid in segments[0].masks}
    for number, (segment, slot) in enumerate(zip(segments, slots, strict=True)):
        regions = segment.regions
        place = number, regions.frames, slot
        classes[place] = 0 if class_agnostic else regions.classes
        instances[place] = regions.instances
        for grid, images in segment.masks.items():
            masks[grid][place] = images[regions.masks]
    targets = MaskTargets(
        torch.from_numpy(classes),
        torch.from_numpy(instances),
        {grid: torch.from_numpy(images) for grid, images in masks.items()},
        class_agnostic,
    )
    waveform = torch.from_numpy(np.stack([segment.waveform for segment in segments]))
    return SegmentBatch(waveform, targets, array, [segment.name for segment in segments])


def _slots(frames: np.ndarray) -> np.ndarray:
    """Return for ascending frames [n] which region of its frame each one is: 0, 1, 2 ..."""
    return np.arange(len(frames)) - np.searchsorted(frames, frames)
