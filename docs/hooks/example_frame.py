"""Draw one frame of a finished run: labels above, predictions below.

    python docs/hooks/example_frame.py specs/quickstart.yaml runs/quickstart RECORDING FRAME PICTURE.png

A run draws a few frames by itself, whatever they show; this draws the one that you name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sai_bench import load_spec
from sai_bench.predictions import read_annotations
from sai_bench.results.pictures import draw_frame
from sai_bench.sphere import FRAME_S


def main(spec_path: str, run_folder: str, name: str, frame_text: str, picture: str) -> None:
    """Draw frame `frame_text` of recording `name`."""
    spec, frame = load_spec(spec_path), int(frame_text)
    recordings = spec.require_data().build().recordings(spec.evaluation.split)
    labels_path = next(recording.labels_path for recording in recordings if recording.name == name)
    labels = read_annotations(labels_path)
    predictions = read_annotations(Path(run_folder) / "predictions" / f"{name}.json")
    draw_frame(
        Path(picture),
        title=f"{name}, {frame * FRAME_S:.1f} s",
        labels=[a for a in labels if a.metadata_frame_index == frame],
        predictions=[a for a in predictions if a.metadata_frame_index == frame],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
