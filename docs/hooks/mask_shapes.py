"""How exact a mask must be: discs against labels of the benchmark set, their place or extent not quite right.

    python docs/hooks/mask_shapes.py docs/results/training/mask_shapes.json

Nothing is learned and nothing heard: labels of the validation split of specs/data/rooms13.yaml, one frame a
second, are compared with discs around their true centres, moved in a random direction.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from sai_bench import load_spec
from sai_bench.metrics.june.matching import soft_iou
from sai_bench.metrics.june.rendering import JuneMap, render
from sai_bench.predictions import read_annotations
from sai_bench.sphere import (
    COLUMNS,
    FRAMES_PER_S,
    ROWS,
    azimuth_deg,
    elevation_deg,
    grid_directions,
    unit_vectors,
)
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig
from sai_bench_builtin.decoders.class_discs.discs import disc_energies

SPEC, SPLIT, SEED = Path("specs/data/rooms13.yaml"), "validation", 0
OFFSETS_DEG = (0, 1, 2, 3, 5, 8)
THRESHOLDS = (0.25, 0.5, 0.75)
LEAST_ENERGY = 0.1
"""What an export leaves out of a mask (`export.mask_energy`)."""

_PIXELS = unit_vectors(
    *np.broadcast_arrays(grid_directions(ROWS, COLUMNS)[0][None], grid_directions(ROWS, COLUMNS)[1][:, None])
)


def main(target: str) -> None:
    """Compare, and write the shares of labels that pass the thresholds."""
    rng = np.random.default_rng(SEED)
    soft, flat = ClassDiscsConfig(), ClassDiscsConfig(rim_energy=1)
    moved, unmoved_flat = [], []
    for segmentation in _labels():
        wanted, centre = render(segmentation), _centre(segmentation)
        moved.append([_ious(wanted, _aside(centre, offset, rng), soft) for offset in OFFSETS_DEG])
        unmoved_flat.append(_ious(wanted, centre, flat))
    ious, flat_ious = np.array(moved), np.array(unmoved_flat)  # [labels, offsets, extents], [labels, extents]
    common = int((ious[:, 0, :, None] >= THRESHOLDS).mean((0, 2)).argmax())
    result = {
        "labels": len(ious),
        "thresholds": THRESHOLDS,
        "common_extent_deg": soft.extents_deg[common],
        "by_offset_deg": {
            str(offset): {"best_extent": _shares(of.max(1)), "common_extent": _shares(of[:, common])}
            for offset, of in zip(OFFSETS_DEG, ious.swapaxes(0, 1), strict=True)
        },
        "flat_discs": _shares(flat_ious.max(1)),
    }
    Path(target).write_text(json.dumps(result, indent=1) + "\n")


def _labels():
    for recording in load_spec(SPEC).require_data().build().recordings(SPLIT):
        for annotation in read_annotations(recording.labels_path):
            if annotation.metadata_frame_index % FRAMES_PER_S == 0:
                yield annotation.segmentation


def _centre(segmentation) -> np.ndarray:
    points = np.concatenate([np.asarray(part, dtype=float) for part in segmentation])
    centre = points[:, 2] @ unit_vectors(azimuth_deg(points[:, 0]), elevation_deg(points[:, 1]))
    return centre / np.linalg.norm(centre)


def _aside(centre: np.ndarray, offset_deg: float, rng: np.random.Generator) -> np.ndarray:
    """Return the direction `offset_deg` away from a centre, to a random side."""
    across = np.cross(centre, rng.standard_normal(3))
    across /= np.linalg.norm(across)
    return np.cos(np.radians(offset_deg)) * centre + np.sin(np.radians(offset_deg)) * across


def _ious(wanted: JuneMap, centre: np.ndarray, config: ClassDiscsConfig) -> list[float]:
    """Return the soft IoU of discs of every extent with a label."""
    distances = np.degrees(np.arccos(np.clip(_PIXELS @ centre, -1, 1)))
    ious = []
    for radius in config.extents_deg:
        energies = disc_energies(distances, radius, config)
        rows, columns = np.nonzero(energies >= LEAST_ENERGY)
        points = np.stack([columns, rows, energies[rows, columns]], axis=1)
        ious.append(float(soft_iou(render([points.tolist()]), wanted)))
    return ious


def _shares(ious: np.ndarray) -> list[float]:
    """Return which share of labels passes each threshold."""
    return [float((ious >= threshold).mean()) for threshold in THRESHOLDS]


if __name__ == "__main__":
    main(sys.argv[1])
