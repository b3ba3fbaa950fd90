"""Decoder `class_maps`: which candidates it finds in maps that are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sai_bench.detector import check_candidates
from sai_bench.errors import WiringError
from sai_bench.interfaces import CandidateSpec, SphereSpec
from sai_bench.sphere import angle_between_deg, grid_directions, unit_vectors
from sai_bench_builtin.configs.class_maps import ClassMapsConfig
from sai_bench_builtin.decoders.class_maps import ClassMaps
from sai_bench_builtin.decoders.class_maps.network import MapLogits
from sai_bench_builtin.decoders.class_maps.regions import cell_vectors

SPHERE = SphereSpec("embedding", channels=6, height=18, width=36)
HEIGHT, WIDTH = 36, 72
SILENT, HEARD = -8.0, 3.0


def built(seed=0, **keys):
    torch.manual_seed(seed)
    return ClassMaps(ClassMapsConfig(**{"upsampling": 2, "hidden_channels": 8, **keys}), SPHERE).eval()


def sphere_features(batch=1, frames=1, seed=1):
    return torch.randn(batch, frames, 6, 18, 36, generator=torch.Generator().manual_seed(seed))


def blob(azimuth, elevation, width_deg=8.0, height=4.0):
    """A map of logits [h, w] with one peak, `height` in the middle and -6 far away."""
    azimuths, elevations = grid_directions(HEIGHT, WIDTH)
    angle = angle_between_deg(azimuths[None], elevations[:, None], azimuth, elevation)
    return torch.from_numpy(-6 + (height + 6) * np.exp(-((angle / width_deg) ** 2) / 2)).float()


class GivenMaps(nn.Module):
    """Stands for the network: activity and maps as given, one frame after the other."""

    def __init__(self, activity, maps):
        super().__init__()
        self.given = MapLogits(activity, maps, torch.zeros(len(maps), 18, 36, 8))

    def forward(self, sphere):
        return self.given


def decoder_of(events, **keys):
    """A decoder that sees frames with events (class, map); two maps of a class have their maximum."""
    activity = torch.full((len(events), 13), SILENT)
    maps = torch.full((len(events), 13, HEIGHT, WIDTH), -6.0)
    for frame, happening in enumerate(events):
        for kind, one in happening:
            activity[frame, kind] = HEARD
            maps[frame, kind] = torch.maximum(maps[frame, kind], one)
    decoder = built(**{"score": "derived", "initial_sharpness": 1, **keys})
    decoder.network = GivenMaps(activity, maps)
    return decoder


def candidates_of(events, **keys):
    return decoder_of(events, **keys)(sphere_features(frames=len(events)))


def strong(candidates, frame=0):
    """(class, direction of the mask's strongest pixel, mask [180, 360]) of candidates scored above 0.3."""
    found = []
    for slot in (candidates.scores[0, frame] > 0.3).nonzero()[:, 0].tolist():
        mask = candidates.masks(torch.tensor([[0, frame, slot]]))[0].numpy()
        row, column = np.unravel_index(mask.argmax(), mask.shape)
        azimuth, elevation = grid_directions(180, 360)
        kind = int(candidates.class_logits[0, frame, slot, :13].argmax())
        found.append((kind, (azimuth[column], elevation[row]), mask))
    return found


@torch.no_grad()
@pytest.mark.parametrize("score", ["learned", "derived"])
def test_candidates_are_as_the_detector_wants_them(score):
    candidates = built(score=score)(sphere_features(2, 3))

    check_candidates(candidates, (2, 3), "class_maps")
    assert candidates.mask_logits.shape == (2, 3, 8, HEIGHT, WIDTH)
    assert candidates.masks(torch.tensor([[1, 2, 7]])).shape == (1, 180, 360)


@torch.no_grad()
@pytest.mark.parametrize("place", [(0, 0), (179, 5), (-178, -40), (70, 86)])
def test_a_peak_becomes_a_candidate_of_its_class_there(place):
    ((kind, found, mask),) = strong(candidates_of([[(5, blob(*place))]]))

    assert kind == 5
    assert angle_between_deg(*found, *place) < 5
    assert mask.max() == pytest.approx(torch.tensor(4.0).sigmoid().item(), abs=0.03)


@torch.no_grad()
def test_two_sources_of_a_class_are_two_regions_that_share_no_pixel():
    found = strong(candidates_of([[(2, blob(20, 0, 9)), (2, blob(-20, 0, 9)), (8, blob(20, 0))]]))

    assert sorted(kind for kind, _, _ in found) == [2, 2, 8]
    one, two = (mask for kind, _, mask in found if kind == 2)
    azimuth, _ = grid_directions(180, 360)
    left, right = (one, two) if azimuth[one.max(0).argmax()] > 0 else (two, one)
    assert left[:, azimuth < -5].max() < 0.01
    assert right[:, azimuth > 5].max() < 0.01
    # The region keeps the shape that the map has.
    cell = candidates_of([[(8, blob(20, 0))]]).masks(torch.tensor([[0, 0, 0]]))[0].numpy()
    assert np.abs(next(mask for kind, _, mask in found if kind == 8) - cell).max() < 1e-6


@torch.no_grad()
def test_a_weak_side_peak_and_a_close_one_are_no_candidates():
    weak = [(2, blob(0, 0, height=2)), (2, blob(90, 0, height=-3))]
    close = [(2, blob(0, 0, 6)), (2, blob(18, 0, 6, height=3))]
    assert len(strong(candidates_of([weak]))) == 1
    assert len(strong(candidates_of([close]))) == 1
    assert len(strong(candidates_of([close], min_separation_deg=10))) == 2


@torch.no_grad()
def test_a_region_ends_at_its_radius():
    ((_, _, mask),) = strong(candidates_of([[(2, blob(0, 0, 40))]], region_radius_deg=20))
    azimuth, elevation = grid_directions(180, 360)
    angle = angle_between_deg(azimuth[None], elevation[:, None], 0, 0)
    assert mask[angle > 26].max() < 0.01
    assert mask[angle < 11].min() > 0.5


@torch.no_grad()
def test_a_class_that_does_not_sound_scores_low_wherever_its_map_peaks():
    decoder = decoder_of([[(5, blob(0, 0))]])
    decoder.network.given.activity[0, 5] = -4
    candidates = decoder(sphere_features())
    assert candidates.scores.max() < 0.02
    assert (candidates.class_logits[0, 0].argmax(-1) == 13).all()  # "no object"


@torch.no_grad()
def test_the_most_probable_candidates_are_kept():
    events = [(kind, blob(25 * kind - 160, 0, height=kind / 3)) for kind in range(13)]
    candidates = candidates_of([events], candidates=4)
    assert sorted(kind for kind, _, _ in strong(candidates)) == [9, 10, 11, 12]


@torch.no_grad()
@pytest.mark.parametrize(("batch", "frames"), [(0, 3), (2, 0)])
def test_no_frames_have_no_candidates(batch, frames):
    for keys in ({}, {"smoothing_frames": 2, "activity_smoothing_frames": 1}):
        candidates = built(**keys)(sphere_features(batch, frames))
        check_candidates(candidates, (batch, frames), "class_maps")


@torch.no_grad()
def test_the_sharpness_makes_masks_of_probabilities():
    plain = candidates_of([[(5, blob(0, 0))]]).mask_logits[0, 0, 0].sigmoid()
    sharp = candidates_of([[(5, blob(0, 0))]], initial_sharpness=2.5).mask_logits[0, 0, 0].sigmoid()
    assert torch.allclose(sharp, plain**2.5, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- #
# Averaging over time


def path(speed_deg_per_s, frames=9, seed=0, noise=3.0):
    """Events of a source that moves around the array from cell to cell, each map with noise."""
    generator = torch.Generator().manual_seed(seed)
    azimuth, elevation = (axis[16] for axis in grid_directions(HEIGHT, WIDTH))
    places = [(azimuth + speed_deg_per_s * (n - frames // 2) / 10, elevation) for n in range(frames)]
    maps = [blob(*place, 5.5) + noise * torch.randn(HEIGHT, WIDTH, generator=generator) for place in places]
    return places, [[(3, one)] for one in maps]


def errors_deg(places, candidates):
    return [
        angle_between_deg(*strong_or_none[0][1], *place)
        for frame, place in enumerate(places)
        if (strong_or_none := strong(candidates, frame))
    ]


@torch.no_grad()
@pytest.mark.parametrize("speed", [0, 50, -50])
def test_averaging_follows_a_moving_source_and_takes_noise_away(speed):
    places, events = path(speed)

    before = np.mean(errors_deg(places, candidates_of(events)))
    after = np.mean(errors_deg(places, candidates_of(events, smoothing_frames=4)))
    standing = np.mean(
        errors_deg(places, candidates_of(events, smoothing_frames=4, smoothing_speed_deg_per_s=0))
    )

    assert after < 0.7 * before
    assert speed == 0 or after < 0.7 * standing


@torch.no_grad()
def test_averaging_keeps_a_steady_map_as_it_is_and_heeds_only_frames_in_which_the_class_sounds():
    still = candidates_of([[(3, blob(10, 0))]] * 5 + [[(4, blob(-90, 0))]] * 5)
    averaged = candidates_of([[(3, blob(10, 0))]] * 5 + [[(4, blob(-90, 0))]] * 5, smoothing_frames=4)
    for frame in range(10):
        ((kind, _, mask),), ((same, _, expected),) = strong(averaged, frame), strong(still, frame)
        assert kind == same == (3 if frame < 5 else 4)
        assert np.abs(mask - expected).max() < 0.02


def test_averaging_makes_frames_depend_on_each_other_but_not_in_training():
    assert built().frames_are_independent
    decoder = built(smoothing_frames=2)
    assert not decoder.frames_are_independent
    assert decoder.train().frames_are_independent
    assert not built(activity_smoothing_frames=1).frames_are_independent


@torch.no_grad()
def test_activity_is_averaged_with_weights_that_fall_linearly():
    decoder = decoder_of([[], [(3, blob(0, 0))], []], activity_smoothing_frames=1)
    candidates = decoder(sphere_features(frames=3))
    kind = candidates.class_logits[0, :, :, 3].amax(1)
    expected = [(2 * SILENT + HEARD) / 3, (2 * SILENT + 2 * HEARD) / 4, (2 * SILENT + HEARD) / 3]
    assert kind.tolist() == pytest.approx(expected, abs=1e-5)


# ---------------------------------------------------------------------------------------------------------- #
# Wiring


def test_it_promises_its_candidates():
    assert ClassMapsConfig().output(SphereSpec("embedding", 6, 20, 40)) == CandidateSpec(8, 8, 60, 120)
    few = ClassMapsConfig(peaks_per_class=1, candidates=64, upsampling=2)
    assert few.output(SPHERE).candidates == 13
    assert ClassMaps(few, SPHERE).eval()(sphere_features()).scores.shape == (1, 1, 13)


@pytest.mark.parametrize(
    ("sphere", "message"),
    [
        (SphereSpec("steered_power", 1, 18, 36), "embedding.*steered_masks"),
        (SphereSpec("embedding", 6, 18, 36), "54 x 108.*do not divide 180 x 360"),
    ],
)
def test_features_that_do_not_fit_are_refused(sphere, message):
    with pytest.raises(WiringError, match=message):
        ClassMapsConfig().output(sphere)


def test_cells_of_the_maps_lie_where_the_conventions_say():
    azimuth, elevation = grid_directions(HEIGHT, WIDTH)
    expected = unit_vectors(azimuth[5], elevation[30])
    assert cell_vectors(HEIGHT, WIDTH)[30 * WIDTH + 5].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
