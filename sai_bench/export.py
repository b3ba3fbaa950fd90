"""From regions to the detections of a DCASE file, as a sequence of pure steps that need no network.

fuse -> threshold -> strongest few of each frame -> untie -> points -> compress.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.errors import ContractError
from sai_bench.predictions import SCORE_DECIMALS, Detection, encode_detections
from sai_bench.sphere import CLASSES, COLUMNS, ROWS

if TYPE_CHECKING:
    from sai_bench.interfaces import Compressor, Fusion
    from sai_bench.regions import Regions
    from sai_bench.spec import ExportSettings


@dataclass(frozen=True)
class Selection:
    """Which candidates of a recording are exported.

    Attributes:
        candidates: [m] positions in the Regions, by frame, strongest first.
        scores: [m] float64 fused scores, no two alike, multiples of 1e-9.
    """

    candidates: np.ndarray
    scores: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields as named arrays, for storage."""
        return {"candidates": self.candidates, "scores": self.scores}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Selection:
        """Return what `arrays` described."""
        return cls(arrays["candidates"], arrays["scores"])


def fuse_and_select(
    regions: Regions, p: np.ndarray, fusion: Fusion, settings: ExportSettings, recording: str
) -> Selection:
    """Apply the fusion rule, the threshold and the limit per frame.

    Args:
        regions: the detector's candidates.
        p: [K, N] class activity on the label frames.
        fusion: the fusion rule.
        settings: threshold and limit.
        recording: the recording's name; decides, with frame, class and mask, the order of equal scores.

    Raises:
        ContractError: the fusion rule did not return finite scores [n] in [0, 1].
    """
    if p.shape != (CLASSES, int(regions.frame_count)):
        raise ContractError(
            f"Class activity has shape {p.shape}, but the detector heard {int(regions.frame_count)} frames."
        )
    fused = fuse(regions, p, fusion)
    kept = np.flatnonzero(fused >= settings.score_threshold)
    lot = _lots(regions, kept, recording)
    order = np.lexsort((lot, -_steps(fused[kept]), regions.frames[kept]))
    kept, lot = kept[order], lot[order]
    among_best = _rank_in_group(regions.frames[kept]) < settings.detections_per_frame
    kept, lot = kept[among_best], lot[among_best]
    return Selection(kept, untie(fused[kept], lot))


def fuse(regions: Regions, p: np.ndarray, fusion: Fusion) -> np.ndarray:
    """Return the fused scores [n] float64 of all candidates, checked."""
    fused = fusion(
        regions.scores.astype(np.float64),
        regions.classes.astype(np.int64),
        regions.frames.astype(np.int64),
        p.astype(np.float64),
    )
    fused = np.asarray(fused)
    name = type(fusion).__name__
    if fused.shape != regions.scores.shape:
        raise ContractError(
            f"Fusion rule {name} returned shape {fused.shape}, expected {regions.scores.shape}: "
            "one score for each candidate."
        )
    if not np.issubdtype(fused.dtype, np.number):
        raise ContractError(f"Fusion rule {name} returned {fused.dtype}, expected numbers.")
    bad = ~((fused >= 0) & (fused <= 1))
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise ContractError(
            f"Fusion rule {name} returned {fused[i]} for score {regions.scores[i]} and activity "
            f"{p[regions.classes[i], regions.frames[i]]}, expected a number in [0, 1] "
            f"({int(bad.sum())} of {len(fused)} are wrong)."
        )
    return fused.astype(np.float64)


def untie(scores: np.ndarray, lots: np.ndarray) -> np.ndarray:
    """Return scores rounded to 1e-9 and, where equal, lowered by as little as makes all differ.

    Evaluators sort by score, and what they do with equal scores depends on the processor. The order
    among equals follows `lots` [n] (any distinct integers).
    """
    steps = _steps(scores)
    order = np.lexsort((lots, -steps))
    # Strictly falling integers: v_i = min over j <= i of (s_j + j) - i; at the bottom, where they would pass
    # zero, n, n-1 ... 1 take over, and the larger of two strictly falling sequences is one, too.
    ordinal = np.arange(len(steps))
    falling = np.minimum.accumulate(steps[order] + ordinal) - ordinal
    result = np.empty(len(steps))
    result[order] = np.maximum(falling, len(steps) - ordinal) / 10**SCORE_DECIMALS
    return result


def detections_of(
    regions: Regions, selection: Selection, compressor: Compressor, settings: ExportSettings
) -> list[Detection]:
    """Return the selected candidates with their compressed point sets.

    Raises:
        ContractError: the compressor lost a mask or returned something that is no point set.
    """
    classes, masks = regions.classes, regions.masks
    point_sets = [regions.points(masks[i], settings.mask_energy) for i in selection.candidates]
    returned = compressor(point_sets, selection.scores.copy())
    compressed = checked_point_sets(returned, point_sets, type(compressor).__name__)
    return [
        Detection(int(regions.frames[i]), int(classes[i]), float(score), points)
        for i, score, points in zip(selection.candidates, selection.scores, compressed, strict=True)
    ]


def dense_size_bytes(regions: Regions, selection: Selection, settings: ExportSettings) -> int:
    """Return how large the JSON would be without compression, without building it.

    A point takes the digits of x, y and its energy, two brackets and three commas (the last has two).
    """
    classes = regions.classes
    bare = [
        Detection(int(regions.frames[i]), int(classes[i]), float(score), np.zeros((0, 3)))
        for i, score in zip(selection.candidates, selection.scores, strict=True)
    ]
    size = len(encode_detections(bare))
    digits = np.array([len(str(n)) for n in range(COLUMNS)])
    energy_digits = np.array([len(str(round(n / 255, 3))) for n in range(256)])
    for i in selection.candidates:
        points = regions.points(regions.masks[i], settings.mask_energy)
        steps = np.rint(points[:, 2] * 255).astype(int)
        x, y = points[:, 0].astype(int), points[:, 1].astype(int)
        size += int((digits[x] + digits[y] + energy_digits[steps] + 5).sum()) - 1
    return size


def checked_point_sets(returned: Sequence, originals: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    """Return a compressor's point sets as float64 arrays [m, 3].

    Raises:
        ContractError: there is not one valid point set for each original.
    """
    if not isinstance(returned, Sequence) or len(returned) != len(originals):
        found = f"{len(returned)} point sets" if isinstance(returned, Sequence) else type(returned).__name__
        raise ContractError(
            f"Compressor {name} returned {found}, expected a list of {len(originals)} arrays."
        )
    return [_checked_points(*pair, name) for pair in zip(returned, originals, strict=True)]


def _checked_points(returned: object, original: np.ndarray, name: str) -> np.ndarray:
    try:
        points = np.asarray(returned, dtype=float)
    except (TypeError, ValueError) as error:
        raise ContractError(f"Compressor {name} returned no array of numbers ({error}).") from error
    if points.ndim != 2 or points.shape[1] != 3 or (len(original) and not len(points)):
        raise ContractError(
            f"Compressor {name} returned shape {points.shape} for a mask of {len(original)} points, expected "
            "[m, 3] with m >= 1."
        )
    x, y, energy = points.T
    inside = (x >= 0) & (x < COLUMNS) & (y >= 0) & (y <= ROWS - 1) & (energy > 0) & (energy <= 1)
    if not inside.all():
        raise ContractError(
            f"Compressor {name} returned the point {points[~inside][0].tolist()}, expected x in [0, 360), "
            "y in [0, 179] and energy in (0, 1]."
        )
    return points


def _steps(scores: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(scores) * 10**SCORE_DECIMALS).astype(np.int64)


def _rank_in_group(groups: np.ndarray) -> np.ndarray:
    """Return each element's position within its run of equal, sorted `groups`."""
    ordinal = np.arange(len(groups))
    first = np.r_[True, groups[1:] != groups[:-1]] if len(groups) else np.zeros(0, bool)
    return ordinal - np.maximum.accumulate(np.where(first, ordinal, 0))


def _lots(regions: Regions, candidates: np.ndarray, recording: str) -> np.ndarray:
    """Return [n] pseudo-random numbers that depend on recording, frame, class and mask only.

    Equal scores are common (a class-agnostic detector scores 13 classes alike); ordering them by class
    number would favour low classes.
    """
    seed = int.from_bytes(hashlib.sha256(os.fsencode(recording)).digest()[:8], "little")
    mixed = np.full(len(candidates), seed, np.uint64)
    for part in (regions.frames, regions.classes, regions.masks):
        mixed = _mix(mixed ^ part[candidates].astype(np.uint64))
    return mixed


def _mix(x: np.ndarray) -> np.ndarray:
    """Return the splitmix64 finaliser of [n] uint64 (Steele, Lea and Flood 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
