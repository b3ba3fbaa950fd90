"""Finding the files of published data sets by recording name, wherever below a folder they were unpacked.

Two layouts are published: `eigen_dev/dev-test-sony/NAME.wav` with `labels_dev/dev-test-sony/NAME_std.json`
(Zenodo), and `mic_dev/...` with `labels_dev/test/NAME_std.json` (the baseline's repository). What the nearest
folder named like a split says about one file of a recording holds for all of them.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sai_bench.errors import DatasetError
from sai_bench.files import sha256_of
from sai_bench.folder_search import files_below

SPLITS = ("train", "test")
SITES = ("sony", "tau")
AUDIO_SUFFIXES = (".wav", ".flac")

_SPLIT_FOLDER = re.compile(r"(?:dev[-_])?(train|test)(?:[-_](sony|tau))?", re.IGNORECASE)
_FOLD = re.compile(r"fold([34])_")
_SPLIT_OF_FOLD = {"3": "train", "4": "test"}


@dataclass
class FoundFiles:
    """What lies below a folder for one recording.

    Attributes:
        name: of the recording.
        audio: its audio files.
        labels: its label files.
        splits: what their folders (else the name) say of the split: one if all is well.
        sites: what their folders say of the site: one or none if all is well.
    """

    name: str
    audio: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    splits: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)

    @property
    def split(self) -> str | None:
        """Return the split, None where nothing tells."""
        return min(self.splits, default=None)

    @property
    def site(self) -> str | None:
        """Return the site, None where no folder tells."""
        return min(self.sites, default=None)

    @property
    def group(self) -> tuple[str | None, str | None]:
        """Return split and site: what is downloaded as one archive."""
        return self.split, self.site


def find_recordings(folder: Path, label_suffix: str) -> list[FoundFiles]:
    """Return the recordings below a folder in name order; links are followed, hidden files left out.

    Args:
        folder: where to look.
        label_suffix: how label files end, such as `_std.json`.

    Raises:
        DatasetError: there is no such folder, or a folder in it cannot be listed.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: no such folder. Expected the one in which the data set was unpacked; set data.folder."
        )
    found: dict[str, FoundFiles] = {}
    for path in files_below(folder, _refuse):
        if path.suffix.lower() in AUDIO_SUFFIXES:
            _gather(found, path.stem, path, folder).audio.append(path)
        elif path.name.endswith(label_suffix):
            name = path.name.removesuffix(label_suffix)
            _gather(found, name, path, folder).labels.append(path)
    for files in found.values():
        fold = _FOLD.match(files.name)
        if fold and not files.splits:
            files.splits.add(_SPLIT_OF_FOLD[fold[1]])
    return [found[name] for name in sorted(found)]


def place_of(path: Path, folder: Path) -> tuple[str | None, str | None]:
    """Return split and site of a file below `folder`, as the folders it lies in tell; the nearest wins."""
    split = site = None
    for part in reversed(path.relative_to(folder).parts[:-1]):
        named = _SPLIT_FOLDER.fullmatch(part)
        if named:
            return split or named[1].lower(), site or (named[2].lower() if named[2] else None)
        if site is None and part.lower() in SITES:
            site = part.lower()
    return split, site


def of_equal_content(paths: Sequence[Path]) -> list[Path]:
    """Return one path of each content: links to one file and equal copies count once."""
    if len(paths) <= 1:
        return list(paths)
    different: dict[object, Path] = {}
    sizes = defaultdict(list)
    for path in sorted(paths):
        sizes[_size_bytes(path)].append(path)
    for size, same_size in sizes.items():
        for path in same_size:
            content = _sha256_or_name(path) if len(same_size) > 1 else ""
            different.setdefault((size, content), path)
    return sorted(different.values())


def shown(paths: Iterable[Path], folder: Path) -> str:
    """Return paths relative to `folder` for a message."""
    return ", ".join(path.relative_to(folder).as_posix() for path in paths)


def _gather(found: dict[str, FoundFiles], name: str, path: Path, folder: Path) -> FoundFiles:
    files = found.setdefault(name, FoundFiles(name))
    split, site = place_of(path, folder)
    if split:
        files.splits.add(split)
    if site:
        files.sites.add(site)
    return files


def _sha256_or_name(path: Path) -> str:
    """Return a hash of the content; of a file that cannot be read its name, which no other has."""
    try:
        return sha256_of(path)
    except OSError:
        return os.path.abspath(path)


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _refuse(error: OSError) -> None:
    raise DatasetError(
        f"{error.filename}: cannot be listed ({error.strerror}). Expected a readable folder."
    ) from error
