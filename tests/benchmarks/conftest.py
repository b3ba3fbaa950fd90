import importlib.util
import io
import time
from pathlib import Path

import joblib
import numpy as np
import pytest

from sai_bench.metrics.pair_scoring import ScorePair
from sai_bench.plugin_loading import load_plugins
from sai_bench.spec import ComponentSpec
from sai_bench.stages.portable import PortableComponent
from sai_bench.threads import one_blas_thread

METRIC_TESTS = Path(__file__).parents[1] / "metrics"


@pytest.fixture
def frames(benchmark):
    """Frames of a recording: a minute of them, or few if nothing is timed and only the result counts."""
    return 6 if benchmark.disabled else 600


@pytest.fixture
def best_seconds():
    """Time a reference: the least of three calls, because a single one may be disturbed."""

    def measure(call) -> float:
        def once():
            started = time.perf_counter()
            call()
            return time.perf_counter() - started

        with one_blas_thread():
            return min(once() for _ in range(3))

    return measure


@pytest.fixture(scope="session")
def plain_metric():
    """Import a plain implementation, the oracle of the metric's own tests."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, METRIC_TESTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def score_files(benchmark):
    """Benchmark what `sai-bench score` does with files; return the numbers."""

    def run(metric, files, processes):
        plugins = load_plugins()
        registration = plugins.registry.get("metric", metric)
        component = ComponentSpec("metric", metric, registration.load_config()(), registration)
        work = ScorePair(PortableComponent.of(component, plugins))
        with joblib.Parallel(n_jobs=processes) as parallel, one_blas_thread():

            def score():
                parts = parallel(joblib.delayed(work)(pair) for pair in files)
                return work.build().combine([np.load(io.BytesIO(part)) for part in parts])

            return benchmark.pedantic(score, rounds=3, warmup_rounds=1)

    return run
