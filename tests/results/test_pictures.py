"""Pictures show directions where the conventions say, and the same input gives the same bytes."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from sai_bench.errors import OutputError
from sai_bench.predictions import Annotation, Detection
from sai_bench.results.class_colours import CLASS_COLOURS, CLASS_MARKERS, UNKNOWN_COLOUR
from sai_bench.results.pictures import (
    draw_frame,
    draw_recording,
    frame_figure,
    recording_figure,
    score_timeline,
)


def spot(azimuth, elevation, category=0, score=0.5, frame=0):
    """Return a detection of one point at whole columns and the nearest row."""
    points = np.array([[(180 - azimuth) % 360, round((90 - elevation) * 179 / 180), 1.0]])
    return Detection(frame, category, score, points)


def label(azimuth, elevation, category=0):
    point = tuple(spot(azimuth, elevation).points[0].tolist())
    return Annotation(0, category, [[point]])


def pixels_of(figure, panel):
    """Return the drawn panel [rows, columns, 3] in 0 ... 1, cropped to its axes."""
    buffer = io.BytesIO()
    figure.canvas.print_png(buffer)
    buffer.seek(0)
    image = imread(buffer)[..., :3]
    left, bottom, width, height = figure.axes[panel].get_position().bounds
    rows, columns = image.shape[:2]
    top = round((1 - bottom - height) * rows)
    return image[top : round((1 - bottom) * rows), round(left * columns) : round((left + width) * columns)]


def shares_where(panel, colour):
    """Return (right, down) in 0 ... 1 of the pixels that have exactly this colour."""
    hit = np.abs(panel - np.array(to_rgb(colour))).max(axis=2) < 0.02
    rows, columns = np.nonzero(hit)
    assert len(rows) > 20
    return columns / panel.shape[1], rows / panel.shape[0]


@pytest.mark.parametrize(
    ("azimuth", "elevation", "right", "down"),
    [(0, 0, 0.5, 0.5), (90, 0, 0.25, 0.5), (-90, 0, 0.75, 0.5), (0, 45, 0.5, 0.25), (135, -30, 0.125, 2 / 3)],
)
@pytest.mark.parametrize("panel", [0, 1])
def test_direction_is_drawn_where_left_is_left_and_up_is_up(azimuth, elevation, right, down, panel):
    # The marker has the full class colour; shading is paler and texts lie beside it.
    items = {"labels": [], "predictions": []}
    items["predictions" if panel else "labels"] = [
        spot(azimuth, elevation, 5) if panel else label(azimuth, elevation, 5)
    ]
    figure = frame_figure(title="t", **items)
    for text in figure.axes[panel].texts:
        text.set_visible(False)
    columns, rows = shares_where(pixels_of(figure, panel), CLASS_COLOURS[5])
    assert columns.mean() == pytest.approx(right, abs=0.01)
    assert rows.mean() == pytest.approx(down, abs=0.015)


def test_tick_labels_name_the_directions_they_stand_at():
    for axes in frame_figure(title="t", labels=[], predictions=[]).axes:
        assert axes.get_xlim() == (180, -180)
        assert axes.get_ylim() == (-90, 90)
        words = {}
        for tick, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
            degrees, words[tick] = text.get_text().split("°\n")
            assert int(degrees.replace("−", "-")) == tick
        assert words == {180: "back", 90: "left", 0: "front", -90: "right", -180: "back"}


def test_every_pixel_column_and_row_lies_at_its_direction():
    figure = frame_figure(title="t", labels=[label(90, 0)], predictions=[])
    image = figure.axes[0].images[0]
    left, right, bottom, top = image.get_extent()
    opacity = image.get_array()[..., 3]
    rows, columns = opacity.shape
    row, column = np.unravel_index(opacity.argmax(), opacity.shape)
    assert left + (column + 0.5) * (right - left) / columns == pytest.approx(90.0)
    # Row 89 or 90 is nearest to elevation 0, half a row of 180/179 degrees away from it.
    assert abs(top + (row + 0.5) * (bottom - top) / rows) == pytest.approx(90 / 179)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "right", "down"), [(90, 45, 1 / 4, 1 / 4), (-45, -60, 5 / 8, 5 / 6)]
)
def test_shading_and_outline_are_drawn_around_the_direction(azimuth, elevation, right, down):
    figure = frame_figure(title="t", labels=[label(azimuth, elevation)], predictions=[])
    axes = figure.axes[0]
    artists = [*axes.images, *axes.collections, *axes.lines, *axes.texts]
    for artist in artists:
        artist.set_visible(False)
    empty = pixels_of(figure, 0)
    for artist in (axes.images[0], axes.collections[0]):
        artist.set_visible(True)
        drawn = pixels_of(figure, 0)
        artist.set_visible(False)
        rows, columns = np.nonzero(np.abs(drawn - empty).max(axis=2) > 0.02)
        assert (columns.min() + columns.max()) / 2 / drawn.shape[1] == pytest.approx(right, abs=0.01)
        assert (rows.min() + rows.max()) / 2 / drawn.shape[0] == pytest.approx(down, abs=0.01)


def test_predictions_of_lower_score_are_paler():
    predictions = [spot(60, 0, 0, 0.2), spot(-60, 0, 8, 0.4)]
    axes = frame_figure(title="t", labels=[], predictions=predictions).axes[1]
    weak, strong = (image.get_array()[..., 3].max() for image in axes.images)
    assert 0 < weak < strong


def test_region_across_the_seam_shows_at_both_ends_and_nowhere_else():
    opacity = (
        frame_figure(title="t", labels=[label(180, 0)], predictions=[]).axes[0].images[0].get_array()[..., 3]
    )
    middle_row = opacity[90]
    assert middle_row[0] == middle_row[-1] == middle_row.max() > 0
    np.testing.assert_allclose(middle_row, middle_row[::-1])
    assert not middle_row[60:300].any()


def test_region_over_the_pole_covers_every_azimuth_there():
    opacity = (
        frame_figure(title="t", labels=[label(0, 90)], predictions=[]).axes[0].images[0].get_array()[..., 3]
    )
    assert (opacity[0] > 0).all()
    assert not opacity[30:].any()


def test_outline_encloses_the_mask_of_the_evaluator():
    # A lone point: exp(-chord^2 / (2 sigma^2)) = 0.1, so the radius is 2 asin(sigma sqrt(2 ln 10) / 2).
    sigma = np.radians(6)
    radius = np.degrees(2 * np.arcsin(sigma * np.sqrt(2 * np.log(10)) / 2))
    axes = frame_figure(title="t", labels=[label(40, 0)], predictions=[]).axes[0]
    (path,) = axes.collections[0].get_paths()
    elevation = path.vertices[:, 1]
    point_elevation = 90 - 90 * 180 / 179
    assert elevation.max() - point_elevation == pytest.approx(radius, abs=0.1)
    assert point_elevation - elevation.min() == pytest.approx(radius, abs=0.1)
    assert path.vertices[:, 0].mean() == pytest.approx(40, abs=0.5)


def test_label_outlines_reappear_among_the_predictions():
    figure = frame_figure(title="t", labels=[label(40, 0)], predictions=[spot(-40, 0)])
    assert len(figure.axes[0].collections) == 1
    assert len(figure.axes[1].collections) == 2


def test_predictions_are_written_with_class_and_score_strongest_first():
    predictions = [spot(40, 10, 8, 0.21), spot(40, 10, 0, 0.62), spot(-60, 0, 11, 0.07)]
    texts = [t.get_text() for t in frame_figure(title="t", labels=[], predictions=predictions).axes[1].texts]
    assert texts == ["Female speech 0.62", "Music 0.21", "Bell 0.07"]


def test_texts_neither_overlap_nor_leave_the_map():
    predictions = [spot(azimuth, 5 * (k % 3), k, 0.5) for k, azimuth in enumerate(range(-176, 177, 32))]
    predictions += [spot(178, 88, 9, 0.2)]
    figure = frame_figure(title="t", labels=[], predictions=predictions)
    axes, renderer = figure.axes[1], figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    frame = axes.bbox
    for k, box in enumerate(boxes):
        assert frame.x0 - 1 <= box.x0 <= box.x1 <= frame.x1 + 1
        # Vertically the measured box has ascent and descent; neighbours may share those two pixels.
        shrunk = [(other.y0 + 2, other.y1 - 2, other.x0, other.x1) for other in boxes[:k]]
        for y0, y1, x0, x1 in shrunk:
            assert box.x1 <= x0 or x1 <= box.x0 or box.y1 - 2 <= y0 or y1 <= box.y0 + 2


def test_more_predictions_than_can_be_read_are_announced():
    predictions = [spot(10 * k, 0, k % 13, 0.01 * k) for k in range(15)]
    axes = frame_figure(title="t", labels=[], predictions=predictions).axes[1]
    assert axes.get_title(loc="left") == "Predictions: the strongest 12 of 15"
    assert len(axes.images) == 12


def test_frame_without_anything_says_so():
    upper, lower = frame_figure(title="t", labels=[], predictions=[]).axes
    assert upper.get_title(loc="left") == "Labels: none in this frame"
    assert lower.get_title(loc="left") == "Predictions: none in this frame"


def test_unknown_class_is_grey_and_named_by_number():
    figure = frame_figure(title="t", labels=[label(0, 0, 17)], predictions=[spot(0, 0, -1)])
    assert [text.get_text() for text in figure.axes[0].texts] == ["class 17"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["class -1 0.50"]
    assert to_rgb(UNKNOWN_COLOUR) == pytest.approx(tuple(figure.axes[0].images[0].get_array()[0, 0, :3]))


def test_dollar_signs_in_a_title_are_text():
    widths = []
    for title in ("take $1$ \\frac", "take 1 \\frac"):
        figure = frame_figure(title=title, labels=[], predictions=[])
        [text] = [text for text in figure.texts if text.get_text() == title]
        widths.append(text.get_window_extent(figure.canvas.get_renderer()).width)
    # As mathematics, the dollar signs would take no room.
    assert widths[0] > widths[1] + 5


def png_chunks(content):
    position, chunks = 8, []
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        chunks.append(content[position + 4 : position + 8])
        position += 12 + length
    return chunks


def test_same_input_gives_the_same_bytes_without_text_or_time(tmp_path):
    labels, predictions = [label(90, 10), label(-170, 0, 8)], [spot(85, 12, 0), spot(20, -60, 4, 0.1)]
    for name in ("a", "b"):
        draw_frame(tmp_path / f"{name}.png", title="t", labels=labels, predictions=predictions)
        draw_recording(tmp_path / f"{name}r.png", title="t", detections=predictions, frames=5)
    for name in ("", "r"):
        content = (tmp_path / f"a{name}.png").read_bytes()
        assert content == (tmp_path / f"b{name}.png").read_bytes()
        assert not {b"tEXt", b"iTXt", b"zTXt", b"tIME"} & set(png_chunks(content))


def test_unwritable_folder_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        draw_frame(tmp_path / "file" / "a.png", title="t", labels=[], predictions=[])


def test_pictures_leave_pyplot_and_torch_alone():
    code = "import sys, sai_bench.results.pictures; print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_timeline_holds_the_best_score_of_each_class_in_each_frame():
    detections = [spot(0, 0, 3, 0.2, 1), spot(9, 0, 3, 0.7, 1), spot(0, 0, 8, 0.4, 2), spot(0, 0, 8, 0.4, 99)]
    np.testing.assert_array_equal(score_timeline(detections, [3, 8], 3), [[0, 0.7, 0], [0, 0, 0.4]])


def test_recording_picture_places_time_to_the_right_and_classes_in_their_rows():
    detections = [spot(90, 0, 0, 0.8, 2), spot(-90, 0, 8, 0.4, 7)]
    strip, sphere = recording_figure(title="t", detections=detections, frames=10).axes
    assert strip.get_xlim() == (0, 1)
    assert [text.get_text() for text in strip.get_yticklabels()] == ["Female speech", "Music"]
    opacity = strip.images[0].get_array()[..., 3]
    assert opacity[0, 2] == pytest.approx(1.0)
    assert opacity[1, 7] == pytest.approx(0.12 + 0.88 / 2)
    assert np.count_nonzero(opacity) == 2
    marks = {text.get_text() for text in sphere.texts}
    assert marks == {"Female speech", "Music"}


def test_recording_picture_weighs_a_detection_by_score_and_not_by_size():
    big = np.array([[x, 90.0, 1.0] for x in range(40, 60)])
    detections = [Detection(0, 0, 0.5, big), spot(-90, 0, 8, 0.5, 1)]
    sphere = recording_figure(title="t", detections=detections, frames=2).axes[1]
    highest = [image.get_array()[..., 3].max() for image in sphere.images]
    assert highest == pytest.approx([0.75, 0.75], abs=0.02)


@pytest.mark.parametrize("detections", [[], [spot(0, 0, 1, 0.0)]])
def test_recording_without_detections_is_drawn(detections):
    strip, _ = recording_figure(title="t", detections=detections, frames=0).axes
    assert strip.get_title(loc="left") == "When: no detections"


def cielab(rgb):
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return _lab_of_linear(linear)


def _lab_of_linear(linear):
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    t = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


# Dichromat simulation of Vienot, Brettel and Mollon (1999), on linear RGB.
VIENOT = {
    "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


def smallest_distance(lab):
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    return distance[np.triu_indices(len(lab), 1)].min()


def test_class_colours_stay_apart_also_with_red_green_deficiency():
    rgb = np.array([to_rgb(colour) for colour in CLASS_COLOURS])
    assert rgb.shape == (13, 3)
    assert smallest_distance(cielab(rgb)) > 30
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for matrix in VIENOT.values():
        assert smallest_distance(_lab_of_linear(np.clip(linear @ np.array(matrix).T, 0, 1))) > 15
    assert len(set(CLASS_MARKERS)) == 13
