"""What a training leaves to look at: a line of JSON for each measurement, and TensorBoard scalars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sai_bench.files import write_atomically


class TrainingLog:
    """`log.jsonl` and `tensorboard/` in a stage's folder.

    A resumed training forgets what was logged after its checkpoint, so that no step stands there twice, and
    lines that cannot be read.
    """

    def __init__(self, folder: Path, steps_done: int):
        """Open the log of a stage that goes on after so many steps."""
        from tensorboardX import SummaryWriter

        self._path = folder / "log.jsonl"
        kept = [line for line in _lines(self._path) if line["step"] <= steps_done]
        write_atomically(self._path, "".join(map(_encoded, kept)).encode())
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_done + 1)

    def write(self, kind: str, step: int, numbers: Mapping[str, float]) -> None:
        """Add a measurement.

        Args:
            kind: such as `train` or `validation`.
            step: after how many steps.
            numbers: by name.
        """
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(_encoded({"kind": kind, "step": step, **numbers}))
        for name, number in numbers.items():
            self._events.add_scalar(f"{kind}/{name}", number, step)

    def close(self) -> None:
        """Write everything out."""
        self._events.close()


def read_log(folder: Path) -> list[dict]:
    """Return the measurements of a stage in their order."""
    return _lines(folder / "log.jsonl")


def _lines(path: Path) -> list[dict]:
    """Return the readable lines of a log: a killed process or a full disk may have left others."""
    if not path.exists():
        return []
    *whole, _ = path.read_bytes().split(b"\n")
    return [entry for entry in map(_decoded, whole) if entry is not None]


def _decoded(line: bytes) -> dict | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("step"), int) else None


def _encoded(entry: Mapping[str, object]) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"
