"""Speed of `mask_queries` at full size: folded attention, and masks made only for chosen candidates.

Run with: pytest tests/benchmarks/test_mask_queries_benchmark.py --benchmark-enable
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sai_bench.interfaces import SphereSpec
from sai_bench_builtin.configs.decoder import MaskQueriesConfig
from sai_bench_builtin.decoders.mask_queries.attention import CellAttention, aligned, masked_attention_bias
from sai_bench_builtin.decoders.mask_queries.decoder import MaskQueries

CELLS = 45 * 90


@pytest.fixture
def label_frames(benchmark):
    """Label frames of 2 s, or few if nothing is timed."""
    return 2 if benchmark.disabled else 21


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@torch.inference_mode()
def test_folded_masked_attention_is_at_least_3_times_faster_than_multihead_attention(
    benchmark, best_seconds, label_frames
):
    folded = CellAttention(256, heads=4, cell_channels=16, position_channels=15)
    plain = nn.MultiheadAttention(256, 4, kdim=31, vdim=16, batch_first=True)
    queries, cells = torch.randn(label_frames, 16, 256), torch.randn(label_frames, CELLS, 31)
    mask_logits = torch.randn(label_frames, 16, CELLS)
    blocked = (mask_logits < 0).repeat_interleave(4, dim=0)
    memory = aligned(cells)

    def ours():
        return folded(queries, memory, masked_attention_bias(mask_logits))

    def theirs():
        return plain(queries, cells, cells[..., :16], attn_mask=blocked, need_weights=False)

    ours_s = _timed(benchmark, best_seconds, ours)
    ratio = best_seconds(theirs) / ours_s

    benchmark.extra_info["times_faster_than_multihead_attention"] = round(ratio, 1)
    assert ratio > 3


@torch.inference_mode()
@pytest.mark.parametrize(("kept", "least_ratio"), [(1, 8), (2, 5), (3, 3), (6, 2)])
def test_masks_of_kept_candidates_take_a_share_of_the_time_of_all_16(
    benchmark, best_seconds, label_frames, kept, least_ratio
):
    """6 a frame are as many as the export takes; one batch of everything is what a plain module would do."""
    decoder = MaskQueries(MaskQueriesConfig(layers=1), SphereSpec("embedding", 16, 45, 90))
    candidates = decoder(torch.randn(1, label_frames, 16, 45, 90))

    def first(queries):
        return torch.cartesian_prod(torch.arange(1), torch.arange(label_frames), torch.arange(queries))

    kept_s = _timed(benchmark, best_seconds, lambda: candidates.masks(first(kept)))
    all_s = best_seconds(lambda: candidates.masks(first(16)))
    one_batch_s = best_seconds(lambda: candidates.mask_levels(first(16))[-1].sigmoid())

    benchmark.extra_info["times_faster_than_all_16"] = round(all_s / kept_s, 1)
    benchmark.extra_info["times_faster_than_all_16_in_one_batch"] = round(one_batch_s / kept_s, 1)
    assert all_s > least_ratio * kept_s
    if benchmark.enabled:
        assert one_batch_s > 5 * kept_s


def _timed(benchmark, best_seconds, call):
    """Return the least seconds that a call takes, after a first one."""
    benchmark.pedantic(call, rounds=5, warmup_rounds=1)
    seconds = best_seconds(call)
    return benchmark.stats.stats.min if benchmark.enabled else seconds
