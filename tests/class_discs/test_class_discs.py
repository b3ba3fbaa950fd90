"""Decoder `class_discs`: what it decides, given where regions may be and how wide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sai_bench.detector import check_candidates
from sai_bench.interfaces import SphereSpec
from sai_bench.sphere import angle_between_deg, grid_directions
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig
from sai_bench_builtin.decoders.class_discs import ClassDiscs
from sai_bench_builtin.decoders.class_maps.network import MapLogits

ROWS, COLUMNS = 18, 36
EXTENTS = (4.0, 8, 12, 20)
SILENT, HEARD = -8.0, 3.0
PROBABLE = 1 / (1 + np.exp(-HEARD))
SURE = 30.0


class GivenMaps(nn.Module):
    """Stands for the network: activity and maps as given, one frame after the other."""

    def __init__(self, activity, maps):
        super().__init__()
        self.given = MapLogits(activity, maps, torch.zeros(len(maps), ROWS, COLUMNS, 8))

    def forward(self, sphere):
        return self.given


class GivenExtents(nn.Module):
    """Stands for the head: the same logits of extents for all regions."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))
        self.weight = torch.zeros(1)

    def __getitem__(self, number):
        return self

    def forward(self, seen):
        return self.logits.expand(*seen.shape[:-1], -1)


def built(**keys):
    torch.manual_seed(0)
    config = ClassDiscsConfig(
        **{"upsampling": 2, "hidden_channels": 8, "extents_deg": EXTENTS, "region_radius_deg": 60, **keys}
    )
    return ClassDiscs(config, SphereSpec("embedding", 6, ROWS, COLUMNS)).eval()


def sphere_features(frames=1):
    return torch.zeros(1, frames, 6, ROWS, COLUMNS)


def angles_on(grid, place):
    azimuth, elevation = grid_directions(*grid)
    return angle_between_deg(azimuth[None], elevation[:, None], *place)


def disc(grid, place, radius_deg, edge_deg=1.0, rim_energy=0.4):
    """Energies [h, w] of a disc, about 1 in its centre."""
    angle = angles_on(grid, place)
    return rim_energy ** ((angle / radius_deg) ** 2) / (1 + np.exp((angle - radius_deg) / edge_deg))


def place_of(row, column, grid=(36, 72)):
    azimuth, elevation = grid_directions(*grid)
    return azimuth[column], elevation[row]


def gaussian(grid, place, width_deg):
    """Logits [h, w] whose softmax is a blob around a place."""
    return torch.from_numpy(-0.5 * (angles_on(grid, place) / width_deg) ** 2).float()


def sure_of(index):
    return [SURE if number == index else 0.0 for number in range(len(EXTENTS))]


def decoder_of(events, extents, **keys):
    """A decoder that sees frames with events (class, logits of places); several of a class: all likely."""
    decoder = built(**keys)
    activity = torch.full((len(events), 13), SILENT)
    maps = torch.zeros(len(events), 13, *decoder.grid)
    for frame, happening in enumerate(events):
        for kind in {kind for kind, _ in happening}:
            activity[frame, kind] = HEARD
            maps[frame, kind] = torch.stack([one for other, one in happening if other == kind]).logsumexp(0)
    decoder.network, decoder.extent_head = GivenMaps(activity, maps), GivenExtents(extents)
    return decoder


def candidates_of(events, extents, **keys):
    return decoder_of(events, extents, **keys)(sphere_features(frames=len(events)))


def shown(candidates, frame=0, least=0.1):
    """(class, score, energies [h, w]) of the candidates scored above `least`, best first."""
    found = []
    for slot in candidates.scores[0, frame].argsort(descending=True).tolist():
        if candidates.scores[0, frame, slot] > least:
            kind = int(candidates.class_logits[0, frame, slot].argmax())
            energies = candidates.mask_logits[0, frame, slot].sigmoid().numpy()
            found.append((kind, candidates.scores[0, frame, slot].item(), energies))
    return found


def radius_of(energies):
    """The radius in degrees of a disc as large as the part of the sphere with half the rim's energy."""
    _, elevation = grid_directions(*energies.shape)
    areas = np.broadcast_to(np.cos(np.radians(elevation))[:, None], energies.shape)
    share = areas[energies > 0.2].sum() / areas.sum()
    return np.degrees(np.arccos(1 - 2 * share))


# ---------------------------------------------------------------------------------------------------------- #
# Decisions


@torch.no_grad()
@pytest.mark.parametrize("cell", [(17, 30), (17, 0), (20, 71), (0, 5), (35, 60), (3, 0)])
@pytest.mark.parametrize("extent", [1, 3])
def test_a_sure_place_and_extent_are_that_disc_there_scored_as_the_class_is_probable(cell, extent):
    place = place_of(*cell)
    ((kind, score, energies),) = shown(
        candidates_of([[(5, gaussian((36, 72), place, 0.5))]], sure_of(extent))
    )

    assert kind == 5
    assert score == pytest.approx(PROBABLE, abs=2e-3)
    assert np.abs(energies - disc((36, 72), place, EXTENTS[extent])).max() < 0.02


@torch.no_grad()
def test_the_full_size_mask_is_the_disc():
    place = place_of(14, 1)
    candidates = candidates_of([[(5, gaussian((36, 72), place, 0.5))]], sure_of(2))
    mask = candidates.masks(torch.tensor([[0, 0, int(candidates.scores[0, 0].argmax())]]))[0].numpy()
    wanted = disc((180, 360), place, EXTENTS[2])
    assert np.minimum(mask, wanted).sum() / np.maximum(mask, wanted).sum() > 0.85


@torch.no_grad()
@pytest.mark.parametrize(("thresholds", "growth_deg"), [((0.25, 0.5, 0.75), 0), ((0.25,), 3)])
def test_the_less_sure_of_the_place_the_larger_the_disc_and_the_lower_the_score(thresholds, growth_deg):
    """A larger disc covers more places, and is less like the region at each: worth it for low thresholds."""
    found = [
        shown(
            candidates_of(
                [[(5, gaussian((36, 72), place_of(16, 40), width))]], sure_of(1), iou_thresholds=thresholds
            )
        )[0]
        for width in (0.5, 3, 6, 10)
    ]
    scores, radii = [score for _, score, _ in found], [radius_of(energies) for _, _, energies in found]

    assert np.diff(scores).max() < (-0.05 if growth_deg == 0 else 1e-6)
    assert scores[-1] < 0.5 * scores[0]
    assert np.diff(radii).min() >= 0
    assert radii[-1] >= radii[0] + growth_deg


@torch.no_grad()
def test_unsure_of_the_extent_it_takes_one_in_between_and_scores_it_lower():
    place = place_of(16, 40)
    ((_, score, energies),) = shown(
        candidates_of([[(5, gaussian((36, 72), place, 0.5))]], [SURE, SURE, SURE, 0.0])
    )
    assert radius_of(energies) == pytest.approx(EXTENTS[1], abs=2.5)
    assert score < 0.8 * PROBABLE


@torch.no_grad()
def test_between_two_likely_places_the_disc_may_lie_in_the_middle():
    cells = [(16, 38), (16, 40)]  # ten degrees apart
    both = torch.stack([gaussian((36, 72), place_of(*cell), 0.5) for cell in cells]).logsumexp(0)
    decoder = decoder_of([[(5, both)]], sure_of(2), iou_thresholds=(0.5,), rim_energy=1)
    ((_, score, energies),) = shown(decoder(sphere_features()))

    assert score == pytest.approx(PROBABLE, abs=0.02)
    assert np.abs(energies - disc((36, 72), place_of(16, 39), EXTENTS[2], rim_energy=1)).max() < 0.06
    # High thresholds are passed only by hitting one of them.
    decoder = decoder_of([[(5, both)]], sure_of(2), iou_thresholds=(0.9,))
    ((_, score, energies),) = shown(decoder(sphere_features()))
    assert score == pytest.approx(PROBABLE / 2, abs=0.02)
    assert np.unravel_index(energies.argmax(), energies.shape) in cells


@torch.no_grad()
def test_a_class_that_does_not_sound_scores_low_and_an_absent_one_not_at_all():
    decoder = decoder_of([[(5, gaussian((36, 72), (0, 0), 0.5))]], sure_of(1))
    decoder.network.given.activity[0, 5] = -4
    candidates = decoder(sphere_features())

    assert 0 < candidates.scores.max() <= 1 / (1 + np.exp(4)) + 1e-6
    assert (candidates.class_logits[0, 0].argmax(-1) == 13).all()  # "no object"

    decoder.network.given.activity[0, 5] = SILENT
    candidates = decoder(sphere_features())
    assert not candidates.scores.any()
    assert candidates.mask_logits.sigmoid().max() < 1e-12
    check_candidates(candidates, (1, 1), "class_discs")


@torch.no_grad()
def test_two_sources_of_a_class_are_two_regions_that_share_no_pixel():
    cells = [(17, 32), (17, 40)]  # forty degrees apart; discs of 20 degrees touch
    events = [(2, gaussian((36, 72), place_of(*cell), 0.5)) for cell in cells]
    found = shown(candidates_of([events], sure_of(3)))

    assert [kind for kind, _, _ in found] == [2, 2]
    one, two = (energies for _, _, energies in found)
    assert np.minimum(one, two).max() < 1e-9
    assert sorted((one[cell] > 0.999, two[cell] > 0.999) for cell in cells) == [(False, True), (True, False)]
    # The class's one probability is shared by both places.
    assert [score for _, score, _ in found] == pytest.approx([PROBABLE / 2] * 2, abs=0.02)


@torch.no_grad()
@pytest.mark.parametrize(("keys", "count"), [({}, 1), ({"min_separation_deg": 10}, 2)])
def test_peaks_close_to_each_other_are_one_region(keys, count):
    events = [(2, gaussian((36, 72), place_of(17, 32 + 4 * number), 2)) for number in range(2)]
    assert len(shown(candidates_of([events], sure_of(0), **keys))) == count


@torch.no_grad()
def test_the_most_probable_candidates_are_kept():
    events = [[(kind, gaussian((36, 72), (25 * kind - 160, 0), 2)) for kind in range(13)]]
    decoder = decoder_of(events, sure_of(1), candidates=4)
    decoder.network.given.activity[0] = torch.arange(13.0) - 4
    assert sorted(kind for kind, _, _ in shown(decoder(sphere_features()))) == [9, 10, 11, 12]


@torch.no_grad()
def test_the_level_of_a_map_which_no_loss_teaches_does_not_matter():
    places = [(2, gaussian((36, 72), (50, 0), 2)), (2, gaussian((36, 72), (-50, 0), 2) - 2)]
    events = [[*places, *((kind, gaussian((36, 72), (0, 40), 3)) for kind in (4, 7, 9))]]
    decoder = decoder_of(events, sure_of(1), candidates=4)
    decoder.network.given.activity[0, [2, 4, 7, 9]] = torch.tensor([3.0, 2.0, 1.0, 0.0])
    before = decoder(sphere_features())

    decoder.network.given.maps[:] += torch.linspace(-20, 40, 13)[:, None, None]
    after = decoder(sphere_features())

    assert [kind for kind, _, _ in shown(before)] == [kind for kind, _, _ in shown(after)]
    assert {kind for kind, _, _ in shown(after)} == {2, 4, 7, 9}
    assert torch.allclose(after.scores, before.scores, atol=1e-4)
    assert torch.allclose(after.mask_logits, before.mask_logits, atol=1e-3)
    # Of the second place of class 2, e^-2 as probable as the first, there is no candidate.
    assert sum(kind == 2 for kind, _, _ in shown(after, least=0)) == 1


# ---------------------------------------------------------------------------------------------------------- #
# Scores


def played(maps, extents, energies, config, draws=300, seed=0):
    """Share of thresholds that a mask passes, mean over regions drawn from the stated probabilities."""
    rng = np.random.default_rng(seed)
    grid = energies.shape
    _, elevation = grid_directions(*grid)
    areas = np.cos(np.radians(elevation))[:, None]
    cells = rng.choice(energies.size, draws, p=maps.flatten().double().softmax(0).numpy())
    radii = rng.choice(config.extents_deg, draws, p=torch.tensor(extents).double().softmax(0).numpy())
    mask = np.where(energies < 0.05, 0, energies)
    passed = []
    for cell, radius in zip(cells, radii, strict=True):
        region = disc(grid, place_of(*divmod(int(cell), grid[1]), grid), radius, config.edge_deg)
        iou = (areas * np.minimum(mask, region)).sum() / (areas * np.maximum(mask, region)).sum()
        passed.append(np.mean(iou > np.array(config.iou_thresholds)))
    return np.mean(passed)


@torch.no_grad()
@pytest.mark.parametrize(
    ("width_deg", "extents", "thresholds"),
    [
        (2.0, [0.0, 1.0, 0.5, 0.0], (0.25, 0.5, 0.75)),
        (5.0, [0.0, 1.0, 2.0, 1.0], (0.25, 0.5, 0.75)),
        (5.0, [-9.0, 0.0, 1.0, 3.0], (0.3, 0.4, 0.5, 0.6, 0.7)),
        (10.0, [-9.0, 0.0, 0.0, 0.0], (0.25,)),
    ],
)
def test_a_score_is_the_expected_share_of_thresholds_passed(width_deg, extents, thresholds):
    grid = (90, 180)
    config = {"upsampling": 5, "iou_thresholds": thresholds, "region_radius_deg": 60}
    # Two likely places near each other, one more so.
    maps = torch.stack([gaussian(grid, (5, 3), width_deg), gaussian(grid, (-4, 8), width_deg) - 1]).logsumexp(
        0
    )
    decoder = decoder_of([[(5, maps)]], extents, **config)

    ((_, score, energies),) = shown(decoder(sphere_features()), least=0.01)

    expected = PROBABLE * played(maps, extents, energies, decoder.config)
    assert score == pytest.approx(expected, abs=0.04)


@torch.no_grad()
def test_no_other_disc_at_the_peak_would_have_scored_better_when_played():
    grid, extents = (60, 120), [0.0, 2.0, 1.0, 0.0]
    maps = gaussian(grid, (2, 4), 5)
    sphere = {"upsampling": 2, "region_radius_deg": 60}
    decoder = decoder_of([[(5, gaussian((36, 72), (2.5, 2.5), 5))]], extents, **sphere)
    ((_, _, energies),) = shown(decoder(sphere_features()), least=0.01)
    chosen = EXTENTS[np.abs(np.array(EXTENTS) - radius_of(energies)).argmin()]

    outcomes = {
        radius: played(maps, extents, disc(grid, (2, 4), radius), decoder.config, draws=200)
        for radius in EXTENTS
    }
    assert outcomes[chosen] > max(outcomes.values()) - 0.03


# ---------------------------------------------------------------------------------------------------------- #
# Averaging over time


@torch.no_grad()
def test_activity_is_averaged_with_weights_that_fall_linearly():
    events = [[], [(3, gaussian((36, 72), (0, 0), 2))], []]
    candidates = candidates_of(events, sure_of(1), activity_smoothing_frames=1)
    kind = candidates.class_logits[0, :, :, 3].amax(1)
    expected = [(2 * SILENT + HEARD) / 3, (2 * SILENT + 2 * HEARD) / 4, (2 * SILENT + HEARD) / 3]
    assert kind.tolist() == pytest.approx(expected, abs=1e-5)


@torch.no_grad()
def test_averaging_maps_mends_a_frame_that_errs_but_not_in_training():
    here, elsewhere = place_of(17, 30), place_of(17, 60)
    events = [[(3, gaussian((36, 72), elsewhere if n == 2 else here, 4))] for n in range(5)]

    decoder = decoder_of(events, sure_of(2), smoothing_frames=2, smoothing_speed_deg_per_s=0)
    ((_, _, energies),) = shown(decoder(sphere_features(frames=5)), frame=2)
    assert np.unravel_index(energies.argmax(), energies.shape)[1] < 50

    ((_, _, energies),) = shown(decoder.train()(sphere_features(frames=5)), frame=2)
    assert np.unravel_index(energies.argmax(), energies.shape) == (17, 60)
