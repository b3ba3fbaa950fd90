"""The prior `log_mel_cnn`: class activity of each label frame from the spectrogram around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sai_bench.errors import DatasetError, WeightsError
from sai_bench.interfaces import Example, Prior
from sai_bench.sphere import CLASSES
from sai_bench_builtin.configs.prior import LogMelCnnConfig
from sai_bench_builtin.priors.log_mel import STFT_FRAMES_PER_LABEL_FRAME, LogMel

if TYPE_CHECKING:
    import torch


class LogMelCnn(Prior):
    """Multi-label class activity by a small convolutional network; classes are independent."""

    needs_fit: ClassVar[bool] = True

    def __init__(self, config: LogMelCnnConfig):
        self.config = config
        self._log_mel = LogMel(config)
        self._network = None

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return p [K, N] float32 in [0, 1].

        Args:
            waveform: [M, S] float32, full scale 1.
            sample_rate_hz: its rate; resampled if it is not the config's.

        Raises:
            WeightsError: neither fitted nor loaded.
        """
        if self._network is None:
            raise WeightsError(
                "prior 'log_mel_cnn' has no weights. Fit it on labelled recordings (sai-bench train) or load "
                "a fitted one before predicting."
            )
        import torch

        log_mel = self._spectrogram(waveform, sample_rate_hz)
        if not len(log_mel):
            return np.empty((CLASSES, 0), np.float32)
        with torch.inference_mode():
            return self._network(torch.from_numpy(log_mel)[None])[0].sigmoid().numpy()

    def fit(self, examples: Iterable[Example], seed: int) -> dict[str, np.ndarray]:
        """Learn from labelled recordings; of the waveforms only the spectrograms are kept (13 kB a second).

        Args:
            examples: recordings with activity [K, N]; N may differ from the audio by a frame, the shorter
                counts.
            seed: of weights, crops and dropout.

        Returns:
            weights for `load_weights`: the network's state.

        Raises:
            DatasetError: there is no labelled frame.
        """
        from sai_bench.network_state import arrays_of
        from sai_bench_builtin.priors.log_mel_cnn.training import fitted_network

        recordings = [recording for e in examples if len((recording := self._labelled(e))[0])]
        if not recordings:
            raise DatasetError(
                "prior 'log_mel_cnn': no labelled frame to learn from. Expected recordings with labels in "
                "the training split."
            )
        self._network = fitted_network(recordings, self.config, seed)
        return arrays_of(self._network)

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take what `fit` returned.

        Raises:
            WeightsError: an array is missing, left over, has another shape, or is not finite.
        """
        from sai_bench.network_state import load_arrays

        network = self._random_network()
        load_arrays(network, weights, "prior 'log_mel_cnn'")
        self._network = network

    def take_random_weights(self) -> bool:
        """Take a random network."""
        self._network = self._random_network()
        return True

    def _random_network(self) -> torch.nn.Module:
        from sai_bench.network_state import seeded
        from sai_bench_builtin.priors.log_mel_cnn.network import LogMelNetwork

        with seeded(0):
            return LogMelNetwork(self.config).eval()

    def networks(self) -> dict[str, torch.nn.Module]:
        """Return the network, if there is one."""
        return {} if self._network is None else {"network": self._network}

    def _spectrogram(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return the log mel power [5 N, bands] float32."""
        if not waveform.shape[-1]:
            return np.empty((0, self.config.mel_bands), np.float32)
        return self._log_mel.levelled(waveform, sample_rate_hz).astype(np.float32)

    def _labelled(self, example: Example) -> tuple[np.ndarray, np.ndarray]:
        """Return log mel [5 n, bands] and activity [K, n] of the frames that have both."""
        log_mel = self._spectrogram(example.waveform, example.sample_rate_hz)
        frames = min(len(log_mel) // STFT_FRAMES_PER_LABEL_FRAME, example.activity.shape[1])
        active = np.asarray(example.activity, dtype=bool)[:, :frames]
        return log_mel[: frames * STFT_FRAMES_PER_LABEL_FRAME], active
