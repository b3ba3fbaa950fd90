"""How long `sai-bench score` takes on next to nothing: cold (hot loops are compiled first) and warm.

Run with `pytest tests/benchmarks/test_start_benchmark.py --benchmark-enable -s`.
"""

import json
import os
import subprocess
import sys
import time

import pytest


def test_start_of_score(benchmark, tmp_path):
    if benchmark.disabled:
        pytest.skip("there is nothing but time to look at")
    region = {"metadata_frame_index": 0, "category_id": 0, "segmentation": [[[10, 20, 1.0], [14, 25, 0.5]]]}
    for folder, name, extra in (("predictions", "a.json", {"score": 0.5}), ("labels", "a_std.json", {})):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(json.dumps({"annotations": [region | extra]}))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}

    def score():
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "sai_bench.cli", "score", "predictions", "labels"],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - begun

    cold_s = score()
    benchmark.pedantic(score, rounds=3)
    warm_s = benchmark.stats.stats.min
    assert warm_s < cold_s
    benchmark.extra_info.update(cold_s=cold_s, warm_s=warm_s)
    print(f"\ncold {cold_s:.1f} s, warm {warm_s:.2f} s")
