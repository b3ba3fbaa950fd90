"""Speed of `steered_power` against pyroomacoustics' SRP-PHAT, frame by frame on the same grid.

Run with: pytest tests/benchmarks/test_steered_power_benchmark.py --benchmark-enable
"""

from __future__ import annotations

import numpy as np
import pyroomacoustics
import torch

from sai_bench.sphere import grid_directions, mic_array
from sai_bench_builtin.backbones.steered_power import SteeredPower
from sai_bench_builtin.configs.backbone import SteeredPowerConfig
from sai_bench_builtin.configs.front_end import StftConfig
from sai_bench_builtin.front_ends.stft import Stft

SECONDS = 20
FRAMES_TIMED = 3


def test_steered_power_of_20_s_is_at_least_20_times_faster_than_pyroomacoustics(benchmark, best_seconds):
    torch.set_num_threads(1)
    array, front_end, config = mic_array("open"), StftConfig(), SteeredPowerConfig()
    noise = torch.randn(1, 4, SECONDS * front_end.sample_rate_hz, generator=torch.Generator().manual_seed(0))
    features = Stft(front_end)(noise)
    backbone = SteeredPower(config, front_end.output())
    backbone(features, array)  # the table of phases is made once per array

    reference_s = best_seconds(_pyroomacoustics(features[0].numpy(), array, front_end, config))
    benchmark.pedantic(backbone, args=(features, array), rounds=5)
    ours_s = best_seconds(lambda: backbone(features, array))
    if benchmark.enabled:
        ours_s = benchmark.stats.stats.min

    ratio = reference_s * SECONDS * 10 / FRAMES_TIMED / ours_s
    benchmark.extra_info["times_faster_than_pyroomacoustics"] = round(ratio, 1)
    assert ratio > 20


def _pyroomacoustics(spectra, array, front_end, config):
    """Return a function that does FRAMES_TIMED label frames the usual way."""
    azimuth, elevation = grid_directions(config.grid_height, config.grid_width)
    reference = pyroomacoustics.doa.SRP(
        array.positions_m.T,
        fs=front_end.sample_rate_hz,
        nfft=front_end.n_fft,
        dim=3,
        azimuth=np.radians(azimuth),
        colatitude=np.radians(90 - elevation),
    )
    frames = spectra.transpose(0, 2, 1)  # [M, F, T]
    bins = config.bins(front_end.output())
    return lambda: [
        reference.locate_sources(frames[:, :, 5 * n : 5 * n + 5], freq_bins=bins) for n in range(FRAMES_TIMED)
    ]
