"""Training of `log_mel_cnn`: random crops of the training recordings, AdamW, binary cross entropy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from sai_bench.network_state import one_torch_thread, seeded
from sai_bench.sphere import CLASSES, FRAMES_PER_S
from sai_bench_builtin.configs.prior import LogMelCnnConfig
from sai_bench_builtin.priors.log_mel import STFT_FRAMES_PER_LABEL_FRAME
from sai_bench_builtin.priors.log_mel_cnn.network import LogMelNetwork


def fitted_network(
    recordings: Sequence[tuple[np.ndarray, np.ndarray]], config: LogMelCnnConfig, seed: int
) -> LogMelNetwork:
    """Return a trained network in evaluation mode.

    Recordings come up in proportion to their length. Where a crop reaches beyond the end it is filled with
    the mean spectrum, and those frames have no loss. One thread, so that the weights do not depend on how
    many there are.

    Args:
        recordings: (log mel [5 N, bands] float32, activity [K, N] bool) each, N >= 1.
        config: size and training.
        seed: of weights, crops and dropout.
    """
    with seeded(seed), one_torch_thread():
        network = LogMelNetwork(config)
        _standardise(network, [log_mel for log_mel, _ in recordings])
        # The bias starts at the classes' frequencies.
        active = sum(activity.sum(axis=1) for _, activity in recordings)
        frames = sum(activity.shape[1] for _, activity in recordings)
        odds = torch.from_numpy((active + 0.5) / (frames - active + 0.5))
        with torch.no_grad():
            network.output.bias.copy_(odds.log())
        _train(network, _Crops(recordings, config, network.mean.numpy(), seed), config)
    return network.eval()


def _standardise(network: LogMelNetwork, spectrograms: Sequence[np.ndarray]) -> None:
    """Set mean and deviation of each band."""
    rows = sum(map(len, spectrograms))
    mean = sum(s.sum(axis=0, dtype=np.float64) for s in spectrograms) / rows
    square = sum(np.square(s - mean).sum(axis=0) for s in spectrograms) / rows
    network.mean.copy_(torch.from_numpy(mean))
    network.deviation.copy_(torch.from_numpy(np.sqrt(square)).clamp(min=1e-3))


def _train(network: LogMelNetwork, crops: _Crops, config: LogMelCnnConfig) -> None:
    network.train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for _ in range(config.steps):
        log_mel, activity, valid = crops.batch()
        loss = nn.functional.binary_cross_entropy_with_logits(network(log_mel), activity, reduction="none")
        optimizer.zero_grad()
        ((loss * valid).sum() / (valid.sum() * CLASSES)).backward()
        optimizer.step()
        schedule.step()


class _Crops:
    """Random pieces of equal length."""

    def __init__(self, recordings, config: LogMelCnnConfig, filling: np.ndarray, seed: int):
        self._recordings = recordings
        self._filling = filling
        self._size = config.batch_size
        lengths = np.array([activity.shape[1] for _, activity in recordings])
        self._frames = round(config.crop_s * FRAMES_PER_S)
        self._share = lengths / lengths.sum()
        self._random = np.random.default_rng(seed)

    def batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return log mel [B, 5 n, bands], activity [B, K, n], whether frames exist [B, 1, n]; all floats."""
        frames, steps = self._frames, STFT_FRAMES_PER_LABEL_FRAME
        log_mel = np.empty((self._size, frames * steps, len(self._filling)), np.float32)
        log_mel[:] = self._filling
        activity = np.zeros((self._size, CLASSES, frames), np.float32)
        valid = np.zeros((self._size, 1, frames), np.float32)
        chosen = self._random.choice(len(self._recordings), self._size, p=self._share)
        for row, index in enumerate(chosen):
            spectrogram, active = self._recordings[index]
            length = active.shape[1]
            start = self._random.integers(max(0, length - frames) + 1)
            count = min(frames, length)
            log_mel[row, : count * steps] = spectrogram[start * steps : (start + count) * steps]
            activity[row, :, :count] = active[:, start : start + count]
            valid[row, :, :count] = 1
        return torch.from_numpy(log_mel), torch.from_numpy(activity), torch.from_numpy(valid)
