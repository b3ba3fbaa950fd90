"""Time of the June metric, everything included, and its ratio to a plain implementation.

Run with `pytest tests/benchmarks/test_june_benchmark.py --benchmark-enable -s`. Recordings are read from JSON
files, drawn, matched and combined in one process. They are shorter than real ones, because all times are
proportional to the number of annotations. The plain implementation does what the evaluator does. The figures
are printed and stand in the benchmark's `extra_info`.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from sai_bench_builtin.configs.metric import JuneConfig
from sai_bench_builtin.metrics.dcase2026_june import June

PLAIN_PATH = Path(__file__).parents[1] / "metrics" / "plain_june.py"
RECORDINGS = 4
SOURCES = 2  # of a frame, most of them found, with one to three false alarms of any class

DATA = {
    "sparse whole": {"points": (20, 60), "frames": 60, "plain_frames": 15, "radius": 16},
    "sparse fractional": {"points": (20, 60), "frames": 60, "plain_frames": 15, "radius": 16},
    "dense whole": {"points": (300, 600), "frames": 12, "plain_frames": 4, "radius": 22},
    "dense fractional": {"points": (300, 600), "frames": 12, "plain_frames": 4, "radius": 22},
}


@pytest.fixture(scope="module")
def plain_june():
    spec = importlib.util.spec_from_file_location("plain_june", PLAIN_PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def region(rng, name, centre):
    """Points all over a disc, on whole pixels or between them."""
    count, radius = rng.integers(*DATA[name]["points"]), DATA[name]["radius"]
    angle, distance = rng.uniform(0, 2 * np.pi, count), radius * np.sqrt(rng.uniform(0, 1, count))
    places = centre + distance[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    places = np.clip(places, 0, [360, 179])
    places = np.unique(np.rint(places), axis=0) if name.endswith("whole") else places.round(2)
    energy = np.exp(-np.sum((places - centre) ** 2, axis=1) / radius**2).round(4)
    return rng.permutation(np.column_stack([places, energy])).tolist()


def recording(rng, name):
    labels, predictions = [], []

    def add(side, frame, category, centre):
        entry = {"metadata_frame_index": frame, "category_id": category, "distance": 150}
        if side is predictions:
            entry["score"] = round(rng.random(), 9)
        side.append({**entry, "segmentation": [region(rng, name, centre)]})

    for frame in range(DATA[name]["frames"]):
        for source in range(SOURCES):
            centre = np.array([60 + 200 * source, 90]) + 30 * np.sin(frame / 20 + source)
            category = int(source * 5 + frame // 20) % 13
            add(labels, frame, category, centre)
            if rng.random() < 0.7:
                add(predictions, frame, category, centre + rng.normal(0, 3, 2))
        for _ in range(rng.integers(1, 4)):
            add(predictions, frame, int(rng.integers(13)), rng.uniform([30, 40], [330, 140]))
    return labels, predictions


def written(folder, name, frames):
    """Write recordings, cut to their first frames; return [(labels, predictions), ...] paths and a count."""
    rng, paths, total = np.random.default_rng(0), [], 0
    for index in range(RECORDINGS):
        pair = []
        for side, annotations in zip(("labels", "predictions"), recording(rng, name), strict=True):
            kept = [a for a in annotations if a["metadata_frame_index"] < frames]
            total += len(kept)
            pair.append(folder / f"{side}_{frames}_{index}.json")
            pair[-1].write_text(json.dumps({"annotations": kept}))
        paths.append(tuple(pair))
    return paths, total


@pytest.mark.parametrize("name", DATA)
def test_time_of_scoring_with_june_and_its_ratio_to_the_plain_implementation(
    benchmark, plain_june, best_seconds, tmp_path, name
):
    paths, total = written(tmp_path, name, DATA[name]["frames"])
    metric = June(JuneConfig())

    def score():
        parts = [
            metric.score_recording(metric.read(p, "prediction"), metric.read(g, "label")) for g, p in paths
        ]
        return metric.combine(parts)

    result = benchmark.pedantic(score, rounds=5, warmup_rounds=1)
    assert result["counts"]["labels"] + result["counts"]["predictions"] == total
    if benchmark.disabled:
        return
    seconds_per_annotation = benchmark.stats.stats.min / total
    # The plain implementation is slow: some of the frames must do.
    few, few_total = written(tmp_path, name, DATA[name]["plain_frames"])
    plain_seconds = best_seconds(lambda: plain_june.evaluate([tuple(map(plain_june.load, f)) for f in few]))
    ratio = plain_seconds / few_total / seconds_per_annotation
    benchmark.extra_info["plain_over_ours"] = ratio
    benchmark.extra_info["seconds_per_1000_annotations"] = 1000 * seconds_per_annotation
    benchmark.extra_info["annotations_that_meet_the_other_side"] = float(
        2 * result["micro_pearson_n"] / total
    )
    print(f"\n{name}: {1000 * seconds_per_annotation:.3f} s per 1000 annotations, plain {ratio:.1f} x")
