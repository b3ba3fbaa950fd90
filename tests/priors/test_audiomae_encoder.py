"""The encoder computes what transformers' vision transformer does with the same weights."""

import pytest
import torch
from transformers import ViTConfig, ViTModel

from sai_bench_builtin.priors.audiomae.encoder import AudioMaeEncoder, sine_cosine_grid

torch.set_num_threads(1)
WIDTH, DEPTH, HEADS = 48, 3, 4


def randomised(encoder, seed=0):
    """Give every parameter weight: norms of 1, small biases and a zero cls position would hide errors."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.1 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
    return encoder.eval()


@pytest.fixture
def encoder():
    return randomised(AudioMaeEncoder(WIDTH, DEPTH, HEADS))


def reference(encoder, frames=1024):
    """transformers' ViT with the encoder's weights: fused qkv split, positions of the first frames."""
    config = ViTConfig(
        hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
        hidden_act="gelu", layer_norm_eps=1e-6, image_size=(frames, 128), patch_size=16, num_channels=1,
        qkv_bias=True, attn_implementation="eager",
    )  # fmt: skip
    model = ViTModel(config, add_pooling_layer=False).eval()
    source = encoder.state_dict()
    state = {
        "embeddings.cls_token": source["cls_token"],
        "embeddings.position_embeddings": source["pos_embed"][:, : 1 + frames // 16 * 8],
        "embeddings.patch_embeddings.projection.weight": source["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": source["patch_embed.proj.bias"],
        "layernorm.weight": source["norm.weight"],
        "layernorm.bias": source["norm.bias"],
    }
    theirs = [name for name in model.state_dict() if "layers.0." in name or "layer.0." in name]
    prefix = theirs[0].partition("0.")[0]
    inner = {name.partition("0.")[2] for name in theirs}
    for i in range(DEPTH):
        for kind in ("weight", "bias"):
            query, key, value = source[f"blocks.{i}.attn.qkv.{kind}"].chunk(3)
            mine = {
                ("q", "query"): query,
                ("k", "key"): key,
                ("v", "value"): value,
                ("o_proj", "attention.output.dense"): source[f"blocks.{i}.attn.proj.{kind}"],
                ("fc1", "intermediate.dense"): source[f"blocks.{i}.mlp.fc1.{kind}"],
                ("fc2", "output.dense"): source[f"blocks.{i}.mlp.fc2.{kind}"],
                ("layernorm_before",): source[f"blocks.{i}.norm1.{kind}"],
                ("layernorm_after",): source[f"blocks.{i}.norm2.{kind}"],
            }
            for names, tensor in mine.items():
                state[f"{prefix}{i}.{matching(inner, names, kind)}"] = tensor
    model.load_state_dict(state, strict=True)
    return model


def matching(inner, names, kind):
    """Return the one inner name that ends like one of `names`, whichever release of transformers this is."""
    found = [
        name
        for name in inner
        for wanted in names
        if name == f"{wanted}.{kind}" or name.endswith((f".{wanted}.{kind}", f".{wanted}_proj.{kind}"))
    ]
    return min(found, key=len)


def spectrogram(frames, batch=2):
    return torch.randn(batch, frames, 128, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("frames", [1024, 208, 16])
@torch.no_grad()
def test_tokens_equal_those_of_transformers_vit_with_the_first_rows_of_the_positions(encoder, frames):
    log_mel = spectrogram(frames)
    expected = reference(encoder, frames)(log_mel[:, None]).last_hidden_state
    got = encoder.norm(encoder.tokens(log_mel))
    assert got.shape == (2, 1 + frames // 2, WIDTH)
    assert ((got - expected).norm() / expected.norm()).item() < 1e-5


@torch.no_grad()
def test_embedding_is_the_mean_of_the_normed_tokens_that_hold_sound_without_cls(encoder):
    log_mel = spectrogram(1024)
    tokens = reference(encoder)(log_mel[:, None]).last_hidden_state
    expected = tokens[:, 1 : 1 + 13 * 8].mean(dim=1)
    got = encoder(log_mel, valid_rows=13)
    assert ((got - expected).norm() / expected.norm()).item() < 1e-5


@torch.no_grad()
def test_the_fine_tuned_model_averages_first_and_norms_then(encoder):
    log_mel = spectrogram(208)
    encoder.norm_after_pool = True
    expected = encoder.norm(encoder.tokens(log_mel)[:, 1:].mean(dim=1))
    torch.testing.assert_close(encoder(log_mel, valid_rows=13), expected)
    encoder.norm_after_pool = False
    assert not torch.allclose(encoder(log_mel, valid_rows=13), expected, atol=1e-3)


@torch.no_grad()
def test_a_shorter_spectrogram_gets_the_positions_of_its_own_place_in_the_64_x_8_grid(encoder):
    for parameter in encoder.blocks.parameters():
        parameter.zero_()  # blocks then pass tokens on: what is left is patch + position
    tokens = encoder.tokens(torch.zeros(1, 208, 128))[0]
    grid = encoder.pos_embed[0, 1:].view(64, 8, WIDTH)
    expected = grid[:13] + encoder.patch_embed.proj.bias
    torch.testing.assert_close(tokens[1:].view(13, 8, WIDTH), expected, rtol=0, atol=0)
    torch.testing.assert_close(tokens[0], (encoder.cls_token + encoder.pos_embed[:, :1])[0, 0])


def test_fixed_positions_are_sine_and_cosine_of_mel_row_and_time_row():
    grid = sine_cosine_grid(16)[0]
    assert grid.shape == (513, 16)
    assert (grid[0] == 0).all()
    time, mel = 37, 5
    frequency = 10_000.0 ** (-torch.arange(4) / 4)
    expected = torch.cat([f(p * frequency) for p in (mel, time) for f in (torch.sin, torch.cos)])
    torch.testing.assert_close(grid[1 + 8 * time + mel], expected, rtol=1e-5, atol=1e-6)


def test_full_size_is_that_of_the_published_model():
    with torch.device("meta"):
        encoder = AudioMaeEncoder()
    total = sum(p.numel() for p in encoder.parameters())
    classifier = 768 * 527 + 527  # of the fine-tuned model, which the published figure includes
    assert total - encoder.pos_embed.numel() + classifier == 85_659_407
    assert tuple(encoder.pos_embed.shape) == (1, 513, 768)


@torch.no_grad()
def test_bfloat16_stays_close(encoder):
    log_mel = spectrogram(208)
    exact = encoder(log_mel, valid_rows=13)
    rough = encoder.to(torch.bfloat16)(log_mel.bfloat16(), valid_rows=13)
    assert rough.dtype == torch.float32
    assert ((rough - exact).norm() / exact.norm()).item() < 0.05
