import importlib.util
import json
from pathlib import Path

import pytest

from sai_bench.predictions import Annotation
from sai_bench_builtin.configs.metric import AprilConfig
from sai_bench_builtin.metrics.dcase2026_april import April

CASES = Path(__file__).parents[1] / "cases" / "april"


@pytest.fixture(scope="session")
def plain_april():
    """The plain implementation, loaded by path because the tests are no package."""
    spec = importlib.util.spec_from_file_location("plain_april", Path(__file__).with_name("plain_april.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def april():
    return April(AprilConfig())


@pytest.fixture(scope="session")
def expected():
    """What the official evaluator printed for each case, at full precision."""
    return json.loads((CASES / "expected.json").read_text())


@pytest.fixture(scope="session")
def case_files():
    """Return [(labels path, predictions path), ...] of a case in recording order."""

    def files(case):
        predictions = sorted((CASES / case / "predictions").iterdir())
        return [(CASES / case / "labels" / p.name.replace("_inference", "_std"), p) for p in predictions]

    return files


@pytest.fixture(scope="session")
def region():
    """Make an annotation from points, with everything else settable."""

    def make(points, category=0, frame=0, score=None, distance=None):
        return Annotation(
            metadata_frame_index=frame,
            category_id=category,
            segmentation=[[tuple(map(float, point)) for point in points]],
            score=score,
            distance=distance,
        )

    return make
