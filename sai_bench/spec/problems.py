"""A problem in a spec: where it stands, which key it is about, what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sai_bench.errors import SpecError


@dataclass(frozen=True, order=True)
class Mark:
    """Where something was written.

    Attributes:
        source: the file as shown to people, or the option, such as `--set system.fusion.alpha`.
        line: 1-based line; 0 where lines mean nothing (an option, a file that cannot be opened).
    """

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong; prints as `file:line: dotted.key: message`."""

    mark: Mark
    path: str
    message: str

    def __str__(self) -> str:
        # `--set a.b` already says which key it is about.
        named = self.path and self.mark.source != f"--set {self.path}"
        return f"{self.mark}: {self.path}: {self.message}" if named else f"{self.mark}: {self.message}"


def spec_error(problems: Iterable[Problem]) -> SpecError:
    """Return the error that carries all problems once each, sorted by file and line."""
    return SpecError(str(problem) for problem in sorted(set(problems)))


def shown_path(path: Path) -> str:
    """Return a path for people: relative to the working folder if it lies inside, else absolute."""
    absolute = Path(os.path.abspath(path))
    folder = Path.cwd()
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)
