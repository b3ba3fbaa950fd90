from __future__ import annotations

import numpy as np
import pydantic
import pytest
import torch

from sai_bench.errors import WiringError
from sai_bench.interfaces import SphereSpec
from sai_bench.sphere import (
    angle_between_deg,
    azimuth_deg,
    column,
    directions_of,
    elevation_deg,
    grid_directions,
    row,
)
from sai_bench_builtin.configs.decoder import PeakRegionsConfig
from sai_bench_builtin.decoders.peak_regions import PeakRegions

SPHERE = SphereSpec("steered_power", channels=1, height=36, width=72)


def blobs(*sources, pedestal=0.1, width_deg=12.0):
    """A map [1, 1, 1, 36, 72] of Gaussian blobs (azimuth, elevation, height) on a pedestal."""
    azimuth, elevation = grid_directions(36, 72)
    total = np.full((36, 72), pedestal)
    for source_azimuth, source_elevation, height in sources:
        angle = angle_between_deg(azimuth[None], elevation[:, None], source_azimuth, source_elevation)
        total += height * np.exp(-((angle / width_deg) ** 2) / 2)
    return torch.from_numpy(total).float()[None, None, None]


def decode(power, **keys):
    return PeakRegions(PeakRegionsConfig(**keys), SPHERE)(power)


def image_of(candidates, mask, frame=0):
    return candidates.masks(torch.tensor([[0, frame, mask]]))[0].numpy()


def centroid(image):
    """Direction of the energy's centre of mass on the sphere."""
    azimuth, elevation = np.radians(azimuth_deg(np.arange(360))), np.radians(elevation_deg(np.arange(180)))
    weight = image * np.cos(elevation)[:, None]
    horizontal = (weight * np.cos(elevation)[:, None]).sum(0)
    x, y = (horizontal * np.cos(azimuth)).sum(), (horizontal * np.sin(azimuth)).sum()
    return directions_of([x, y, (weight * np.sin(elevation)[:, None]).sum()])


@pytest.mark.parametrize("shape", ["disc", "region"])
@pytest.mark.parametrize(
    "where", [(0, 0), (90, 0), (-37, 22), (180, 0), (179, 10), (-179, 10), (33, 78), (0, 90), (100, -88)]
)
def test_mask_lies_around_a_lone_blob(where, shape):
    candidates = decode(blobs((*where, 0.5)), shape=shape)

    image = image_of(candidates, 0)

    assert angle_between_deg(*centroid(image), *where) < 3
    y, x = np.unravel_index(image.argmax(), image.shape)
    assert angle_between_deg(azimuth_deg(x), elevation_deg(y), *where) < 4
    assert image.max() == pytest.approx(1, abs=0.02)
    assert candidates.scores[0, 0, 0] > 0.5
    far = angle_between_deg(azimuth_deg(np.arange(360)), elevation_deg(np.arange(180))[:, None], *where) > 30
    assert image[far].max() < 0.01


@pytest.mark.parametrize("shape", ["disc", "region"])
def test_mask_over_the_seam_is_as_smooth_as_one_in_front(shape):
    # 5 degrees a cell: a shift by whole cells must shift the image by whole pixels, seam or not.
    seam, front = (image_of(decode(blobs((azimuth, 10, 0.5)), shape=shape), 0) for azimuth in (180.0, 0.0))

    np.testing.assert_allclose(np.roll(front, 180, axis=1), seam, atol=1e-4)
    assert seam[:, 0].max() > 0.9
    assert seam[:, 359].max() > 0.9


def test_two_blobs_give_two_disjoint_regions_strongest_first():
    candidates = decode(blobs((60, 0, 0.3), (-60, 20, 0.5)), shape="region", dominance_exponent=0)

    first, second = image_of(candidates, 0), image_of(candidates, 1)

    assert angle_between_deg(*centroid(first), -60, 20) < 3
    assert angle_between_deg(*centroid(second), 60, 0) < 3
    energies = candidates.energies[0, 0]
    assert ((energies > 0).sum(0) <= 1).all()
    scores = candidates.scores[0, 0, ::13]
    assert scores[0] > scores[1] > 0.3
    assert scores[2] < 0.1


def test_touching_blobs_are_divided_between_their_peaks():
    candidates = decode(
        blobs((23, 0, 0.5), (-22, 0, 0.5)), shape="region", region_fraction=0.1, region_radius_deg=60.0
    )

    energies = candidates.energies[0, 0, :2]

    azimuth, _ = grid_directions(36, 72)
    assert ((energies > 0).sum(0) <= 1).all()
    assert {float(azimuth[c]) > 0 for c in energies[0].nonzero()[:, 1]} in ({True}, {False})
    assert (energies > 0).sum((1, 2)).min() > 30


def test_weaker_peak_within_the_minimum_separation_is_dropped():
    power = blobs((0, 0, 0.5), (35, 0, 0.4), width_deg=6)

    near, apart = (decode(power, min_separation_deg=deg, dominance_exponent=0) for deg in (50.0, 20.0))

    assert apart.scores[0, 0, 13] > 0.4
    assert near.scores[0, 0, 13] < 0.05


def test_minimum_separation_reaches_across_seam_and_pole():
    for a, b in (((175, 0), (-165, 0)), ((10, 80), (-170, 80))):
        power = blobs((*a, 0.5), (*b, 0.4), width_deg=4)
        candidates = decode(power, min_separation_deg=30.0, dominance_exponent=0)
        assert candidates.scores[0, 0, 13] < 0.05


def test_centre_of_a_disc_lies_between_cells():
    truth = (41.3, 13.1)
    candidates = decode(blobs((*truth, 0.5)))

    assert angle_between_deg(*directions_of(candidates.centres[0, 0, 0].numpy()), *truth) < 0.5


def test_disc_is_a_gaussian_of_the_given_width():
    candidates = decode(blobs((0.5, 0, 0.5)), disc_width_deg=8.0)
    image = image_of(candidates, 0)
    azimuth, elevation = directions_of(candidates.centres[0, 0, 0].numpy())

    for x, y in ((170, 80), (190, 95), (180, 110)):
        angle = angle_between_deg(azimuth_deg(x), elevation_deg(y), azimuth, elevation)
        assert image[y, x] == pytest.approx(np.exp(-((angle / 8) ** 2) / 2), abs=0.01)


def test_region_keeps_what_exceeds_the_fraction_above_the_mean():
    power = blobs((2.0, 2.5, 0.5), pedestal=0.3)
    candidates = decode(power, shape="region", region_fraction=0.5, region_radius_deg=60.0)

    # A Gaussian of width 12 is above half its height within 12 sqrt(2 ln 2) = 14.1 degrees.
    azimuth, elevation = grid_directions(36, 72)
    angle = angle_between_deg(azimuth[None], elevation[:, None], 2.0, 2.5)
    inside = candidates.energies[0, 0, 0].numpy() > 0
    assert inside[angle < 13].all()
    assert not inside[angle > 15].any()
    tight = decode(power, shape="region", region_fraction=0.5, region_radius_deg=8.0)
    assert not (tight.energies[0, 0, 0].numpy() > 0)[angle > 8.5].any()


@pytest.mark.parametrize("shape", ["disc", "region"])
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0, -0.2])
def test_flat_map_scores_nothing(level, shape):
    candidates = decode(torch.full((1, 2, 1, 36, 72), level), shape=shape)

    assert (candidates.scores == 0).all()
    assert torch.isfinite(candidates.mask_logits).all()
    masks = candidates.masks(torch.tensor([[0, 0, 0], [0, 1, 2]]))
    assert torch.isfinite(masks).all()


def test_score_rises_with_the_height_above_the_mean_and_not_with_the_pedestal():
    def score(height, pedestal=0.1):
        return float(decode(blobs((0, 0, height), pedestal=pedestal)).scores[0, 0, 0])

    scores = [score(height) for height in (0.01, 0.1, 0.2, 0.4)]
    assert scores[0] == 0
    assert scores == sorted(scores)
    assert scores[3] > scores[1] > 0
    assert score(0.4, pedestal=0.4) == pytest.approx(scores[3], abs=1e-5)
    assert score(0.9) == 1


def test_dominance_lowers_the_weaker_peak_only():
    power = blobs((60, 0, 0.2), (-60, 0, 0.4))

    plain = decode(power, dominance_exponent=0).scores[0, 0, ::13]
    ranked = decode(power, dominance_exponent=2).scores[0, 0, ::13]

    assert ranked[0] == plain[0]
    # Both heights count from the map's mean, which the blobs themselves raise a little.
    assert float(ranked[1] / plain[1]) == pytest.approx(0.25, abs=0.03)


def test_every_region_is_a_candidate_of_every_class():
    config = PeakRegionsConfig(peaks=4)
    candidates = PeakRegions(config, SPHERE)(blobs((0, 0, 0.5)).expand(2, 3, -1, -1, -1))
    promised = config.output(SPHERE)

    assert (promised.masks, promised.candidates) == (4, 52)
    assert candidates.class_logits.shape == (2, 3, 52, 14)
    assert candidates.scores.shape == (2, 3, 52)
    assert candidates.mask_logits.shape == (2, 3, 4, 36, 72)
    assert candidates.mask_of.tolist() == [region for region in range(4) for _ in range(13)]
    probabilities = candidates.class_logits.softmax(-1)
    assert probabilities.argmax(-1)[1, 2].tolist() == list(range(13)) * 4
    assert probabilities.amax(-1).min() > 1 - 1e-6
    assert (candidates.scores.unflatten(2, (4, 13)).std(-1) == 0).all()


@pytest.mark.parametrize("shape", ["disc", "region"])
def test_mask_logits_agree_with_the_masks(shape):
    candidates = decode(blobs((42, 13, 0.5)), shape=shape)
    image = image_of(candidates, 0)
    azimuth, elevation = grid_directions(36, 72)
    coarse = candidates.mask_logits[0, 0, 0].sigmoid().numpy()

    for i, j in ((15, 27), (14, 28), (16, 26), (3, 60)):
        y, x = int(np.rint(row(elevation[i]))), int(np.rint(column(azimuth[j])))
        assert image[y, x] == pytest.approx(coarse[i, j], abs=1e-3)


@pytest.mark.parametrize("shape", ["disc", "region"])
def test_masks_pick_the_selected_frames_in_order_and_frames_do_not_mix(shape):
    maps = [blobs((azimuth, 0, 0.5)) for azimuth in (0, 90)]
    together = decode(torch.cat(maps, 1), shape=shape)

    masks = together.masks(torch.tensor([[0, 1, 0], [0, 0, 0]]))

    assert masks.shape == (2, 180, 360)
    assert masks.min() >= 0
    assert masks.max() <= 1
    for mask, power in zip(masks, reversed(maps), strict=True):
        np.testing.assert_allclose(mask.numpy(), image_of(decode(power, shape=shape), 0), atol=1e-5)
    assert together.masks(torch.zeros(0, 3, dtype=torch.long)).shape == (0, 180, 360)


def test_same_map_gives_the_same_bits():
    power = torch.randn(1, 5, 1, 36, 72, generator=torch.Generator().manual_seed(0))
    first, second = decode(power, peaks=5), decode(power, peaks=5)

    assert torch.equal(first.scores, second.scores)
    assert torch.equal(first.mask_logits, second.mask_logits)


@pytest.mark.parametrize(("height", "width"), [(45, 90), (4, 5), (180, 360)])
def test_other_grids_work(height, width):
    sphere = SphereSpec("steered_power", 1, height, width)
    power = torch.zeros(1, 1, 1, height, width)
    power[..., height // 2, width // 3] = 0.9

    candidates = PeakRegions(PeakRegionsConfig(), sphere)(power)

    assert candidates.scores[0, 0, 0] > 0.9
    azimuth, elevation = grid_directions(height, width)
    found = directions_of(candidates.centres[0, 0, 0].numpy())
    assert angle_between_deg(*found, azimuth[width // 3], elevation[height // 2]) < 0.1


def test_config_and_wiring_say_what_does_not_fit():
    with pytest.raises(pydantic.ValidationError, match=r"contrast_at_zero = 0\.7 is not below"):
        PeakRegionsConfig(contrast_at_zero=0.7)
    with pytest.raises(WiringError, match="got 16 of 'embedding'"):
        PeakRegionsConfig().output(SphereSpec("embedding", 16, 36, 72))
