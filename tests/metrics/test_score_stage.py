"""One metric's part for one recording."""

import numpy as np

from sai_bench.metrics.pairing import FilePair
from sai_bench.metrics.score_stage import ScorePair, identify
from sai_bench.stages.label_memory import LabelMemory


def test_a_metric_is_built_once_for_a_recording(april, case_files, tmp_path):
    class Component:
        builds = 0

        def build(self):
            self.builds += 1
            return april

    component = Component()
    labels, predictions = case_files("sparse")[0]
    ScorePair(component, LabelMemory(tmp_path))(identify(FilePair("mix", predictions, labels)))
    assert component.builds == 1


def test_numbers_of_annotations_are_kept_beside_a_metrics_own_arrays(april, case_files, tmp_path):
    class Component:
        def build(self):
            return april

    labels, predictions = case_files("sparse")[0]
    part = ScorePair(Component(), LabelMemory(tmp_path))(identify(FilePair("mix", predictions, labels)))
    (tmp_path / "part.npz").write_bytes(part)
    with np.load(tmp_path / "part.npz") as stored:
        side, scored = stored["input_counts"][2:]
    assert side == scored > 0
