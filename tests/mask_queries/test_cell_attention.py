import pytest
import torch
from torch import nn

from sai_bench_builtin.decoders.mask_queries.attention import CellAttention, aligned, masked_attention_bias
from sai_bench_builtin.decoders.mask_queries.layers import DecoderLayer

CELLS, POSITIONS, CHANNELS, HEADS = 16, 15, 64, 4


def randomise(module, seed=0):
    """Biases and norms start at 0 and 1, which hides mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_attention(folded):
    """torch's own multi-head attention with the weights of ours, and a key bias of its own."""
    plain = nn.MultiheadAttention(CHANNELS, HEADS, kdim=CELLS + POSITIONS, vdim=CELLS, batch_first=True)
    plain.q_proj_weight.data.copy_(folded.query_projection.weight)
    plain.k_proj_weight.data.copy_(folded.key_projection.weight)
    plain.v_proj_weight.data.copy_(folded.value_projection.weight)
    biases = folded.query_projection.bias, random(CHANNELS, seed=9), folded.value_projection.bias
    plain.in_proj_bias.data.copy_(torch.cat(biases))
    plain.out_proj.load_state_dict(folded.output_projection.state_dict())
    return plain


def relative_error(found, expected):
    return float(((found - expected).norm() / expected.norm()).detach())


@pytest.mark.parametrize("masked", [False, True])
def test_folded_attention_equals_multihead_attention_whose_key_bias_cancels(masked):
    folded = randomise(CellAttention(CHANNELS, HEADS, CELLS, POSITIONS))
    queries, cells = random(3, 5, CHANNELS), random(3, 200, CELLS + POSITIONS)
    mask_logits = random(3, 5, 200, seed=2)

    found = folded(queries, aligned(cells), masked_attention_bias(mask_logits) if masked else None)
    blocked = (mask_logits < 0).repeat_interleave(HEADS, dim=0) if masked else None
    expected, _ = plain_attention(folded)(queries, cells, cells[..., :CELLS], attn_mask=blocked)

    assert relative_error(found, expected) < 1e-5


def test_gradients_of_folded_attention_equal_those_of_multihead_attention():
    folded = randomise(CellAttention(CHANNELS, HEADS, CELLS, POSITIONS))
    plain = plain_attention(folded)
    queries, cells = random(2, 5, CHANNELS), random(2, 60, CELLS + POSITIONS).requires_grad_()
    weights, mask_logits = random(2, 5, CHANNELS, seed=3), random(2, 5, 60, seed=2)
    (folded(queries, aligned(cells), masked_attention_bias(mask_logits)) * weights).sum().backward()
    found = cells.grad.clone(), folded.key_projection.weight.grad, folded.value_projection.weight.grad

    cells.grad = None
    blocked = (mask_logits < 0).repeat_interleave(HEADS, dim=0)
    (plain(queries, cells, cells[..., :CELLS], attn_mask=blocked)[0] * weights).sum().backward()

    for a, b in zip(found, (cells.grad, plain.k_proj_weight.grad, plain.v_proj_weight.grad), strict=True):
        assert relative_error(a, b) < 1e-5


def test_bias_opens_covered_cells_and_every_cell_of_an_empty_mask():
    mask_logits = torch.tensor([[[0.2, -0.2, 0.0], [-1e-6, -3.0, -1.0], [2.0, 1.0, 3.0]]])

    bias = masked_attention_bias(mask_logits)

    assert (bias == 0).tolist() == [[[True, False, True], [True, True, True], [True, True, True]]]
    assert bias[0, 0, 1] < -1e29


def test_a_cell_outside_the_mask_has_no_influence():
    folded = randomise(CellAttention(CHANNELS, HEADS, CELLS, POSITIONS))
    queries, cells = random(1, 2, CHANNELS), random(1, 30, CELLS + POSITIONS)
    mask_logits = torch.ones(1, 2, 30)
    mask_logits[:, 0, 7] = -1
    changed = cells.clone()
    changed[:, 7] += 5

    before, after = (
        folded(queries, aligned(variant), masked_attention_bias(mask_logits)) for variant in (cells, changed)
    )

    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def mask2former_layer():
    mask2former = pytest.importorskip("transformers.models.mask2former.modeling_mask2former")
    config = pytest.importorskip("transformers").Mask2FormerConfig(
        hidden_dim=CHANNELS, dim_feedforward=96, num_attention_heads=HEADS, dropout=0.0
    )
    return randomise(mask2former.Mask2FormerMaskedAttentionDecoderLayer(config).eval())


def test_layer_equals_the_one_of_mask2former():
    theirs = mask2former_layer()
    ours = DecoderLayer(CHANNELS, HEADS, 96, CHANNELS, CHANNELS, "cross")
    query, key, value = theirs.cross_attn.in_proj_weight.chunk(3)
    query_bias, _, value_bias = theirs.cross_attn.in_proj_bias.chunk(3)
    self_attention = theirs.self_attn
    ours.load_state_dict(
        {
            "cross_attention.query_projection.weight": query,
            "cross_attention.query_projection.bias": query_bias,
            # Mask2Former adds positions to the cells before it projects both.
            "cross_attention.key_projection.weight": torch.cat([key, key], dim=1),
            "cross_attention.value_projection.weight": value,
            "cross_attention.value_projection.bias": value_bias,
            "cross_attention.output_projection.weight": theirs.cross_attn.out_proj.weight,
            "cross_attention.output_projection.bias": theirs.cross_attn.out_proj.bias,
            "self_attention.query_key_projection.weight": torch.cat(
                [self_attention.q_proj.weight, self_attention.k_proj.weight]
            ),
            "self_attention.query_key_projection.bias": torch.cat(
                [self_attention.q_proj.bias, self_attention.k_proj.bias]
            ),
            **parts("self_attention.value_projection", self_attention.v_proj),
            **parts("self_attention.output_projection", self_attention.out_proj),
            **parts("cross_norm", theirs.cross_attn_layer_norm),
            **parts("self_norm", theirs.self_attn_layer_norm),
            **parts("expansion", theirs.fc1),
            **parts("contraction", theirs.fc2),
            **parts("feed_forward_norm", theirs.final_layer_norm),
        }
    )
    states, identities = random(2, 5, CHANNELS), random(5, CHANNELS, seed=2)
    cells, positions = random(2, 40, CHANNELS, seed=3), random(2, 40, CHANNELS, seed=4)
    mask_logits = random(2, 5, 40, seed=5)

    found = ours(
        states, identities, aligned(torch.cat([cells, positions], 2)), masked_attention_bias(mask_logits)
    )
    expected = theirs(
        states.transpose(0, 1),
        level_index=0,
        position_embeddings=[positions.transpose(0, 1)],
        query_position_embeddings=identities[:, None],
        encoder_hidden_states=[cells.transpose(0, 1)],
        encoder_attention_mask=(mask_logits < 0).repeat_interleave(HEADS, dim=0),
    )[0].transpose(0, 1)

    assert relative_error(found, expected) < 1e-5


def test_layer_that_begins_with_self_attention_equals_torchs_decoder_layer():
    theirs = nn.TransformerDecoderLayer(CHANNELS, HEADS, 96, dropout=0.0, batch_first=True)
    randomise(theirs.eval())
    ours = DecoderLayer(CHANNELS, HEADS, 96, CHANNELS, 0, "self")
    query, key, value = theirs.multihead_attn.in_proj_weight.chunk(3)
    query_bias, _, value_bias = theirs.multihead_attn.in_proj_bias.chunk(3)
    self_weight, self_bias = theirs.self_attn.in_proj_weight, theirs.self_attn.in_proj_bias
    ours.load_state_dict(
        {
            "cross_attention.query_projection.weight": query,
            "cross_attention.query_projection.bias": query_bias,
            "cross_attention.key_projection.weight": key,
            "cross_attention.value_projection.weight": value,
            "cross_attention.value_projection.bias": value_bias,
            **parts("cross_attention.output_projection", theirs.multihead_attn.out_proj),
            "self_attention.query_key_projection.weight": self_weight[: 2 * CHANNELS],
            "self_attention.query_key_projection.bias": self_bias[: 2 * CHANNELS],
            "self_attention.value_projection.weight": self_weight[2 * CHANNELS :],
            "self_attention.value_projection.bias": self_bias[2 * CHANNELS :],
            **parts("self_attention.output_projection", theirs.self_attn.out_proj),
            **parts("self_norm", theirs.norm1),
            **parts("cross_norm", theirs.norm2),
            **parts("feed_forward_norm", theirs.norm3),
            **parts("expansion", theirs.linear1),
            **parts("contraction", theirs.linear2),
        }
    )
    states, cells = random(2, 5, CHANNELS), random(2, 40, CHANNELS, seed=3)

    found = ours(states, torch.zeros(5, CHANNELS), aligned(cells), None)

    assert relative_error(found, theirs(states, cells)) < 1e-5


def parts(name, module):
    return {f"{name}.{key}": value for key, value in module.state_dict().items()}
