"""Speed and memory of the fused spherical cross-attention against the plain formula, at the report's size.

Run with: pytest tests/benchmarks/test_spherical_attention_benchmark.py --benchmark-enable -m ""
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from sai_bench.memory_peak import memory_peak_bytes
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


def assert_equals_plain_formula(block, queries, features):
    expected = plain_formula(block, queries, features)
    torch.testing.assert_close(block(queries, features, FRAMES), expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_fused_attention_is_at_least_3_times_faster_than_the_plain_formula(benchmark, best_seconds):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    block = SphericalCrossAttention(CHANNELS, TOKENS, 8, ConvNextSphericalConfig())
    queries, features = torch.randn(CELLS, 16), torch.randn(1, FRAMES_TIMED, TOKENS, CHANNELS)
    assert_equals_plain_formula(block, queries, features)

    plain_s = best_seconds(lambda: plain_formula(block, queries, features))
    benchmark.pedantic(block, args=(queries, features, FRAMES), rounds=5)
    ours_s = best_seconds(lambda: block(queries, features, FRAMES))
    if benchmark.enabled:
        ours_s = benchmark.stats.stats.min

    ratio = plain_s / ours_s
    benchmark.extra_info["times_faster_than_the_plain_formula"] = round(ratio, 1)
    block.query.weight *= 100  # logits beyond the bound of the fast path
    assert_equals_plain_formula(block, queries, features)
    softmax_s = best_seconds(lambda: block(queries, features, FRAMES))
    benchmark.extra_info["times_faster_with_large_logits"] = round(plain_s / softmax_s, 1)
    assert ratio > 3


STAGES = ((192, 128), (384, 64), (768, 32))
"""Channels and frequency tokens of the encoder's stages."""


def added_mib(name):
    """Return by how much the attention of a segment raises the peak of memory of this (fresh) process."""
    torch.set_num_threads(1)
    blocks = [SphericalCrossAttention(c, f, 1, ConvNextSphericalConfig()) for c, f in STAGES]
    features = [torch.randn(1, 101, f, c) for c, f in STAGES]
    queries = torch.randn(CELLS, 16)

    def attend(block, x):
        return block(queries, x, FRAMES) if name == "fused" else plain_formula(block, queries, x)

    with torch.inference_mode():
        attend(blocks[2], features[2][:, :FRAMES])  # loads what any product needs
        before = memory_peak_bytes()
        sum(attend(block, x) for block, x in zip(blocks, features, strict=True))
    return (memory_peak_bytes() - before) / 2**20


def added_mib_of_fresh_process(name):
    program = "import runpy, sys; print(runpy.run_path(sys.argv[1])['added_mib'](sys.argv[2]))"
    command = [sys.executable, "-c", program, __file__, name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(memory_peak_bytes() is None, reason="only Linux tells a process its peak")
def test_attention_of_a_segment_takes_less_than_a_fifth_of_the_memory_of_the_plain_formula(benchmark):
    fused = benchmark.pedantic(added_mib_of_fresh_process, args=("fused",), rounds=1)
    plain = added_mib_of_fresh_process("plain")

    benchmark.extra_info["added_mib"] = round(fused)
    benchmark.extra_info["added_mib_of_the_plain_formula"] = round(plain)
    assert 0 < fused < plain / 5
