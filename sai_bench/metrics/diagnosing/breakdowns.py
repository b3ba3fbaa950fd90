"""Ways to cut an evaluation into groups: by recording name, by number of sources, by elevation.

The groups of one way do not overlap. Where both sides of a recording are cut (by frame or by elevation), a
metric scores each group as if nothing else existed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.metrics.strongest_point import elevations_deg

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation

Sides = tuple[Sequence["Annotation"], Sequence["Annotation"]]
"""(predictions, labels) of one recording."""

SITES = ("sony", "tau")
"""The recording sites of STARSS23 and STAIRS26."""

UNKNOWN = "unknown"
"""The group of recordings whose name tells nothing."""

SOURCE_COUNTS = ("0", "1", "2", "3", "4+")

ELEVATION_EDGES_DEG = (-30.0, 0.0, 30.0)
ELEVATION_BANDS = ("below -30", "-30 to 0", "0 to 30", "30 and above")

_ROOM = re.compile(r"(?<![A-Za-z0-9])room\d+(?![A-Za-z0-9])", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+")


def room_of(name: str) -> str:
    """Return the room of a recording: the first `room<number>` that stands alone in its name.

    `fold4_room23_mix001` is of `room23`. Without such a part the room is "unknown".
    """
    found = _ROOM.search(name)
    return found.group().lower() if found else UNKNOWN


def site_of(name: str, label_path: Path | None = None) -> str:
    """Return the site of a recording: `sony` or `tau` as a word of its name, or of its label file's folder.

    STARSS23 and STAIRS26 name the site only in the folder, such as `labels_dev/dev-test-tau/`. Folders above
    it are not looked at. Without such a word the site is "unknown".
    """
    for text in (name, label_path.parent.name if label_path is not None else ""):
        words = set(_WORD.findall(text.lower()))
        for site in SITES:
            if site in words:
                return site
    return UNKNOWN


def by_source_count(predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> dict[str, Sides]:
    """Cut a recording by how many labels each frame has ("0", "1", "2", "3", "4+").

    Frames are kept whole, so within a group everything is scored as in the full evaluation; only the ranking
    of detections is now among frames of one kind. Frames without labels ("0") hold nothing but false alarms.
    """
    counts = Counter(label.metadata_frame_index for label in labels)
    largest = len(SOURCE_COUNTS) - 1

    def group(annotation: Annotation) -> int:
        return min(counts[annotation.metadata_frame_index], largest)

    return _cut(
        SOURCE_COUNTS, predictions, labels, *([group(a) for a in side] for side in (predictions, labels))
    )


def by_elevation(predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> dict[str, Sides]:
    """Cut a recording by the elevation of each annotation's strongest point; a band holds its lower edge.

    Each side is cut by its own direction. So a false alarm counts in the band where the *system* put it, and
    a detection on the other side of an edge than its label is a false alarm in one band and leaves a miss in
    the other, even if it is a few degrees off: bands are pessimistic near their edges. Annotations without a
    point of positive energy are in no band.
    """
    groups = [_bands(elevations_deg(side)) for side in (predictions, labels)]
    return _cut(ELEVATION_BANDS, predictions, labels, *groups)


def _bands(elevation: np.ndarray) -> list[int]:
    """Return the index of each elevation's band, -1 for NaN."""
    return np.where(np.isnan(elevation), -1, np.digitize(elevation, ELEVATION_EDGES_DEG)).tolist()


def _cut(
    names: Sequence[str],
    predictions: Sequence[Annotation],
    labels: Sequence[Annotation],
    prediction_groups: Sequence[int],
    label_groups: Sequence[int],
) -> dict[str, Sides]:
    return {
        name: tuple(
            [annotation for annotation, own in zip(side, groups, strict=True) if own == index]
            for side, groups in ((predictions, prediction_groups), (labels, label_groups))
        )
        for index, name in enumerate(names)
    }
