"""From a recording to one AudioMAE embedding for each window of the label timeline."""

from __future__ import annotations

import numpy as np
import torch

from sai_bench.audio import resample
from sai_bench.devices import torch_device, torch_dtype
from sai_bench.files import arrays_sha256
from sai_bench.network_state import seeded
from sai_bench.sphere import FRAMES_PER_S, frame_count
from sai_bench_builtin.configs.prior import AudioMaeConfig
from sai_bench_builtin.priors.audiomae.checkpoint import load_encoder
from sai_bench_builtin.priors.audiomae.encoder import AudioMaeEncoder
from sai_bench_builtin.priors.audiomae.filterbank import Filterbank, padded_and_normalised
from sai_bench_builtin.priors.audiomae.patch_grid import PATCH, SAMPLE_RATE_HZ

_SAMPLES_PER_LABEL_FRAME = SAMPLE_RATE_HZ // FRAMES_PER_S


class WindowEmbedding:
    """Microphone mean at 16 kHz, cut into abutting windows, through filterbank and frozen encoder.

    Attributes:
        encoder: on its device, in its precision.
        window_frames: label frames in a window; the last window of a recording has what is left.
        fingerprint: [32] uint8, differs between encoders: hash of all that decides about an embedding, with
            the weights in float32 whatever the precision. Half a second for ViT-B, once.
    """

    def __init__(self, config: AudioMaeConfig, encoder: AudioMaeEncoder):
        """Take an encoder of float32 weights and move it to the config's device and precision.

        Raises:
            DeviceError: there is no such device.
        """
        self.config = config
        self.window_frames = round(config.window_s * FRAMES_PER_S)
        self._filterbank = Filterbank()
        weights = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
        decisive = {**weights, "norm_after_pool": np.array(encoder.norm_after_pool)}
        self.fingerprint = np.frombuffer(bytes.fromhex(arrays_sha256(decisive)), np.uint8)
        self._dtype = torch_dtype(config.precision or "fp32")
        self._device = torch_device(config.device or "cpu", "system.prior.device or else inference.device")
        self.encoder = encoder.to(self._device, self._dtype)

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return the embeddings [windows, D] float32, windows = ceil(N / window_frames).

        Args:
            waveform: [M, S] float32, full scale 1.
            sample_rate_hz: its rate.
        """
        frames = frame_count(waveform.shape[1], sample_rate_hz)
        mono = self._mono(waveform, sample_rate_hz, frames * _SAMPLES_PER_LABEL_FRAME)
        size = self.window_frames * _SAMPLES_PER_LABEL_FRAME
        whole = len(mono) // size * size
        batches = [*mono[:whole].view(-1, size).split(self.config.batch_size)]
        if whole < len(mono):
            batches.append(mono[None, whole:])
        with torch.inference_mode():
            embeddings = [self.of_windows(batch) for batch in batches if len(batch)]
        return np.concatenate([np.empty((0, self.config.encoder_width), np.float32), *embeddings])

    def of_windows(self, samples: torch.Tensor) -> np.ndarray:
        """Return the embeddings [B, D] float32 of windows [B, S] at 16 kHz, S >= 400 (25 ms)."""
        log_mel = self._filterbank(samples)
        valid_rows = -(-log_mel.shape[1] // PATCH)
        spectrogram = padded_and_normalised(log_mel, self.config.pad_to_frames or valid_rows * PATCH)
        return self.encoder(spectrogram.to(self._device, self._dtype), valid_rows).cpu().numpy()

    def _mono(self, waveform: np.ndarray, sample_rate_hz: int, length: int) -> torch.Tensor:
        """Return the mean of the microphones [length] at 16 kHz, silence appended to whole label frames."""
        mean = waveform.mean(axis=0, keepdims=True, dtype=np.float32)
        samples = resample(mean, sample_rate_hz, SAMPLE_RATE_HZ)[0, :length]
        return torch.from_numpy(np.pad(samples, (0, length - len(samples))))


def frozen_encoder(config: AudioMaeConfig) -> AudioMaeEncoder:
    """Return the encoder of the config's file, or a random one, the same each time; float32, on the CPU.

    Raises:
        WeightsError: the file is no published AudioMAE encoder of the config's size.
    """
    size = config.encoder_width, config.encoder_depth, config.encoder_heads
    if config.encoder_weights is not None:
        return load_encoder(config.encoder_weights, *size)
    with seeded(0):
        return AudioMaeEncoder(*size).requires_grad_(False).eval()
