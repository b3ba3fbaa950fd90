"""The arithmetic of a stage's work has one thread, whatever is loaded when."""

import os
import subprocess
import sys

WORK = """
import sys, tempfile
from pathlib import Path
from types import SimpleNamespace
from sai_bench.progress import Reporter
from sai_bench.stages.stage import Context, run_stage

class Work:
    def build(self):
        assert "scipy.linalg" not in sys.modules
        import scipy.linalg

    def __call__(self, recording):
        from threadpoolctl import threadpool_info

        blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        print(blas)
        return b""

cache = Path(tempfile.mkdtemp(dir=sys.argv[1]))
run_stage("s", [SimpleNamespace(name="a")], Work(), {}, Context(cache, 1, Reporter()), identity=lambda _: "x")
"""


def test_a_blas_that_building_loads_is_limited_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WORK, tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
        check=True,
    )
    threads = done.stdout.strip()
    assert threads in ("[1]", "[1, 1]"), threads
