"""The encoder against transformers' ConvNeXt with the stem and downsampling convolutions exchanged."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import ConvNextConfig, ConvNextModel

from sai_bench_builtin.backbones.convnext_spherical import encoder as encoder_module
from sai_bench_builtin.backbones.convnext_spherical.encoder import ConvNextEncoder
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig

CHANNELS = 12


def transformers_encoder(config):
    """ConvNextModel of the same depths and widths with the strides of `config` and random layer scales."""
    reference = ConvNextModel(
        ConvNextConfig(
            num_channels=CHANNELS,
            hidden_sizes=config.stage_channels,
            depths=config.stage_depths,
            drop_path_rate=0.0,
        )
    ).eval()
    stem = (config.stage_channels[0], config.stem_kernel, config.stem_stride)
    reference.embeddings.patch_embeddings = nn.Conv2d(CHANNELS, *stem)
    for stage, stride in zip(reference.encoder.stages[1:], config.downsampling_strides, strict=True):
        norm, convolution = stage.downsampling_layer
        shape = convolution.in_channels, convolution.out_channels
        stage.downsampling_layer = nn.ModuleList([norm, nn.Conv2d(*shape, stride, stride)])
    for parameter in reference.parameters():
        nn.init.normal_(parameter, std=0.05)
    for name, parameter in reference.named_parameters():
        if name.endswith("layer_scale_parameter"):
            nn.init.uniform_(parameter, 0.5, 1.5)
    return reference


def copy_weights(reference, encoder):
    blocks = {
        "depthwise": "dwconv",
        "norm": "layernorm",
        "expand": "pwconv1",
        "reduce": "pwconv2",
    }
    encoder.stem.load_state_dict(reference.embeddings.patch_embeddings.state_dict())
    encoder.stem_norm.load_state_dict(reference.embeddings.layernorm.state_dict())
    for downsampling, stage in zip(encoder.downsamplings, reference.encoder.stages[1:], strict=True):
        downsampling.load_state_dict(nn.Sequential(*stage.downsampling_layer).state_dict())
    for stage, theirs in zip(encoder.stages, reference.encoder.stages, strict=True):
        for block, their_block in zip(stage, theirs.layers, strict=True):
            for ours, name in blocks.items():
                getattr(block, ours).load_state_dict(getattr(their_block, name).state_dict())
            block.scale.data.copy_(their_block.layer_scale_parameter.data)


def relative_error(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


def assert_all_stages_equal_transformers(config, frames, bins):
    reference, encoder = transformers_encoder(config), ConvNextEncoder(CHANNELS, config)
    copy_weights(reference, encoder)
    features = torch.randn(2, CHANNELS, frames, bins)

    with torch.inference_mode():
        found = encoder(features)
        # The pooled output of the model needs no look; the encoder's hidden states are the stages' outputs.
        hidden = reference(features, output_hidden_states=True).hidden_states

    assert len(found) == 4
    for ours, theirs in zip(found, hidden[-4:], strict=True):
        assert ours.shape == theirs.permute(0, 2, 3, 1).shape
        assert relative_error(ours, theirs.permute(0, 2, 3, 1)) < 1e-5


@pytest.mark.parametrize(
    ("stem", "downsampling_strides"), [((2, 4), ((1, 2),) * 3), ((1, 4), ((2, 2), (1, 2), (1, 2)))]
)
def test_every_stage_equals_transformers_convnext(stem, downsampling_strides):
    torch.manual_seed(0)
    config = ConvNextSphericalConfig(
        stage_depths=(1, 2, 2, 1),
        stage_channels=(12, 16, 24, 32),
        stem_kernel=stem,
        stem_stride=stem,
        downsampling_strides=downsampling_strides,
    )

    assert_all_stages_equal_transformers(config, frames=22, bins=128)


@pytest.mark.parametrize("hidden_bytes", [1, 10_000, 10**9])
def test_inference_in_parts_equals_training_at_once(hidden_bytes, monkeypatch):
    monkeypatch.setattr(encoder_module, "_HIDDEN_BYTES", hidden_bytes)
    torch.manual_seed(0)
    config = ConvNextSphericalConfig(stage_depths=(1, 1, 1, 1), stage_channels=(4, 6, 8, 10), layer_scale=1.0)
    encoder, features = ConvNextEncoder(CHANNELS, config), torch.randn(2, CHANNELS, 6, 64)

    with torch.inference_mode():
        in_parts = encoder(features)

    for found, expected in zip(in_parts, encoder(features), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.slow
def test_every_stage_equals_transformers_convnext_tiny_at_the_size_of_the_report():
    torch.manual_seed(0)
    assert_all_stages_equal_transformers(ConvNextSphericalConfig(), frames=202, bins=1024)


def test_a_stem_larger_than_its_stride_keeps_the_number_of_frames_and_tokens():
    config = ConvNextSphericalConfig(
        stage_depths=(1, 1, 1, 1),
        stage_channels=(4, 4, 4, 4),
        stem_kernel=(3, 7),
        stem_stride=(1, 4),
        downsampling_strides=((2, 2), (1, 2), (1, 2)),
    )

    stages = ConvNextEncoder(CHANNELS, config)(torch.zeros(1, CHANNELS, 202, 1024))

    sizes = [tuple(stage.shape[1:3]) for stage in stages]
    assert sizes == [(202, 256), (101, 128), (101, 64), (101, 32)]
    assert sizes == list(zip(config.time_frames(202), config.frequency_tokens(1024), strict=True))


def test_initial_weights_follow_from_the_seed():
    config = ConvNextSphericalConfig(stage_depths=(1, 1, 1, 1), stage_channels=(4, 6, 8, 10))

    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in ConvNextEncoder(CHANNELS, config).parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
