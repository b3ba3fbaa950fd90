"""Source bank `folder`: your own sounds, in a folder per class."""

from __future__ import annotations

import re
from collections import defaultdict

from sai_bench.errors import DatasetError, did_you_mean
from sai_bench.sphere import CLASS_NAMES
from sai_bench_builtin.configs.source_bank import FolderSources
from sai_bench_builtin.datasets.source_banks.file_bank import FileBank
from sai_bench_builtin.datasets.source_banks.sound_files import list_sounds


def folder_name(class_name: str) -> str:
    """Return how a class is spelt as a folder: `Walk/footsteps` is `walk_footsteps`."""
    return re.sub(r"[^a-z0-9]+", "_", class_name.lower()).strip("_")


_CATEGORIES = {folder_name(name): category for category, name in enumerate(CLASS_NAMES)}


class FolderBank(FileBank):
    """Files below folders that are named like their class; every file belongs to one split."""

    def __init__(self, config: FolderSources):
        if not config.folder.is_dir():
            raise DatasetError(
                f"{config.folder}: no such folder. Expected a folder with sounds in a folder per class, such "
                f"as {', '.join(sorted(_CATEGORIES)[:3])} or 0 ... {len(CLASS_NAMES) - 1}."
            )
        sizes = list_sounds(config.folder)
        super().__init__(config.folder, sizes, config.split_shares)
        by_category, strange = defaultdict(dict), set()
        for name in sizes:
            top = name.partition("/")[0]
            category = _category(top) if "/" in name else None
            if category is None:
                strange.add(top)
            else:
                by_category[category][name] = [name]
        self._refuse(strange, by_category)
        for category, groups in sorted(by_category.items()):
            self._add(category, f"sound of {CLASS_NAMES[category]} ({_count(groups)} in all)", groups)

    def _refuse(self, strange: set[str], by_category: dict) -> None:
        if strange:
            first = min(strange)
            raise DatasetError(
                f"{self.folder}: sounds in what is no folder of a class: {', '.join(sorted(strange))}."
                f"{did_you_mean(folder_name(first), _CATEGORIES)} Expected folders named "
                f"{', '.join(_CATEGORIES)} or 0 ... {len(CLASS_NAMES) - 1}."
            )
        if not by_category:
            raise DatasetError(
                f"{self.folder}: holds no wav or flac file in a folder of a class. Expected folders named "
                f"{', '.join(_CATEGORIES)} or 0 ... {len(CLASS_NAMES) - 1}."
            )


def _category(name: str) -> int | None:
    if name.isascii() and name.isdigit():
        return int(name) if int(name) < len(CLASS_NAMES) else None
    return _CATEGORIES.get(folder_name(name))


def _count(groups: dict) -> str:
    return f"{len(groups)} file{'s' * (len(groups) != 1)}"
