"""A prior that does not listen: how often each class sounds in the training data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from sai_bench.errors import DatasetError, WeightsError
from sai_bench.interfaces import Example, Prior
from sai_bench.sphere import CLASSES, frame_count
from sai_bench_builtin.configs.prior import LabelFrequencyConfig

_ACTIVE, _FRAMES = "active_frames", "frames"


class LabelFrequency(Prior):
    """p(c, t) = (active frames of c + a) / (all frames + 2 a), whatever is heard; a is `pseudo_frames`.

    What a prior that listens has to beat.
    """

    needs_fit: ClassVar[bool] = True

    def __init__(self, config: LabelFrequencyConfig):
        self.config = config
        self._p: np.ndarray | None = None

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return p [K, N] float32, the same in every frame.

        Args:
            waveform: [M, S]; only its length matters.
            sample_rate_hz: its rate.

        Raises:
            WeightsError: neither fitted nor loaded.
        """
        if self._p is None:
            raise WeightsError(
                "prior 'label_frequency' has no counts. Fit it on labelled recordings (sai-bench train) or "
                "load fitted ones before predicting."
            )
        frames = frame_count(waveform.shape[-1], sample_rate_hz)
        return np.repeat(self._p[:, None].astype(np.float32), frames, axis=1)

    def fit(self, examples: Iterable[Example], seed: int) -> dict[str, np.ndarray]:
        """Count labels.

        Args:
            examples: recordings with activity [K, N].
            seed: not used, nothing here is random.

        Returns:
            weights for `load_weights`: `active_frames` [K] and `frames` [1], float64.

        Raises:
            DatasetError: there is no labelled frame.
        """
        active, frames = np.zeros(CLASSES), 0
        for example in examples:
            active += np.asarray(example.activity, dtype=bool).sum(axis=1)
            frames += example.activity.shape[1]
        if not frames:
            raise DatasetError(
                "prior 'label_frequency': no labelled frame to count. Expected recordings with labels in the "
                "training split."
            )
        weights = {_ACTIVE: active, _FRAMES: np.array([float(frames)])}
        self.load_weights(weights)
        return weights

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take what `fit` returned.

        Raises:
            WeightsError: the arrays are no counts.
        """
        active, frames = (np.asarray(weights.get(name, ()), dtype=float) for name in (_ACTIVE, _FRAMES))
        shapes_fit = active.shape == (CLASSES,) and frames.shape == (1,)
        if not shapes_fit or not frames[0] > 0 or not ((active >= 0) & (active <= frames[0])).all():
            raise WeightsError(
                f"prior 'label_frequency': weights of shapes {active.shape} and {frames.shape} are no "
                f"counts. Expected '{_ACTIVE}' ({CLASSES},) between 0 and '{_FRAMES}' (1,) > 0."
            )
        pseudo = self.config.pseudo_frames
        self._p = (active + pseudo) / (frames[0] + 2 * pseudo)
