"""Pictures of frames and recordings as PNG files; the same input gives the same bytes.

Imports matplotlib (never pyplot, so nothing global changes): import this module only where a picture is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sai_bench.predictions import Annotation, Detection
from sai_bench.results.class_colours import class_colour, class_name, text_colour
from sai_bench.results.figure_layout import MAP_HEIGHT_IN, save_figure, stack_panels
from sai_bench.results.frame_choice import choose_frames
from sai_bench.results.rendering import OUTLINE_LEVEL, Region, deposit, peak_energy, regions_of, render
from sai_bench.results.sphere_axes import (
    INK,
    PAPER,
    class_handles,
    draw_region,
    marker_style,
    outline,
    prepare_map,
    shade,
)
from sai_bench.results.text_placement import TextBlock, place_texts
from sai_bench.sphere import COLUMNS, FRAME_S, ROWS, azimuth_deg, elevation_deg

__all__ = [
    "MOST_REGIONS",
    "choose_frames",
    "draw_frame",
    "draw_recording",
    "frame_figure",
    "recording_figure",
    "score_timeline",
]

MOST_REGIONS = 12
"""How many predictions of a frame are drawn, the strongest ones."""

_MOST_LINES = 4
_STRIP_ROW_IN = 0.24


def draw_frame(
    path: Path,
    *,
    title: str,
    labels: Sequence[Annotation],
    predictions: Sequence[Annotation | Detection],
) -> None:
    """Write the map of the labels of one frame above that of its predictions.

    The outline of a region is the mask that the April evaluator makes of it (without its artefacts near
    the poles), the marker is the strongest point, opacity is energy; predictions of lower score are paler.
    The outlines of the labels are repeated, dashed, among the predictions.

    Args:
        path: the PNG file; its folder is made.
        title: such as the recording's name and the time of the frame.
        labels: of this frame only; may be empty.
        predictions: of this frame only; the strongest 12 are drawn and the picture says if there are more.

    Raises:
        OutputError: the file cannot be written.
    """
    save_figure(path, frame_figure(title=title, labels=labels, predictions=predictions))


def draw_recording(
    path: Path, *, title: str, detections: Sequence[Annotation | Detection], frames: int
) -> None:
    """Write when each class was detected above where it was detected, for a whole recording.

    Args:
        path: the PNG file; its folder is made.
        title: such as the recording's name.
        detections: of all frames.
        frames: label frames of the recording, N.

    Raises:
        OutputError: the file cannot be written.
    """
    save_figure(path, recording_figure(title=title, detections=detections, frames=frames))


def frame_figure(
    *, title: str, labels: Sequence[Annotation], predictions: Sequence[Annotation | Detection]
) -> Figure:
    """Return the figure that `draw_frame` writes: axes 0 shows the labels, axes 1 the predictions."""
    truth, found = regions_of(labels), regions_of(predictions)
    shown = found[-MOST_REGIONS:]
    legend = class_handles(region.category for region in truth + shown)
    if truth:
        legend.append(Line2D([], [], color=INK, linestyle="dashed", linewidth=1, label="outline of a label"))
    figure, (upper, lower) = stack_panels(title, [MAP_HEIGHT_IN, MAP_HEIGHT_IN], legend)
    prepare_map(upper, "Labels" if truth else "Labels: none in this frame")
    prepare_map(lower, _prediction_title(len(shown), len(found)))
    for region in truth:
        draw_region(upper, region)
        outline(lower, region.energy, OUTLINE_LEVEL, INK, 1.0, "dashed")
    highest = max((region.score or 0.0 for region in shown), default=0.0)
    for region in shown:
        draw_region(lower, region, (region.score or 0.0) / highest if highest > 0 else 1.0)
    renderer = figure.canvas.get_renderer()
    place_texts(upper, _text_blocks(truth), renderer)
    place_texts(lower, _text_blocks(shown), renderer)
    return figure


def recording_figure(*, title: str, detections: Sequence[Annotation | Detection], frames: int) -> Figure:
    """Return the figure that `draw_recording` writes: axes 0 shows time and class, axes 1 the sphere."""
    regions = regions_of(detections)
    classes = sorted({region.category for region in regions})
    scores = score_timeline(detections, classes, frames)
    strip_in = _STRIP_ROW_IN * max(3, len(classes))
    figure, (strip, sphere) = stack_panels(title, [strip_in, MAP_HEIGHT_IN], [])
    _draw_timeline(strip, scores, classes)
    prepare_map(
        sphere, "Where: the sum of all detections times their scores; outline at a tenth of the maximum"
    )
    heat = {category: _accumulated(regions, category) for category in classes}
    _draw_heat(sphere, heat)
    return figure


def score_timeline(
    detections: Sequence[Annotation | Detection], classes: Sequence[int], frames: int
) -> np.ndarray:
    """Return the highest score of each class in each frame, [len(classes), frames]; 0 where there is none."""
    scores = np.zeros((len(classes), frames))
    rows = {category: row for row, category in enumerate(classes)}
    for item in detections:
        frame, category = (
            (item.frame, item.category)
            if isinstance(item, Detection)
            else (item.metadata_frame_index, item.category_id)
        )
        if category in rows and 0 <= frame < frames:
            row = rows[category]
            scores[row, frame] = max(scores[row, frame], 1.0 if item.score is None else item.score)
    return scores


def _draw_timeline(axes: Axes, scores: np.ndarray, classes: Sequence[int]) -> None:
    rows, frames = scores.shape
    highest = scores.max(initial=0.0)
    legend = f"full colour is the highest score, {highest:.2f}" if highest else "no detections"
    axes.set_title(f"When: {legend}", loc="left", fontsize=10, color=INK, fontweight="bold")
    axes.set(xlim=(0, max(frames, 1) * FRAME_S), ylim=(max(rows, 1), 0), facecolor=PAPER)
    axes.set_yticks(np.arange(rows) + 0.5, [class_name(category) for category in classes])
    axes.set_xlabel("time (s)", fontsize=9, color=INK, labelpad=2)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.tick_params(axis="y", length=0)
    for spine in axes.spines.values():
        spine.set_color("#8a8f98")
    for line in range(1, rows):
        axes.axhline(line, color="white", linewidth=1.5, zorder=3)
    if not highest:
        return
    rgba = np.zeros((rows, frames, 4))
    rgba[..., :3] = np.array([to_rgb(class_colour(category)) for category in classes])[:, None]
    # Even a weak detection must be visible, so opacity starts at 0.12.
    rgba[..., 3] = np.where(scores > 0, 0.12 + 0.88 * scores / highest, 0.0)
    axes.imshow(rgba, extent=(0, frames * FRAME_S, rows, 0), aspect="auto", interpolation="nearest", zorder=2)


def _accumulated(regions: Sequence[Region], category: int) -> np.ndarray:
    """Return the rendered sum [180, 360] of a class's regions, each scaled to its score at its peak."""
    energies = np.zeros((ROWS, COLUMNS))
    for region in regions:
        if region.category == category:
            score = 1.0 if region.score is None else region.score
            energies += deposit(region.points) * (score / peak_energy(region.points))
    return render(energies)


def _draw_heat(axes: Axes, heat: Mapping[int, np.ndarray]) -> None:
    strongest_last = sorted(heat, key=lambda category: heat[category].max())
    highest = max((energy.max() for energy in heat.values()), default=0.0)
    if not highest:
        return
    blocks = []
    for category in strongest_last:
        energy = heat[category]
        # The square root lets a short event show beside one that lasts.
        shade(axes, category, 0.75 * np.sqrt(energy / highest))
        if energy.max() < OUTLINE_LEVEL * highest:
            continue
        outline(axes, energy / highest, OUTLINE_LEVEL, class_colour(category), 1.5, "solid")
        y, x = np.unravel_index(np.argmax(energy), energy.shape)
        peak = float(azimuth_deg(x)), float(elevation_deg(y))
        axes.plot(*peak, **marker_style(category), zorder=5, clip_on=False)
        blocks.insert(0, TextBlock(peak, [(class_name(category), text_colour(category))]))
    place_texts(axes, blocks, axes.figure.canvas.get_renderer())


def _prediction_title(shown: int, found: int) -> str:
    if not found:
        return "Predictions: none in this frame"
    return "Predictions" if shown == found else f"Predictions: the strongest {shown} of {found}"


def _text_blocks(regions: Sequence[Region]) -> list[TextBlock]:
    """Return what to write beside each peak, strongest first; regions with one peak share a block."""
    by_peak: dict[tuple[float, float], list[tuple[str, str]]] = {}
    for region in reversed(regions):
        score = "" if region.score is None else f" {region.score:.2f}"
        line = (class_name(region.category) + score, text_colour(region.category))
        by_peak.setdefault(region.peak, []).append(line)
    blocks = []
    for peak, lines in by_peak.items():
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES - 1], (f"and {len(lines) - _MOST_LINES + 1} more", INK)]
        blocks.append(TextBlock(peak, lines))
    return blocks
