"""Bring what the documentation shows of a trained system from its run and its training to one folder.

    sai-bench run specs/steered.yaml
    python docs/hooks/collect_training.py specs/steered.yaml docs/results/training/steered

leaves the run record, the 95% intervals of each variant over recordings, and of every training its result and
one line in five of its log. Run it where the run was made, in a fresh clone: trainings of other code are
in the way.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from sai_bench import load_spec
from sai_bench.metrics.scoring import score
from sai_bench.running import DEFAULT_CACHE

METRIC = "dcase2026_june"
RESAMPLES = 1000
LINES_PER_KEPT = 5


def main(spec_path: str, target_path: str) -> None:
    """Collect the results of a spec whose run lies in `runs/NAME`."""
    spec, target = load_spec(Path(spec_path)), Path(target_path)
    run = Path("runs") / spec.name
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "result.json", target / "result.json")
    recordings = spec.require_data().build().recordings(spec.evaluation.split)
    labels = recordings[0].labels_path.parent
    intervals = {spec.name: _intervals(run / "predictions", labels)}
    for folder in sorted((run / "variants").glob("*/predictions")):
        intervals[folder.parent.name] = _intervals(folder, labels)
    (target / "intervals.json").write_text(json.dumps(intervals, indent=1) + "\n")
    for stage in spec.training:
        folders = sorted((DEFAULT_CACHE / "train").glob(f"{spec.name}-{stage.name}-*"))
        if len(folders) > 1:
            raise SystemExit(f"{len(folders)} trainings of {stage.name} in {DEFAULT_CACHE}. Expected one.")
        for folder in folders:
            shutil.copy(folder / "result.json", target / f"{stage.name}.json")
            (target / f"{stage.name}.jsonl").write_text(_thinned((folder / "log.jsonl").read_text()))


def _intervals(predictions: Path, labels: Path) -> dict:
    scores = score(predictions, labels, [METRIC], bootstrap=RESAMPLES)
    return scores.metrics[METRIC]["bootstrap"]


def _thinned(log: str) -> str:
    """Return every validation and one in five lines of training."""
    lines = log.splitlines()
    training = [line for line in lines if json.loads(line)["kind"] == "train"]
    kept = set(training[LINES_PER_KEPT - 1 :: LINES_PER_KEPT])
    return "".join(f"{line}\n" for line in lines if line in kept or json.loads(line)["kind"] == "validation")


if __name__ == "__main__":
    main(*sys.argv[1:])
