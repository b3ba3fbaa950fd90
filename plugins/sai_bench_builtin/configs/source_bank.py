"""Config models of the source banks that `simulated_rooms` takes its dry sounds from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StringConstraints, Tag

from sai_bench.config import ComponentConfig, SpecPath
from sai_bench.errors import did_you_mean


def sum_to_one(shares: dict) -> dict:
    """Return shares that sum to 1.

    Raises:
        ValueError: they do not.
    """
    total = math.fsum(shares.values())
    if abs(total - 1) > 1e-3:
        raise ValueError(f"the shares must sum to 1, they sum to {total:g}")
    return shares


Share = Annotated[float, Field(ge=0, le=1)]
SplitName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
_SplitShares = Annotated[dict[SplitName, Share], AfterValidator(sum_to_one)]
_SPLIT_SHARES: dict[SplitName, Share] = {"train": 0.8, "validation": 0.1, "test": 0.1}


class ProceduralSources(ComponentConfig):
    """Dry sounds made by a synthesiser per class; nothing is downloaded."""

    use: Literal["procedural"] = "procedural"
    """Which source bank: `procedural`, `folder` or `vctk`."""


class FolderSources(ComponentConfig):
    """Your own dry sounds: wav and flac files in a folder per class."""

    use: Literal["folder"]
    """Sounds in folders named like their class."""
    folder: SpecPath
    """Holds a folder per class, such as `Walk_footsteps` or `6`, with files at any depth below it."""
    split_shares: _SplitShares = _SPLIT_SHARES
    """Share of each class's files that belongs to each split; the shares sum to 1."""


class VctkSources(ComponentConfig):
    """Speech of the VCTK corpus, as downloaded (version 0.80 or 0.92)."""

    use: Literal["vctk"]
    """Speech of the VCTK corpus."""
    folder: SpecPath
    """Holds `speaker-info.txt` and `wav48` (0.80) or `wav48_silence_trimmed` (0.92)."""
    classes: Literal["sex", "none"] = "sex"
    """`sex`: speakers are of the classes Female speech and Male speech. `none`: nobody asks, for training
    without classes; every label says class 0."""
    split_shares: _SplitShares = _SPLIT_SHARES
    """Share of the speakers that belongs to each split; the shares sum to 1."""


_BANKS = ("procedural", "folder", "vctk")


def _bank_of(value: object) -> str:
    use = (
        value.get("use", "procedural") if isinstance(value, Mapping) else getattr(value, "use", "procedural")
    )
    return f"{use} bank"  # the name of a union member must not look like a key


def _known(value: object) -> object:
    if isinstance(value, Mapping) and value and "use" not in value:
        raise ValueError(f"'use' is missing, which names the source bank. Available: {', '.join(_BANKS)}.")
    use = value.get("use", "procedural") if isinstance(value, Mapping) else "procedural"
    if use not in _BANKS:
        raise ValueError(
            f"there is no source bank {str(use)!r}.{did_you_mean(str(use), _BANKS)} "
            f"Available: {', '.join(_BANKS)}."
        )
    return value


SourceBankConfig = Annotated[
    Annotated[ProceduralSources, Tag("procedural bank")]
    | Annotated[FolderSources, Tag("folder bank")]
    | Annotated[VctkSources, Tag("vctk bank")],
    Discriminator(_bank_of),
    BeforeValidator(_known),
]
"""Any source bank, told apart by `use`."""
