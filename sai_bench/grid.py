"""The numbers that the whole project agrees on: image, label frames, classes. Imports no library.

`sai_bench.sphere` has them, too, and the geometry that goes with them. Config models take them from here:
commands that only list and check do without NumPy.
"""

from __future__ import annotations

ROWS, COLUMNS = 180, 360
FRAMES_PER_S = 10
FRAME_S = 1 / FRAMES_PER_S

CLASS_NAMES = (
    "Female speech",
    "Male speech",
    "Clapping",
    "Telephone",
    "Laughter",
    "Domestic sounds",
    "Walk/footsteps",
    "Door open/close",
    "Music",
    "Musical instrument",
    "Water tap",
    "Bell",
    "Knock",
)
CLASSES = len(CLASS_NAMES)


def check_grid(height: int, width: int) -> None:
    """Raise ValueError unless a coarse grid divides the 180 x 360 image.

    Raises:
        ValueError: a side is not a positive divisor of 180 (rows) or 360 (columns).
    """
    for name, size, full in (("grid_height", height, ROWS), ("grid_width", width, COLUMNS)):
        if size < 1 or full % size:
            raise ValueError(f"{name} = {size} does not divide {full}")
