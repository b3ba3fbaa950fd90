"""Reading segments by number, in this process or ahead in others, and putting them together to batches."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset

from sai_bench.errors import SaiBenchError, StageError
from sai_bench.sphere import ArrayGeometry
from sai_bench.training.mask_grids import block_means
from sai_bench.training.segment_batches import Segment, SegmentBatch, collate
from sai_bench.training.segment_sources import SegmentSource
from sai_bench.training.targets import Grid
from sai_bench.training.views import View

_READ_AHEAD = 4
"""Batches that each reading process has ready."""


@dataclass(frozen=True)
class StepItems:
    """The numbers of the segments that one process hears in each step.

    Attributes:
        steps: that are left.
        batch: segments in a step, of all processes together.
        first_slot: of this process.
        count: of its segments.
    """

    steps: range
    batch: int
    first_slot: int
    count: int

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            first = step * self.batch + self.first_slot
            yield list(range(first, first + self.count))


class Segments(Dataset):
    """Segments by number, as the network hears them."""

    def __init__(
        self, source: SegmentSource, views: Sequence[View], grids: Sequence[Grid], seed: int, gain_db: float
    ):
        """Take segments from a source.

        Args:
            source: of sound and labels.
            views: one of which each segment is heard in.
            grids: of its masks.
            seed: everything random follows from it and the number.
            gain_db: a segment is made up to so much louder or softer.
        """
        self._source, self._views, self._grids = source, views, grids
        self._seed, self._gain_db = seed, gain_db

    def __getitem__(self, number: int) -> Segment | SaiBenchError:
        """Return a segment, or what is wrong with it.

        An error that is raised in a reading process would reach the user with a traceback in its message.
        """
        *place, which_view, loudness = np.random.default_rng((self._seed, number)).random(5)
        view = self._views[int(which_view * len(self._views))]
        try:
            heard = self._source.segment(number, place, view.channels)
        except SaiBenchError as error:
            return error
        masks = {grid: block_means(heard.regions, grid, view) for grid in self._grids}
        gain = np.float32(10 ** (self._gain_db * (2 * loudness - 1) / 20))
        return Segment(gain * view.signs * heard.waveform, heard.regions, masks, heard.name)


class SegmentLoader:
    """Batches of segments, read ahead by other processes; each time it is gone through from the beginning."""

    def __init__(
        self,
        segments: Segments,
        items: StepItems | BatchSampler,
        frames: int,
        array: ArrayGeometry,
        class_agnostic: bool,
        workers: int,
    ):
        """Read segments.

        Args:
            segments: by number.
            items: the numbers of each batch.
            frames: label frames of a segment.
            array: the capsules of the channels.
            class_agnostic: whether classes are left out.
            workers: processes that read; 0 reads in this one.
        """
        self._segments, self._items, self._workers = segments, items, workers
        self._collate = functools.partial(_collate, frames=frames, array=array, class_agnostic=class_agnostic)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[SegmentBatch]:
        """Yield the batches.

        Raises:
            SaiBenchError: a recording cannot be used; the message names it.
            StageError: a reading process was killed.
        """
        loader = DataLoader(
            self._segments,
            batch_sampler=self._items,
            collate_fn=self._collate,
            num_workers=min(self._workers, len(self)),
            prefetch_factor=_READ_AHEAD if self._workers and len(self) else None,
            generator=torch.Generator(),  # its own: the state of torch's random numbers is left alone
        )
        try:
            for batch in loader:
                if isinstance(batch, SaiBenchError):
                    raise batch
                yield batch
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise StageError(
                f"A process that reads training segments was killed ({error}), probably because memory ran "
                "out. Run the same command again with fewer loader_workers or smaller batches."
            ) from error


def _collate(
    segments: Sequence[Segment | SaiBenchError], frames: int, array: ArrayGeometry, class_agnostic: bool
) -> SegmentBatch | SaiBenchError:
    for segment in segments:
        if isinstance(segment, SaiBenchError):
            return segment
    return collate(segments, frames, array, class_agnostic)
