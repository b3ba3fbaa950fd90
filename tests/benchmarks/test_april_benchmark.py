"""Time of the April metric, everything included, and its ratio to a plain implementation.

Run with `pytest tests/benchmarks/test_april_benchmark.py --benchmark-enable -s`. Four
recordings of 600 frames are read from JSON files, drawn, matched and combined, in one process and in two. The
figures are printed and stand in the benchmark's `extra_info`.
"""

import functools
import json

import numpy as np
import pytest

from sai_bench.metrics.pairing import FilePair

RECORDINGS = 4
LABELS, PREDICTIONS = 1, 2  # of a source

DATA = {
    "dense": {"points": 1200, "sources": 1, "plain_frames": 4},
    "sparse whole": {"points": 40, "sources": 3, "plain_frames": 8},
    "sparse fractional": {"points": 40, "sources": 3, "plain_frames": 8},
}
"""Kind of data -> points of a region, sources of a frame, how much the slow plain implementation gets."""


def region_points(rng, name, centre):
    """Points of one region: all pixels of a disc, some of them, or as many places between them."""
    x, y = (centre[:, None, None] + np.mgrid[-25:26, -25:26]).round().astype(int)
    distance = np.hypot(x - centre[0], y - centre[1])
    inside = distance < np.sqrt(1200 / np.pi)
    points = np.column_stack([x[inside] % 360, y[inside], np.exp(-((distance[inside] / 15) ** 2)).round(3)])
    if name != "dense":
        points = rng.permutation(points)[: DATA[name]["points"]]
    positions = points[:, :2].astype(int)
    if name == "sparse fractional":
        positions = (positions + rng.uniform(0, 0.999, positions.shape)).round(3)
    return [[*place, e] for place, e in zip(positions.tolist(), points[:, 2].tolist(), strict=True)]


def annotations(recording, name, frames, per_source, scored):
    """Regions of the sources of each frame, not near the poles; those of one source overlap."""
    rng, sources = np.random.default_rng([recording, scored]), DATA[name]["sources"]
    made = []
    for frame in range(frames):
        places = np.random.default_rng([recording, frame]).uniform([0, 45], [360, 135], (sources, 2))
        for index in range(sources * per_source):
            centre = places[index % sources] + rng.normal(0, 3, 2)
            annotation = {
                "metadata_frame_index": frame,
                "instance_id": index,
                "category_id": index % sources,
                "distance": 150.0,
                "segmentation": [region_points(rng, name, centre)],
            }
            made.append({**annotation, "score": round(rng.random(), 6)} if scored else annotation)
    return made


@pytest.fixture(scope="module")
def files_of(tmp_path_factory):
    """Make the prediction and label file of each recording, once for each kind of data."""

    @functools.cache
    def write(name, frames):
        folder = tmp_path_factory.mktemp("recordings")
        pairs = []
        for index in range(RECORDINGS):
            pair = folder / f"mix{index}_inference.json", folder / f"mix{index}_std.json"
            for path, per_source, scored in zip(pair, (PREDICTIONS, LABELS), (True, False), strict=True):
                made = annotations(index, name, frames, per_source, scored)
                path.write_text(json.dumps({"annotations": made}, separators=(",", ":")))
            pairs.append(FilePair(f"mix{index}", *pair))
        return pairs

    return write


def plain_seconds(plain_april, best_seconds, files, name):
    """Time the plain implementation on the first frames of one recording, per 1000 annotations."""
    few = DATA[name]["plain_frames"]
    paths, total = [], 0
    for path in (files[0].labels, files[0].predictions):
        kept = [a for a in json.loads(path.read_text())["annotations"] if a["metadata_frame_index"] < few]
        paths.append(path.with_name(f"first_frames_{path.name}"))
        paths[-1].write_text(json.dumps({"annotations": kept}))
        total += len(kept)
    return 1000 * best_seconds(lambda: plain_april.evaluate([tuple(map(plain_april.load, paths))])) / total


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("processes", [1, 2], ids=["one process", "two processes"])
def test_time_of_april_scores(
    benchmark, plain_metric, best_seconds, score_files, files_of, frames, name, processes
):
    files = files_of(name, frames)
    result = score_files("dcase2026_april", files, processes)
    total = RECORDINGS * frames * DATA[name]["sources"] * (LABELS + PREDICTIONS)
    assert result["counts"]["labels"] + result["counts"]["predictions"] == total
    assert 0.01 < result["map"] < 0.99
    if benchmark.disabled:
        return
    per_thousand_s = 1000 * benchmark.stats.stats.min / total
    ratio = plain_seconds(plain_metric("plain_april"), best_seconds, files, name) / per_thousand_s
    benchmark.extra_info.update(plain_over_ours=ratio, seconds_per_1000_annotations=per_thousand_s)
    print(f"\n{name}, {processes}: {per_thousand_s:.3f} s per 1000 annotations, plain {ratio:.1f} x")
