"""Time of the April metric, everything included, and its ratio to a plain implementation.

Run with `pytest tests/benchmarks/test_april_benchmark.py --benchmark-enable -s`. Four recordings are read
from JSON files, drawn, matched and combined, in one process and in two. They are shorter than real ones of
600 frames and more: all times are proportional to the number of annotations. The figures are printed and
stand in the benchmark's `extra_info`.
"""

import functools
import importlib.util
import io
import json
from pathlib import Path

import joblib
import numpy as np
import pytest

from sai_bench.metrics.pair_scoring import ScorePair
from sai_bench.metrics.pairing import FilePair
from sai_bench.plugin_loading import load_plugins
from sai_bench.spec import ComponentSpec
from sai_bench.stages.portable import PortableComponent

PLAIN_PATH = Path(__file__).parents[1] / "metrics" / "plain_april.py"
RECORDINGS = 4
SOURCES = 3  # of a frame
LABELS, PREDICTIONS = 1, 2  # of a source

DATA = {
    "dense": {"points": 1200, "frames": 6, "plain_frames": 1},
    "sparse whole": {"points": 40, "frames": 60, "plain_frames": 8},
    "sparse fractional": {"points": 40, "frames": 60, "plain_frames": 8},
}


@pytest.fixture(scope="module")
def plain_april():
    spec = importlib.util.spec_from_file_location("plain_april", PLAIN_PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def annotations(recording, name, per_source, scored):
    """Regions of three sources a frame, not near the poles; those of one source overlap."""
    rng = np.random.default_rng([recording, scored])
    made = []
    for frame in range(DATA[name]["frames"]):
        places = np.random.default_rng([recording, frame]).uniform([0, 45], [360, 135], (SOURCES, 2))
        for source in range(SOURCES * per_source):
            centre = places[source % SOURCES] + rng.normal(0, 3, 2)
            annotation = {
                "metadata_frame_index": frame,
                "instance_id": source,
                "category_id": source % SOURCES,
                "distance": 150.0,
                "segmentation": [region_points(rng, name, centre)],
            }
            made.append({**annotation, "score": round(rng.random(), 6)} if scored else annotation)
    return made


@pytest.fixture(scope="module")
def files_of(tmp_path_factory):
    """Make the prediction and label file of each recording, once for each kind of data."""

    @functools.cache
    def write(name):
        folder = tmp_path_factory.mktemp("recordings")
        pairs = []
        for recording in range(RECORDINGS):
            pair = folder / f"mix{recording}_inference.json", folder / f"mix{recording}_std.json"
            for path, per_source, scored in zip(pair, (PREDICTIONS, LABELS), (True, False), strict=True):
                path.write_text(json.dumps({"annotations": annotations(recording, name, per_source, scored)}))
            pairs.append(FilePair(f"mix{recording}", *pair))
        return pairs

    return write


@pytest.fixture(scope="module")
def work():
    """What `sai-bench score` does with each recording, here or in another process."""
    plugins = load_plugins()
    registration = plugins.registry.get("metric", "dcase2026_april")
    component = ComponentSpec("metric", registration.name, registration.load_config()(), registration)
    return ScorePair(PortableComponent.of(component, plugins))


def plain_seconds(plain_april, best_seconds, files, name):
    """Time the plain implementation on the first frames of one recording, per 1000 annotations."""
    few = DATA[name]["plain_frames"]
    paths = []
    for path in (files[0].labels, files[0].predictions):
        kept = [a for a in json.loads(path.read_text())["annotations"] if a["metadata_frame_index"] < few]
        paths.append(path.with_name(f"first_frames_{path.name}"))
        paths[-1].write_text(json.dumps({"annotations": kept}))
    seconds = best_seconds(lambda: plain_april.evaluate([tuple(map(plain_april.load, paths))]))
    return 1000 * seconds / (few * SOURCES * (LABELS + PREDICTIONS))


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("processes", [1, 2], ids=["one process", "two processes"])
def test_time_of_april_scores(benchmark, plain_april, best_seconds, work, files_of, name, processes):
    files = files_of(name)
    with joblib.Parallel(n_jobs=processes) as parallel:

        def score():
            parts = parallel(joblib.delayed(work)(pair) for pair in files)
            return work.build().combine([np.load(io.BytesIO(part)) for part in parts])

        result = benchmark.pedantic(score, rounds=7, warmup_rounds=2)
    total = RECORDINGS * DATA[name]["frames"] * SOURCES * (LABELS + PREDICTIONS)
    assert result["counts"]["labels"] + result["counts"]["predictions"] == total
    assert 0.01 < result["map"] < 0.99
    if benchmark.disabled:
        return
    per_thousand_s = 1000 * benchmark.stats.stats.min / total
    ratio = plain_seconds(plain_april, best_seconds, files, name) / per_thousand_s
    benchmark.extra_info.update(plain_over_ours=ratio, seconds_per_1000_annotations=per_thousand_s)
    print(f"\n{name}, {processes}: {per_thousand_s:.3f} s per 1000 annotations, plain {ratio:.1f} x")
