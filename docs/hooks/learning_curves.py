"""Draw the learning curves of the committed training logs.

python docs/hooks/learning_curves.py docs/images/learning_curves.png
"""

from __future__ import annotations

import json
import math
import sys

from matplotlib.figure import Figure
from training_tables import RESULTS, STAGES

PANELS_IN_A_ROW = 3
SMOOTHED_LINES = 9
"""Lines of the log that a point of the training curve is the mean of."""


def main(picture: str) -> None:
    """Draw the loss of training (line) and of validation (dots) against steps, a panel for each stage."""
    panels = [(spec, stage) for spec, stages in STAGES.items() for stage in stages]
    rows, columns = math.ceil(len(panels) / PANELS_IN_A_ROW), min(len(panels), PANELS_IN_A_ROW)
    figure = Figure(figsize=(3.2 * columns, 2.8 * rows), layout="constrained")
    for number, (spec, stage) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        lines = [json.loads(line) for line in (RESULTS / spec / f"{stage}.jsonl").open()]
        training = [(line["step"], line["loss"]) for line in lines if line["kind"] == "train"]
        validation = [(line["step"], line["loss"]) for line in lines if line["kind"] == "validation"]
        axes.plot(*zip(*_smoothed(training), strict=True), label="training")
        if validation:
            axes.plot(*zip(*validation, strict=True), "o-", label="validation")
        axes.set(title=f"{spec}\n{stage}", xlabel="steps", ylabel="loss")
        axes.legend(frameon=False)
    figure.savefig(picture, dpi=110, metadata={"Software": None})


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[float, float]]:
    """Return the means of as many neighbouring points as there are, at most SMOOTHED_LINES."""
    length = min(SMOOTHED_LINES, len(points))
    windows = [points[first : first + length] for first in range(len(points) - length + 1)]
    return [tuple(sum(values) / length for values in zip(*window, strict=True)) for window in windows]


if __name__ == "__main__":
    main(sys.argv[1])
