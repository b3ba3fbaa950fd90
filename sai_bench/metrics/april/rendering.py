"""The regions that the April evaluator (2026-04-02) makes of annotations, and their comparison.

Each point [x, y, energy] becomes a Gaussian of chord length on the unit sphere,

    energy * exp(-(2 sin(d/2))^2 / (2 sigma^2)),    d the great-circle angle to the point,

drawn in float32 and only inside a window with artefacts (`windows`). A mask is where the map reaches a
fraction of its own peak.

Maps are drawn fast (`drawing`), in another order of operations than the evaluator's. A difference in
the last digits can move a pixel into or out of a mask; where that is possible, the energy of the pixels
concerned is computed again in the evaluator's own order (`exact`). So masks are the evaluator's pixel
by pixel, and whatever depends on masks alone, average precision above all, is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import local
from typing import NamedTuple

import numpy as np

from sai_bench.compilation import compiled
from sai_bench.errors import AnnotationError
from sai_bench.metrics.april.buffers import Slots, new_canvas, new_slots
from sai_bench.metrics.april.drawing import LOWEST_PEAK, draw
from sai_bench.metrics.april.errors import BlobErrors, blob_errors
from sai_bench.metrics.april.exact import exact_energies, exact_map
from sai_bench.metrics.april.kernels import kernels_of
from sai_bench.metrics.april.region_pairs import compare_regions
from sai_bench.metrics.april.windows import WINDOW_SIGMAS, painted_ranges
from sai_bench.metrics.strongest_point import strongest_of_sets
from sai_bench.sphere import COLUMNS, ROWS

_SLOTS = 32  # annotations drawn at a time: few enough to stay near the processor
_HALF_PIXEL_DIAGONAL_RAD = 0.0125
_LARGEST_ENERGY = 1e30  # sums of more might not fit a float32
_FARTHEST_COLUMN = 720.0  # the float32 azimuths of points farther out are too coarse for the error bounds
_MANY_PIXELS = 1200  # so many take longer, each for itself, than the whole map
_LARGEST_CANCELLATION = 2.0  # of energies: where more is lost, errors would show in correlations


class Comparison(NamedTuple):
    """Which annotations are valid, and how alike the regions of pairs of them are.

    Attributes:
        valid: [n] bool, False for regions without a peak.
        iou: [P] of the masks, 0 if one of the two is not valid.
        correlation: [P] Pearson's r, NaN where it was not wanted or is not defined.
    """

    valid: np.ndarray
    iou: np.ndarray
    correlation: np.ndarray


@dataclass(frozen=True)
class PointSets:
    """The points of n annotations.

    Attributes:
        points: [P, 3] float64 rows of (x, y, energy), annotation after annotation.
        starts: [n + 1], where those of each annotation start.
    """

    points: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, sets: Sequence[np.ndarray]) -> PointSets:
        """Join the points [n, 3] of annotations.

        Raises:
            AnnotationError: a coordinate is not finite.
        """
        points = np.concatenate([np.empty((0, 3)), *sets])
        if not np.isfinite(points[:, :2]).all():
            raise AnnotationError(
                "A point has x or y that is not a finite number. Expected [x, y, energy] with x a column and "
                "y a row of the 180 x 360 image; write the file again."
            )
        return cls(points, np.cumsum([0, *map(len, sets)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.points[self.starts[index] : self.starts[index + 1]]

    @cached_property
    def strongest(self) -> np.ndarray:
        """The first point with the largest positive energy of each annotation [n, 3]; zeros: none."""
        return strongest_of_sets(self.points, self.starts)

    @cached_property
    def is_moderate(self) -> np.ndarray:
        """Whether all energies and columns of an annotation are moderate, [n]."""
        return self._survey[0]

    @cached_property
    def is_ordinary(self) -> np.ndarray:
        """Whether an annotation is moderate and has no negative energy, [n]."""
        return self._survey[0] & ~self._survey[1]

    @cached_property
    def _survey(self) -> tuple[np.ndarray, np.ndarray]:
        moderate, negative = np.ones(len(self), dtype=bool), np.zeros(len(self), dtype=bool)
        _survey(self.points, self.starts, moderate, negative)
        return moderate, negative


@compiled("void(float64[:, ::1], int64[::1], boolean[::1], boolean[::1])")
def _survey(points, starts, moderate, negative):
    for index in range(len(moderate)):
        for point in range(starts[index], starts[index + 1]):
            energy = points[point, 2]
            moderate[index] &= abs(energy) <= _LARGEST_ENERGY  # never true of NaN
            moderate[index] &= abs(points[point, 0]) <= _FARTHEST_COLUMN
            negative[index] |= energy < 0


class AprilRenderer:
    """Draws and compares regions with one kernel width, one call at a time."""

    def __init__(self, sigma_deg: float):
        """Prepare for kernels of `sigma_deg` degrees."""
        self._sigma_deg = sigma_deg
        self._cut_deg = WINDOW_SIGMAS * sigma_deg
        self._slots = new_slots(_SLOTS)

    def render(self, points: np.ndarray) -> np.ndarray:
        """Return the energy map [180, 360] float32 of points [n, 3] float64 (x, y, energy).

        Raises:
            AnnotationError: a coordinate is not finite.
        """
        sets = PointSets.of([points])
        if not sets.is_moderate[0]:
            return self._exact_map(points)
        self._fill(self._slots, sets, np.array([0]), 1.0, blob_errors(self._sigma_deg, 1.0))
        return self._slots.energy[0].copy()

    def surely_has_region(self, points: np.ndarray) -> bool:
        """Return True if the peak is certainly above `LOWEST_PEAK`, judged without drawing.

        False means that only drawing can tell.
        """
        return bool(np.isfinite(points).all() and self._surely_have_regions(PointSets.of([points]))[0])

    def compare(
        self, sets: PointSets, threshold: float, pairs: np.ndarray, correlate: np.ndarray
    ) -> Comparison:
        """Compare pairs of annotations; what is in no pair is drawn only if it may not be valid.

        Args:
            sets: n annotations.
            threshold: a mask is where the map reaches this fraction of its peak.
            pairs: [P, 2] indices of annotations; pairs with a common annotation best follow one another.
            correlate: [P] bool, which pairs to correlate.
        """
        valid = self._surely_have_regions(sets)
        paired = np.zeros(len(sets), dtype=bool)
        paired[pairs] = True
        alone = np.flatnonzero(~valid & ~paired)
        iou, correlation = np.zeros(len(pairs)), np.full(len(pairs), math.nan)
        for run in _runs(pairs):
            members, own_pairs = np.unique(pairs[run], return_inverse=True)
            valid[members] = self._draw(sets, members, threshold)
            own_pairs = own_pairs.reshape(-1, 2).astype(np.int64)
            slots = self._slots
            iou[run], correlation[run] = compare_regions(
                slots.energy, slots.mask, slots.region, slots.area, own_pairs, correlate[run]
            )
        for start in range(0, len(alone), _SLOTS):
            members = alone[start : start + _SLOTS]
            valid[members] = self._draw(sets, members, threshold)
        iou[~valid[pairs].all(axis=1)] = 0.0
        return Comparison(valid, iou, correlation)

    @cached_property
    def _kernels(self):
        return kernels_of(self._sigma_deg, self._cut_deg)

    @cached_property
    def _absolute(self):
        return new_slots(1)

    @cached_property
    def _canvas(self):
        return new_canvas(self._kernels)

    def _surely_have_regions(self, sets: PointSets) -> np.ndarray:
        """Return for which annotations the strongest point alone, at the nearest pixel, has enough energy."""
        x, y, energy = sets.strongest.T
        column, row = np.rint(x), np.rint(y)
        ranges = painted_ranges(sets.strongest, self._cut_deg)
        first, last, *columns = ranges.T
        painted = (first <= row) & (row < last) & (column >= 0)
        painted &= np.logical_or(*((s <= column) & (column < e) for s, e in (columns[:2], columns[2:])))
        at_pixel = math.exp(-(_HALF_PIXEL_DIAGONAL_RAD**2) / (2 * math.radians(self._sigma_deg) ** 2))
        return sets.is_ordinary & painted & (energy * at_pixel > 2 * LOWEST_PEAK)

    def _draw(self, sets: PointSets, members: np.ndarray, threshold: float) -> np.ndarray:
        """Draw annotations into the first slots; return which are valid."""
        slots, errors = self._slots, blob_errors(self._sigma_deg, threshold)
        moderate, ordinary = sets.is_moderate[members], sets.is_ordinary[members]
        nothing = len(sets)  # one more annotation, without points
        starts = np.append(sets.starts, sets.starts[-1])
        chosen = np.where(moderate, members, nothing)
        self._fill(slots, PointSets(sets.points, starts), chosen, threshold, errors)
        for slot in np.flatnonzero(slots.doubtful[: len(members)] & ordinary):
            self._decide(sets[members[slot]], slot, threshold, slots.energy[slot], slots.error[slot])
        for slot in np.flatnonzero(~ordinary):
            if moderate[slot]:
                self._draw_signed(sets[members[slot]], slot, threshold, errors)
            else:
                self._draw_exactly(sets[members[slot]], slot, threshold)
        return slots.area[: len(members)] > 0

    def _fill(
        self, slots: Slots, sets: PointSets, members: np.ndarray, threshold: float, errors: BlobErrors
    ) -> None:
        sizes = self._sigma_deg, self._cut_deg, threshold, errors
        draw(sets.points, sets.starts, members.astype(np.int64), self._kernels, self._canvas, slots, *sizes)

    def _draw_signed(self, points: np.ndarray, slot: int, threshold: float, errors: BlobErrors) -> None:
        """Finish a slot with negative energies: the errors are those of a sum of absolute energies."""
        slots = self._absolute
        absolute = np.column_stack([points[:, :2], np.abs(points[:, 2])])
        elsewhere = BlobErrors(*[errors.elsewhere] * 3)
        self._fill(slots, PointSets.of([absolute]), np.array([0]), threshold, elsewhere)
        peak = self._slots.peak[slot]
        if LOWEST_PEAK < peak < slots.peak[0] / _LARGEST_CANCELLATION:
            self._draw_exactly(points, slot, threshold)
        else:
            self._decide(points, slot, threshold, slots.energy[0], slots.error[0])

    def _draw_exactly(self, points: np.ndarray, slot: int, threshold: float) -> None:
        """Draw an annotation whose errors are hard to bound, or large."""
        slots = self._slots
        with np.errstate(invalid="ignore"):
            slots.energy[slot] = energy = self._exact_map(points)
            peak = energy.max()
            slots.mask[slot] = (energy >= np.float32(threshold) * peak) & (peak >= LOWEST_PEAK)
        slots.box[slot] = slots.region[slot] = 0, ROWS, 0, COLUMNS
        slots.area[slot] = np.count_nonzero(slots.mask[slot])

    def _exact_map(self, points: np.ndarray) -> np.ndarray:
        # Infinite energies are legal: they make a region whose correlation is undefined.
        with np.errstate(invalid="ignore", over="ignore"):
            return exact_map(points, self._sigma_deg)

    def _decide(
        self, points: np.ndarray, slot: int, threshold: float, absolute: np.ndarray, error: float
    ) -> None:
        """Set a mask to the evaluator's; compute the pixels anew that may have its peak or be at its level.

        Args:
            points: [n, 3] of the annotation.
            slot: where it is drawn.
            threshold: the mask is where the energy reaches this fraction of its peak.
            absolute: [180, 360] sum of absolute energies.
            error: of energies, as a fraction of `absolute`.
        """
        if error > 0.5:  # of millions of points
            self._draw_exactly(points, slot, threshold)
            return
        slots = self._slots
        first_row, last_row, first_column, last_column = slots.box[slot]
        box = slice(first_row, last_row), slice(first_column, last_column)
        mask, energy = slots.mask[slot][box], slots.energy[slot][box]
        spread = np.float32(error / (1 - error)) * absolute[box]
        low, high = energy - spread, energy + spread
        lowest_peak, highest_peak = low.max(initial=0), high.max(initial=0)
        if highest_peak < LOWEST_PEAK:
            mask[:] = False
        else:
            close = (low <= threshold * highest_peak) & (high >= threshold * max(lowest_peak, LOWEST_PEAK))
            close |= high >= lowest_peak
            rows, columns = np.divmod(np.flatnonzero(close), close.shape[1])  # many times faster than nonzero
            if len(rows) > _MANY_PIXELS:
                self._draw_exactly(points, slot, threshold)
                return
            exact = exact_energies(points, rows + first_row, columns + first_column, self._sigma_deg)
            valid = exact.max() >= LOWEST_PEAK
            mask[:] = (low > threshold * highest_peak) & valid
            mask[close] = (exact >= np.float32(threshold) * exact.max()) & valid
        slots.area[slot] = np.count_nonzero(mask)
        slots.region[slot] = slots.box[slot]


class _OfThread(local):
    """The renderers of a thread: they draw into slots of their own, so no two threads may share one."""

    def __init__(self):
        self.renderer = lru_cache(maxsize=2)(AprilRenderer)


_of_thread = _OfThread()


def april_renderer(sigma_deg: float) -> AprilRenderer:
    """Return this thread's renderer for a kernel width; its kernels serve all recordings."""
    return _of_thread.renderer(sigma_deg)


def _runs(pairs: np.ndarray) -> Iterator[slice]:
    """Cut pairs into runs with no more annotations than there are slots."""
    start, held = 0, set()
    for index, pair in enumerate(pairs.tolist()):
        held.update(pair)
        if len(held) > _SLOTS:
            yield slice(start, index)
            start, held = index, set(pair)
    if len(pairs):
        yield slice(start, len(pairs))
