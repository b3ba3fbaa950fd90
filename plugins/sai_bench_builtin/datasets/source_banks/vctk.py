"""Source bank `vctk`: speech of the VCTK corpus, versions 0.80 and 0.92 as they are unpacked."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from sai_bench.errors import DatasetError
from sai_bench_builtin.configs.source_bank import VctkSources
from sai_bench_builtin.datasets.source_banks.file_bank import FileBank
from sai_bench_builtin.datasets.source_banks.sound_files import list_sounds

FEMALE, MALE = 0, 1
_LAYOUTS = {"wav48_silence_trimmed": "_mic1.flac", "wav48": ".wav"}
"""Folder of the recordings and how the names of those that are used end; 0.92 first, then 0.80."""
_SPEAKER = re.compile(r"[a-z]?\d+")
_SEXES = {"f": FEMALE, "m": MALE}


class VctkBank(FileBank):
    """Utterances of speakers, each of whom belongs to one split."""

    def __init__(self, config: VctkSources):
        recordings = _recordings_folder(config.folder)
        ending = _LAYOUTS[recordings.name]
        sizes = {
            f"{recordings.name}/{name}": size
            for name, size in list_sounds(recordings).items()
            if name.lower().endswith(ending) and "/" in name
        }
        if not sizes:
            raise DatasetError(
                f"{recordings}: holds no recordings. Expected files such as p225/p225_001{ending} in it; "
                "unpack VCTK again."
            )
        super().__init__(config.folder, sizes, config.split_shares)
        speakers = defaultdict(list)
        for name in sizes:
            speakers[name.split("/")[1].lower()].append(name)
        if config.classes == "none":
            self._add(FEMALE, f"speaker ({len(speakers)} in all)", speakers)
            return
        path = config.folder / "speaker-info.txt"
        sexes = read_speaker_sexes(path)
        unknown = sorted(speakers.keys() - sexes)
        if unknown:
            self.notes = (f"{path} does not name {', '.join(unknown)}, who are left out.",)
        for category, title in ((FEMALE, "female speaker"), (MALE, "male speaker")):
            groups = {name: files for name, files in speakers.items() if sexes.get(name) == category}
            self._add(category, f"{title} ({len(groups)} in all)", groups)


def read_speaker_sexes(path: Path) -> dict[str, int]:
    """Return speaker (such as `p225`) -> class, from the columns ID, AGE and GENDER of `speaker-info.txt`.

    Version 0.80 writes `225` where 0.92 writes `p225`.

    Raises:
        DatasetError: the file is missing, or lines of it cannot be understood; it quotes them.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror}). It tells the speakers' sex; restore it from the "
            "VCTK archive, or set source_bank.classes to none."
        ) from error
    sexes, wrong = {}, []
    for number, line in enumerate(text.splitlines(), start=1):
        columns = line.lower().split()
        if not columns or columns[0] == "id":
            continue
        if len(columns) < 3 or not _SPEAKER.fullmatch(columns[0]) or columns[2] not in _SEXES:
            wrong.append(f"{path.name}:{number}: {line.strip()[:60]!r}")
            continue
        speaker = columns[0] if columns[0][0].isalpha() else f"p{columns[0]}"
        sexes[speaker] = _SEXES[columns[2]]
    if wrong or not sexes:
        found = "\n  ".join(wrong[:10]) if wrong else "no speaker at all"
        raise DatasetError(
            f"{path}: expected lines such as 'p225  23  F  English', found\n  {found}\nRestore it from the "
            "VCTK archive, or set source_bank.classes to none."
        )
    return sexes


def _recordings_folder(folder: Path) -> Path:
    for name in _LAYOUTS:
        if (folder / name).is_dir():
            return folder / name
    raise DatasetError(
        f"{folder}: no VCTK corpus. Expected speaker-info.txt and the folder wav48_silence_trimmed (0.92) or "
        "wav48 (0.80) in it; name the folder that the archive was unpacked to."
    )
