"""One stored result: a file, and beside it what is in it and how long it took.

The note is written first: a result without its note, or with other content than the note says, is not there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from sai_bench.files import sha256_of, write_atomically


class Note(msgspec.Struct):
    """What is known about a stored result.

    Attributes:
        size_bytes: of its file.
        sha256: of its file; a damaged one would else be met by every later run.
        seconds: computing time.
    """

    size_bytes: int
    sha256: str
    seconds: float


def store(path: Path, content: bytes, seconds: float) -> None:
    """Store a result."""
    note = Note(len(content), hashlib.sha256(content).hexdigest(), round(seconds, 6))
    write_atomically(_note_path(path), msgspec.json.encode(note))
    write_atomically(path, content)


def is_stored(path: Path) -> bool:
    """Return whether a result is there, complete and undamaged."""
    try:
        note = read_note(path)
        return path.stat().st_size == note.size_bytes and sha256_of(path) == note.sha256
    except (OSError, msgspec.DecodeError):
        return False


def read_note(path: Path) -> Note:
    """Return the note of a stored result."""
    return msgspec.json.decode(_note_path(path).read_bytes(), type=Note)


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.note")
