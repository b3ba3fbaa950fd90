"""`specs/tiny.yaml`: what its random networks draw can be submitted."""

from pathlib import Path

import numpy as np

from sai_bench.metrics.submission import COMFORTABLE_FILE_BYTES, check_submission
from sai_bench.predictions import write_detections
from sai_bench.progress import Reporter
from sai_bench.spec import load_spec
from sai_bench.sphere import mic_array
from sai_bench.system import System

TINY = Path(__file__).parents[2] / "specs" / "tiny.yaml"


def test_predictions_of_the_longest_recording_stay_small(tmp_path):
    spec = load_spec(TINY, overrides=["system.prior={use: uniform}"])  # the strongest scores
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 12_000)).astype(np.float32)
    detections = System(spec)(noise, 24_000, mic_array())
    assert len(detections) == 5 * spec.export.detections_per_frame
    write_detections(tmp_path / "noise.json", detections)

    report = check_submission(tmp_path, Reporter(), 1)

    assert report.accepted
    frames_of_a_recording = spec.data.config.duration_s * 10
    assert report.largest_bytes / 5 * frames_of_a_recording < COMFORTABLE_FILE_BYTES


def test_it_is_trained_in_the_stages_of_the_report_for_a_few_steps():
    report, tiny = (load_spec(TINY.with_name(name)) for name in ("report.yaml", "tiny.yaml"))

    assert [stage.name for stage in tiny.training] == [stage.name for stage in report.training]
    assert {stage.data for stage in tiny.training} == {None}
    for stage, full in zip(tiny.training[:2], report.training, strict=False):
        assert stage.settings.steps <= 50
        assert stage.settings.targets == full.settings.targets
        assert stage.losses.model_copy(update={"refined_masks": 0}) == full.losses
