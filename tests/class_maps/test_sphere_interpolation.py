"""Interpolation of maps on the sphere: exact where the grid suffices, and without corners anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sai_bench.sphere import grid_directions, unit_vectors
from sai_bench_builtin.sphere_interpolation import SphereInterpolation

TOWARDS = unit_vectors(35, 55)


def sampled(function, height, width):
    """The function's values [1, 1, h, w] at the centres of a grid's cells."""
    azimuth, elevation = grid_directions(height, width)
    vectors = unit_vectors(azimuth[None], elevation[:, None])
    return torch.from_numpy(function(vectors)).float()[None, None]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


SMOOTH = {
    "constant": lambda v: np.ones(v.shape[:-1]),
    "height": lambda v: v[..., 2],
    "product": lambda v: v[..., 0] * v[..., 1] * v[..., 2] ** 2,
    "sectoral": lambda v: np.real((v[..., 0] + 1j * v[..., 1]) ** 7),
    "wave": lambda v: np.cos(3 * v @ TOWARDS),
    "blob": lambda v: np.exp(4 * (v @ TOWARDS - 1)),
    "blob on the pole": lambda v: np.exp(4 * (v[..., 2] - 1)),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize(("grid", "factor"), [((20, 40), 3), ((18, 36), 2), ((15, 30), 4), ((36, 72), 1)])
def test_smooth_functions_are_exact_everywhere_also_at_seam_and_poles(name, grid, factor):
    coarse = sampled(SMOOTH[name], *grid)
    fine = sampled(SMOOTH[name], factor * grid[0], factor * grid[1])

    found = SphereInterpolation(*grid, factor)(coarse)

    assert found.shape == fine.shape
    assert (found - fine).abs().max() < 1e-4


def test_rough_maps_go_on_smoothly_across_seam_and_poles():
    fine = SphereInterpolation(18, 36, 10)(noise(2, 3, 18, 36))

    steps = (fine[..., 1:] - fine[..., :-1]).abs()
    across_seam = (fine[..., 0] - fine[..., -1]).abs()
    assert across_seam.max() <= steps.max()
    # The first and last row of 180 lie on the poles, where a column meets the opposite one.
    for row in (0, -1):
        assert (fine[:, :, row] - fine[:, :, row].roll(180, 2)).abs().max() < 1e-4


def test_turning_mirroring_and_flipping_the_sphere_commute_with_it():
    interpolation, maps = SphereInterpolation(18, 36, 5), noise(1, 2, 18, 36)
    fine = interpolation(maps)

    assert torch.allclose(interpolation(maps.roll(5, 3)), fine.roll(25, 3), atol=1e-4)
    assert torch.allclose(interpolation(maps.flip(3)), fine.flip(3), atol=1e-4)
    assert torch.allclose(interpolation(maps.flip(2)), fine.flip(2), atol=1e-4)


def test_factor_one_only_takes_away_what_alternates_from_cell_to_cell():
    interpolation, maps = SphereInterpolation(18, 36, 1), noise(1, 1, 18, 36)
    once = interpolation(maps)
    assert torch.allclose(interpolation(once), once, atol=1e-4)
    assert (once - maps).square().mean() < 0.15 * maps.square().mean()

    sign = 1 - 2 * (torch.arange(36) % 2).float()
    checkered = (interpolation(maps + sign) - once).abs().max()
    assert checkered < 1e-4


def test_maps_do_not_mix_and_gradients_flow_to_every_cell():
    interpolation, maps = SphereInterpolation(18, 36, 2), noise(2, 3, 18, 36).requires_grad_()
    fine = interpolation(maps)
    assert torch.allclose(fine[1:, 2:], interpolation(maps[1:, 2:]), atol=1e-5)

    fine[1, 2].square().sum().backward()
    assert (maps.grad[1, 2] != 0).all()
    assert not maps.grad[0].any()
    assert not maps.grad[1, :2].any()
    assert list(interpolation.state_dict()) == []  # nothing learned, nothing stored


def test_gradients_are_those_of_the_matrix_product():
    interpolation = SphereInterpolation(4, 8, 3).double()
    maps = noise(1, 1, 4, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(interpolation, maps)
