"""The log-mel spectrogram that priors share: fifty frames a second, microphones together."""

from __future__ import annotations

import numpy as np

from sai_bench.audio import resample
from sai_bench.sphere import FRAMES_PER_S, frame_count
from sai_bench_builtin.configs.prior import LogMelConfig

STFT_FRAMES_PER_LABEL_FRAME = 5


class LogMel:
    """Turns a waveform into log mel power; the config says how."""

    def __init__(self, config: LogMelConfig):
        self.config = config
        self._mel = None
        self._hop_samples = config.sample_rate_hz // (FRAMES_PER_S * STFT_FRAMES_PER_LABEL_FRAME)

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return the log mel power [5 N, bands] (natural logarithm, float64) of the microphones together.

        Row t is centred on (t + 1/2) * 20 ms, so that the rows of a label frame lie evenly within it; the
        recording is zero-padded to whole label frames.

        Args:
            waveform: [M, S] float32, full scale 1, at least one label frame.
            sample_rate_hz: its rate.
        """
        import torch

        rate = self.config.sample_rate_hz
        length = frame_count(waveform.shape[-1], sample_rate_hz) * (rate // FRAMES_PER_S)
        chosen = np.ascontiguousarray(self._chosen_channels(waveform), dtype=np.float32)
        samples = resample(chosen, sample_rate_hz, rate)[:, :length]
        before = (self.config.n_fft - self._hop_samples) // 2
        after = self.config.n_fft - self._hop_samples - before + length - samples.shape[1]
        samples = np.pad(samples, ((0, 0), (before, after)))
        with torch.inference_mode():
            power = self._mel_transform()(torch.from_numpy(samples)).mean(dim=0)
        return np.log(power.numpy().T.astype(np.float64) + self.config.power_floor)

    def levelled(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return the same, less the recording's mean if the config says so (`level_free`)."""
        log_mel = self(waveform, sample_rate_hz)
        return log_mel - log_mel.mean() if self.config.level_free else log_mel

    def _chosen_channels(self, waveform: np.ndarray) -> np.ndarray:
        microphones = len(waveform)
        used = min(microphones, self.config.max_channels)
        chosen = waveform[np.arange(used) * microphones // used]
        return chosen.mean(axis=0, keepdims=True) if self.config.channels == "mean" else chosen

    def _mel_transform(self):
        if self._mel is None:
            import torchaudio

            rate = self.config.sample_rate_hz
            self._mel = torchaudio.transforms.MelSpectrogram(
                sample_rate=rate,
                n_fft=self.config.n_fft,
                hop_length=self._hop_samples,
                f_min=self.config.f_min_hz,
                f_max=self.config.f_max_hz,
                n_mels=self.config.mel_bands,
                power=2.0,
                center=False,
            )
        return self._mel
