"""Speed and memory of the fused spherical cross-attention against the plain formula, at the report's size.

Run with: pytest tests/benchmarks/test_spherical_attention_benchmark.py --benchmark-enable
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from sai_bench_builtin.backbones.convnext_spherical.attention import SphericalCrossAttention
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig

CELLS, CHANNELS, TOKENS, FRAMES = 45 * 90, 192, 128, 5
FRAMES_TIMED = 51


def plain_formula(block, queries, features):
    """Project, softmax, project back for every encoder frame, then average: all heads and frames at once."""
    tokens = block.feature_norm(features)

    def heads(projection, x):
        return projection(x).unflatten(-1, (block.heads, -1)).movedim(-2, -3)

    q, k, v = (
        heads(block.query, block.query_norm(queries)),
        heads(block.key, tokens),
        heads(block.value, tokens),
    )
    weights = (q @ k.mT / block.head_width**0.5).softmax(-1)
    maps = block.output((weights @ v).movedim(-3, -2).flatten(-2))[0]  # [T, G, D]
    maps = F.avg_pool1d(maps.permute(1, 2, 0), FRAMES, FRAMES, FRAMES // 2, count_include_pad=False)
    maps = queries + maps.permute(2, 0, 1)
    return (maps + block.feed_forward(maps))[None]


@torch.inference_mode()
def test_fused_attention_is_at_least_3_times_faster_than_the_plain_formula(benchmark, best_seconds):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    block = SphericalCrossAttention(CHANNELS, TOKENS, 8, ConvNextSphericalConfig())
    queries, features = torch.randn(CELLS, 16), torch.randn(1, FRAMES_TIMED, TOKENS, CHANNELS)
    torch.testing.assert_close(
        block(queries, features, FRAMES), plain_formula(block, queries, features), rtol=1e-4, atol=1e-5
    )

    plain_s = best_seconds(lambda: plain_formula(block, queries, features))
    benchmark.pedantic(block, args=(queries, features, FRAMES), rounds=5)
    ours_s = best_seconds(lambda: block(queries, features, FRAMES))
    if benchmark.enabled:
        ours_s = benchmark.stats.stats.min

    ratio = plain_s / ours_s
    benchmark.extra_info["times_faster_than_the_plain_formula"] = round(ratio, 1)
    assert ratio > 3


FULL_SIZE = """
import resource, torch
from sai_bench_builtin.backbones.convnext_spherical.attention import SphericalCrossAttention
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig

torch.set_num_threads(1)
stages = [(192, 128), (384, 64), (768, 32)]
blocks = [SphericalCrossAttention(c, f, 1, ConvNextSphericalConfig()) for c, f in stages]
features = [torch.randn(1, 101, f, c) for c, f in stages]
queries = torch.randn(4050, 16)
with torch.inference_mode():
    blocks[2](queries, features[2][:, :1], 5)  # loads what any product needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sum(block(queries, x, 5) for block, x in zip(blocks, features))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_attention_of_a_segment_takes_less_than_a_fifth_of_the_memory_of_its_weights():
    weights_mib = 101 * 4 * CELLS * (128 + 64 + 32) * 4 / 2**20

    done = subprocess.run([sys.executable, "-c", FULL_SIZE], capture_output=True, text=True, check=True)

    assert float(done.stdout) < weights_mib / 5
