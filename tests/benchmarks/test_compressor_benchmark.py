"""Speed of grid_support beside the loop that one would otherwise write.

Run with: pytest tests/benchmarks --benchmark-enable
"""

import numpy as np

from sai_bench_builtin.compressors.grid_support import GridSupport
from sai_bench_builtin.configs.compressor import GridSupportConfig


def masks(count):
    """Discs of about 1,500 points."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:180, :360]
    sets = []
    for _ in range(count):
        distance = np.hypot(x - rng.uniform(40, 320), y - rng.uniform(40, 140))
        energy = 1 / (1 + np.exp((distance - 18) / 2))
        rows, columns = np.nonzero(energy >= 0.1)
        sets.append(np.stack([columns, rows, energy[rows, columns]], axis=1))
    return sets


def thin_with_a_dict(points, side):
    floor = 0.10 * points[:, 2].max()
    best = {}
    for x, y, energy in points.tolist():
        cell = (x // side, y // side)
        if energy >= floor and (cell not in best or energy > best[cell][2]):
            best[cell] = (x, y, energy)
    return list(best.values())


def test_grid_support_on_strong_masks(benchmark, best_seconds):
    sets = masks(200)
    compressor = GridSupport(GridSupportConfig())
    scores = np.ones(len(sets))

    got = benchmark(compressor, sets, scores)

    for dense, points in zip(sets[:20], got[:20], strict=True):
        assert {tuple(point) for point in points.tolist()} == set(thin_with_a_dict(dense, 2))
    if benchmark.enabled:
        loop_s = best_seconds(lambda: [thin_with_a_dict(points, 2) for points in sets[:20]]) / 20
        mask_s = benchmark.stats.stats.min / len(sets)
        benchmark.extra_info.update(masks_per_s=1 / mask_s, times_faster_than_a_dict=loop_s / mask_s)
        assert loop_s / mask_s > 1


def test_grid_support_on_weak_masks(benchmark):
    sets = masks(200)
    got = benchmark(GridSupport(GridSupportConfig()), sets, np.zeros(len(sets)))
    assert all(len(points) < 200 for points in got)
    if benchmark.enabled:
        benchmark.extra_info["masks_per_s"] = len(sets) / benchmark.stats.stats.min
