"""One fixed colour and marker per class, told apart also with a red-green colour deficiency."""

from __future__ import annotations

from sai_bench.sphere import CLASS_NAMES, CLASSES

# Spread for the largest smallest distance in CIELAB, seen normally and through simulated deuteranopia and
# protanopia, at lightness 22 to 76 so that an outline shows on white. The marker is the second cue.
CLASS_COLOURS = (
    "#c34b5a",
    "#0f4b96",
    "#1e3c0f",
    "#00d2b4",
    "#f096ff",
    "#b45a00",
    "#a5c369",
    "#5a1e4b",
    "#d24bff",
    "#e1b41e",
    "#0087a5",
    "#0000ff",
    "#2d0fa5",
)
CLASS_MARKERS = ("o", "s", "X", "^", "v", "D", "P", "d", "*", "p", "h", "<", ">")
_READABLE_LUMA = 105
UNKNOWN_COLOUR, UNKNOWN_MARKER = "#7a7a7a", "8"


def class_name(category: int) -> str:
    """Return the name of a class, `class 17` for one that does not exist."""
    return CLASS_NAMES[category] if 0 <= category < CLASSES else f"class {category}"


def class_colour(category: int) -> str:
    """Return the colour of a class as `#rrggbb`, grey for one that does not exist."""
    return CLASS_COLOURS[category] if 0 <= category < CLASSES else UNKNOWN_COLOUR


def class_marker(category: int) -> str:
    """Return the matplotlib marker of a class."""
    return CLASS_MARKERS[category] if 0 <= category < CLASSES else UNKNOWN_MARKER


def text_colour(category: int) -> str:
    """Return the colour of a class, darkened where it would be hard to read as text on white."""
    colour = class_colour(category)
    rgb = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    scale = min(1.0, _READABLE_LUMA / luma)
    return "#" + "".join(f"{round(value * scale):02x}" for value in rgb)
