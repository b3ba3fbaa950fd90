"""Whether two folders hold what they were given for: detections with scores, and labels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.errors import AnnotationError
from sai_bench.json_document import parse_document
from sai_bench.metrics.pairing import LABEL_SUFFIX, has_suffix, shortened
from sai_bench.metrics.score_stage import INPUT_COUNTS
from sai_bench.predictions import read_content

if TYPE_CHECKING:
    from sai_bench.metrics.pairing import FilePair
    from sai_bench.metrics.score_stage import IdentifiedPair

_EXCHANGE = "Expected first the folder of the predictions, then that of the labels; exchange them."


def refuse_same_files(pairs: Sequence[FilePair]) -> None:
    """Refuse pairs of which both sides are one file: a system would be compared with itself.

    One folder for both is fine as long as it holds two files of each recording.

    Raises:
        AnnotationError: there is such a pair.
    """
    same = [p.predictions.name for p in pairs if p.predictions and os.path.samefile(p.predictions, p.labels)]
    if same:
        raise AnnotationError(
            f"{len(same)} files are given both as predictions and as labels ({shortened(same)}). Expected "
            "two files of each recording; check the two folders."
        )


def judge_inputs(pairs: Sequence[IdentifiedPair], stored: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
    """Return warnings about files that may not be what they were given for.

    Args:
        pairs: what was scored.
        stored: for each pair arrays with `INPUT_COUNTS`.

    Raises:
        AnnotationError: they certainly are not: labels stand in for the predictions.
    """
    counts = np.array([arrays[INPUT_COUNTS] for arrays in stored]).reshape(-1, 4)
    labels, labels_with_score, predictions, predictions_with_score = counts.sum(axis=0).tolist()
    warnings = []
    if not predictions:
        warnings.append("No prediction file has a detection.")
    elif not predictions_with_score:
        _refuse_labels([pair.predictions for pair in pairs if pair.predictions], labels_with_score)
        warnings.append(
            f"None of the {predictions} predictions has a score: are these labels? Every score counts as 0."
        )
    elif predictions_with_score < predictions:
        without = predictions - predictions_with_score
        warnings.append(f"{without} of {predictions} predictions have no score. It counts as 0.")
    if labels_with_score:
        warnings.append(
            f"{labels_with_score} of {labels} labels have a score: are these predictions? Scores of labels "
            "are not used."
        )
    empty = counts[:, [2, 0]] == 0  # predictions, labels
    return [
        *warnings,
        *_no_list("prediction", [p.predictions for p, none in zip(pairs, empty[:, 0], strict=True) if none]),
        *_no_list("label", [p.labels for p, none in zip(pairs, empty[:, 1], strict=True) if none]),
    ]


def _refuse_labels(predictions: Sequence[Path], labels_with_score: int) -> None:
    """Refuse predictions of which none has a score, if something else says that they are labels, too."""
    if labels_with_score:
        raise AnnotationError(f"The labels have scores and the predictions have none. {_EXCHANGE}")
    if all(has_suffix(path, LABEL_SUFFIX) for path in predictions):
        raise AnnotationError(
            f"No prediction has a score, and the files are named as labels are "
            f"({shortened([path.name for path in predictions])}). Expected detections with scores as "
            "predictions; check the first folder."
        )


def _no_list(side: str, empty: Sequence[Path | None]) -> list[str]:
    """Return a warning about files that are empty only because they are something else."""
    odd = [
        path.name for path in empty if path and "annotations" not in parse_document(path, read_content(path))
    ]
    if not odd:
        return []
    return [
        f"{len(odd)} {side} files have no list 'annotations' and count as empty, as the official evaluators "
        f"take them ({shortened(odd)}). Check whether they are DCASE JSON."
    ]
