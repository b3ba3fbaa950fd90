"""The AudioMAE prior of the report (section 2.3): frozen encoder, trained head, windows of two seconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sai_bench.errors import DatasetError, WeightsError
from sai_bench.interfaces import Example, Prior
from sai_bench.sphere import frame_count
from sai_bench_builtin.configs.prior import AudioMaeConfig

if TYPE_CHECKING:
    import torch

_FINGERPRINT = "encoder_fingerprint"


class AudioMae(Prior):
    """p(c, t) = what the head says of the window that frame t lies in.

    The recording is cut into abutting windows on the label timeline; the last one ends with the recording.
    Only the head is fitted: to the classes that are labelled anywhere in a window.
    """

    needs_fit: ClassVar[bool] = True

    def __init__(self, config: AudioMaeConfig):
        """Load the encoder.

        Raises:
            WeightsError: `encoder_weights` is no published AudioMAE encoder of the config's size.
            DeviceError: there is no such device.
        """
        from sai_bench_builtin.priors.audiomae.embedding import WindowEmbedding, frozen_encoder
        from sai_bench_builtin.priors.audiomae.head import new_head

        self.config = config
        self._embedding = WindowEmbedding(config, frozen_encoder(config))
        self._head = new_head(config, seed=0) if config.head == "random" else None

    @classmethod
    def needs_fit_with(cls, config: AudioMaeConfig) -> bool:
        """Return whether the config asks for a fitted head."""
        return config.head == "fitted"

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return p [K, N] float32 in [0, 1], the same in all frames of a window.

        Args:
            waveform: [M, S] float32, full scale 1; microphones are averaged.
            sample_rate_hz: its rate; resampled to 16 kHz.

        Raises:
            WeightsError: neither fitted nor loaded.
        """
        if self._head is None:
            raise WeightsError(
                "prior 'audiomae' has no head. Fit it on labelled recordings (sai-bench train) or load a "
                "fitted one before predicting; head: random does without, for timing only."
            )
        p = self._head.probabilities(self._embedding(waveform, sample_rate_hz))
        frames = frame_count(waveform.shape[1], sample_rate_hz)
        return np.repeat(p.T, self._embedding.window_frames, axis=1)[:, :frames]

    def fit(self, examples: Collection[Example], seed: int) -> dict[str, np.ndarray]:
        """Train the head on the embeddings of all windows, which are computed once.

        Args:
            examples: recordings with activity [K, N]; N may differ from the audio by a frame, the shorter
                counts.
            seed: of the head's first weights and the order of the windows.

        Returns:
            weights for `load_weights`: the head's, and a fingerprint of the encoder they belong to.

        Raises:
            DatasetError: there is no labelled window.
        """
        from sai_bench.network_state import arrays_of
        from sai_bench_builtin.priors.audiomae.head import fitted_head

        embeddings, targets = self._collect(examples)
        self._head = fitted_head(embeddings, targets, self.config, seed)
        return {**arrays_of(self._head), _FINGERPRINT: self._embedding.fingerprint.copy()}

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take what `fit` returned.

        Raises:
            WeightsError: an array does not fit, or the head was fitted with another encoder.
        """
        from sai_bench.network_state import load_arrays
        from sai_bench_builtin.priors.audiomae.head import new_head

        rest = dict(weights)
        if not np.array_equal(rest.pop(_FINGERPRINT, None), self._embedding.fingerprint):
            raise WeightsError(
                "prior 'audiomae': this head was fitted with another encoder. Fit it again with this one, or "
                "set encoder_weights to the file that it was fitted with."
            )
        head = new_head(self.config, seed=0)
        load_arrays(head, rest, "prior 'audiomae'")
        self._head = head

    def take_random_weights(self) -> bool:
        """Take a random head."""
        from sai_bench_builtin.priors.audiomae.head import new_head

        self._head = new_head(self.config, seed=0)
        return True

    def networks(self) -> dict[str, torch.nn.Module]:
        """Return the encoder, and the head if there is one."""
        head = {} if self._head is None else {"head": self._head}
        return {"encoder": self._embedding.encoder, **head}

    def notes(self) -> list[str]:
        """Return what of the network is random."""
        notes = []
        if self.config.encoder_weights is None:
            notes.append(
                "THE ENCODER IS RANDOM, no encoder_weights are given. Its scores say nothing about AudioMAE; "
                "only timings count."
            )
        if self.config.head == "random":
            notes.append("THE HEAD IS RANDOM, class activities are noise. Only timings count.")
        return notes

    def _collect(self, examples: Collection[Example]) -> tuple[np.ndarray, np.ndarray]:
        """Return the embeddings [n, D] float32 and activities [n, K] bool of all labelled windows."""
        embeddings, targets = [], []
        for example in examples:
            rows = self._embedding(example.waveform, example.sample_rate_hz)
            size = self._embedding.window_frames
            frames = frame_count(example.waveform.shape[1], example.sample_rate_hz)
            active = np.asarray(example.activity, dtype=bool)[:, :frames]
            starts = np.arange(0, active.shape[1], size)
            embeddings.append(rows[: len(starts)])
            targets += [active[:, start : start + size].any(axis=1) for start in starts]
        if not targets:
            raise DatasetError(
                "prior 'audiomae': no labelled window to learn from. Expected recordings with labels in the "
                "training split."
            )
        return np.concatenate(embeddings), np.stack(targets)
