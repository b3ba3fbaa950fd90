"""Finding files below a folder, wherever links lead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(folder: Path, refused: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """Yield all files below a folder, those of each folder in name order; what is hidden is left out.

    Links to folders are followed, but no folder is entered twice. A link that leads nowhere counts as a file.

    Args:
        folder: where to look.
        refused: told about each folder that cannot be listed, and may raise; None: they are passed over.
    """
    entered: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))
