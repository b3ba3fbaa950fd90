"""Labels of a rendered scene: in every active frame the sub-sources as points on the sphere."""

from __future__ import annotations

import numpy as np

from sai_bench import sphere
from sai_bench.predictions import Annotation
from sai_bench_builtin.datasets.simulated_rooms.scene import Event, Scene

Point = tuple[int, int, float]


def label_scene(scene: Scene, active: np.ndarray) -> list[Annotation]:
    """Return the annotations of a scene in frame order.

    Args:
        scene: the scene.
        active: [events, N] bool, in which label frames each event sounds.
    """
    annotations = []
    for instance, event in enumerate(scene.events):
        frames = np.flatnonzero(active[instance])
        # A frame shows where the source is in its middle.
        times_s = (frames + 0.5) * sphere.FRAME_S - event.onset_s
        annotations += [
            Annotation(
                metadata_frame_index=int(frame),
                category_id=event.category,
                segmentation=[points],
                instance_id=instance,
                distance=distance_cm,
            )
            for frame, (points, distance_cm) in zip(frames, _regions(scene, event, times_s), strict=True)
        ]
    return sorted(annotations, key=lambda a: (a.metadata_frame_index, a.instance_id))


def _regions(scene: Scene, event: Event, times_s: np.ndarray) -> list[tuple[list[Point], int]]:
    """Return (points, distance in cm) of an event at times after its onset."""
    if not event.moving:
        return [_region(scene, event, event.positions_m[0])] * len(times_s)
    return [_region(scene, event, position_m) for position_m in event.position_at(times_s)]


def _region(scene: Scene, event: Event, position_m: np.ndarray) -> tuple[list[Point], int]:
    centre, distance_m = scene.seen_from_array(position_m)
    azimuth, elevation = sphere.directions_of(event.subsources.directions(centre))
    x = np.rint(sphere.column(azimuth)).astype(int) % sphere.COLUMNS
    y = np.rint(sphere.row(elevation)).astype(int)
    energies = (event.subsources.gains / event.subsources.gains.max()) ** 2
    strongest: dict[tuple[int, int], float] = {}
    for pixel, energy in zip(zip(y.tolist(), x.tolist(), strict=True), energies.tolist(), strict=True):
        strongest[pixel] = max(strongest.get(pixel, 0.0), round(energy, 3))
    points = [(column, row, energy) for (row, column), energy in sorted(strongest.items())]
    return points, round(100 * float(distance_m))
