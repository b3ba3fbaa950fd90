"""Each mask becomes a cone: a spherical cap whose energy falls linearly from the centre to the rim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import sai_bench
from sai_bench.sphere import (
    COLUMNS,
    ROWS,
    azimuth_deg,
    column,
    directions_of,
    elevation_deg,
    row,
    unit_vectors,
)
from sai_bench_cone.configs import ConeConfig


class Cone(sai_bench.Compressor):
    """Replaces a mask by rings of points inside a cap of the same solid angle and centre of energy.

    Suits compact regions; a ring or two regions in one mask become one cap.
    """

    def __init__(self, config: ConeConfig):
        self.config = config

    def __call__(self, point_sets: Sequence[np.ndarray], scores: np.ndarray) -> list[np.ndarray]:
        """Return the cones of the masks [n_i, 3] of one recording; `scores` play no part."""
        return [self._cone(points) if len(points) else points for points in point_sets]

    def _cone(self, points: np.ndarray) -> np.ndarray:
        """Return the points [m, 3] of the cone, whole pixels, the strongest first."""
        peak = points[:, 2].max()
        points = points[points[:, 2] >= self.config.floor * peak]
        elevation = elevation_deg(points[:, 1])
        vectors = unit_vectors(azimuth_deg(points[:, 0]), elevation)
        pixel = np.radians(180 / (ROWS - 1)) * np.radians(360 / COLUMNS) * np.cos(np.radians(elevation))
        radius_deg = np.degrees(np.arccos(np.clip(1 - pixel.sum() / (2 * np.pi), -1, 1)))
        centre = (points[:, 2] * pixel) @ vectors
        if np.linalg.norm(centre) < 1e-9 * peak:  # as much on one side as on the other, or a lone pole
            centre = vectors[points[:, 2].argmax()]
        directions, distance_deg = _cap(centre, radius_deg, self.config.spacing_deg)
        azimuth, elevation = directions_of(directions)
        fall = (1 - self.config.floor) * distance_deg / max(radius_deg, 1e-9)
        x, y = np.rint(column(azimuth)) % COLUMNS, np.rint(row(elevation))
        cone = np.stack([x, y, peak * (1 - fall)], axis=1)
        # Near the poles several points share a pixel: the first, which is the strongest, stays.
        _, first = np.unique(cone[:, :2], axis=0, return_index=True)
        return cone[np.sort(first)]


def _cap(centre: np.ndarray, radius_deg: float, spacing_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors [m, 3] that fill a cap evenly, and their angles [m] in degrees from its centre."""
    centre = centre / np.linalg.norm(centre)
    helper = np.eye(3)[np.argmin(np.abs(centre))]
    side = np.cross(centre, helper) / np.linalg.norm(np.cross(centre, helper))
    up = np.cross(centre, side)
    directions, distances = [centre[None]], [np.zeros(1)]
    rings = max(1, round(radius_deg / spacing_deg))
    for ring in range(1, rings + 1):
        distance = radius_deg * ring / rings
        count = max(6, round(360 * np.sin(np.radians(distance)) / spacing_deg))
        angle = 2 * np.pi * np.arange(count)[:, None] / count
        sideways = np.cos(angle) * side + np.sin(angle) * up
        directions.append(np.cos(np.radians(distance)) * centre + np.sin(np.radians(distance)) * sideways)
        distances.append(np.full(count, distance))
    return np.concatenate(directions), np.concatenate(distances)
