"""Label masks on coarser grids: means of blocks of the 180 x 360 image, as a view sees it."""

from __future__ import annotations

import numpy as np

from sai_bench.compilation import compiled
from sai_bench.regions import ENERGY_STEPS
from sai_bench.sphere import COLUMNS, ROWS, check_grid
from sai_bench.training.label_regions import LabelRegions
from sai_bench.training.views import View


def block_means(regions: LabelRegions, grid: tuple[int, int], view: View) -> np.ndarray:
    """Return each mask on a grid, [m, h, w] float32 in [0, 1].

    Args:
        regions: whose masks.
        grid: rows and columns; it divides 180 x 360.
        view: where pixels are.

    Raises:
        ValueError: the grid does not divide the image.
    """
    check_grid(*grid)
    height, width = grid
    means = np.zeros((len(regions.mask_starts) - 1, height, width), np.float32)
    row_cells, column_cells = view.rows * height // ROWS, view.columns * width // COLUMNS
    scale = np.float32(height * width / (ROWS * COLUMNS * ENERGY_STEPS))
    _add_pixels(regions.pixels, regions.energies, regions.mask_starts, row_cells, column_cells, scale, means)
    return means


@compiled("void(uint16[::1], uint8[::1], int64[::1], int64[::1], int64[::1], float32, float32[:, :, ::1])")
def _add_pixels(pixels, energies, starts, row_cells, column_cells, scale, means):
    """Sum the energies of masks cell by cell, in whole numbers, and scale them."""
    columns = len(column_cells)
    for mask in range(len(means)):
        cells = means[mask]
        for i in range(starts[mask], starts[mask + 1]):
            row, column = pixels[i] // columns, pixels[i] % columns
            cells[row_cells[row], column_cells[column]] += np.float32(energies[i])
        for row in range(cells.shape[0]):
            for column in range(cells.shape[1]):
                cells[row, column] *= scale
