"""What a step of training hears: the loaders of training and validation segments.

Segment number step * batch + slot, together with the seed, decides alone which recording is heard from where,
in which view and how loud. So a resumed training hears what it would have heard, and nothing depends on how
many processes read or train.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from sai_bench.errors import DatasetError, SpecError, component_errors
from sai_bench.sphere import FRAMES_PER_S
from sai_bench.training.label_masks import prepare_label_masks
from sai_bench.training.segment_batches import SegmentBatch
from sai_bench.training.segment_index import SegmentDraw, SegmentIndex
from sai_bench.training.segment_loader import SegmentLoader, Segments, StepItems, WalkItems
from sai_bench.training.segment_sources import (
    DrawnSegments,
    RenderedRecordings,
    StoredRecordings,
    SuccessiveSegments,
    heard_array,
    require_one_array,
)
from sai_bench.training.targets import Grid
from sai_bench.training.views import views_of

if TYPE_CHECKING:
    from sai_bench.interfaces import Dataset, Recording
    from sai_bench.progress import Reporter
    from sai_bench.spec.training_settings import DetectorStageSettings

__all__ = ["SegmentBatch", "make_loader", "validation_batches"]


def make_loader(
    stage: DetectorStageSettings,
    recordings: Sequence[Recording],
    dataset: Dataset | None,
    *,
    microphones: Literal["mic", "all"],
    sample_rate_hz: int,
    grids: Sequence[Grid],
    cache: Path,
    seed: int,
    first_step: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> SegmentLoader:
    """Return the batches of a stage, from a step on: one for each of its steps that are left.

    Label masks that are missing in the cache are made first. Every process of a training gets its own share
    of each step's segments.

    Args:
        stage: its settings, but for its seed.
        recordings: of the stage's split; not needed if it renders online.
        dataset: theirs; only needed if the stage renders online.
        microphones: what the system hears of an em32.
        sample_rate_hz: of the front end.
        grids: of the target masks.
        cache: folder of label masks.
        seed: everything random follows from it.
        first_step: the step that comes next, 0 at the beginning.
        rank: which of the processes that train together this one is.
        world: how many there are.
        workers: processes that read ahead, None: as the stage says; 0 reads in this one.
        reporter: told how far the label masks are.

    Raises:
        SpecError: settings that do not go together.
        DatasetError: the data set cannot be trained on.
        AudioError: recordings cannot be used.
    """
    workers = stage.loader_workers if workers is None else workers
    batch = _share(stage, world)
    if stage.sampling.online:
        source = _rendered(stage, dataset, seed, sample_rate_hz)
        recorded = source.array
    else:
        stored = _stored(stage, recordings, sample_rate_hz, cache, max(1, workers), reporter, rank, world)
        source, recorded = _drawn(stage, stored), stored.array
    heard = heard_array(recorded, microphones)
    views = views_of(recorded, heard, stage.augmentation.views)
    segments = Segments(source, views, tuple(grids), seed, stage.augmentation.gain_db)
    steps = range(first_step, stage.steps)
    items = StepItems(steps, stage.batch_segments, rank * batch, batch)
    return SegmentLoader(segments, items, _frames(stage), heard, stage.targets.class_agnostic, workers)


def validation_batches(
    stage: DetectorStageSettings,
    recordings: Sequence[Recording],
    *,
    microphones: Literal["mic", "all"],
    sample_rate_hz: int,
    grids: Sequence[Grid],
    cache: Path,
    rank: int = 0,
    world: int = 1,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> SegmentLoader:
    """Return all segments of some recordings, in order, without overlap, view or gain; to be used repeatedly.

    Every process gets batches of the same sizes, so that they may compare notes after each: up to
    `world - 1` segments at the very end are left out.

    Args:
        stage: how long segments are, how many make a batch, and what targets look like.
        recordings: of the validation split.
        microphones: see `make_loader`, likewise all others.
        sample_rate_hz: see there.
        grids: see there.
        cache: see there.
        rank: see there.
        world: see there.
        workers: see there.
        reporter: see there.

    Raises:
        SpecError: settings that do not go together.
        DatasetError: the data set cannot be used.
        AudioError: recordings cannot be used.
    """
    workers = stage.loader_workers if workers is None else workers
    _share(stage, world)
    stored = _stored(stage, recordings, sample_rate_hz, cache, max(1, workers), reporter, rank, world)
    source = SuccessiveSegments(stored)
    heard = heard_array(stored.array, microphones)
    segments = Segments(source, views_of(stored.array, heard, "none"), tuple(grids), 0, 0.0)
    items = WalkItems(len(source.places), stage.batch_segments, rank, world)
    return SegmentLoader(segments, items, _frames(stage), heard, stage.targets.class_agnostic, workers)


def _frames(stage: DetectorStageSettings) -> int:
    return round(stage.segment_s * FRAMES_PER_S)


def _share(stage: DetectorStageSettings, world: int) -> int:
    """Return how many segments of a step each process hears."""
    if stage.batch_segments % world:
        raise SpecError(
            [
                f"Training: batch_segments = {stage.batch_segments} cannot be shared by {world} processes. "
                f"Expected a multiple of {world}; change it or the number of processes."
            ]
        )
    return stage.batch_segments // world


def _stored(
    stage: DetectorStageSettings,
    recordings: Sequence[Recording],
    sample_rate_hz: int,
    cache: Path,
    workers: int,
    reporter: Reporter | None,
    rank: int,
    world: int,
) -> StoredRecordings:
    if not recordings:
        raise DatasetError("Training: the split has no recordings. Choose another split or add data.")
    require_one_array(recordings)
    masks = prepare_label_masks(recordings, stage.targets.rendering, cache, workers, reporter, rank, world)
    return StoredRecordings.of(recordings, masks, _frames(stage), sample_rate_hz)


def _drawn(stage: DetectorStageSettings, stored: StoredRecordings) -> DrawnSegments:
    index = SegmentIndex.of(stored.frame_counts, stored.occurrences(), stored.frames)
    draw = SegmentDraw(index, stage.sampling.class_balance, stage.sampling.silent_share)
    if not draw.is_possible:
        raise DatasetError(
            f"Training: no segment of split {stage.split} has a label, and silent_share is 0. Expected "
            "labelled recordings; choose another split."
        )
    return DrawnSegments(stored, index, draw)


def _rendered(
    stage: DetectorStageSettings, dataset: Dataset | None, seed: int, sample_rate_hz: int
) -> RenderedRecordings:
    if stage.sampling.class_balance or stage.sampling.silent_share != 1:
        raise SpecError(
            [
                "Training: class_balance and silent_share choose among recordings on disk. Expected 0 and 1 "
                "together with online: true, where the data set's own keys decide."
            ]
        )
    if dataset is None or not dataset.renders_online:
        raise DatasetError(
            "Training: the data set cannot render online. Set sampling.online to false, or take one that "
            "can, such as simulated_rooms."
        )
    # Far apart for different seeds, so that two stages hear different recordings.
    first_number = int(np.random.SeedSequence(seed).generate_state(1)[0]) << 24
    frames = _frames(stage)
    with component_errors(f"Rendering a first recording of split {stage.split} failed"):
        array = dataset.rendered(stage.split, first_number, stage.segment_s).array
    return RenderedRecordings(
        dataset, stage.split, first_number, array, stage.targets.rendering, frames, sample_rate_hz
    )
