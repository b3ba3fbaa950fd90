"""Which frames of a recording are worth a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sai_bench.predictions import Annotation, Detection


def choose_frames(
    labels: Sequence[Annotation], predictions: Sequence[Annotation | Detection], count: int
) -> list[int]:
    """Return up to `count` frames in ascending order, always the same ones for the same input.

    The labelled frames (the predicted ones of an unlabelled recording) are cut into `count` stretches of
    equal size; each gives the frame with most label regions, then with a prediction, then nearest the middle.
    How well the predictions fit plays no role, so the pictures flatter nobody.
    """
    labelled = Counter(label.metadata_frame_index for label in labels)
    predicted = Counter(_frame(prediction) for prediction in predictions)
    candidates = sorted(labelled or predicted)
    if not candidates or count < 1:
        return []
    stretches = np.array_split(np.array(candidates), min(count, len(candidates)))

    def best(stretch: np.ndarray) -> int:
        middle = (stretch[0] + stretch[-1]) / 2
        return int(min(stretch, key=lambda k: (-labelled[k], predicted[k] == 0, abs(k - middle), k)))

    return [best(stretch) for stretch in stretches]


def _frame(item: Annotation | Detection) -> int:
    return item.frame if isinstance(item, Detection) else item.metadata_frame_index
