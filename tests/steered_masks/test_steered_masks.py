"""Backbone `steered_masks`: the maps against the formula, against plane waves, and what must not matter."""

from __future__ import annotations

import itertools

import numpy as np
import pydantic
import pytest
import torch
from torch import nn

from sai_bench.errors import WiringError
from sai_bench.interfaces import FeatureSpec, SphereSpec
from sai_bench.sphere import (
    ArrayGeometry,
    angle_between_deg,
    em32_array,
    grid_directions,
    mic_array,
    unit_vectors,
)
from sai_bench_builtin.backbones.cross_spectra import select_pairs
from sai_bench_builtin.backbones.steered_masks import SteeredMasks
from sai_bench_builtin.backbones.steering import steering_vectors
from sai_bench_builtin.configs.backbone import SteeredMasksConfig
from sai_bench_builtin.sphere_padding import pad_on_sphere

FEATURES = FeatureSpec("complex_spectrum", sample_rate_hz=24000, n_fft=512, hop_samples=480, bins=257)
FREQUENCIES_HZ = np.arange(257) * 24000 / 512
SMALL = {
    "grid_height": 18,
    "grid_width": 36,
    "embedding_channels": 8,
    "masks": 3,
    "stage_channels": (8, 8, 8),
    "stage_depths": (1, 1, 1),
    "context_channels": 8,
    "context_blocks": 1,
}


def built(seed=0, **keys):
    torch.manual_seed(seed)
    return SteeredMasks(SteeredMasksConfig(**{**SMALL, **keys}), FEATURES).eval()


def spectra(microphones=4, frames=10, batch=1, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, microphones, frames, 257, generator=generator, dtype=torch.complex64)


def plane_wave(array, azimuth, elevation, frames=5, seed=0):
    """Spectra [M, T, F] of white noise from far away."""
    rng = np.random.default_rng(seed)
    source = rng.standard_normal((frames, 257)) + 1j * rng.standard_normal((frames, 257))
    if array.baffle == "rigid":
        response = steering_vectors(array, unit_vectors([azimuth], [elevation]), FREQUENCIES_HZ)[:, :, 0].T
    else:
        lead_s = array.positions_m @ unit_vectors(azimuth, elevation) / 343
        response = np.exp(2j * np.pi * lead_s[:, None] * FREQUENCIES_HZ)
    return torch.from_numpy(response[:, None] * source).to(torch.complex64)


class GivenMasks(nn.Module):
    """Stands for the encoder: masks as given, [B, T, groups, D] logits."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, spectra, cross):
        return self.logits, torch.zeros(len(spectra), self.logits.shape[1] // 5, 8)


def with_class_masks(backbone, logits):
    """A backbone whose masks of the first classes are given, [B, T, groups, k] logits; all others are 0.5."""
    others = SMALL["masks"], 13 - logits.shape[3]
    before, after = (torch.zeros(*logits.shape[:3], count) for count in others)
    backbone.encoder = GivenMasks(torch.cat([before, logits, after], dim=3))
    return backbone


def class_maps(backbone, x, array):
    """The steered maps [B, N, 13, h, w] of the classes' masks, which leave the backbone as they are."""
    return backbone(x, array)[:, :, -13:]


def peak_direction(power_map):
    azimuth, elevation = grid_directions(*power_map.shape)
    row, column = np.unravel_index(int(power_map.argmax()), power_map.shape)
    return azimuth[column], elevation[row]


# ---------------------------------------------------------------------------------------------------------- #
# The formula


@torch.no_grad()
def test_maps_are_the_sum_that_the_docstring_states():
    generator = torch.Generator().manual_seed(1)
    backbone, x, array = built(pooling_frames=1), spectra(), mic_array("open")
    masks = torch.rand(1, 10, len(backbone.groups_hz), 3, generator=generator)
    maps = class_maps(with_class_masks(backbone, masks.logit()), x, array)[0].numpy()

    bins = np.rint(backbone.groups_hz / (24000 / 512)).astype(int)
    phases = (x / x.abs())[0].numpy()
    azimuth, elevation = grid_directions(18, 36)
    for row, column in [(0, 0), (7, 20), (17, 35)]:
        direction = unit_vectors(azimuth[column], elevation[row])
        for mask in range(3):
            total = mass = 0.0
            for t, (group, own) in itertools.product(range(10), enumerate(bins)):
                m = float(masks[0, t, group, mask])
                mass += m + 0.02
                for i, j in itertools.combinations(range(4), 2):
                    expected = np.exp(
                        2j
                        * np.pi
                        * FREQUENCIES_HZ[own]
                        * ((array.positions_m[i] - array.positions_m[j]) @ direction)
                        / 343
                    )
                    agreement = np.mean(phases[i, t, own] * phases[j, t, own].conj())
                    total += m * (agreement * expected.mean().conj()).real / 6
            for frame in range(2):  # both label frames hear both, with one frame on either side
                assert maps[frame, mask, row, column] == pytest.approx(total / mass, abs=1e-5)


@torch.no_grad()
def test_only_label_frames_within_reach_count():
    backbone, x, array = built(pooling_frames=1), spectra(frames=20), mic_array("open")
    masks = torch.zeros(1, 20, len(backbone.groups_hz), 3)
    before = class_maps(with_class_masks(backbone, masks), x, array)

    x[:, :, 15:] = spectra(frames=5, seed=9)
    after = class_maps(backbone, x, array)

    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2], after[:, 2])


@torch.no_grad()
@pytest.mark.parametrize("array", [mic_array("open"), mic_array("rigid"), em32_array("rigid")])
@pytest.mark.parametrize("direction", [(0, 0), (179, 10), (-90, 45), (60, -60)])
def test_a_plane_wave_peaks_where_it_comes_from(array, direction):
    backbone = built()
    backbone = with_class_masks(backbone, torch.full((1, 5, len(backbone.groups_hz), 1), 5.0))

    maps = class_maps(backbone, plane_wave(array, *direction)[None], array)

    found = peak_direction(maps[0, 0, 0].numpy())
    assert angle_between_deg(*found, *direction) < 10  # a cell is 10 degrees wide
    assert maps[0, 0, 0].max() > 0.8


@torch.no_grad()
def test_a_mask_hears_only_its_own_frequencies():
    array, backbone = mic_array("open"), built()
    low, high = plane_wave(array, 90, 0), plane_wave(array, -45, 30, seed=1)
    both = torch.where(torch.arange(257) < 80, low, high)
    groups = len(backbone.groups_hz)
    masks = torch.full((1, 5, groups, 3), -20.0)
    masks[:, :, :15, 0] = 20
    masks[:, :, 25:, 1] = 20

    maps = class_maps(with_class_masks(backbone, masks), both[None], array)[0, 0].numpy()

    assert angle_between_deg(*peak_direction(maps[0]), 90, 0) < 10
    assert angle_between_deg(*peak_direction(maps[1]), -45, 30) < 10
    assert np.abs(maps[2]).max() < 1e-3  # an empty mask shows nothing, not noise


@torch.no_grad()
def test_a_moving_source_is_followed_from_frame_to_frame():
    array, backbone = mic_array("open"), built(pooling_frames=0)
    way = [(-60, 0), (-20, 0), (20, 0), (60, 0)]
    x = torch.cat([plane_wave(array, *place, seed=n) for n, place in enumerate(way)], dim=1)
    backbone = with_class_masks(backbone, torch.zeros(1, 20, len(backbone.groups_hz), 1))

    maps = class_maps(backbone, x[None], array)[0, :, 0].numpy()

    for place, power in zip(way, maps, strict=True):
        assert angle_between_deg(*peak_direction(power), *place) < 10


@torch.no_grad()
def test_the_last_channels_are_a_map_of_each_class_whatever_the_blocks_on_the_sphere_learn():
    backbone, x, array = built(), spectra(frames=15, batch=2), mic_array("open")
    before = backbone(x, array)
    backbone.mix.weight += 1
    after = backbone(x, array)

    assert before.shape == (2, 3, 8 + 13, 18, 36)
    assert after[:, :, 8:].equal(before[:, :, 8:])
    assert (after[:, :, :8] - before[:, :, :8]).abs().max() > 1e-3
    assert before[:, :, 8:].abs().max() <= 1


@torch.no_grad()
def test_a_class_mask_shows_where_its_class_comes_from():
    array, backbone = mic_array("open"), built()
    low, high = plane_wave(array, 90, 0), plane_wave(array, -45, 30, seed=1)
    groups = len(backbone.groups_hz)
    of_classes = torch.full((1, 5, groups, 13), -20.0)
    of_classes[:, :, :15, 4] = 20
    of_classes[:, :, 25:, 12] = 20

    both = torch.where(torch.arange(257) < 80, low, high)
    seen = class_maps(with_class_masks(backbone, of_classes), both[None], array)[0, 0].numpy()

    assert angle_between_deg(*peak_direction(seen[4]), 90, 0) < 10
    assert angle_between_deg(*peak_direction(seen[12]), -45, 30) < 10
    assert np.abs(np.delete(seen, [4, 12], axis=0)).max() < 1e-3


@torch.no_grad()
def test_without_class_masks_there_is_the_embedding_alone():
    backbone = built(class_masks=False)

    assert backbone(spectra(), mic_array()).shape == (1, 2, 8, 18, 36)
    assert all(layer.out_features == 3 for layer in backbone.encoder.to_masks)


def test_class_masks_begin_with_the_whole_spectrum():
    bands = built().encoder.bands
    assert bands.shape[1] == 3 + 13
    assert (bands[:, 3:] == bands[:, :1]).all()
    assert bands[:, 1].min() < 0 < bands[:, 1].max()  # a band of the filter bank


# ---------------------------------------------------------------------------------------------------------- #
# What must not matter


@torch.no_grad()
def test_the_order_of_microphones_does_not_matter():
    backbone, x, array = built(), spectra(), mic_array("open")
    order = [2, 0, 3, 1]
    turned = ArrayGeometry("mic", array.positions_m[order], "open")

    assert torch.allclose(backbone(x, array), backbone(x[:, order], turned), atol=1e-5)


@torch.no_grad()
def test_turning_the_array_turns_the_embedding_across_the_seam():
    backbone, x, array = built(), spectra(), mic_array("open")
    angle = np.radians(50)  # five cells counter-clockwise
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = ArrayGeometry("mic", array.positions_m @ turn.T, "open")

    moved = backbone(x, array).roll(-5, dims=4)  # counter-clockwise is to lower columns

    assert torch.allclose(backbone(x, turned), moved, atol=1e-4)


@torch.no_grad()
def test_chosen_frames_are_those_of_all_frames():
    backbone, x = built(), spectra(frames=50, batch=2)
    chosen = torch.tensor([7, 1, 4])

    some = backbone(x, mic_array("open"), frames=chosen)

    assert some.shape == (2, 3, 21, 18, 36)
    assert torch.allclose(some, backbone(x, mic_array("open"))[:, chosen], atol=1e-5)


@torch.no_grad()
def test_segments_of_a_batch_do_not_mix_and_the_last_label_frame_may_be_partial():
    backbone, x = built(), spectra(frames=13, batch=2)

    together = backbone(x, mic_array("open"))

    assert together.shape[:2] == (2, 3)
    assert torch.allclose(together[1:], backbone(x[1:], mic_array("open")), atol=1e-5)


@torch.no_grad()
def test_one_set_of_weights_serves_any_array():
    backbone = built(most_pairs=20)
    assert backbone(spectra(32), em32_array()).shape == (1, 2, 21, 18, 36)
    assert backbone(spectra(4), mic_array()).shape == (1, 2, 21, 18, 36)
    assert not any("table" in name for name in backbone.state_dict())


@torch.no_grad()
def test_silence_gives_finite_numbers():
    assert built()(torch.zeros(1, 4, 10, 257, dtype=torch.complex64), mic_array()).isfinite().all()


@torch.no_grad()
def test_bfloat16_weights_give_nearly_the_same():
    backbone, x = built(), spectra()
    exact = backbone(x, mic_array())

    rough = backbone.to(torch.bfloat16)(x, mic_array())

    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.03 * exact.abs().mean()


def test_the_seed_decides_the_weights_and_every_weight_learns():
    one, two = built(seed=4), built(seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))

    one(spectra(frames=50), mic_array("open")).square().sum().sqrt().backward()
    backbone = built(seed=4)
    weights = torch.randn(21, 18, 36, generator=torch.Generator().manual_seed(0))
    (backbone(spectra(frames=50), mic_array("open")) * weights).sum().backward()

    silent = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


# ---------------------------------------------------------------------------------------------------------- #
# Pairs, padding, wiring


def test_all_pairs_of_a_small_array_are_used_and_unlike_ones_of_a_large_one():
    assert select_pairs(mic_array(), 48).tolist() == list(map(list, itertools.combinations(range(4), 2)))

    array = em32_array()
    pairs = select_pairs(array, 24)
    assert len({tuple(pair) for pair in pairs.tolist()}) == 24

    def nearest(chosen):
        baselines = array.positions_m[chosen[:, 0]] - array.positions_m[chosen[:, 1]]
        distances = np.minimum(
            np.linalg.norm(baselines[:, None] - baselines, axis=2),
            np.linalg.norm(baselines[:, None] + baselines, axis=2),
        )
        return distances[np.triu_indices(24, 1)].min()

    rng = np.random.default_rng(0)
    everything = select_pairs(array, 496)
    at_random = [nearest(everything[rng.choice(496, 24, replace=False)]) for _ in range(50)]
    assert nearest(pairs) > 1.5 * max(at_random)


def test_maps_go_on_across_seam_and_poles():
    maps = torch.arange(4 * 8.0).view(1, 1, 4, 8)
    padded = pad_on_sphere(maps, 2)[0, 0]

    assert padded.shape == (8, 12)
    assert padded[2:6, :2].equal(maps[0, 0, :, 6:])
    assert padded[2:6, -2:].equal(maps[0, 0, :, :2])
    assert padded[1, 2:10].equal(maps[0, 0, 0].roll(4))  # over the pole: the same row, half a turn on
    assert padded[0, 2:10].equal(maps[0, 0, 1].roll(4))
    assert padded[6, 2:10].equal(maps[0, 0, 3].roll(4))


def test_it_promises_an_embedding_of_a_complex_spectrum():
    promised = SteeredMasksConfig().output(FEATURES)
    assert promised == SphereSpec("embedding", 48 + 13, 20, 40, class_maps=True)
    promised = SteeredMasksConfig(class_masks=False).output(FEATURES)
    assert promised == SphereSpec("embedding", 48, 20, 40, class_maps=False)


@pytest.mark.parametrize(
    ("keys", "changes", "message"),
    [
        ({}, {"representation": "log_magnitude_phase"}, "complex_spectrum.*front end such as 'stft'"),
        ({}, {"hop_samples": 500}, "whole hops in a label frame.*500 samples"),
        ({"downsampling_strides": ((2, 2), (1, 2))}, {}, "joins 2 STFT frames.*has 5"),
        ({"min_hz": 100, "max_hz": 200}, {}, "no group of 4 bins.*Widen"),
    ],
)
def test_features_that_do_not_fit_are_refused(keys, changes, message):
    features = FeatureSpec(**{**vars(FEATURES), **changes})
    with pytest.raises(WiringError, match=message):
        SteeredMasksConfig(**keys).output(features)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"grid_height": 7}, "does not divide 180"),
        ({"grid_width": 45}, "odd"),
        ({"statistics_frames": (1, -1)}, "statistics_frames.1\n.*greater than or equal to 0"),
        ({"sphere_kernel": 4}, "is even; choose 3 or 5"),
        ({"depthwise_kernel": (3, 4)}, "is even"),
        ({"min_hz": 5000, "max_hz": 4000}, "not below"),
        ({"grid_height": 4, "grid_width": 8, "sphere_kernel": 11}, "reaches further"),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        SteeredMasksConfig(**keys)


def test_a_wrong_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="3 channels, array 'mic' of 4"):
        built()(spectra(3), mic_array())
    with pytest.raises(ValueError, match="at least 2 microphones"):
        built()(spectra(1), ArrayGeometry("one", np.zeros((1, 3))))
