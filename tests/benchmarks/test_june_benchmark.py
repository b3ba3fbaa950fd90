"""Time of the June metric, everything included, and its ratio to a plain implementation.

Run with `pytest tests/benchmarks/test_june_benchmark.py --benchmark-enable -s`. Four
recordings of 600 frames are read from JSON files, drawn, matched and combined, in one process and in two. The
plain implementation does what the evaluator does. Another figure is how much sooner a system is scored whose
labels another one was scored against before. The figures are printed and stand in the benchmark's
`extra_info`.
"""

import functools
import json

import numpy as np
import pytest

from sai_bench.metrics.pairing import FilePair

RECORDINGS = 4
SOURCES = 2  # of a frame, most of them found, with one to three false alarms of any class

DATA = {
    "sparse whole": {"points": (20, 60), "plain_frames": 15, "radius": 16},
    "sparse fractional": {"points": (20, 60), "plain_frames": 15, "radius": 16},
    "dense whole": {"points": (300, 600), "plain_frames": 4, "radius": 22},
    "dense fractional": {"points": (300, 600), "plain_frames": 4, "radius": 22},
}
"""Kind of data -> points of a region, how much the slow plain implementation gets, degrees."""


def region(rng, name, centre):
    """Points all over a disc, on whole pixels or between them."""
    count, radius = rng.integers(*DATA[name]["points"]), DATA[name]["radius"]
    angle, distance = rng.uniform(0, 2 * np.pi, count), radius * np.sqrt(rng.uniform(0, 1, count))
    places = centre + distance[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    places = np.clip(places, 0, [360, 179])
    places = np.unique(np.rint(places), axis=0) if name.endswith("whole") else places.round(2)
    energy = np.exp(-np.sum((places - centre) ** 2, axis=1) / radius**2).round(4)
    return rng.permutation(np.column_stack([places, energy])).tolist()


def recording(rng, name, frames):
    labels, predictions = [], []

    def add(side, frame, category, centre):
        entry = {"metadata_frame_index": frame, "category_id": category, "distance": 150}
        if side is predictions:
            entry["score"] = round(rng.random(), 9)
        side.append({**entry, "segmentation": [region(rng, name, centre)]})

    for frame in range(frames):
        for source in range(SOURCES):
            centre = np.array([60 + 200 * source, 90]) + 30 * np.sin(frame / 20 + source)
            category = int(source * 5 + frame // 20) % 13
            add(labels, frame, category, centre)
            if rng.random() < 0.7:
                add(predictions, frame, category, centre + rng.normal(0, 3, 2))
        for _ in range(rng.integers(1, 4)):
            add(predictions, frame, int(rng.integers(13)), rng.uniform([30, 40], [330, 140]))
    return labels, predictions


@pytest.fixture(scope="module")
def files_of(tmp_path_factory):
    """Make the files of each recording, once for each kind of data; return them and count annotations."""

    @functools.cache
    def write(name, frames, seed=0):
        folder = tmp_path_factory.mktemp("recordings")
        rng, files, total = np.random.default_rng(seed), [], 0
        for index in range(RECORDINGS):
            pair = FilePair(f"mix{index}", folder / f"mix{index}.json", folder / f"mix{index}_std.json")
            sides = recording(rng, name, frames)
            for path, annotations in zip((pair.labels, pair.predictions), sides, strict=True):
                path.write_text(json.dumps({"annotations": annotations}, separators=(",", ":")))
                total += len(annotations)
            files.append(pair)
        return files, total

    return write


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("processes", [1, 2], ids=["one process", "two processes"])
def test_time_of_june_scores(
    benchmark,
    plain_metric,
    best_seconds,
    score_files,
    seconds_with_known_labels,
    files_of,
    frames,
    name,
    processes,
):
    files, total = files_of(name, frames)
    result = score_files("dcase2026_june", files, processes)
    assert result["counts"]["labels"] + result["counts"]["predictions"] == total
    if benchmark.disabled:
        return
    per_thousand_s = 1000 * benchmark.stats.stats.min / total
    # The plain implementation is slow: some of the frames must do.
    plain_june = plain_metric("plain_june")
    few, few_total = files_of(name, DATA[name]["plain_frames"])
    paths = [(pair.labels, pair.predictions) for pair in few]
    plain_s = best_seconds(lambda: plain_june.evaluate([tuple(map(plain_june.load, p)) for p in paths]))
    ratio = 1000 * plain_s / few_total / per_thousand_s
    benchmark.extra_info["plain_over_ours"] = ratio
    benchmark.extra_info["seconds_per_1000_annotations"] = per_thousand_s
    benchmark.extra_info["annotations_that_meet_the_other_side"] = float(
        2 * result["micro_pearson_n"] / total
    )
    print(f"\n{name}, {processes}: {per_thousand_s:.3f} s per 1000 annotations, plain {ratio:.1f} x")
    if processes == 1:
        # The sources of every seed are at the same places, so its predictions are those of another system.
        others, _ = files_of(name, frames, seed=1)
        rivals = [
            FilePair(own.name, other.predictions, own.labels)
            for own, other in zip(files, others, strict=True)
        ]
        first_s, known_s = seconds_with_known_labels("dcase2026_june", files, rivals)
        benchmark.extra_info["first_over_labels_drawn_before"] = first_s / known_s
        print(f"labels drawn before, for another system: {known_s:.2f} s, first {first_s / known_s:.2f} x")
