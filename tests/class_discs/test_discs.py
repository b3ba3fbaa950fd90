"""Discs and their agreement, against discs that are drawn on the sphere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sai_bench.interfaces import Candidates
from sai_bench.sphere import angle_between_deg, directions_of, grid_directions, unit_vectors
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig
from sai_bench_builtin.decoders.class_discs.discs import (
    agreement_table,
    angles_deg,
    best_discs,
    cell_areas,
    disc_energies,
    region_centres,
)
from sai_bench_builtin.decoders.class_maps.regions import cell_vectors

LEAST_SHARE = 0.05
"""Of the peak: masks hold no weaker energy."""


def around_the_pole(furthest_deg, count=60000):
    """Unit vectors [count, 3] that fill a cap evenly: a spiral."""
    number = np.arange(count)
    z = 1 - (1 - np.cos(np.radians(furthest_deg))) * (number + 0.5) / count
    angle = np.pi * (3 - np.sqrt(5)) * number
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def drawn(points, centre, radius_deg, edge_deg, rim_energy):
    """Energies of a disc at points, peak 1."""
    angle = np.degrees(np.arccos(np.clip(points @ centre, -1, 1)))
    fall = rim_energy ** ((angle / radius_deg) ** 2)
    return fall * (1 + np.exp(-radius_deg / edge_deg)) / (1 + np.exp((angle - radius_deg) / edge_deg))


def drawn_iou(points, mask_radius, region_radius, distance_deg, edge_deg, rim_energy):
    region = drawn(points, np.array([0, 0, 1.0]), region_radius, edge_deg, rim_energy)
    offset = np.radians(distance_deg)
    mask = drawn(points, np.array([np.sin(offset), 0, np.cos(offset)]), mask_radius, edge_deg, rim_energy)
    mask[mask < LEAST_SHARE] = 0
    return np.minimum(mask, region).sum() / np.maximum(mask, region).sum()


# ---------------------------------------------------------------------------------------------------------- #
# Discs


def test_a_disc_is_one_in_its_centre_and_half_the_rims_energy_at_its_radius_as_array_and_as_tensor():
    distances, config = np.array([0.0, 5, 10, 15, 180]), ClassDiscsConfig(rim_energy=0.6)
    energies = disc_energies(distances, 10.0, config)
    assert energies[0] == pytest.approx(1)
    assert energies[2] == pytest.approx(0.3, abs=1e-4)
    assert energies[1] == pytest.approx(0.6**0.25, abs=0.01)
    assert (np.diff(energies) < 0).all()
    assert 0 < energies[-1] < 1e-20
    tensors = disc_energies(torch.from_numpy(distances), torch.full((5,), 10.0), config)
    assert tensors.tolist() == pytest.approx(energies.tolist(), rel=1e-6)
    assert np.isfinite(disc_energies(distances, 90.0, ClassDiscsConfig(edge_deg=0.001))).all()


def test_angles_are_great_circle_angles():
    azimuth, elevation = np.array([0, 170, -170, 20.0]), np.array([0, 10, -80, 90.0])
    vectors = torch.from_numpy(unit_vectors(azimuth, elevation)).float()
    expected = angle_between_deg(azimuth[:, None], elevation[:, None], azimuth, elevation)
    assert np.abs(angles_deg(vectors, vectors).numpy() - expected).max() < 0.05


@pytest.mark.parametrize("place", [(0, 0), (180, 20), (-60, 88), (90, -90)])
def test_the_centre_of_a_mask_is_where_it_balances_also_at_seam_and_poles(place):
    azimuth, elevation = grid_directions(36, 72)
    angle = angle_between_deg(azimuth[None], elevation[:, None], *place)
    energies = torch.from_numpy(np.exp(-((angle / 12) ** 2) / 2)).float().view(1, -1)
    vectors = cell_vectors(36, 72)
    (centre,) = region_centres(energies * cell_areas(vectors), vectors)
    assert angle_between_deg(*directions_of(centre.numpy()), *place) < 1


def test_areas_of_cells_shrink_to_the_poles_as_those_of_zones():
    areas = cell_areas(cell_vectors(36, 72)).view(36, 72)
    _, elevation = grid_directions(36, 72)
    zones = np.sin(np.radians(elevation + 2.5)) - np.sin(np.radians(elevation - 2.5))
    assert torch.allclose(areas / areas.sum(), torch.from_numpy(zones / zones.sum() / 72)[:, None].float())
    assert (cell_areas(cell_vectors(180, 360)) > 0).all()  # the first row lies on the pole


@pytest.mark.parametrize(
    ("radius_deg", "least", "most"), [(2, 0.5, 0.72), (4, 0.75, 0.88), (8, 0.9, 0.95), (20, 0.95, 1)]
)
def test_what_the_cells_of_a_map_leave_of_a_disc_is_little_of_small_ones(radius_deg, least, most):
    """The figures of docs/steered_masks.md: a disc on 60 x 120 cells, as it is exported, and the ideal."""
    config, rng = ClassDiscsConfig(), np.random.default_rng(0)
    coarse, fine = cell_vectors(60, 120), cell_vectors(180, 360)
    areas, ious = cell_areas(fine), []
    for azimuth, elevation in zip(rng.uniform(-180, 180, 8), rng.uniform(-50, 50, 8), strict=True):
        centre = torch.from_numpy(unit_vectors(azimuth, elevation)).float()[None]
        logits = disc_energies(angles_deg(centre, coarse), radius_deg, config).clamp(1e-9, 1 - 1e-6).logit()
        candidates = Candidates(
            torch.zeros(1, 1, 1, 14), torch.ones(1, 1, 1), logits.view(1, 1, 1, 60, 120), torch.arange(1)
        )
        mask = candidates.masks(torch.tensor([[0, 0, 0]]))[0].flatten()
        mask = torch.where(mask < 0.1 * mask.max(), 0, mask / mask.max())
        ideal = disc_energies(angles_deg(centre, fine), radius_deg, config)[0]
        ious.append((areas * torch.minimum(mask, ideal)).sum() / (areas * torch.maximum(mask, ideal)).sum())
    assert least < np.mean(ious) < most


# ---------------------------------------------------------------------------------------------------------- #
# The table of agreement


@pytest.mark.parametrize(
    "keys",
    [
        {"extents_deg": (3, 6, 12)},
        {"extents_deg": (4, 15), "edge_deg": 2.5, "iou_thresholds": (0.5,)},
        {"extents_deg": (3, 10), "rim_energy": 1},
        {"extents_deg": (5, 7, 9), "iou_thresholds": tuple(np.arange(0.1, 0.95, 0.05))},
    ],
)
def test_agreement_is_the_share_of_thresholds_that_discs_on_the_sphere_pass(keys):
    config = ClassDiscsConfig(**keys)
    table = agreement_table(config).numpy()
    points = around_the_pole(2.2 * max(config.extents_deg) + 15 * config.edge_deg)
    differences = []
    for mask, mask_radius in enumerate(config.extents_deg):
        for region, region_radius in enumerate(config.extents_deg):
            for distance in (0, 1, 2, 4, 7, 11, 18):
                if distance >= table.shape[2]:
                    continue
                iou = drawn_iou(
                    points, mask_radius, region_radius, distance, config.edge_deg, config.rim_energy
                )
                # Thresholds nearly passed count in part: regions are no exact discs.
                passed = np.mean([np.clip((iou - t) / 0.1 + 0.5, 0, 1) for t in config.iou_thresholds])
                differences.append(abs(table[mask, region, distance] - passed))
    assert np.max(differences) < 0.15  # of a ramp as steep as ten a unit of soft IoU
    assert np.mean(differences) < 0.015


def test_agreement_is_full_on_the_same_place_and_falls_to_nothing():
    table = agreement_table(ClassDiscsConfig())
    extents = ClassDiscsConfig().extents_deg
    assert table.shape[:2] == (len(extents), len(extents))
    assert torch.allclose(table[:, :, 0].diagonal(), torch.ones(len(extents)))
    assert not table[:, :, -1].any()
    assert table.shape[2] > 2 * max(extents)
    assert (table.diff(dim=2) <= 0.02).all()  # further away is not better, up to the grid's rounding
    assert ((table >= 0) & (table <= 1)).all()
    assert table[:, :, 0].argmax(0).tolist() == list(range(len(extents)))
    far = torch.arange(table.shape[2])
    for n, a in enumerate(extents):
        for m, b in enumerate(extents):
            assert not table[n, m, far > a + b + 8].any()


def test_mask_and_region_may_be_exchanged_but_for_the_faint_rim():
    table = agreement_table(ClassDiscsConfig(extents_deg=(8, 12, 20)))
    assert (table - table.transpose(0, 1)).abs().mean() < 0.01


def test_any_number_of_extents_will_do():
    assert agreement_table(ClassDiscsConfig(extents_deg=(5,))).shape[:2] == (1, 1)
    wide = agreement_table(ClassDiscsConfig(extents_deg=(1, 90), edge_deg=20))
    assert wide.isfinite().all()


# ---------------------------------------------------------------------------------------------------------- #
# The best disc


def test_the_best_disc_is_that_of_a_plain_loop_over_cells_and_extents():
    generator = torch.Generator().manual_seed(0)
    vectors = cell_vectors(12, 24)
    table = torch.rand(3, 3, 60, generator=generator).sort(dim=2, descending=True).values
    table[:, :, -1] = 0
    places = torch.rand(4, len(vectors), generator=generator) ** 8
    places = places / places.sum(1, keepdim=True) * torch.tensor([1.0, 0.7, 0.2, 0.0])[:, None]
    extents = torch.rand(4, 3, generator=generator).softmax(1)
    centres = vectors[[5, 100, 200, 287]]

    number, agreement = best_discs(places, extents, centres, vectors, table)

    for m in range(4):
        expected = np.zeros(3)
        for mask in range(3):
            for cell, vector in enumerate(vectors):
                cosine = float(np.clip(centres[m].numpy() @ vector.numpy(), -1, 1))
                distance = min(round(np.degrees(np.arccos(cosine))), 59)
                for region in range(3):
                    probability = float(places[m, cell] * extents[m, region])
                    expected[mask] += probability * float(table[mask, region, distance])
        assert agreement[m].item() == pytest.approx(expected.max(), abs=2e-3)
        assert expected[number[m]] == pytest.approx(expected.max(), abs=2e-3)


def test_no_regions_have_no_best_disc():
    vectors, table = cell_vectors(12, 24), agreement_table(ClassDiscsConfig())
    number, agreement = best_discs(torch.zeros(0, 288), torch.zeros(0, 8), torch.zeros(0, 3), vectors, table)
    assert number.shape == agreement.shape == (0,)
