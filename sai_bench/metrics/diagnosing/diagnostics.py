"""What holds a system back: the same metric on parts of an evaluation and on repaired predictions.

`diagnose` does everything at once. `diagnose_recording` and `combine_diagnostics` are its two halves, for
callers that work on recordings in parallel or keep what they know: the first returns plain arrays.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.metrics.diagnosing.breakdowns import (
    ELEVATION_BANDS,
    SOURCE_COUNTS,
    Sides,
    by_elevation,
    by_source_count,
    room_of,
    site_of,
)
from sai_bench.metrics.diagnosing.location_scores import combine_directions, score_directions
from sai_bench.metrics.diagnosing.oracles import (
    Overlaps,
    as_one_class,
    ranking_score,
    with_true_classes,
    with_true_masks,
    with_true_scores,
    without_copies,
)
from sai_bench.metrics.diagnosing.score_thresholds import at_least, thresholds_that_keep
from sai_bench.metrics.numbers import checked_numbers
from sai_bench.predictions import of_known_classes

if TYPE_CHECKING:
    from sai_bench.interfaces import Metric
    from sai_bench.predictions import Annotation

Part = dict[str, np.ndarray]

ORACLES = ("scores", "classes", "masks")

_COUNTS = "annotation_counts"
_LOCATION = "location"


def diagnose(
    metric: Metric,
    pairs: Sequence[tuple[str, Sequence[Annotation], Sequence[Annotation]]],
    label_paths: Mapping[str, Path] | None = None,
) -> dict[str, object]:
    """Return a metric's numbers beyond the official ones, JSON-ready.

    Takes about ten times as long as the plain numbers, which it contains.

    Args:
        metric: any metric.
        pairs: (name, predictions, labels) of each recording, in the order of their files. Iterated twice: a
            sequence that reads files when it is asked for an item keeps memory low.
        label_paths: label file of each recording, whose folder may tell the site (`site_of`).

    Returns:
        See `combine_diagnostics`.

    Raises:
        AnnotationError: as `metric.score_recording`.
        ContractError: the metric returned something else than numbers.
    """
    thresholds = score_thresholds(predictions for _, predictions, _ in pairs)
    names, parts = [], []
    for name, predictions, labels in pairs:
        names.append(name)
        parts.append(diagnose_recording(metric, predictions, labels, thresholds))
    return combine_diagnostics(metric, names, parts, thresholds, label_paths)


def score_thresholds(predictions: Iterable[Sequence[Annotation]]) -> list[float]:
    """Return the score thresholds to try: they keep all, 75, 50, 25 and 10% of the detections."""
    return thresholds_that_keep(
        ranking_score(p) for recording in predictions for p in of_known_classes(recording)
    )


def diagnose_recording(
    metric: Metric,
    predictions: Sequence[Annotation],
    labels: Sequence[Annotation],
    thresholds: Sequence[float],
) -> Part:
    """Return everything that the diagnostics need to know about one recording, as plain arrays.

    Annotations of classes outside 0 ... 12 are left out.

    Args:
        metric: the metric.
        predictions: of the recording.
        labels: of the recording.
        thresholds: from `score_thresholds`, over all recordings.

    Returns:
        The metric's own arrays for each variant, under `<section>_<index>__<name>`, with the number of labels
        and predictions beside them; and those of `score_directions`, under `location__<name>`. The names are
        identifiers, so `sai_bench.files.encode_arrays` can store them.
    """
    predictions, labels = of_known_classes(predictions), of_known_classes(labels)
    arrays = {f"{_LOCATION}__{name}": a for name, a in score_directions(predictions, labels).items()}
    for variant, (own_predictions, own_labels) in _variants(metric, predictions, labels, thresholds):
        part = metric.score_recording(own_predictions, own_labels)
        arrays[f"{variant}__{_COUNTS}"] = np.array([len(own_labels), len(own_predictions)], dtype=np.int64)
        arrays |= {f"{variant}__{name}": array for name, array in part.items()}
    return arrays


def combine_diagnostics(
    metric: Metric,
    names: Sequence[str],
    recordings: Sequence[Mapping[str, np.ndarray]],
    thresholds: Sequence[float],
    label_paths: Mapping[str, Path] | None = None,
) -> dict[str, object]:
    """Pool all recordings.

    Args:
        metric: the metric.
        names: of the recordings.
        recordings: of `diagnose_recording`, in the same order.
        thresholds: as given there.
        label_paths: as in `diagnose`.

    Returns:
        Most values are *rows*: `recordings`, `labels`, `predictions` (how many) and `numbers` (the metric's
        headline for them alone).

        - `all`: the row of the plain evaluation.
        - `by_recording`, `by_room`, `by_site`: rows by group (`room_of`, `site_of`).
        - `by_source_count`: rows by number of labels in the frame; "0": false alarms in silence.
        - `by_elevation`: rows by band of elevation (`by_elevation` says what that means for false alarms).
        - `class_agnostic`: the row with all classes made one.
        - `location`: F-scores at 20 degrees (`combine_directions`).
        - `oracles`: rows with true `scores`, `classes` and `masks` (`sai_bench.metrics.diagnosing.oracles`
            says what each means); None where a metric would have to measure overlap and cannot.
        - `score_thresholds`: rows with `threshold`: only detections with this score or more.
    """
    parts = [_split(recording) for recording in recordings]

    def row(variant: str) -> dict[str, object]:
        return _row(metric, [part[variant] for part in parts])

    def rows(section: str, groups: Sequence[str]) -> dict[str, object]:
        variants = {group: _variant(section, index) for index, group in enumerate(groups)}
        # A recording whose metric cannot measure overlap has no such variant.
        return {
            group: row(variant) if all(variant in part for part in parts) else None
            for group, variant in variants.items()
        }

    def grouped(group_of: Callable[[str], str]) -> dict[str, object]:
        groups = defaultdict(list)
        for name, part in zip(names, parts, strict=True):
            groups[group_of(name)].append(part[_variant("all")])
        return {group: _row(metric, groups[group]) for group in sorted(groups)}

    everything = row(_variant("all"))
    return {
        "all": everything,
        "by_recording": grouped(str),
        "by_room": grouped(room_of),
        "by_site": grouped(lambda name: site_of(name, (label_paths or {}).get(name))),
        "by_source_count": rows("source_count", SOURCE_COUNTS),
        "by_elevation": rows("elevation", ELEVATION_BANDS),
        "class_agnostic": row(_variant("class_agnostic")),
        "location": combine_directions([part[_LOCATION] for part in parts]),
        "oracles": rows("oracle", ORACLES),
        "score_thresholds": [
            {
                "threshold": threshold if math.isfinite(threshold) else None,
                # The lowest threshold keeps everything.
                **(row(_variant("threshold", index)) if index else everything),
            }
            for index, threshold in enumerate(thresholds)
        ],
    }


def headline_numbers(
    metric: Metric, recordings: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, float | None]:
    """Return the metric's headline for some recordings; of a metric without, every number at the top level.

    Raises:
        ContractError: the metric returned something else than numbers.
    """
    result = checked_numbers(metric.combine(recordings), type(metric).__name__)
    if metric.headline:
        return {name: result.get(name) for name in metric.headline}
    return {
        name: value
        for name, value in result.items()
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    }


def _variants(
    metric: Metric,
    predictions: Sequence[Annotation],
    labels: Sequence[Annotation],
    thresholds: Sequence[float],
) -> Iterator[tuple[str, Sides]]:
    """Yield each variant's name and both sides, one after the other."""
    yield _variant("all"), (predictions, labels)
    yield _variant("class_agnostic"), (without_copies(as_one_class(predictions)), as_one_class(labels))
    for section, groups in (
        ("source_count", by_source_count(predictions, labels)),
        ("elevation", by_elevation(predictions, labels)),
    ):
        for index, sides in enumerate(groups.values()):
            yield _variant(section, index), sides
    overlaps = Overlaps.measured(metric, predictions, labels)
    if overlaps is not None:
        yield _variant("oracle", ORACLES.index("scores")), (with_true_scores(predictions, overlaps), labels)
        yield _variant("oracle", ORACLES.index("classes")), (with_true_classes(predictions, overlaps), labels)
    yield _variant("oracle", ORACLES.index("masks")), (with_true_masks(predictions, labels), labels)
    for index, threshold in enumerate(thresholds[1:], start=1):
        yield _variant("threshold", index), (at_least(predictions, threshold), labels)


def _variant(section: str, index: int = 0) -> str:
    return f"{section}_{index}"


def _split(recording: Mapping[str, np.ndarray]) -> dict[str, Part]:
    """Return the arrays of each variant of a recording."""
    variants: dict[str, Part] = defaultdict(dict)
    for path, array in recording.items():
        variant, _, name = path.partition("__")
        variants[variant][name] = array
    return variants


def _row(metric: Metric, parts: Sequence[Part]) -> dict[str, object]:
    """Return a variant's headline and counts over some recordings."""
    labels, predictions = sum((part[_COUNTS] for part in parts), np.zeros(2, dtype=np.int64)).tolist()
    own = [{name: array for name, array in part.items() if name != _COUNTS} for part in parts]
    return {
        "recordings": len(parts),
        "labels": labels,
        "predictions": predictions,
        "numbers": headline_numbers(metric, own),
    }
