"""Texts beside their markers that cover neither each other nor another marker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

FONT_SIZE = 8.5
_LINE_POINTS = 11.0
_GAP_POINTS = 8.0
_MARKER_POINTS = 5.0


@dataclass(frozen=True)
class TextBlock:
    """Lines of text that belong to one position.

    Attributes:
        position: (azimuth, elevation) in degrees.
        lines: (text, colour) from top to bottom.
    """

    position: tuple[float, float]
    lines: Sequence[tuple[str, str]]


def place_texts(axes: Axes, blocks: Sequence[TextBlock], renderer: RendererBase) -> None:
    """Write the blocks into the axes, the first ones nearest to their positions.

    A block goes right or left of its marker; where that is taken, up or down from there with a thin line
    back to the marker. If nothing is free it overlaps rather than vanish.
    """
    pixels = renderer.points_to_pixels(1.0)
    anchors = [axes.transData.transform(block.position) for block in blocks]
    taken = [_square(anchor, _MARKER_POINTS * pixels) for anchor in anchors]
    for block, anchor in zip(blocks, anchors, strict=True):
        width = max(_width_of(text, renderer) for text, _ in block.lines)
        height = len(block.lines) * _LINE_POINTS * pixels
        boxes = list(_places(anchor, width, height, pixels))
        free = (box for box in boxes if _inside(box, axes.bbox) and not any(map(box.overlaps, taken)))
        fallback = next((box for box in boxes if _inside(box, axes.bbox)), boxes[0])
        box = next(free, fallback)
        taken.append(box)
        _write(axes, block, box, anchor, pixels)


def _places(anchor, width: float, height: float, pixels: float) -> Iterator[Bbox]:
    gap, line = _GAP_POINTS * pixels, _LINE_POINTS * pixels
    x, y = anchor
    for step in range(14):
        for direction in (1, -1) if step else (1,):
            bottom = y - height / 2 + direction * step * line
            yield Bbox.from_bounds(x + gap, bottom, width, height)
            yield Bbox.from_bounds(x - gap - width, bottom, width, height)


def _write(axes: Axes, block: TextBlock, box: Bbox, anchor, pixels: float) -> None:
    line = _LINE_POINTS * pixels
    to_data = axes.transData.inverted().transform
    if not box.y0 <= anchor[1] <= box.y1:
        near = (box.x0 if box.x0 > anchor[0] else box.x1, (box.y0 + box.y1) / 2)
        (x0, y0), (x1, y1) = to_data([anchor, near])
        axes.plot([x0, x1], [y0, y1], color=block.lines[0][1], linewidth=0.7, zorder=4.5)
    for number, (text, colour) in enumerate(block.lines):
        x, y = to_data((box.x0, box.y1 - (number + 0.5) * line))
        axes.text(
            x,
            y,
            text,
            color=colour,
            fontsize=FONT_SIZE,
            va="center_baseline",
            zorder=6,
            parse_math=False,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _width_of(text: str, renderer: RendererBase) -> float:
    return renderer.get_text_width_height_descent(text, FontProperties(size=FONT_SIZE), ismath=False)[0]


def _square(centre, half: float) -> Bbox:
    x, y = centre
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _inside(box: Bbox, outer: Bbox) -> bool:
    return outer.x0 <= box.x0 and box.x1 <= outer.x1 and outer.y0 <= box.y0 and box.y1 <= outer.y1
