"""Regions as the evaluator sees them: points blurred on the sphere, cut at a tenth of the peak.

The blob of a point is exp(-chord^2 / (2 sigma^2)) = exp((cos d - 1) / sigma^2) with d the great-circle angle
and sigma 6 degrees, as in the evaluator of 2026-04-02, but in true geometry: no drawing window, and azimuth
counter-clockwise. Points are moved to the nearest pixel, which a picture of one pixel per degree cannot show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from sai_bench.predictions import Annotation, Detection
from sai_bench.sphere import COLUMNS, ROWS, azimuth_deg, elevation_deg, unit_vectors

SIGMA_DEG = 6.0
OUTLINE_LEVEL = 0.1
"""A region is where its map reaches this fraction of the map's peak."""


@dataclass(frozen=True)
class Region:
    """One labelled or predicted region of a frame.

    Attributes:
        category: class; unknown classes are allowed.
        score: confidence, None in labels.
        points: [n, 3] rows of (x, y, energy), energy finite and positive.
    """

    category: int
    score: float | None
    points: np.ndarray

    @cached_property
    def energy(self) -> np.ndarray:
        """The rendered map [180, 360], divided by its peak (all zeros without points)."""
        rendered = render(deposit(self.points))
        return rendered / max(rendered.max(), np.finfo(float).tiny)

    @cached_property
    def peak(self) -> tuple[float, float]:
        """Azimuth and elevation in degrees of the strongest point, the first one on ties."""
        x, y, _ = self.points[np.argmax(self.points[:, 2])]
        return float(azimuth_deg(np.mod(x, COLUMNS))), float(elevation_deg(np.clip(y, 0, ROWS - 1)))


def regions_of(items: Sequence[Annotation | Detection]) -> list[Region]:
    """Return the regions of annotations or detections that have any energy, weakest first."""
    regions = [_region(item) for item in items]
    visible = [region for region in regions if len(region.points)]
    return sorted(visible, key=lambda region: region.score or 0.0)


def deposit(points: np.ndarray) -> np.ndarray:
    """Return the energies [180, 360] summed at the nearest pixels of points [n, 3]; x wraps, y is clipped."""
    x = np.rint(points[:, 0]).astype(int) % COLUMNS
    y = np.clip(np.rint(points[:, 1]).astype(int), 0, ROWS - 1)
    flat = np.bincount(y * COLUMNS + x, weights=points[:, 2], minlength=ROWS * COLUMNS)
    return flat.reshape(ROWS, COLUMNS)


def render(energies: np.ndarray) -> np.ndarray:
    """Return the blurred map of an energy image, both [180, 360].

    Along azimuth the blur is a circular convolution, so each source row costs one product of spectra.
    """
    spectrum = np.zeros((ROWS, COLUMNS // 2 + 1), dtype=complex)
    for source_row in np.flatnonzero(energies.any(axis=1)):
        spectrum += _kernel_spectrum(int(source_row)) * np.fft.rfft(energies[source_row])
    return np.maximum(np.fft.irfft(spectrum, COLUMNS, axis=1), 0.0)


def peak_energy(points: np.ndarray) -> float:
    """Return about the peak of the map of points [n, 3], n >= 1, at a hundredth of the cost of the map.

    It is the larger of the blurred energies at the strongest point and in the middle of the points, exact
    for a region with one hump there.
    """
    energies = points[:, 2]
    directions = unit_vectors(azimuth_deg(points[:, 0]), elevation_deg(points[:, 1]))
    strongest, middle = directions[np.argmax(energies)], energies @ directions
    places = np.stack([strongest, middle / max(np.linalg.norm(middle), np.finfo(float).tiny)])
    return float((energies @ _blob(directions @ places.T)).max())


@lru_cache(maxsize=ROWS)
def _kernel_spectrum(source_row: int) -> np.ndarray:
    """Return the azimuth spectrum [180, 181] of the blob of a point in a row (real: a blob is symmetric)."""
    latitude = np.radians(elevation_deg(np.arange(ROWS)))[:, None]
    source = latitude[source_row]
    cosine = np.sin(latitude) * np.sin(source) + np.cos(latitude) * np.cos(source) * np.cos(
        np.radians(np.arange(COLUMNS))
    )
    return np.fft.rfft(_blob(cosine), axis=1).real


def _blob(cosine: np.ndarray) -> np.ndarray:
    """Return the value of a blob at the cosine of the great-circle angle from its point."""
    return np.exp((cosine - 1) / np.radians(SIGMA_DEG) ** 2)


def _region(item: Annotation | Detection) -> Region:
    if isinstance(item, Detection):
        category, points = item.category, item.points
    else:
        category, points = item.category_id, [point for part in item.segmentation for point in part]
    points = np.asarray(points, dtype=float).reshape(-1, 3)
    usable = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    return Region(category, item.score, points[usable])
