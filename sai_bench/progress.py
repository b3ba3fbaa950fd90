"""The one way long work reports itself: a bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from sai_bench.interfaces import Progress


class Reporter:
    """Says what is going on; this base class says nothing, for use from Python."""

    def line(self, text: str) -> None:
        """Say something that stays."""

    @contextmanager
    def task(self, title: str) -> Iterator[Progress]:
        """Report a piece of long work; call what you get with (done, total), and perhaps a few words more."""
        yield lambda done, total, note="": None


class ConsoleReporter(Reporter):
    """Reports to standard error, so that standard output stays for results."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 10.0):
        """Report to `stream` (default: standard error); plain lines come at most `every_s` seconds."""
        self._stream = stream or sys.stderr
        self._every_s = every_s

    def line(self, text: str) -> None:
        """Print one line."""
        print(text, file=self._stream, flush=True)

    @contextmanager
    def task(self, title: str) -> Iterator[Progress]:
        """Show a bar that goes when the work is done, or a line now and then."""
        if not self._stream.isatty():
            yield self._plain(title)
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bar(*columns, console=Console(file=self._stream), transient=True) as bar:
            shown = bar.add_task(title, total=None, note="")
            yield lambda done, total, note="": bar.update(shown, completed=done, total=total, note=note)

    def _plain(self, title: str) -> Progress:
        begun = last = time.monotonic()
        first = None

        def report(done: int, total: int, note: str = "") -> None:
            nonlocal last, first
            now = time.monotonic()
            if first is None:  # work that goes on begins with what was done before
                first = done
            if done > first and done < total and now - last >= self._every_s:
                last = now
                left = (now - begun) / (done - first) * (total - done)
                self.line(f"{title}: {done} of {total}, about {left:.0f} s left{note and f', {note}'}")

        return report
