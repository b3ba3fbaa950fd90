"""What the source banks that take their sounds from files have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from sai_bench.errors import DatasetError
from sai_bench_builtin.datasets.source_banks.interface import SourceBank
from sai_bench_builtin.datasets.source_banks.sound_files import cut_sound, why_unusable

_MOST_NAMED = 50

Groups = Mapping[str, Sequence[str]]
"""Group name -> its files. An event draws a group first, then one of its files."""


class FileBank(SourceBank):
    """Sounds from files; each group of files belongs to one split."""

    def __init__(self, folder: Path, sizes: Mapping[str, int], shares: Mapping[str, float]):
        """Prepare a bank without sounds.

        Args:
            folder: what file names are relative to.
            sizes: the bank's files and their sizes in bytes.
            shares: share of the groups that belongs to each split.
        """
        self.folder = folder
        self.content_sha256 = hashlib.sha256(msgspec.json.encode(sorted(sizes.items()))).hexdigest()
        self._shares = shares
        self._groups: dict[tuple[str, int], list[list[str]]] = {}
        self._too_few: list[tuple[str, str]] = []

    def _add(self, category: int, title: str, groups: Groups) -> None:
        """Divide the groups of a class among the splits; `title` says what a group is."""
        for split, names in divide(groups, self._shares).items():
            if names:
                self._groups[split, category] = [sorted(groups[name]) for name in names]
            else:
                self._too_few.append((split, title))

    def categories(self, split: str) -> tuple[int, ...]:
        """Return the classes that the split has files of."""
        return tuple(sorted(category for where, category in self._groups if where == split))

    def files(self, split: str) -> list[str]:
        """Return all files of a split, sorted."""
        return sorted(f for (s, _), groups in self._groups.items() if s == split for g in groups for f in g)

    def origin(self, split: str, category: int, variation: int) -> str:
        """Return the file that a sound is made from, relative to the bank's folder."""
        return self._draw(split, category, np.random.default_rng(variation))

    def sound(
        self, split: str, category: int, variation: int, samples: int, sample_rate_hz: int
    ) -> np.ndarray:
        """Return a sound cut from a file, or a shorter file's sound over and over."""
        rng = np.random.default_rng(variation)
        name = self._draw(split, category, rng)
        return cut_sound(self.folder / name, rng, samples, sample_rate_hz)

    def check(self, splits: Iterable[str]) -> None:
        """Read the headers of all files of some splits."""
        splits = list(splits)
        problems = [f"split '{split}' gets no {title}" for split, title in self._too_few if split in splits]
        for name in sorted({name for split in splits for name in self.files(split)}):
            reason = why_unusable(self.folder / name)
            if reason:
                problems.append(f"{name}: {reason}")
        if problems:
            shown = [f"\n  {problem}" for problem in problems[:_MOST_NAMED]]
            more = f"\n  and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
            raise DatasetError(
                f"{self.folder}: not fit to take sounds from. Repair, add or remove:{''.join(shown)}{more}"
            )

    def _draw(self, split: str, category: int, rng: np.random.Generator) -> str:
        groups = self._groups[split, category]
        group = groups[rng.integers(len(groups))]
        return group[rng.integers(len(group))]


def divide(names: Iterable[str], shares: Mapping[str, float]) -> dict[str, list[str]]:
    """Divide names among splits, in an order that is random but the same everywhere.

    Every split with a share gets at least one name, as long as there are enough.

    Args:
        names: different names.
        shares: split -> its share; they sum to 1.

    Returns:
        split -> its names; no name is in two splits. Splits without a share are left out.
    """
    shuffled = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    wanted = {split: share * len(shuffled) for split, share in shares.items() if share > 0}
    counts = {split: max(int(share), 1) for split, share in wanted.items()}
    while sum(counts.values()) < len(shuffled):
        counts[max(counts, key=lambda split: wanted[split] - counts[split])] += 1
    while sum(counts.values()) > len(shuffled):
        most = max(counts.values())
        counts[[split for split, count in counts.items() if count == most][-1]] -= 1
    divided, first = {}, 0
    for split, count in counts.items():
        divided[split] = sorted(shuffled[first : first + count])
        first += count
    return divided
