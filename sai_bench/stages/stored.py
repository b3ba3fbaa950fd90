"""One stored result: a file, and beside it how large it is and how long it took.

The note is written first: a result without its note, or of another size than the note says, is not there.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sai_bench.files import write_atomically


class Note(msgspec.Struct):
    """What is known about a stored result.

    Attributes:
        size_bytes: of its file.
        seconds: computing time.
    """

    size_bytes: int
    seconds: float


def store(path: Path, content: bytes, seconds: float) -> None:
    """Store a result."""
    write_atomically(_note_path(path), msgspec.json.encode(Note(len(content), round(seconds, 6))))
    write_atomically(path, content)


def is_stored(path: Path) -> bool:
    """Return whether a result is there in its full size."""
    try:
        return path.stat().st_size == read_note(path).size_bytes
    except (OSError, msgspec.DecodeError):
        return False


def read_note(path: Path) -> Note:
    """Return the note of a stored result."""
    return msgspec.json.decode(_note_path(path).read_bytes(), type=Note)


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.note")
