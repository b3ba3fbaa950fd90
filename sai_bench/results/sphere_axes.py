"""Drawing on an equirectangular map: + azimuth to the left, elevation up, regions in their class colour."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from sai_bench.results.class_colours import class_colour, class_marker, class_name
from sai_bench.results.rendering import OUTLINE_LEVEL, Region
from sai_bench.sphere import COLUMNS, ROWS, azimuth_deg, elevation_deg

INK, FAINT, PAPER = "#222222", "#d9dce1", "#f7f8fa"

# One column more than the image: column 360 is column 0 again, so a map closes at both ends.
_AZIMUTH = azimuth_deg(np.arange(COLUMNS + 1))
_ELEVATION = elevation_deg(np.arange(ROWS))
_HALF_ROW = 90 / (ROWS - 1)
# Markers with thin arms need more room to look as large as a disc.
_MARKER_SIZES = {"*": 13, "P": 10, "X": 10, "d": 11, "p": 10, "h": 10, "D": 7.5, "s": 7.5}
MAP_EXTENT = (180.5, -180.5, -90 - _HALF_ROW, 90 + _HALF_ROW)
"""Left, right, bottom and top in degrees of the outer pixel edges of a closed map."""


def prepare_map(axes: Axes, title: str) -> None:
    """Give axes the map's scales, grid and labels; they have the shape 2:1."""
    axes.set(xlim=(180, -180), ylim=(-90, 90), facecolor=PAPER, axisbelow=True)
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
    axes.set_xticks(
        [180, 90, 0, -90, -180], ["+180°\nback", "+90°\nleft", "0°\nfront", "−90°\nright", "−180°\nback"]
    )
    axes.set_xticks(np.arange(-180, 181, 30), minor=True)
    axes.set_yticks([90, 60, 30, 0, -30, -60, -90], ["+90°", "+60°", "+30°", "0°", "−30°", "−60°", "−90°"])
    axes.set_ylabel("elevation", fontsize=9, color=INK)
    axes.set_xlabel("azimuth", fontsize=9, color=INK)
    axes.xaxis.set_label_coords(0.125, -0.045)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.tick_params(which="minor", length=2)
    axes.grid(which="both", color=FAINT, linewidth=0.6)
    axes.grid(which="major", color="#c3c7ce", linewidth=0.8)
    for spine in axes.spines.values():
        spine.set_color("#8a8f98")


def shade(axes: Axes, category: int, opacity: np.ndarray) -> None:
    """Lay the class colour over the map with an opacity per pixel, [180, 360] in [0, 1]."""
    rgba = np.empty((ROWS, COLUMNS + 1, 4))
    rgba[..., :3] = to_rgb(class_colour(category))
    rgba[..., 3] = close_map(opacity)
    axes.imshow(rgba, extent=MAP_EXTENT, origin="upper", interpolation="nearest", aspect="auto", zorder=2)
    axes.set(xlim=(180, -180), ylim=(-90, 90))


def outline(axes: Axes, energy: np.ndarray, level: float, colour: str, width: float, style: str) -> None:
    """Draw the line where a map [180, 360] reaches `level`; nothing if it never does."""
    if energy.max() > level:
        axes.contour(
            _AZIMUTH,
            _ELEVATION,
            close_map(energy),
            levels=[level],
            colors=[colour],
            linewidths=[width],
            linestyles=[style],
            zorder=4,
        )


def draw_region(axes: Axes, region: Region, strength: float = 1.0) -> None:
    """Draw one region: energy as opacity, the evaluator's mask as outline, the strongest point as marker.

    A `strength` in [0, 1] below 1 makes the shading paler, not the outline.
    """
    inside = region.energy >= OUTLINE_LEVEL
    opacity = (0.10 + 0.60 * region.energy) * (0.25 + 0.75 * strength)
    shade(axes, region.category, np.where(inside, opacity, 0.0))
    outline(axes, region.energy, OUTLINE_LEVEL, class_colour(region.category), 1.5, "solid")
    axes.plot(*region.peak, **marker_style(region.category), zorder=5, clip_on=False)


def marker_style(category: int) -> dict:
    """Return the keywords that draw the marker of a class."""
    return {
        "marker": class_marker(category),
        "markersize": _MARKER_SIZES.get(class_marker(category), 8),
        "markerfacecolor": class_colour(category),
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
        "linestyle": "none",
    }


def class_handles(categories: Iterable[int]) -> list[Line2D]:
    """Return legend entries for classes, in class order."""
    return [
        Line2D([], [], label=class_name(category), **marker_style(category))
        for category in sorted(set(categories))
    ]


def close_map(values: np.ndarray) -> np.ndarray:
    """Return a map [180, 360] with its first column repeated at the end, [180, 361]."""
    return np.concatenate([values, values[:, :1]], axis=1)
