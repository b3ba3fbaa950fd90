"""Time of the April metric, and its ratio to a plain implementation.

Run with `pytest tests/benchmarks/test_april_benchmark.py --benchmark-enable -s`. Reading and writing files is
left out on both sides. The time per 1000 annotations and the ratio are printed and stand in the benchmark's
`extra_info`.
"""

import importlib.util
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sai_bench.predictions import Annotation
from sai_bench_builtin.configs.metric import AprilConfig
from sai_bench_builtin.metrics.dcase2026_april import April

PLAIN_PATH = Path(__file__).parents[1] / "metrics" / "plain_april.py"


@pytest.fixture(scope="module")
def plain_april():
    spec = importlib.util.spec_from_file_location("plain_april", PLAIN_PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def annotations(rng, frames, per_frame, points, whole, radius, scored):
    """Round regions of two classes on fixed places, so that predictions meet labels."""
    places = np.array([[60, 60], [180, 90], [300, 120]])
    made = []
    for frame in range(frames):
        for index in range(per_frame):
            centre = places[index % 3] + rng.normal(0, 2, 2)
            drawn = centre + radius * rng.uniform(-1, 1, (points, 2))
            energy = np.exp(-np.sum((drawn - centre) ** 2, axis=1) / radius**2)
            drawn = np.rint(drawn) if whole else drawn
            made.append(
                Annotation(
                    metadata_frame_index=frame,
                    category_id=index % 2,
                    segmentation=[list(map(tuple, np.column_stack([drawn, energy]).tolist()))],
                    score=float(rng.random()) if scored else None,
                )
            )
    return made


SETS = {
    "sparse_whole": {"frames": 40, "points": 150, "whole": True, "radius": 12},
    "sparse_fractional": {"frames": 10, "points": 150, "whole": False, "radius": 12},
    "dense_whole": {"frames": 4, "points": 1200, "whole": True, "radius": 20},
}


@pytest.mark.parametrize("name", SETS)
def test_time_of_scoring_and_its_ratio_to_the_plain_implementation(
    benchmark, plain_april, best_seconds, name
):
    rng = np.random.default_rng(0)
    labels = annotations(rng, per_frame=3, scored=False, **SETS[name])
    predictions = annotations(rng, per_frame=6, scored=True, **SETS[name])
    metric = April(AprilConfig())

    def score():
        return metric.combine([metric.score_recording(predictions, labels)])

    result = benchmark.pedantic(score, rounds=5, warmup_rounds=1)
    total = len(labels) + len(predictions)
    assert result["counts"]["labels"] + result["counts"]["predictions"] == total
    if benchmark.disabled:
        return
    seconds = benchmark.stats.stats.min
    # The plain implementation is slow: a quarter of the frames must do.
    few = SETS[name]["frames"] // 4
    recording = [
        [msgspec.to_builtins(a) for a in side if a.metadata_frame_index < few]
        for side in (labels, predictions)
    ]
    plain_seconds = best_seconds(lambda: plain_april.evaluate([recording])) / sum(map(len, recording)) * total
    benchmark.extra_info["plain_over_ours"] = plain_seconds / seconds
    per_thousand_s = 1000 * seconds / total
    benchmark.extra_info["seconds_per_1000_annotations"] = per_thousand_s
    print(f"\n{name}: {per_thousand_s:.2f} s per 1000 annotations, plain {plain_seconds / seconds:.1f} x")
