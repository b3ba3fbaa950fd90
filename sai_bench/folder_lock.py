"""Keeping a folder to one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sai_bench.errors import OutputError

_LOCK = ".lock"

_held: set[TextIO] = set()


def _let_go() -> None:
    """Close the lock files that a forked process has inherited: it may outlive its parent, whose they are."""
    for stream in _held:
        stream.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def folder_lock(folder: Path, *, doing: str, otherwise: str) -> Iterator[None]:
    """Keep other processes out of a folder; the lock goes with the process, however it ends.

    Args:
        folder: an existing folder.
        doing: what the other process is doing there, such as `another run is writing here`.
        otherwise: what to do instead of waiting, such as `choose another folder with --out`.

    Raises:
        OutputError: another process holds the lock, or the file system has none.
    """
    try:
        import fcntl
    except ImportError:  # not on this operating system: two processes at once are the user's risk
        yield
        return
    with open(folder / _LOCK, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{folder}: {doing}. Wait for it, or {otherwise}.") from error
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be locked ({error.strerror or error}). Expected a file system with locks; "
                f"{otherwise}."
            ) from error
        _held.add(stream)
        try:
            yield
        finally:
            _held.discard(stream)
