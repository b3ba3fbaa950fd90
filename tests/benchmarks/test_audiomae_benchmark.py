"""Speed of an AudioMAE window at full size with cropped positions, against the official 1024-frame padding.

CPU time of one thread, so that other work on the machine does not disturb the ratio.

Run with: pytest tests/benchmarks/test_audiomae_benchmark.py --benchmark-enable -m slow
"""

from __future__ import annotations

import time

import pytest
import torch

from sai_bench_builtin.configs.prior import AudioMaeConfig
from sai_bench_builtin.priors.audiomae.embedding import WindowEmbedding, frozen_encoder

WINDOWS = 8


def least_cpu_seconds(call, times=3):
    def once():
        begun = time.process_time()
        call()
        return time.process_time() - begun

    return min(once() for _ in range(times))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_window_is_at_least_5_times_faster_than_with_official_padding(benchmark, precision):
    torch.set_num_threads(1)
    samples = 0.1 * torch.randn(WINDOWS, 32_000, generator=torch.Generator().manual_seed(0))
    config = AudioMaeConfig(precision=precision)
    embedding = WindowEmbedding(config, frozen_encoder(config))
    with torch.inference_mode():
        benchmark.pedantic(embedding.of_windows, args=(samples,), warmup_rounds=1)
        ours_s = least_cpu_seconds(lambda: embedding.of_windows(samples))
        embedding.config = AudioMaeConfig(precision=precision, pad_to_frames=1024)
        official_s = least_cpu_seconds(lambda: embedding.of_windows(samples))
    benchmark.extra_info["ms_per_window"] = round(1000 * ours_s / WINDOWS, 1)
    benchmark.extra_info["ms_per_window_with_official_padding"] = round(1000 * official_s / WINDOWS, 1)
    benchmark.extra_info["times_faster_than_official_padding"] = round(official_s / ours_s, 2)
    assert official_s > 5 * ours_s
