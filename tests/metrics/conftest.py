import importlib.util
import json
from pathlib import Path

import msgspec
import pytest

from sai_bench.predictions import Annotation
from sai_bench_builtin.configs.metric import AprilConfig, JuneConfig
from sai_bench_builtin.metrics.dcase2026_april import April
from sai_bench_builtin.metrics.dcase2026_june import June

CASES = Path(__file__).parents[1] / "cases" / "april"
JUNE_CASES = CASES.with_name("june")


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


@pytest.fixture(scope="session")
def plain_june():
    """The plain implementation, loaded by path because the tests are no package."""
    spec = importlib.util.spec_from_file_location("plain_june", Path(__file__).with_name("plain_june.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def june():
    return June(JuneConfig())


@pytest.fixture(scope="session")
def june_expected():
    """What the official evaluator reported for each case, at full precision."""
    return json.loads((JUNE_CASES / "expected.json").read_text())


@pytest.fixture(scope="session")
def june_files():
    """Return [(labels path, predictions path), ...] of a case in recording order."""

    def files(case):
        predictions = sorted((JUNE_CASES / case / "predictions").iterdir())
        return [(JUNE_CASES / case / "labels" / f"{p.stem}_std.json", p) for p in predictions]

    return files


@pytest.fixture(scope="session")
def as_dicts():
    """Return annotations as a file holds them."""

    def convert(annotations):
        return [msgspec.to_builtins(annotation) for annotation in annotations]

    return convert
