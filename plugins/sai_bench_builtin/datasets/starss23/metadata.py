"""The CSV metadata of STARSS22 and STARSS23: one sound source in one label frame a line, no header.

frame (10 a second, from 0), class, source, azimuth and elevation in degrees (azimuth counter-clockwise) and,
since STARSS23, distance in cm; all of them whole numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from sai_bench.errors import AnnotationError
from sai_bench.sphere import CLASSES

_COLUMNS = "frame,class,source,azimuth,elevation[,distance]"
_MOST_SHOWN = 5


@dataclass(frozen=True, order=True)
class SourceRow:
    """One source in one frame.

    Attributes:
        frame: label frame.
        category: class 0 ... 12.
        source: number of the source; tells those of one class apart.
        azimuth_deg: -180 ... 180, counter-clockwise.
        elevation_deg: -90 ... 90.
        distance_cm: None where the file has no such column.
    """

    frame: int
    category: int
    source: int
    azimuth_deg: float
    elevation_deg: float
    distance_cm: float | None


def read_metadata(path: Path) -> list[SourceRow]:
    """Return the rows of a metadata file by frame, class and source; a row that stands there twice once.

    Raises:
        AnnotationError: it is missing, no text, or has malformed lines; the message names them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}). Expected {_COLUMNS}.") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: is no text (byte {error.start}). Expected {_COLUMNS}.") from error
    rows, faults = set(), []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.add(_row(line))
        except ValueError as fault:
            faults.append(f"line {number}: {fault}")
    if faults:
        more = f"; and {len(faults) - _MOST_SHOWN} more lines" if len(faults) > _MOST_SHOWN else ""
        raise AnnotationError(
            f"{path}: {'; '.join(faults[:_MOST_SHOWN])}{more}. Expected {_COLUMNS}; repair it or download it "
            "again."
        )
    return sorted(rows, key=lambda row: (row.frame, row.category, row.source, row.azimuth_deg))


def _row(line: str) -> SourceRow:
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) not in (5, 6):
        raise ValueError(f"has {len(cells)} values ({_shown(line)})")
    frame, category, source = (
        _whole(cell, name) for cell, name in zip(cells, ("frame", "class", "source"), strict=False)
    )
    azimuth, elevation = _number(cells[3], "azimuth"), _number(cells[4], "elevation")
    distance = _number(cells[5], "distance") if len(cells) == 6 else None
    if frame < 0:
        raise ValueError(f"frame is {frame}, expected 0 or more")
    if not 0 <= category < CLASSES:
        raise ValueError(f"class is {category}, expected 0 to {CLASSES - 1}")
    if not -180 <= azimuth <= 180:
        raise ValueError(f"azimuth is {azimuth:g}, expected -180 to 180 degrees")
    if not -90 <= elevation <= 90:
        raise ValueError(f"elevation is {elevation:g}, expected -90 to 90 degrees")
    if distance is not None and distance < 0:
        raise ValueError(f"distance is {distance:g}, expected 0 cm or more")
    return SourceRow(frame, category, source, azimuth, elevation, distance)


def _whole(cell: str, name: str) -> int:
    value = _number(cell, name)
    if not value.is_integer():
        raise ValueError(f"{name} is {_shown(cell)}, expected a whole number")
    return int(value)


def _number(cell: str, name: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{name} is {_shown(cell)}, expected a number") from None
    if not math.isfinite(value) or "_" in cell:
        raise ValueError(f"{name} is {_shown(cell)}, expected a finite number")
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
