"""Which of the scored files the official evaluator behind a metric would find, by their names and places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sai_bench.metrics.pairing import FilePair, shortened, suffix_of

if TYPE_CHECKING:
    from sai_bench.interfaces import Metric


def lookup_notes(metrics: Mapping[str, Metric], pairs: Iterable[FilePair]) -> list[str]:
    """Return one note for each evaluator that does not find files of which another one does.

    No name suits both official evaluators, so that is no fault.

    Args:
        metrics: name -> metric.
        pairs: what is scored.
    """
    notes = []
    for name, metric in metrics.items():
        others = [other for other in metrics.values() if other is not metric]
        odd = [
            pair.predictions.name
            for pair in pairs
            if pair.predictions and _misses_by_name(metric, pair) and _is_found(pair, others)
        ]
        if odd:
            expected, labels = _expected(metric.prediction_suffixes), _expected(metric.label_suffixes)
            notes.append(
                f"{name}: note: {len(odd)} files are named for another official evaluator "
                f"({shortened(odd)}). This one expects {expected} and as labels {labels}. The "
                "numbers here do not depend on it."
            )
    return notes


def lookup_warnings(
    metric: Metric,
    pairs: Iterable[FilePair],
    prediction_folder: Path,
    label_folder: Path,
    others: Iterable[Metric] = (),
) -> list[str]:
    """Return a warning for each reason why the evaluator would not find files that are scored here.

    Recordings without prediction file are not looked at: they have a warning of their own.

    Args:
        metric: says in `prediction_suffixes`, `prediction_folders` and so on what its evaluator expects.
        pairs: what is scored.
        prediction_folder: where predictions were searched.
        label_folder: where labels were searched.
        others: metrics that are computed, too; names that suit one of them are left to `lookup_notes`.
    """
    others = list(others)
    pairs = [pair for pair in pairs if pair.predictions]
    unfound = [pair for pair in pairs if not _pair_by_name(metric, pair) and not _is_found(pair, others)]
    return [
        *_name_warning("prediction", metric.prediction_suffixes, [pair.predictions for pair in unfound]),
        *_name_warning("label", metric.label_suffixes, [pair.labels for pair in unfound]),
        *_place_warning(
            "prediction", metric.prediction_folders, prediction_folder, [pair.predictions for pair in pairs]
        ),
        *_place_warning("label", metric.label_folders, label_folder, [pair.labels for pair in pairs]),
    ]


def _is_found(pair: FilePair, metrics: Iterable[Metric]) -> bool:
    return any(_pair_by_name(metric, pair) for metric in metrics)


def _misses_by_name(metric: Metric, pair: FilePair) -> bool:
    """Return whether the metric's evaluator, if there is one, does not find a pair."""
    known = metric.prediction_suffixes is not None and metric.label_suffixes is not None
    return known and not _pair_by_name(metric, pair)


def _expected(suffixes: Iterable[str]) -> str:
    return " or ".join(f"NAME{suffix}.json" for suffix in suffixes)


def _pair_by_name(metric: Metric, pair: FilePair) -> bool:
    """Return whether both names are some common text and one of the suffixes that the evaluator expects.

    The text may itself end in a suffix: `a_inference.json` and `a_inference_std.json` pair in June.
    """
    if metric.prediction_suffixes is None or metric.label_suffixes is None:
        return False
    texts = [
        {path.stem.removesuffix(suffix) for suffix in suffixes if path.stem.endswith(suffix)}
        for path, suffixes in (
            (pair.predictions, metric.prediction_suffixes),
            (pair.labels, metric.label_suffixes),
        )
    ]
    return bool(texts[0] & texts[1])


def _name_warning(side: str, suffixes: tuple[str, ...] | None, paths: list[Path]) -> list[str]:
    odd = [path.name for path in paths if suffixes is not None and suffix_of(path) not in suffixes]
    if not odd:
        return []
    return [
        f"{len(odd)} {side} files have names that the official evaluator does not find ({shortened(odd)}). "
        f"It expects {_expected(suffixes)}."
    ]


def _place_warning(side: str, folders: tuple[str, ...] | None, root: Path, paths: list[Path]) -> list[str]:
    if folders is None:
        return []
    odd = [path.relative_to(root).as_posix() for path in paths if not _lies_in(path, root, folders)]
    if not odd:
        return []
    expected = " or ".join(str(PurePosixPath(root.name, folder, "*.json")) for folder in folders)
    return [
        f"{len(odd)} {side} files lie where the official evaluator does not look ({shortened(odd)}). It "
        f"looks at {expected}."
    ]


def _lies_in(path: Path, root: Path, folders: Iterable[str]) -> bool:
    place = path.parent.relative_to(root).parts
    wanted = [PurePosixPath(folder).parts for folder in folders]
    return any(len(place) == len(parts) and all(map(fnmatchcase, place, parts)) for parts in wanted)
