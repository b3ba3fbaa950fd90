"""From what pytest-benchmark writes to the few figures that the documentation shows.

    pytest tests/benchmarks -m "" --benchmark-enable --benchmark-json=benchmarks_raw.json
    python docs/hooks/trim_benchmarks.py benchmarks_raw.json docs/results/benchmarks.json

The raw file also names the machine and its user's settings; they stay out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def trimmed(raw: dict) -> dict:
    """Return processor, Python version and, for each benchmark, file, median, rounds and its own figures."""
    machine = raw["machine_info"]
    return {
        "machine": {
            "cpu": machine["cpu"].get("brand_raw", "unknown processor"),
            "logical_cores": machine["cpu"].get("count"),
            "python": machine["python_version"],
        },
        "benchmarks": [
            {
                "file": Path(one["fullname"].partition("::")[0]).stem,
                "name": one["name"].removeprefix("test_").replace("_", " "),
                "rounds": one["stats"]["rounds"],
                "median_s": one["stats"]["median"],
                "figures": one["extra_info"],
            }
            for one in raw["benchmarks"]
        ],
    }


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(json.dumps(trimmed(json.loads(source.read_text())), indent=1) + "\n")
