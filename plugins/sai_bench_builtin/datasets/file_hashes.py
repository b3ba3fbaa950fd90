"""Hashes of large files, each computed once and kept in a small file."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from sai_bench.files import sha256_of, write_atomically
from sai_bench.parallel import in_processes
from sai_bench.progress import Reporter

_SAVED_EVERY_S = 10.0
_WORTH_PROCESSES_BYTES = 2_000_000_000
"""A second or two of hashing."""

Entry = tuple[int, int, str]
"""Size in bytes, time of the last change in ns, SHA-256."""


class FileHashes:
    """SHA-256 of files; one of unchanged size and time is not read again."""

    def __init__(self, path: Path):
        """Keep them in `path`, a JSON file; a missing or damaged one counts as empty."""
        self.path = path
        self._entries = _read(path)

    def of(
        self, paths: Sequence[Path], workers: int = 1, reporter: Reporter | None = None
    ) -> tuple[dict[Path, str], list[str]]:
        """Return the SHA-256 of each file that can be read, and what is wrong with the others.

        What was computed is kept now and then, so that a killed program does not begin anew.

        Raises:
            sai_bench.errors.OutputError: the hashes cannot be kept.
        """
        stale = [path for path in paths if self._known(path) is None]
        failed = self._compute(stale, workers, reporter or Reporter()) if stale else {}
        found = {path: self._entries[os.path.abspath(path)][2] for path in paths if path not in failed}
        return found, [failed[path] for path in sorted(failed)]

    def _known(self, path: Path) -> Entry | None:
        entry = self._entries.get(os.path.abspath(path))
        with contextlib.suppress(OSError):
            status = path.stat()
            if entry is not None and (status.st_size, status.st_mtime_ns) == entry[:2]:
                return entry
        return None

    def _compute(self, paths: Sequence[Path], workers: int, reporter: Reporter) -> dict[Path, str]:
        failed, saved = {}, time.monotonic()
        if sum(map(_size_bytes, paths)) < _WORTH_PROCESSES_BYTES:
            workers = 1
        with reporter.task("hash files") as progress:
            results = in_processes(_hash, [(path,) for path in paths], workers)
            for done, (path, entry, error) in enumerate(results, start=1):
                if entry is None:
                    failed[path] = f"{path}: cannot be read ({error}). Expected a readable file."
                else:
                    self._entries[os.path.abspath(path)] = entry
                if time.monotonic() - saved > _SAVED_EVERY_S:
                    self._save()
                    saved = time.monotonic()
                progress(done, len(paths))
        self._save()
        return failed

    def _save(self) -> None:
        lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(self._entries.items())]
        write_atomically(self.path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def _hash(path: Path) -> tuple[Path, Entry | None, str]:
    """Return (path, entry, "") or (path, None, what is wrong)."""
    try:
        status = path.stat()
        return path, (status.st_size, status.st_mtime_ns, sha256_of(path)), ""
    except OSError as error:
        return path, None, error.strerror or str(error)


def _size_bytes(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _read(path: Path) -> dict[str, Entry]:
    try:
        entries = json.loads(path.read_bytes())
        return {
            str(name): (int(size), int(changed_ns), str(sha256))
            for name, (size, changed_ns, sha256) in entries.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
