"""Types of the sizes that several backbones' config models hold: counts, kernels and grids."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from sai_bench.grid import COLUMNS, ROWS, check_grid


def _divides_rows(height: int) -> int:
    check_grid(height, COLUMNS)
    return height


def _divides_columns(width: int) -> int:
    check_grid(ROWS, width)
    return width


def _has_a_middle(side: int, info: ValidationInfo) -> int:
    if side % 2 == 0:
        raise ValueError(f"{info.field_name} = {side} is even; choose {side - 1} or {side + 1}")
    return side


Count = Annotated[int, Field(ge=1, le=64)]
"""Of blocks, frames or tokens."""

Width = Annotated[int, Field(ge=1, le=4096)]
"""Channels of a stage."""

TimeFrequency = tuple[Count, Count]
"""A kernel or a stride over time and frequency."""

GridHeight = Annotated[int, AfterValidator(_divides_rows)]
"""Rows of a grid of directions that divides the image; of the key `grid_height`."""

GridWidth = Annotated[int, AfterValidator(_divides_columns)]
"""Columns of a grid of directions that divides the image; of the key `grid_width`."""

OddSide = Annotated[int, AfterValidator(_has_a_middle)]
"""Side of a kernel that is centred on a frame, token or cell."""

_OddCount = Annotated[Count, AfterValidator(_has_a_middle)]
OddTimeFrequency = tuple[_OddCount, _OddCount]
"""A kernel over time and frequency that is centred on a token."""
