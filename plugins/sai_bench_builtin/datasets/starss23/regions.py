"""Regions from directions: points of a disc on the sphere, with energies that fall from its centre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sai_bench import sphere
from sai_bench.predictions import Annotation
from sai_bench_builtin.configs.dataset import DirectionRegionsConfig
from sai_bench_builtin.datasets.simulated_rooms.placement import hexagonal_lattice
from sai_bench_builtin.datasets.simulated_rooms.scene import SubSources
from sai_bench_builtin.datasets.starss23.metadata import SourceRow

_MOST_POINTS = 100_000

Point = tuple[int, int, float]


class DirectionRegions:
    """Makes a region of a direction; equal directions are computed once."""

    def __init__(self, config: DirectionRegionsConfig):
        offsets_deg = hexagonal_lattice(config.radius_deg, config.spacing_deg, _MOST_POINTS)
        relative = np.hypot(*offsets_deg.T) / max(config.radius_deg, 1e-9)
        self._energies = np.round(np.exp(-(relative**2)), 3)
        self._disc = SubSources(offsets_deg, self._energies, np.zeros(len(offsets_deg)))
        self._known: dict[tuple[float, float], list[Point]] = {}

    def points(self, azimuth_deg: float, elevation_deg: float) -> list[Point]:
        """Return the pixels (x, y, energy in (0, 1]) of a disc, row by row; its centre has energy 1."""
        direction = (azimuth_deg, elevation_deg)
        if direction not in self._known:
            self._known[direction] = self._pixels(azimuth_deg, elevation_deg)
        return self._known[direction]

    def _pixels(self, azimuth_deg: float, elevation_deg: float) -> list[Point]:
        directions = self._disc.directions(sphere.unit_vectors(azimuth_deg, elevation_deg))
        azimuth, elevation = sphere.directions_of(directions)
        x = np.rint(sphere.column(azimuth)).astype(int) % sphere.COLUMNS
        y = np.rint(sphere.row(elevation)).astype(int)
        strongest: dict[tuple[int, int], float] = {}
        for pixel, energy in zip(zip(y.tolist(), x.tolist(), strict=True), self._energies, strict=True):
            strongest[pixel] = max(strongest.get(pixel, 0.0), float(energy))
        return [(column, row, energy) for (row, column), energy in sorted(strongest.items())]


def annotations_of(rows: Sequence[SourceRow], regions: DirectionRegions) -> list[Annotation]:
    """Return an annotation for each row: sources of one class stay apart, by their number."""
    return [
        Annotation(
            metadata_frame_index=row.frame,
            category_id=row.category,
            segmentation=[regions.points(row.azimuth_deg, row.elevation_deg)],
            instance_id=row.source,
            distance=_as_written(row.distance_cm),
        )
        for row in rows
    ]


def _as_written(distance_cm: float | None) -> float | None:
    """Return a whole number as an integer, as label files have it."""
    return int(distance_cm) if distance_cm is not None and distance_cm.is_integer() else distance_cm
