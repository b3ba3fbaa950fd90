"""The folder of a run: always the files of one run, and nobody else's are touched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from sai_bench.errors import OutputError
from sai_bench.files import write_atomically
from sai_bench.folder_lock import folder_lock

RECORD = "result.json"
SUMMARY = "summary.md"
INDEX = "files.json"


class RunFolder:
    """Where a run puts its record, predictions and pictures.

    `files.json` lists what a run has put here. The next run into the same folder removes what it does not
    write itself, but only what is listed: other files stay.
    """

    def __init__(self, path: Path):
        """Make the folder, if it is not there.

        Raises:
            OutputError: it cannot be made or written.
        """
        self.path = make_writable_folder(path, "--out")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of this folder; the lock goes with the process, however it ends.

        Raises:
            OutputError: another run holds the lock.
        """
        advice = {"doing": "another run is writing here", "otherwise": "choose another folder with --out"}
        with folder_lock(self.path, **advice):
            yield

    @contextmanager
    def publishing(self, names: Sequence[str]) -> Iterator[None]:
        """Write the files of a run within this context.

        The old record goes first and the new one should be written last, so that a record never stands beside
        another run's files. When the context ends well, older listed files that are not in `names` go.

        Args:
            names: all files that will be written, relative to the folder, with forward slashes.
        """
        old = self._listed()
        write_atomically(self.path / INDEX, _encoded({*old, *names}))
        for name in (RECORD, SUMMARY):
            (self.path / name).unlink(missing_ok=True)
        yield
        for name in sorted(old - set(names)):
            self._remove(name)
        write_atomically(self.path / INDEX, _encoded(set(names)))

    def _listed(self) -> set[str]:
        """Return the files of the last run; an index that is no list of inner paths counts as empty."""
        try:
            listed = json.loads((self.path / INDEX).read_bytes())
        except (OSError, ValueError):
            return set()
        names = listed.get("files") if isinstance(listed, dict) else None
        if not isinstance(names, list) or not all(_is_inner_path(name) for name in names):
            return set()
        return set(names)

    def _remove(self, name: str) -> None:
        path = self.path / name
        if path.is_file():
            path.unlink()
        for folder in path.parents:
            if folder == self.path or (folder.is_dir() and any(folder.iterdir())):
                return
            if folder.is_dir():
                folder.rmdir()


def make_writable_folder(path: Path, option: str) -> Path:
    """Make a folder and try it out.

    Args:
        path: the folder.
        option: the command line's option that chooses it, for the message.

    Raises:
        OutputError: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be made or written ({error.strerror or error}). Expected a folder that can be "
            f"written; choose another one with {option}."
        ) from error
    return path


def _is_inner_path(name: object) -> bool:
    if not isinstance(name, str) or not name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _encoded(names: set[str]) -> bytes:
    return json.dumps({"files": sorted(names)}, indent=1).encode()
