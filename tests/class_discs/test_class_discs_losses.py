"""The losses of `class_discs` against plain formulas, and that they teach."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

from sai_bench.interfaces import SphereSpec
from sai_bench.sphere import angle_between_deg, directions_of, grid_directions, unit_vectors
from sai_bench.training.mask_sets import EMPTY
from sai_bench.training.targets import MaskTargets
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig, ClassDiscsLosses
from sai_bench_builtin.decoders.class_discs import ClassDiscs
from sai_bench_builtin.decoders.class_maps.network import MapLogits

GRID = (36, 72)
EXTENTS = (6.0, 10, 14, 20, 30)


def built(class_maps=False):
    return copy.deepcopy(first_built(class_maps))


@functools.cache
def first_built(class_maps):
    torch.manual_seed(0)
    config = ClassDiscsConfig(upsampling=2, hidden_channels=16, extents_deg=EXTENTS)
    return ClassDiscs(config, SphereSpec("embedding", 6 + 13 * class_maps, 18, 36, class_maps))


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def disc(place, radius_deg, edge_deg=1.0, grid=GRID, rim_energy=0.4):
    """Energies [h, w] of a disc whose highest one is 1."""
    azimuth, elevation = grid_directions(*grid)
    angle = angle_between_deg(azimuth[None], elevation[:, None], *place)
    energies = rim_energy ** ((angle / radius_deg) ** 2) / (1 + np.exp((angle - radius_deg) / edge_deg))
    return energies / energies.max()


def targets(events, class_agnostic=False):
    """Targets [1, N, T] of events (class, mask [h, w]) in each frame."""
    slots = max(1, *map(len, events))
    classes = torch.full((1, len(events), slots), EMPTY)
    masks = torch.zeros(1, len(events), slots, *GRID)
    for frame, happening in enumerate(events):
        for slot, (kind, mask) in enumerate(happening):
            classes[0, frame, slot] = kind
            masks[0, frame, slot] = torch.from_numpy(mask)
    return MaskTargets(classes, classes, {GRID: masks}, class_agnostic)


class GivenMaps(nn.Module):
    """Stands for the network: activity [n, K] and maps [n, K, h, w] as given."""

    def __init__(self, activity, maps):
        super().__init__()
        self.given = MapLogits(activity, maps, random(len(maps), 18, 36, 16))

    def forward(self, sphere):
        return self.given


class GivenExtents(nn.Module):
    """Stands for the head: the same logits for all regions, and what it was asked."""

    def __init__(self, logits):
        super().__init__()
        self.logits, self.weight = torch.tensor(logits), torch.zeros(1)

    def __getitem__(self, number):
        return self

    def forward(self, seen):
        self.seen = seen
        return self.logits.expand(*seen.shape[:-1], -1)


def losses_of(events, activity=None, maps=None, extents=(0.0,) * 5, losses=None, **keys):
    """The losses by name, for outputs that are given (random ones otherwise), and the decoder."""
    decoder = built()
    activity = random(len(events), 13) if activity is None else activity
    maps = random(len(events), 13, *GRID, seed=5) if maps is None else maps
    decoder.network, decoder.extent_head = GivenMaps(activity, maps), GivenExtents(list(extents))
    sphere = torch.zeros(1, len(events), 6, 18, 36)
    _, parts = decoder.loss(sphere, targets(events, **keys), losses or ClassDiscsLosses())
    return parts, decoder


def balance(mask):
    """Azimuth and elevation of where the energies balance on the sphere."""
    azimuth, elevation = grid_directions(*GRID)
    vectors = unit_vectors(azimuth[None], elevation[:, None])
    areas = np.cos(np.radians(elevation))[:, None]
    return directions_of(((mask * areas)[..., None] * vectors).sum((0, 1)))


def softmax_entropy(logits, wanted):
    """Cross entropy of a softmax over all cells with `wanted`, which sums to 1."""
    logits = logits.astype(np.float64)
    highest = logits.max()
    return -(wanted * (logits - highest - np.log(np.exp(logits - highest).sum()))).sum()


# ---------------------------------------------------------------------------------------------------------- #
# Each term by itself


PLACES = [(4, (12, 20), 14), (7, (178, -30), 20), (4, (-60, 72), 20)]
EVENTS = [[(kind, disc(place, radius)) for kind, place, radius in PLACES[:2]], [(4, disc((-60, 72), 20))], []]


def test_activity_is_the_cross_entropy_of_what_sounds():
    activity = random(3, 13)
    parts, _ = losses_of(EVENTS, activity=activity)

    p, y = activity.double().sigmoid().numpy(), np.zeros((3, 13))
    y[0, 4] = y[0, 7] = y[1, 4] = 1
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert parts["activity"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("width_deg", [0.5, 2.0, 8.0])
def test_place_is_the_cross_entropy_with_a_blob_at_the_centre_also_near_a_pole(width_deg):
    maps = random(3, 13, *GRID, seed=5)
    parts, _ = losses_of(EVENTS, maps=maps, losses=ClassDiscsLosses(place_width_deg=width_deg))

    azimuth, elevation = grid_directions(*GRID)
    expected = []
    for frame, (kind, centre, _) in zip((0, 0, 1), PLACES, strict=True):
        angle = angle_between_deg(azimuth[None], elevation[:, None], *centre)
        blob = np.exp(-0.5 * ((angle**2 - angle.min() ** 2) / width_deg**2))
        expected.append(softmax_entropy(maps[frame, kind].numpy(), blob / blob.sum()))
    assert parts["place"].item() == pytest.approx(np.mean(expected), rel=0.01)


def test_place_heeds_no_level_and_no_other_class():
    maps = random(3, 13, *GRID, seed=5)
    before, _ = losses_of(EVENTS, maps=maps)
    changed = maps + random(3, 13, 1, 1)
    changed[:, [0, 1, 2, 3, 5, 6]] = 0
    after, _ = losses_of(EVENTS, maps=changed)
    assert after["place"].item() == pytest.approx(before["place"].item(), rel=1e-5)


@pytest.mark.parametrize(
    "mask",
    [
        *(disc((12, 20), radius) for radius in EXTENTS),
        disc((179, -45), 16.5),
        disc((0, 85), 20),
        0.3 * disc((0, 0), 10),  # scaled to peak 1 first
        np.maximum(disc((0, 0), 12), disc((25, 5), 12)),  # no disc at all
        disc((40, 0), 12, edge_deg=6),
    ],
)
def test_the_wanted_extent_is_that_of_the_disc_with_the_best_soft_iou(mask):
    region = mask / mask.max()
    centre = balance(region)
    fits = []
    for radius in EXTENTS:
        own = disc(centre, radius)
        fits.append(np.minimum(own, region).sum() / np.maximum(own, region).sum())
    logits = np.array([0.0, 1, 2.5, 4.5, 7])  # each extent has its own cross entropy

    parts, _ = losses_of([[(4, mask)]], extents=logits)

    expected = np.log(np.exp(logits).sum()) - logits[np.argmax(fits)]
    assert parts["extent"].item() == pytest.approx(expected, rel=1e-5)


def test_extents_are_read_at_the_region_s_centre_of_its_class():
    _, decoder = losses_of(EVENTS)
    seen, cells = decoder.extent_head.seen, decoder.network.given.cells

    azimuth, elevation = grid_directions(*GRID)
    assert seen.shape == (3, 16 + 13)
    for row, (frame, (kind, centre, _)) in zip(seen, zip((0, 0, 1), PLACES, strict=True), strict=True):
        angle = angle_between_deg(azimuth[None], elevation[:, None], *centre)
        i, j = np.unravel_index(angle.argmin(), GRID)
        assert row[:16].equal(cells[frame, i // 2, j // 2])
        assert row[16:].nonzero().tolist() == [[kind]]


def test_class_agnostic_targets_teach_the_odds_of_all_classes_together():
    activity, maps = random(3, 13), random(3, 13, *GRID, seed=5)
    anything = [[(0, mask) for _, mask in happening] for happening in EVENTS]
    parts, _ = losses_of(anything, activity=activity, maps=maps, class_agnostic=True)

    odds = np.log(np.exp(activity.double().numpy()).sum(1))
    y = np.array([1, 1, 0])
    expected = (np.log1p(np.exp(odds)) - y * odds).mean()
    assert parts["activity"].item() == pytest.approx(expected, rel=1e-5)

    together = torch.logsumexp(maps, 1, keepdim=True).expand(-1, 13, -1, -1)
    alone, _ = losses_of(EVENTS, maps=together)
    assert parts["place"].item() == pytest.approx(alone["place"].item(), rel=1e-5)


# ---------------------------------------------------------------------------------------------------------- #
# All together


def test_the_total_is_the_weighted_sum_of_the_named_parts():
    decoder, sphere = built(), random(1, 3, 6, 18, 36)
    assert decoder.target_grids(ClassDiscsLosses()) == (GRID,)
    losses = ClassDiscsLosses(activity=0.7, place=3, extent=0.2)
    total, parts = decoder.loss(sphere, targets(EVENTS), losses)

    assert set(parts) == {"activity", "place", "extent"}
    expected = 0.7 * parts["activity"] + 3 * parts["place"] + 0.2 * parts["extent"]
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    total, parts = decoder.loss(sphere, targets(EVENTS), ClassDiscsLosses(activity=0, extent=0))
    assert set(parts) == {"activity", "place"}  # activity is always worth knowing
    assert total.item() == pytest.approx(parts["place"].item())


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("slots", [0, 1])
def test_frames_without_any_region_give_finite_losses(slots, class_agnostic):
    classes = torch.full((1, 2, slots), EMPTY)
    given = MaskTargets(classes, classes, {GRID: torch.zeros(1, 2, slots, *GRID)}, class_agnostic)
    decoder = built(class_maps=True)

    total, parts = decoder.loss(random(1, 2, 19, 18, 36), given, ClassDiscsLosses())
    total.backward()

    assert total.isfinite()
    assert parts["place"] == parts["extent"] == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in decoder.parameters())


def test_a_label_without_energy_gives_a_finite_loss():
    decoder = built()
    total, _ = decoder.loss(random(1, 1, 6, 18, 36), targets([[(4, np.zeros(GRID))]]), ClassDiscsLosses())
    total.backward()
    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in decoder.parameters())


@pytest.mark.parametrize("class_maps", [False, True])
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_every_weight_learns(class_maps, class_agnostic):
    decoder = built(class_maps=class_maps)
    events = [[(0, mask) for _, mask in one] for one in EVENTS] if class_agnostic else EVENTS
    given = targets(events, class_agnostic)
    total, _ = decoder.loss(random(1, 3, 6 + 13 * class_maps, 18, 36), given, ClassDiscsLosses())
    total.backward()
    assert [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_under_autocast_the_losses_are_nearly_the_same():
    decoder, sphere = built(class_maps=True), random(1, 3, 19, 18, 36)
    exact, _ = decoder.loss(sphere, targets(EVENTS), ClassDiscsLosses())
    with torch.autocast("cpu", torch.bfloat16):
        rough, parts = decoder.loss(sphere, targets(EVENTS), ClassDiscsLosses())
    assert {part.dtype for part in parts.values()} == {torch.float32}
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)


def test_training_finds_class_place_and_extent():
    placed = [(0, 4, (12, 22), 14), (0, 7, (-100, -13), 30), (1, 4, (177.5, -48), 20)]
    events = [[], [], []]
    for frame, kind, place, radius in placed:
        events[frame].append((kind, disc(place, radius)))
    sphere, decoder = random(1, 3, 6, 18, 36), built()
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    for _ in range(100):
        total, _ = decoder.loss(sphere, targets(events), ClassDiscsLosses())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()

    candidates = decoder.eval()(sphere)
    sure = (candidates.scores[0] > 0.4).nonzero().tolist()
    found = {
        (frame, int(candidates.class_logits[0, frame, slot].argmax())): candidates.mask_logits[
            0, frame, slot
        ].sigmoid()
        for frame, slot in sure
    }
    assert len(sure) == len(found) == 3
    for frame, kind, place, radius in placed:
        mask, wanted = found[frame, kind].detach().numpy(), disc(place, radius)
        assert np.minimum(mask, wanted).sum() / np.maximum(mask, wanted).sum() > 0.7
