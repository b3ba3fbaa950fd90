"""Find out how long the benchmark set took to render, from when its files were written.

    sai-bench render specs/data/rooms13.yaml
    python docs/hooks/rendering_time.py docs/results/training/rendering.json

The last file that is written of a recording is its record, so from the first record to the last all
recordings but one were rendered. Run it where they were: a copy has other times, and is refused, as is a
rendering that paused.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

from sai_bench import load_spec
from sai_bench.results.environment import describe_environment

SPEC = Path("specs/data/rooms13.yaml")
LONGEST_PAUSE_S = 10
LONGEST_WRITING_S = 1
"""Between the audio of a recording and its record."""


def main(target: str) -> None:
    """Write how many recordings and seconds of audio were rendered in how many seconds."""
    data = load_spec(SPEC).require_data()
    root = data.build().root
    audio_s = {path.stem: path.stat().st_mtime for path in root.glob("*_dev/*/*.wav")}
    written_s = {path.stem: path.stat().st_mtime for path in root.glob("scenes/*/*.json")}
    if any(not 0 <= written_s[name] - audio_s[name] < LONGEST_WRITING_S for name in written_s):
        raise SystemExit(f"{root}: a copy. Expected a data set where it was rendered.")
    order = sorted(written_s.values())
    if max(later - earlier for earlier, later in pairwise(order)) > LONGEST_PAUSE_S:
        raise SystemExit(f"{root}: rendered with a pause. Expected a rendering at one go.")
    environment = describe_environment()
    result = {
        "recordings": len(order),
        "audio_s": len(order) * data.config.duration_s,
        "seconds": order[-1] - order[0],
        "cpu": environment["cpu"],
        "logical_cores": environment["logical_cores"],
    }
    Path(target).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
