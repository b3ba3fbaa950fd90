"""A prior that learns in seconds: logistic regression on pooled log-mel statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
from scipy.special import expit

from sai_bench.errors import DatasetError, WeightsError
from sai_bench.interfaces import Example, Prior
from sai_bench.sphere import CLASSES
from sai_bench_builtin.configs.prior import LogMelLinearConfig
from sai_bench_builtin.priors.log_mel_features import LogMelStatistics
from sai_bench_builtin.priors.logistic_regression import fit_logistic_regression


class LogMelLinear(Prior):
    """Multi-label class activity: p(c, t) = sigmoid(w_c . features(t) + b_c).

    The features (`LogMelStatistics`) are standardised with the mean and standard deviation of the training
    frames. Classes are independent: several may be active at once.
    """

    needs_fit: ClassVar[bool] = True

    def __init__(self, config: LogMelLinearConfig):
        self.config = config
        self._features = LogMelStatistics(config)
        self._weights: dict[str, np.ndarray] | None = None

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return p [K, N] float32 in [0, 1].

        Args:
            waveform: [M, S] float32, full scale 1.
            sample_rate_hz: its rate; resampled if it is not the config's.

        Raises:
            WeightsError: neither fitted nor loaded.
        """
        if self._weights is None:
            raise WeightsError(
                "prior 'log_mel_linear' has no weights. Fit it on labelled recordings "
                "(sai-bench train) or load a fitted one before predicting."
            )
        weights = self._weights
        features = self._features(waveform, sample_rate_hz)
        standard = (features - weights["feature_mean"]) / weights["feature_scale"]
        logits = weights["coefficients"] @ standard.T + weights["intercept"][:, None]
        return expit(logits).astype(np.float32)

    def fit(self, examples: Iterable[Example], seed: int) -> dict[str, np.ndarray]:
        """Learn from labelled recordings; the waveforms are let go one by one, only features are kept.

        Args:
            examples: recordings with activity [K, N]; N may differ from the audio by a frame, the shorter
                counts.
            seed: not used, nothing here is random.

        Returns:
            weights for `load_weights`: `feature_mean` [D], `feature_scale` [D], `coefficients` [K, D],
            `intercept` [K], `positive_frames` [K], `frames` [1], all float64.

        Raises:
            DatasetError: there is no labelled frame.
        """
        features, targets = self._collect(examples)
        mean, scale = features.mean(axis=0), features.std(axis=0)
        scale[scale < 1e-6] = 1.0
        features = (features - mean) / scale
        coefficients, intercept = fit_logistic_regression(
            features, targets, self.config.l2, self.config.class_balance, self.config.iterations
        )
        weights = {
            "feature_mean": mean,
            "feature_scale": scale,
            "coefficients": coefficients,
            "intercept": intercept,
            "positive_frames": targets.sum(axis=0).astype(float),
            "frames": np.array([float(len(targets))]),
        }
        self.load_weights(weights)
        return weights

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take what `fit` returned.

        Raises:
            WeightsError: an array is missing, has another shape, or is not finite.
        """
        size = self._features.size
        shapes = {
            "feature_mean": (size,),
            "feature_scale": (size,),
            "coefficients": (CLASSES, size),
            "intercept": (CLASSES,),
            "positive_frames": (CLASSES,),
            "frames": (1,),
        }
        checked = {}
        for name, shape in shapes.items():
            array = np.asarray(weights[name], dtype=float) if name in weights else None
            if array is None or array.shape != shape or not np.isfinite(array).all():
                got = "nothing" if array is None else f"shape {array.shape}"
                if array is not None and array.shape == shape:
                    got = "NaN or infinite values"
                raise WeightsError(
                    f"prior 'log_mel_linear': weights array '{name}': expected finite {shape}, got {got}. "
                    "Fit the prior again with this config, or use the config that it was fitted with."
                )
            checked[name] = array
        self._weights = checked

    def _collect(self, examples: Iterable[Example]) -> tuple[np.ndarray, np.ndarray]:
        """Return the features [n, D] float64 and activities [n, K] bool of the frames to learn from."""
        features, targets = [], []
        for example in examples:
            rows = self._features(example.waveform, example.sample_rate_hz)
            frames = slice(0, min(len(rows), example.activity.shape[1]), self.config.fit_frame_step)
            features.append(rows[frames])
            targets.append(np.asarray(example.activity, dtype=bool).T[frames])
        if not sum(map(len, features)):
            raise DatasetError(
                "prior 'log_mel_linear': no labelled frame to learn from. Expected recordings with labels "
                "in the training split."
            )
        return np.concatenate(features).astype(np.float64), np.concatenate(targets)
