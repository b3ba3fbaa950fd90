"""`LevelStatistics` of `steered_masks`: what is heard, against a plain formula, and what it changes."""

from __future__ import annotations

import numpy as np
import torch

from sai_bench.interfaces import FeatureSpec
from sai_bench.sphere import mic_array
from sai_bench_builtin.backbones.steered_masks import SteeredMasks
from sai_bench_builtin.backbones.steered_masks.encoder import LevelStatistics
from sai_bench_builtin.configs.steered_masks import SteeredMasksConfig

FEATURES = FeatureSpec("complex_spectrum", sample_rate_hz=24000, n_fft=512, hop_samples=480, bins=257)
SMALL = {"grid_height": 18, "grid_width": 36, "embedding_channels": 8, "masks": 3, "context_channels": 8}


def built(**keys):
    torch.manual_seed(0)
    return SteeredMasks(SteeredMasksConfig(**SMALL, **keys), FEATURES).eval()


def spectra(microphones=4, frames=10, batch=1):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, microphones, frames, 257, generator=generator, dtype=torch.complex64)


def plain_statistics(x, hops, reach):
    """Mean and deviation of levels [F] and the loudness around each label frame of spectra [M, T, F]."""
    levels = 0.25 * np.log(np.mean(np.abs(x) ** 2, axis=0) + 1e-6)  # [T, F]
    frames = []
    for frame in range(len(levels) // hops):
        near = levels[max(0, frame - reach) * hops : (frame + reach + 1) * hops]
        loudness = near.mean(1, keepdims=True)
        deviation = np.sqrt(np.var(near - loudness, axis=0) + 1e-4)
        frames.append(np.concatenate([(near - loudness).mean(0), deviation, [loudness.mean()]]))
    return np.array(frames)


def test_level_statistics_are_mean_deviation_and_loudness_around_each_label_frame():
    x = spectra(microphones=3, frames=35, batch=2)
    x[:, :, 10:] *= 20  # the level changes on the way
    statistics = LevelStatistics(bins=257, hops_per_frame=5, reaches=(0, 2))

    found = statistics(x)

    assert found.shape == (2, 7, statistics.size)
    for segment in range(2):
        plain = x[segment].to(torch.complex128).numpy()
        expected = np.concatenate([plain_statistics(plain, 5, 0), plain_statistics(plain, 5, 2)], axis=1)
        assert np.abs(found[segment].numpy() - expected).max() < 1e-3


def test_level_statistics_tell_loudness_apart_from_colour_and_keep_float32_under_autocast():
    x = spectra(frames=20)
    statistics = LevelStatistics(257, 5, (1,))
    quiet, loud = statistics(x), statistics(10 * x)

    assert torch.allclose(loud[..., :-1], quiet[..., :-1], atol=2e-3)
    assert torch.allclose(loud[..., -1] - quiet[..., -1], torch.tensor(0.5 * np.log(10.0)).float(), atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(statistics(x), quiet)


@torch.no_grad()
def test_level_statistics_change_masks_and_embedding_and_can_be_left_out():
    x, array = spectra(frames=50), mic_array("open")
    backbone = built(statistics_frames=(2,))
    before = backbone(x, array)
    backbone.encoder.from_statistics.weight.zero_()
    change = (backbone(x, array) - before).abs()
    assert change[:, :, :-13].max() > 1e-3
    assert change[:, :, -13:].max() > 1e-6  # maps of the classes' masks

    without = built(statistics_frames=())
    assert without.encoder.statistics is None
    assert without(x, array).shape == before.shape
    assert not any("statistics" in name for name in without.state_dict())
