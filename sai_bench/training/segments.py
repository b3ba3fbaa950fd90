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
from torch.utils.data import BatchSampler

from sai_bench.errors import DatasetError, component_errors
from sai_bench.sphere import FRAMES_PER_S, ArrayGeometry
from sai_bench.training.label_masks import prepare_label_masks
from sai_bench.training.segment_index import SegmentDraw, SegmentIndex
from sai_bench.training.segment_loader import SegmentLoader, Segments, StepItems
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
    from sai_bench.spec.training_settings import DetectorStageSettings


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
) -> SegmentLoader:
    """Return the batches of a stage, from a step on: one for each of its steps that are left.

    Label masks that are missing in the cache are made first. Every process of a training gets its own share
    of each step's segments.

    Args:
        stage: its settings, but for its seed.
        recordings: of the stage's split; not needed if it renders online.
        dataset: that renders, if the stage renders online; else not needed.
        microphones: what the system hears of an em32.
        sample_rate_hz: of the front end.
        grids: of the target masks.
        cache: folder of label masks.
        seed: everything random follows from it.
        first_step: the step that comes next, 0 at the beginning.
        rank: which of the processes that train together this one is.
        world: how many there are; they share a step's segments evenly.

    Raises:
        DatasetError: the data set cannot be trained on.
        AudioError: recordings cannot be used.
    """
    if stage.sampling.online:
        source = _rendered(stage, dataset, seed, sample_rate_hz)
        recorded = source.array
    else:
        stored = _stored(stage, recordings, sample_rate_hz, cache)
        source, recorded = _drawn(stage, stored), stored.array
    heard = heard_array(recorded, microphones)
    views = views_of(recorded, heard, stage.augmentation.views)
    segments = Segments(source, views, tuple(grids), seed, stage.augmentation.gain_db)
    share = stage.batch_segments // world
    items = StepItems(range(first_step, stage.steps), stage.batch_segments, rank * share, share)
    return _loader(stage, segments, items, heard)


def validation_batches(
    stage: DetectorStageSettings,
    recordings: Sequence[Recording],
    *,
    microphones: Literal["mic", "all"],
    sample_rate_hz: int,
    grids: Sequence[Grid],
    cache: Path,
) -> SegmentLoader:
    """Return all segments of some recordings, in order, without overlap, view or gain; to be used repeatedly.

    Args:
        stage: how long segments are, how many make a batch, and what targets look like.
        recordings: of the validation split.
        microphones: see `make_loader`, likewise all others.
        sample_rate_hz: see there.
        grids: see there.
        cache: see there.

    Raises:
        DatasetError: the data set cannot be used.
        AudioError: recordings cannot be used.
    """
    stored = _stored(stage, recordings, sample_rate_hz, cache)
    source = SuccessiveSegments(stored)
    heard = heard_array(stored.array, microphones)
    segments = Segments(source, views_of(stored.array, heard, "none"), tuple(grids), 0, 0.0)
    items = BatchSampler(range(len(source.places)), stage.batch_segments, drop_last=False)
    return _loader(stage, segments, items, heard)


def _frames(stage: DetectorStageSettings) -> int:
    return round(stage.segment_s * FRAMES_PER_S)


def _loader(
    stage: DetectorStageSettings,
    segments: Segments,
    items: StepItems | BatchSampler,
    heard: ArrayGeometry,
) -> SegmentLoader:
    frames, class_agnostic = _frames(stage), stage.targets.class_agnostic
    return SegmentLoader(segments, items, frames, heard, class_agnostic, stage.loader_workers)


def _stored(
    stage: DetectorStageSettings, recordings: Sequence[Recording], sample_rate_hz: int, cache: Path
) -> StoredRecordings:
    if not recordings:
        raise DatasetError("Training: the split has no recordings. Choose another split or add data.")
    require_one_array(recordings)
    masks = prepare_label_masks(recordings, stage.targets.rendering, cache)
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
    stage: DetectorStageSettings, dataset: Dataset, seed: int, sample_rate_hz: int
) -> RenderedRecordings:
    # Far apart, so that different seeds hear different recordings. Stages without a seed of their own have
    # the spec's: two of them that render the same split hear the same recordings.
    first_number = int(np.random.SeedSequence(seed).generate_state(1)[0]) << 24
    frames = _frames(stage)
    with component_errors(f"Rendering a first recording of split {stage.split} failed"):
        array = dataset.rendered(stage.split, first_number, stage.segment_s).array
    return RenderedRecordings(
        dataset, stage.split, first_number, array, stage.targets.rendering, frames, sample_rate_hz
    )
