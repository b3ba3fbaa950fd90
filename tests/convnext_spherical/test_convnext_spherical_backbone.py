from __future__ import annotations

import dataclasses
from itertools import product

import pydantic
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sai_bench.errors import WiringError
from sai_bench.interfaces import FeatureSpec, SphereSpec
from sai_bench.sphere import mic_array
from sai_bench_builtin.backbones.convnext_spherical.backbone import ConvNextSpherical
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig
from sai_bench_builtin.configs.front_end import StftConfig

LATER_STRIDES = {
    "stem_kernel": (3, 7),
    "stem_stride": (1, 4),
    "downsampling_strides": ((2, 2), (1, 2), (1, 2)),
}


def built(keys, features, seed=0):
    torch.manual_seed(seed)
    return ConvNextSpherical(ConvNextSphericalConfig(**keys), features).eval()


def tiny_input(frames=101, batch=1, bins=64):
    return torch.randn(batch, 12, frames, bins, generator=torch.Generator().manual_seed(5))


def stage_maps(backbone, features):
    queries, stages = backbone.queries.grid.flatten(0, 1), backbone.encoder(features)[1:]
    blocks = zip(backbone.attentions, stages, backbone.frames_per_map, strict=True)
    return [block(queries, stage, frames) for block, stage, frames in blocks]


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


# ---------------------------------------------------------------------------------------------------------- #
# The report's size


@pytest.fixture
def report_on_meta(report_features):
    with torch.device("meta"):
        return ConvNextSpherical(ConvNextSphericalConfig(), report_features)


def test_shapes_are_those_of_the_report(report_on_meta):
    features = torch.empty(1, 12, 202, 1024, device="meta")

    with torch.no_grad():
        stages = report_on_meta.encoder(features)
        sphere = report_on_meta(features, mic_array())

    assert [tuple(stage.shape[1:]) for stage in stages[1:]] == [
        (101, 128, 192),
        (101, 64, 384),
        (101, 32, 768),
    ]
    assert sphere.shape == (1, 21, 16, 45, 90)
    assert report_on_meta.sphere == SphereSpec("embedding", 16, 45, 90)


def test_encoder_has_27_05_million_parameters_and_takes_137_gmac(report_on_meta):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        report_on_meta.encoder(torch.empty(1, 12, 202, 1024, device="meta"))

    assert parameters(report_on_meta.encoder) / 1e6 == pytest.approx(27.05, abs=0.005)
    assert counter.get_total_flops() / 2e9 == pytest.approx(137, abs=0.5)


def test_queries_are_shared_and_attention_adds_little(report_on_meta):
    assert report_on_meta.queries.grid.shape == (45, 90, 16)
    assert parameters(report_on_meta) - parameters(report_on_meta.encoder) < 0.5e6


def test_later_strides_give_the_same_tokens(report_features):
    with torch.device("meta"):
        backbone = ConvNextSpherical(ConvNextSphericalConfig(**LATER_STRIDES), report_features)
    features = torch.empty(2, 12, 202, 1024, device="meta")

    with torch.no_grad():
        stages, sphere = backbone.encoder(features), backbone(features, mic_array())

    assert [tuple(stage.shape[1:]) for stage in stages[1:]] == [
        (101, 128, 192),
        (101, 64, 384),
        (101, 32, 768),
    ]
    assert sphere.shape == (2, 21, 16, 45, 90)


@pytest.mark.slow
def test_the_report_s_backbone_runs_on_the_cpu(report_features):
    backbone = built({}, report_features).bfloat16()

    with torch.inference_mode():
        sphere = backbone(torch.randn(1, 12, 202, 1024), mic_array())

    assert sphere.shape == (1, 21, 16, 45, 90)
    assert sphere.isfinite().all()


# ---------------------------------------------------------------------------------------------------------- #
# Time and place


@pytest.mark.parametrize("label_frames", [1, 2, 7, 20])
def test_segments_of_any_length_get_a_map_for_every_label_frame_and_one_more(
    label_frames, tiny_keys, tiny_features
):
    # A centred STFT of 20 hops per label frame has one frame more; padded to the time stride of 4.
    backbone = built(tiny_keys, tiny_features)

    with torch.inference_mode():
        sphere = backbone(tiny_input(20 * label_frames + 4), mic_array())

    assert sphere.shape == (1, label_frames + 1, 6, 4, 8)


def test_a_segment_without_extra_stft_frames_still_gets_all_its_label_frames(tiny_keys, tiny_features):
    with torch.inference_mode():
        assert built(tiny_keys, tiny_features)(tiny_input(60), mic_array()).shape[1] == 3


STRIDES = [
    {
        "stem_kernel": stem,
        "stem_stride": stem,
        "downsampling_strides": tuple(zip(times, (2, 2, 2), strict=True)),
    }
    for stem in ((1, 4), (2, 4), (4, 4))
    for times in product((1, 2, 5), repeat=3)
] + [LATER_STRIDES, {**LATER_STRIDES, "stem_kernel": (8, 7)}]


def test_whatever_the_strides_every_label_frame_of_a_segment_gets_the_sum_of_the_stages_maps(
    tiny_keys, tiny_features
):
    fitting = uneven = 0
    for strides in STRIDES:
        config = ConvNextSphericalConfig(**{**tiny_keys, "stage_depths": (1, 1, 1, 1), **strides})
        try:
            config.output(tiny_features)
        except WiringError:
            continue
        fitting += 1
        backbone = ConvNextSpherical(config, tiny_features).eval()
        for stft_frames_more in (0, 1, 2, 4):
            given = tiny_input(2 * 20 + stft_frames_more)
            with torch.inference_mode():
                sphere = backbone(given, mic_array()).flatten(3).mT
                maps = stage_maps(backbone, given)
            assert sphere.shape[1] >= 2
            assert sphere.shape[1] == min(one.shape[1] for one in maps)
            torch.testing.assert_close(sphere, sum(one[:, : sphere.shape[1]] for one in maps))
            uneven += len({one.shape[1] for one in maps}) > 1
    assert fitting > 20
    assert uneven > 20


def test_a_click_shows_in_the_map_of_its_label_frame(tiny_keys, tiny_features):
    backbone = built({**tiny_keys, "depthwise_kernel": 1}, tiny_features)
    silence = torch.zeros(1, 12, 104, 64)
    for first_frame, label_frame in [(0, 0), (38, 2), (40, 2), (48, 2), (52, 3), (100, 5)]:
        click = silence.clone()
        click[:, :, first_frame] = 1

        with torch.inference_mode():
            change = (backbone(click, mic_array()) - backbone(silence, mic_array())).abs().amax((0, 2, 3, 4))

        assert change.nonzero().flatten().tolist() == [label_frame]


def test_turning_the_queries_turns_the_map(tiny_keys, tiny_features):
    backbone = built(tiny_keys, tiny_features)
    features = tiny_input()

    with torch.inference_mode():
        before = backbone(features, mic_array())
        backbone.queries.grid.copy_(backbone.queries.grid.roll(3, dims=1))
        after = backbone(features, mic_array())

    torch.testing.assert_close(after, before.roll(3, dims=-1))
    assert not torch.allclose(after, before)


def test_segments_of_a_batch_do_not_mix(tiny_keys, tiny_features):
    backbone = built(tiny_keys, tiny_features)
    features = tiny_input(batch=3)

    with torch.inference_mode():
        together = backbone(features, mic_array())
        alone = torch.cat([backbone(segment[None], mic_array()) for segment in features])

    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- #
# Choices


def test_stage_maps_are_summed(tiny_keys, tiny_features):
    backbone = built(tiny_keys, tiny_features)
    features = tiny_input()

    with torch.inference_mode():
        sphere = backbone(features, mic_array())
        maps = stage_maps(backbone, features)

    torch.testing.assert_close(sphere.flatten(3).mT, maps[0] + maps[1] + maps[2])


def test_place_of_the_feed_forward_network_matters_only_because_it_is_not_linear(tiny_keys, tiny_features):
    def sphere(**keys):
        with torch.inference_mode():
            return built({**tiny_keys, **keys}, tiny_features)(tiny_input(), mic_array())

    after, before = sphere(), sphere(feed_forward_at="encoder_frames")
    assert after.shape == before.shape
    assert not torch.allclose(after, before, atol=1e-5)

    linear = [sphere(feed_forward_width=0, feed_forward_at=at) for at in ("label_frames", "encoder_frames")]
    torch.testing.assert_close(*linear, rtol=1e-5, atol=1e-5)


def test_training_reaches_every_parameter(tiny_keys, tiny_features):
    backbone = built({**tiny_keys, "frequency_encoding": "learned"}, tiny_features).train()

    backbone(tiny_input(44), mic_array()).square().mean().backward()

    without = [
        name for name, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert without == []


@pytest.mark.parametrize("by", ["weights", "autocast"])
def test_bf16_stays_near_fp32(by, tiny_keys, tiny_features):
    backbone, features = built(tiny_keys, tiny_features), tiny_input()
    with torch.inference_mode():
        exact = backbone(features, mic_array())
        if by == "weights":
            found = backbone.bfloat16()(features, mic_array())
        else:
            with torch.autocast("cpu", torch.bfloat16):
                found = backbone(features, mic_array())

    assert float((found.float() - exact).norm() / exact.norm()) < 0.03


def test_compiling_changes_no_result_and_leaves_the_attention_alone(tiny_keys, tiny_features):
    backbone, features, graphs = built(tiny_keys, tiny_features), tiny_input(), []

    def backend(graph, inputs):
        graphs.append(graph.code)
        return graph.forward

    with torch.inference_mode():
        before = backbone(features, mic_array())
        backbone.compile(backend=backend, dynamic=False)
        after = backbone(features, mic_array())

    torch.testing.assert_close(after, before)
    assert "gelu" in "".join(graphs)
    assert "softmax" not in "".join(graphs)


def test_initial_weights_follow_from_the_seed(tiny_keys, tiny_features):
    def weights(seed):
        return torch.cat([p.flatten() for p in built(tiny_keys, tiny_features, seed).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_tiny_system_of_18_by_36_cells_works(report_features):
    features = dataclasses.replace(
        report_features, sample_rate_hz=24000, n_fft=512, hop_samples=240, bins=256
    )
    keys = {
        "grid_height": 18,
        "grid_width": 36,
        "stage_depths": (1, 1, 2, 1),
        "stage_channels": (24, 48, 96, 192),
    }
    backbone = built(keys, features)

    with torch.inference_mode():
        sphere = backbone(torch.randn(1, 12, 52, 256), mic_array())

    assert sphere.shape == (1, 6, 16, 18, 36)


# ---------------------------------------------------------------------------------------------------------- #
# What it refuses


def test_wiring_needs_a_known_number_of_channels():
    with pytest.raises(
        WiringError, match=r"known number of channels, got .*'complex_spectrum'.*Use a front end"
    ):
        ConvNextSphericalConfig().output(StftConfig().output())


def test_wiring_refuses_complex_features(tiny_features):
    with pytest.raises(WiringError, match="needs real features"):
        ConvNextSphericalConfig().output(
            dataclasses.replace(tiny_features, representation="complex_spectrum")
        )


@pytest.mark.parametrize(
    ("keys", "hop", "message"),
    [
        ({"stem_kernel": (3, 4), "stem_stride": (3, 4)}, 480, "stage 2 strides over 3 hops.* has 10. Change"),
        (
            {"downsampling_strides": ((1, 2), (1, 2), (2, 2))},
            480,
            "stage 4 strides over 4 hops.* has 10. Change",
        ),
        ({}, 700, "stage 2 strides over 2 hops of 700 samples.* has 6.85714"),
    ],
)
def test_wiring_refuses_strides_that_do_not_fit_label_frames(keys, hop, message, report_features):
    with pytest.raises(WiringError, match=message):
        ConvNextSphericalConfig(**keys).output(dataclasses.replace(report_features, hop_samples=hop))


def test_wiring_refuses_fewer_bins_than_the_strides_take(report_features):
    with pytest.raises(WiringError, match="31 frequency bins are too few for a stride over 32 bins"):
        ConvNextSphericalConfig().output(dataclasses.replace(report_features, bins=31))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"grid_height": 44}, "grid_height = 44 does not divide 180"),
        ({"grid_width": 100}, "grid_width = 100 does not divide 360"),
        ({"depthwise_kernel": 6}, "depthwise_kernel = 6 is even; choose 5 or 7"),
        ({"stem_kernel": (2, 3)}, "stem_kernel = 3 in frequency is smaller than stem_stride = 4"),
        ({"stage_depths": (1, 1, 1)}, "stage_depths"),
    ],
)
def test_config_refuses_what_cannot_be_built(keys, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        ConvNextSphericalConfig(**keys)


def test_other_features_than_promised_are_refused(tiny_keys, tiny_features):
    backbone = built(tiny_keys, tiny_features)

    with pytest.raises(
        ValueError, match=r"\(channels, bins\) = \(12, 65\), the front end promised \(12, 64\)"
    ):
        backbone(torch.zeros(1, 12, 44, 65), mic_array())
    with pytest.raises(ValueError, match="3 STFT frames are too few"):
        backbone(torch.zeros(1, 12, 3, 64), mic_array())


def test_wiring_of_the_report_needs_no_torch():
    features = FeatureSpec("log_magnitude_phase", 24000, n_fft=1024, hop_samples=240, bins=1024, channels=12)

    assert ConvNextSphericalConfig().output(features) == SphereSpec("embedding", 16, 45, 90)
    assert ConvNextSphericalConfig().frames_per_label_frame(features) == (5, 5, 5)
