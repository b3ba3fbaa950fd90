"""The fused spherical cross-attention against the plain formula, written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sai_bench_builtin.backbones.convnext_spherical import attention as attention_module
from sai_bench_builtin.backbones.convnext_spherical.attention import SphericalCrossAttention
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig

CELLS, CHANNELS, TOKENS, FRAMES = 15, 12, 7, 5


def block(dtype=torch.float32, **keys):
    config = ConvNextSphericalConfig(
        **{"embedding_channels": 6, "attention_heads": 3, "head_width": 4, "feed_forward_width": 10, **keys}
    )
    torch.manual_seed(0)
    made = SphericalCrossAttention(CHANNELS, TOKENS, 8, config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return made.to(dtype)


def inputs(frames=23, dtype=torch.float32, batch=2):
    random = torch.Generator().manual_seed(1)
    queries = torch.randn(CELLS, 6, generator=random, dtype=dtype)
    return queries, torch.randn(batch, frames, TOKENS, CHANNELS, generator=random, dtype=dtype)


def plain_maps(block, queries, features):
    """What attention says for every encoder frame, [B, T, G, D]: one head after the other, nothing fused."""
    tokens = block.feature_norm(features)
    if block.frequency_encoding is not None:
        tokens = tokens + block.frequency_encoding
    width = block.head_width
    heads = []
    for head in range(block.heads):
        rows = slice(head * width, (head + 1) * width)
        q = F.linear(block.query_norm(queries), block.query.weight[rows])
        k = F.linear(tokens, block.key.weight[rows])
        v = F.linear(tokens, block.value.weight[rows])
        weights = torch.softmax(torch.einsum("ge,btfe->btgf", q, k) / width**0.5, dim=-1)
        heads.append(torch.einsum("btgf,btfe->btge", weights, v))
    return block.output(torch.cat(heads, dim=-1))


def pooled(maps, frames):
    """Mean over encoder frames [B, T, G, D] -> [B, N, G, D], by PyTorch's own pooling."""
    batch, _, cells, width = maps.shape
    flat = maps.permute(0, 2, 3, 1).reshape(batch, cells * width, -1)
    flat = F.avg_pool1d(flat, frames, frames, frames // 2, count_include_pad=False)
    return flat.reshape(batch, cells, width, -1).permute(0, 3, 1, 2)


def plain(block, queries, features, frames):
    maps = queries + pooled(plain_maps(block, queries, features), frames)
    return maps if block.feed_forward is None else maps + block.feed_forward(maps)


def relative_error(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("limit", [0.0, float("inf")], ids=["softmax", "plain exponentials"])
@pytest.mark.parametrize("frames", [1, FRAMES])
def test_both_ways_to_exponentials_equal_the_plain_formula(monkeypatch, limit, frames):
    monkeypatch.setattr(attention_module, "_SMALL_LOGIT", limit)
    made = block(dtype=torch.float64)
    queries, features = inputs(dtype=torch.float64)
    with torch.no_grad():
        found = made(queries, features, frames)
        assert relative_error(found, plain(made, queries, features, frames)) < 1e-12


def test_large_logits_take_the_way_that_cannot_overflow():
    queries, keys = torch.full((2, 3), 30.0), torch.full((1, 4, 2), 30.0)
    values = torch.arange(8.0).reshape(1, 2, 4)
    maps = attention_module._SoftmaxAttention.apply(queries, keys, values, 2)
    torch.testing.assert_close(maps[0, :, 0], torch.tensor([3.0, 11.0]))


@pytest.mark.parametrize("frames", [1, FRAMES])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"attention_layer_norm": False},
        {"feed_forward_width": 0},
        {"head_width": 9, "attention_heads": 1},
        {"frequency_encoding": "sinusoidal"},
        {"frequency_encoding": "learned"},
    ],
    ids=str,
)
def test_fused_attention_equals_the_plain_formula(keys, frames):
    made = block(**keys)
    queries, features = inputs()

    with torch.inference_mode():
        found, expected = made(queries, features, frames), plain(made, queries, features, frames)

    assert found.shape == (2, -(-23 // frames), CELLS, 6)
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("limit_bytes", [1, 700, 5000, 10**9])
def test_result_does_not_depend_on_how_much_is_held_at_a_time(limit_bytes, monkeypatch):
    made = block()
    queries, features = inputs()
    monkeypatch.setattr(attention_module, "_CPU_BYTES", limit_bytes)

    with torch.inference_mode():
        found = made(queries, features, FRAMES)

        assert relative_error(found, plain(made, queries, features, FRAMES)) < 1e-5


@pytest.mark.parametrize("magnitude", [1e-3, 1e3])
def test_logits_of_any_size_give_finite_maps(magnitude):
    made = block(attention_layer_norm=False)
    queries, features = inputs()

    with torch.inference_mode():
        found = made(magnitude * queries, features, FRAMES)

        assert found.isfinite().all()
        assert relative_error(found, plain(made, magnitude * queries, features, FRAMES)) < 1e-4


@pytest.mark.parametrize("limit_bytes", [1, 3000, 10**9])
def test_gradients_equal_those_of_the_plain_formula(limit_bytes, monkeypatch):
    monkeypatch.setattr(attention_module, "_CPU_BYTES", limit_bytes)
    made = block(torch.float64, frequency_encoding="learned")
    queries, features = (x.requires_grad_() for x in inputs(dtype=torch.float64))
    weighting = torch.randn(2, 5, CELLS, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    parameters = [queries, features, *made.parameters()]

    found = torch.autograd.grad((made(queries, features, FRAMES) * weighting).sum(), parameters)
    expected = torch.autograd.grad((plain(made, queries, features, FRAMES) * weighting).sum(), parameters)

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("by", ["weights", "autocast"])
def test_gradients_in_bf16_stay_near_those_in_fp32(by):
    def gradients(made, dtype):
        queries, features = (x.to(dtype).requires_grad_() for x in inputs())
        with torch.autocast("cpu", torch.bfloat16, enabled=by == "autocast" and made is not exact):
            maps = made(queries, features, FRAMES)
        return torch.autograd.grad(maps.float().square().mean(), [queries, features, *made.parameters()])

    exact, rounded = block(), block(torch.bfloat16 if by == "weights" else torch.float32)
    expected = gradients(exact, torch.float32)
    found = gradients(rounded, torch.bfloat16 if by == "weights" else torch.float32)

    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours.float() - theirs).norm() / theirs.norm()) < 0.1


def test_training_keeps_no_attention_weights_for_the_backward_pass():
    made = block()
    queries, features = inputs()
    weights = 2 * 23 * CELLS * TOKENS * made.heads
    kept = []

    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        made(queries.requires_grad_(), features, FRAMES)

    assert kept
    assert max(kept) < weights / 2


def test_each_frame_has_its_own_softmax():
    # A frame that is ignored by a query in a softmax over all frames is still heard in the mean over frames.
    made = block(attention_layer_norm=False, feed_forward_width=0)
    queries, features = inputs(frames=3, batch=1)
    features[:, 1] *= 20

    with torch.inference_mode():
        maps = plain_maps(made, queries, features)

        assert relative_error(made(queries, features, 3)[0, 0], queries + maps[0, :2].mean(0)) < 1e-5


def test_bf16_stays_near_fp32():
    queries, features = inputs()

    with torch.inference_mode():
        exact = block()(queries, features, FRAMES)
        found = block(torch.bfloat16)(queries.bfloat16(), features.bfloat16(), FRAMES)

    assert found.dtype == torch.bfloat16
    assert float((found.float() - exact).norm() / exact.norm()) < 0.03


def test_sinusoidal_encoding_tells_frequencies_apart_and_agrees_between_stages():
    def encoding(tokens, token_bins):
        config = ConvNextSphericalConfig(frequency_encoding="sinusoidal")
        return SphericalCrossAttention(CHANNELS, tokens, token_bins, config).frequency_encoding

    fine, coarse = encoding(12, 8), encoding(4, 24)

    assert torch.cdist(fine, fine).fill_diagonal_(9).min() > 0.1
    # Token 1 of the fine stage and token 0 of the coarse one are both centred on bin 12.
    torch.testing.assert_close(fine[1], coarse[0])
