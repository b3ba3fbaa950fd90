import numpy as np
import pytest
import torch

from sai_bench.sphere import grid_directions
from sai_bench_builtin.decoders.mask_queries.positions import frame_positions, sphere_positions


def test_first_degree_is_the_direction_itself():
    azimuth, elevation = (np.radians(angles) for angles in grid_directions(12, 24))
    elevation = elevation[:, None]
    y = np.cos(elevation) * np.sin(azimuth)
    z = np.sin(elevation) * np.ones_like(azimuth)
    x = np.cos(elevation) * np.cos(azimuth)

    found = np.abs(sphere_positions(12, 24, 1, zonal=False).numpy())

    expected = np.abs(np.sqrt(3) * np.stack([part.ravel() for part in (y, z, x)], 1))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_harmonics_are_orthonormal_over_the_sphere():
    positions = sphere_positions(90, 180, 3, zonal=False).double()
    _, elevation = grid_directions(90, 180)
    area = torch.from_numpy(np.cos(np.radians(elevation))).repeat_interleave(180)

    products = (positions * area[:, None]).T @ positions / area.sum()

    assert positions.shape == (90 * 180, 15)
    torch.testing.assert_close(products, torch.eye(15, dtype=torch.double), atol=0.01, rtol=0)


def test_seam_is_as_smooth_as_any_other_place():
    maps = sphere_positions(18, 36, 3, zonal=False).unflatten(0, (18, 36))
    steps = (maps - maps.roll(1, dims=1)).norm(dim=2)

    # The squared length of a step adds up over all orders to something that only elevation decides.
    torch.testing.assert_close(steps, steps[:, 5:6].expand_as(steps), atol=1e-4, rtol=0)


def test_zonal_harmonics_do_not_depend_on_azimuth():
    maps = sphere_positions(18, 36, 4, zonal=True).unflatten(0, (18, 36))

    assert maps.shape == (18, 36, 4)
    assert torch.equal(maps, maps[:, :1].expand_as(maps))
    assert len(maps[:, 0].unique(dim=0)) == 18


def test_no_degree_gives_no_numbers():
    assert sphere_positions(18, 36, 0, zonal=False).shape == (648, 0)


@pytest.mark.parametrize("frames", [1, 21, 60])
def test_frames_of_a_segment_are_told_apart(frames):
    positions = frame_positions(frames, torch.device("cpu"))

    assert positions.shape == (frames, 10)
    assert len(positions.mul(1000).round().unique(dim=0)) == frames
