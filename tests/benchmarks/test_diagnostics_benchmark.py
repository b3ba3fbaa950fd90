"""What diagnostics and confidence intervals cost beside the plain numbers.

Run with: pytest tests/benchmarks --benchmark-enable
"""

from pathlib import Path

import numpy as np
import pytest

from sai_bench.metrics.diagnosing.bootstrap import draw_weights, resampled_headline
from sai_bench.metrics.diagnosing.diagnostics import diagnose
from sai_bench.predictions import read_annotations
from sai_bench_builtin.configs.metric import AprilConfig
from sai_bench_builtin.metrics.dcase2026_april import April

CASE = Path(__file__).parents[1] / "cases" / "april" / "sparse"
RECORDINGS, RESAMPLES = 78, 100


@pytest.fixture(scope="module")
def april():
    return April(AprilConfig())


def random_part(rng, frames):
    """The April metric's arrays for a recording with six detections a frame."""
    count = 6 * frames
    category, score = rng.integers(0, 13, count), rng.random(count)
    matched = rng.random((count, 1)) < score[:, None] * np.linspace(0.6, 0.05, 10)
    return {
        "frames": np.array(frames),
        "labels_per_class": np.bincount(rng.choice(category, 2 * frames), minlength=13),
        "predictions_per_class": np.bincount(category, minlength=13),
        "detection_class": category,
        "detection_score": score,
        "detection_matched": np.minimum.accumulate(matched, axis=1),
        "correlation_class": category[:frames],
        "correlation": rng.random(frames),
        "distance_class": category[:frames],
        "distance_error_percent": rng.random(frames),
    }


def test_diagnostics_of_sparse_recordings(benchmark, best_seconds, april):
    pairs = [
        (
            path.stem,
            read_annotations(path),
            read_annotations(CASE / "labels" / path.name.replace("_inference", "_std")),
        )
        for path in sorted((CASE / "predictions").iterdir())
    ]
    plain = april.combine([april.score_recording(predictions, labels) for _, predictions, labels in pairs])
    result = benchmark(diagnose, april, pairs)
    assert result["all"]["numbers"]["map"] == plain["map"]
    if benchmark.enabled:
        plain_s = best_seconds(lambda: [april.score_recording(own, labels) for _, own, labels in pairs])
        factor = benchmark.stats.stats.min / plain_s
        benchmark.extra_info["times_the_plain_numbers"] = factor
        assert factor < 25


def test_hundred_resamples_of_78_recordings(benchmark, best_seconds, april):
    """Of 3,000 frames with six detections each, when timed."""
    rng = np.random.default_rng(0)
    parts = [random_part(rng, 3000 if benchmark.enabled else 20) for _ in range(RECORDINGS)]
    weights = draw_weights(RECORDINGS, RESAMPLES, seed=0)

    drawn = benchmark.pedantic(resampled_headline, (april, parts, weights), rounds=3, warmup_rounds=1)

    repeated = [part for part, times in zip(parts, weights[0].tolist(), strict=True) for _ in range(times)]
    plain = april.combine(repeated)
    assert {name: drawn[name][0] for name in drawn} == pytest.approx(
        {name: plain[name] for name in april.headline}, rel=1e-9
    )
    if benchmark.enabled:
        combine_s = best_seconds(lambda: april.combine(repeated))
        factor = RESAMPLES * combine_s / benchmark.stats.stats.min
        benchmark.extra_info["times_faster_than_combine"] = factor
        assert factor > 5
