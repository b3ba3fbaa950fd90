"""Maps of a recording's labels, kept from one scoring to the next.

Systems are compared on the same labels, and drawing them takes up to half of the scoring. A map is found by
its points, so whatever is kept can save time but cannot change a number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from sai_bench.compilation import compiled
from sai_bench.metrics.june.rendering import COLUMNS, ROWS, JuneMap, render
from sai_bench.segmentation import point_count, point_sets_of

MOST_VALUES = 8_000_000
"""Pixels kept of one recording (64 MB): some 50,000 regions with a radius of 20 degrees."""

WORTH_KEEPING_POINTS = 100
"""From here on reading takes a tenth of drawing, also without Qhull. Smaller maps need as much disk as their
points do, and keeping them would be felt in the first scoring."""

_KEY_BYTES = 16


class LabelMaps:
    """Maps that an earlier scoring drew, and those that this one has to draw."""

    def __init__(self, memory: Mapping[str, np.ndarray]):
        """Start with what `memory` returned, or with nothing (empty)."""
        self._memory = memory
        self._known: dict[bytes, int] = {}
        self._new: dict[bytes, tuple[tuple[int, ...], np.ndarray]] = {}
        self._value_count = 0
        if memory:
            keys, boxes = memory["keys"].tobytes(), memory["boxes"].astype(int)
            self._known = {keys[n * _KEY_BYTES :][:_KEY_BYTES]: n for n in range(len(boxes))}
            self._ends = np.cumsum((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])).tolist()
            self._boxes = boxes.tolist()
            self._value_count = len(memory["values"])

    def map_of(self, segmentation: Sequence[Sequence[Sequence[float]]]) -> JuneMap:
        """Return what `render` does, drawn only if it is not known."""
        key = None
        if self._known:
            key = _key(segmentation)
            if key in self._known:
                return self._known_map(self._known[key])
        drawn = render(segmentation)
        if drawn.by_qhull or point_count(segmentation) >= WORTH_KEEPING_POINTS:
            self._keep(key or _key(segmentation), drawn)
        return drawn

    def memory(self) -> dict[str, np.ndarray] | None:
        """Return everything known, None if nothing has come to what this object started with.

        Returns:
            `keys` [n, 16] uint8, hashes of the points; `boxes` [n, 7] uint8, the first and (excluded) last
            row and column of the part that is kept, the map's `first_row` and `last_row`, and whether it is
            float32; `values` float64, the parts one after the other.
        """
        if not self._new:
            return None
        boxes = np.array([box for box, _ in self._new.values()], np.uint8)
        new = {
            "keys": np.frombuffer(b"".join(self._new), np.uint8).reshape(-1, _KEY_BYTES),
            "boxes": boxes,
            "values": np.concatenate([values for _, values in self._new.values()]),
        }
        if not self._known:
            return new
        return {name: np.concatenate([self._memory[name], array]) for name, array in new.items()}

    def _known_map(self, n: int) -> JuneMap:
        top, bottom, left, right, first_row, last_row, is_single = self._boxes[n]
        energy = np.zeros((ROWS, COLUMNS), np.float32 if is_single else np.float64)
        values = self._memory["values"][self._ends[n - 1] if n else 0 : self._ends[n]]
        energy[top:bottom, left:right] = values.reshape(bottom - top, right - left)
        return JuneMap(energy, first_row, last_row)

    def _keep(self, key: bytes, drawn: JuneMap) -> None:
        if key in self._new:
            return
        is_single = drawn.energy.dtype == np.float32
        energy = drawn.energy.astype(np.float64) if is_single else drawn.energy
        top, bottom, left, right = _box(energy.view(np.int64))
        values = energy[top:bottom, left:right].ravel()  # a copy: the whole map can go
        if self._value_count + len(values) > MOST_VALUES:
            return
        self._value_count += len(values)
        self._new[key] = (top, bottom, left, right, drawn.first_row, drawn.last_row, is_single), values


def _key(segmentation: Sequence[Sequence[Sequence[float]]]) -> bytes:
    """Return a hash of point sets and of where each one ends."""
    digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    for points in point_sets_of(segmentation):
        digest.update(len(points).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(points))
    return digest.digest()


@compiled("UniTuple(int64, 4)(int64[:, ::1])")
def _box(bits):
    """Return the first row, the one after the last, and such columns of what is not +0.0, bit by bit."""
    top, bottom, left, right = 0, 0, COLUMNS, 0
    for row in range(ROWS):
        for column in range(COLUMNS):
            if bits[row, column] != 0:
                top = row if bottom == 0 else top
                bottom = row + 1
                left, right = min(left, column), max(right, column + 1)
    return top, bottom, min(left, right), right
