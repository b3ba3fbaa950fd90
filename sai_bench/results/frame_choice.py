"""Which frames of a recording are worth a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sai_bench.predictions import Annotation, Detection


def choose_frames(
    labels: Sequence[Annotation], predictions: Sequence[Annotation | Detection], count: int
) -> list[int]:
    """Return up to `count` frames in ascending order, always the same ones for the same input.

    The labelled frames are cut into `count` stretches of equal size (give or take one frame), and each gives
    its middle frame. Neither how many sources a frame holds nor what was predicted plays a role, so the
    pictures are a fair sample of its labelled frames; what is predicted in unlabelled ones they do not show.
    A recording without labels gives frames with predictions, chosen in the same way.
    """
    labelled = {label.metadata_frame_index for label in labels}
    candidates = sorted(labelled or {_frame(prediction) for prediction in predictions})
    if not candidates or count < 1:
        return []
    stretches = np.array_split(candidates, min(count, len(candidates)))
    return [int(stretch[(len(stretch) - 1) // 2]) for stretch in stretches]


def _frame(item: Annotation | Detection) -> int:
    return item.frame if isinstance(item, Detection) else item.metadata_frame_index
