"""What may be wrong with a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sai_bench.errors import one_line

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one recording, or with the data set as a whole.

    Attributes:
        level: `error`: not to be used as it is; `warning`: odd, and usable.
        rule: short name of what was checked, such as `nan`.
        message: what is wrong and what was expected; names the file.
        recording: its name, None if it is about the data set.
    """

    level: Level
    rule: str
    message: str
    recording: str | None = None

    def __str__(self) -> str:
        return one_line(self.message if self.recording is None else f"{self.recording}: {self.message}")

    def to_json(self) -> dict[str, object]:
        """Return the finding, JSON-ready."""
        return {
            "level": self.level,
            "rule": self.rule,
            "recording": self.recording,
            "message": self.message,
        }
