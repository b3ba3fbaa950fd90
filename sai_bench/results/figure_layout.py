"""Figures of stacked panels with a title above and a legend below, and how they become files."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sai_bench.files import write_atomically
from sai_bench.results.sphere_axes import INK

_DPI = 120
_WIDTH_IN, _LEFT_IN, _RIGHT_IN = 9.0, 1.2, 0.35
PANEL_WIDTH_IN = _WIDTH_IN - _LEFT_IN - _RIGHT_IN
MAP_HEIGHT_IN = PANEL_WIDTH_IN / 2
_TITLE_IN, _PANEL_TITLE_IN, _TICKS_IN = 0.42, 0.30, 0.42
_TITLE_CHARACTERS = 85
_LEGEND_COLUMNS, _LEGEND_ROW_IN = 5, 0.24


def stack_panels(
    title: str, heights_in: Sequence[float], legend: Sequence[Line2D]
) -> tuple[Figure, list[Axes]]:
    """Return a figure with one panel per height in inches, top to bottom, and the panels' axes.

    Sizes are in inches from the start, so that texts can be measured before anything is drawn.
    """
    legend_in = math.ceil(len(legend) / _LEGEND_COLUMNS) * _LEGEND_ROW_IN + 0.12
    height = _TITLE_IN + sum(panel + _PANEL_TITLE_IN + _TICKS_IN for panel in heights_in) + legend_in
    figure = Figure(figsize=(_WIDTH_IN, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(
        0.5,
        1 - 0.5 * _TITLE_IN / height,
        title,
        ha="center",
        va="center",
        fontsize=12 * min(1.0, _TITLE_CHARACTERS / max(1, len(title))),
        color=INK,
        parse_math=False,
    )
    axes, top = [], height - _TITLE_IN
    for panel in heights_in:
        bottom = top - _PANEL_TITLE_IN - panel
        axes.append(
            figure.add_axes(
                (_LEFT_IN / _WIDTH_IN, bottom / height, PANEL_WIDTH_IN / _WIDTH_IN, panel / height)
            )
        )
        top = bottom - _TICKS_IN
    if legend:
        figure.legend(
            handles=list(legend),
            loc="lower center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=min(_LEGEND_COLUMNS, len(legend)),
            fontsize=8.5,
            frameon=False,
            handletextpad=0.4,
            columnspacing=1.4,
            labelcolor=INK,
        )
    return figure, axes


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, atomically and without the version of matplotlib in it.

    Raises:
        OutputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.canvas.print_png(buffer, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
