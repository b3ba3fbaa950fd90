import functools
import gc
import importlib.util
import io
import shutil
import time
from itertools import count
from pathlib import Path

import joblib
import numpy as np
import pytest

from sai_bench.metrics.score_stage import ScorePair, identify
from sai_bench.plugin_loading import load_plugins
from sai_bench.spec import ComponentSpec
from sai_bench.stages.label_memory import LabelMemory
from sai_bench.stages.portable import PortableComponent
from sai_bench.threads import one_blas_thread

METRIC_TESTS = Path(__file__).parents[1] / "metrics"


@pytest.fixture(autouse=True)
def small_heap():
    """Keep the garbage collector from walking through what pytest and other tests have loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


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


@functools.cache
def portable(metric):
    """Find a metric once: what starting costs is another benchmark's business."""
    plugins = load_plugins()
    registration = plugins.registry.get("metric", metric)
    component = ComponentSpec("metric", metric, registration.load_config()(), registration)
    return PortableComponent.of(component, plugins)


def score_with(metric, memory, files, parallel):
    """Do what `sai-bench score` does with files; `memory` is the folder of what is kept of labels."""
    work = ScorePair(portable(metric), LabelMemory(memory))
    built = work.build()  # loads SciPy, whose threads cannot be limited before
    with one_blas_thread():
        parts = parallel(joblib.delayed(work)(identify(pair)) for pair in files)
    return built.combine([np.load(io.BytesIO(part)) for part in parts])


@pytest.fixture
def score_files(benchmark, tmp_path):
    """Benchmark scoring against labels that are met for the first time; return the numbers."""

    def run(metric, files, processes):
        memories = (tmp_path / f"memory{n}" for n in count())
        with joblib.Parallel(n_jobs=processes) as parallel:
            return benchmark.pedantic(
                lambda memory: score_with(metric, memory, files, parallel),
                setup=lambda: ((next(memories),), {}),
                rounds=3,
                warmup_rounds=1,
            )

    return run


@pytest.fixture
def seconds_with_known_labels(tmp_path):
    """Time scoring in one process against labels met for the first time, and by `rivals` before.

    The two take turns and the least of each counts, because a machine is not always equally fast.
    """

    def measure(metric, files, rivals):
        starts = {"first": tmp_path / "empty", "known": tmp_path / "rivals"}
        for start in starts.values():
            start.mkdir()
        seconds = dict.fromkeys(starts, float("inf"))
        with joblib.Parallel(n_jobs=1) as parallel:
            score_with(metric, starts["known"], rivals, parallel)
            for turn in range(3):
                for name, start in starts.items():
                    memory = shutil.copytree(start, tmp_path / f"{name}{turn}")
                    started = time.perf_counter()
                    score_with(metric, memory, files, parallel)
                    seconds[name] = min(seconds[name], time.perf_counter() - started)
        return seconds["first"], seconds["known"]

    return measure
