"""From full-size masks to the pixels worth storing, as integers: what the detector keeps of a mask."""

from __future__ import annotations

import numpy as np

from sai_bench.compilation import compiled


@compiled("Tuple((int64[::1], uint16[::1], uint8[::1]))(float32[:, ::1], float32, float32)")
def compact_masks(
    images: np.ndarray, least_share: np.float32, steps: np.float32
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels of each mask that reach a share of its peak, with their energies relative to it.

    Args:
        images: [n, P] energies; P at most 65536.
        least_share: pixels below this share of their mask's peak are left out.
        steps: the energy of the peak, at most 255; others are rounded to whole numbers.

    Returns:
        Lengths [n] (0 for a mask without a positive pixel), pixels and energies [sum of lengths], mask after
            mask.
    """
    lengths = np.zeros(len(images), np.int64)
    peaks = np.zeros(len(images), np.float32)
    for mask in range(len(images)):
        peak = np.float32(0)
        for value in images[mask]:
            peak = max(peak, value)
        peaks[mask] = peak
        if peak > 0:
            count = 0
            for value in images[mask]:
                count += value / peak >= least_share
            lengths[mask] = count
    total = lengths.sum()
    pixels, energies = np.empty(total, np.uint16), np.empty(total, np.uint8)
    place = 0
    for mask in range(len(images)):
        if lengths[mask]:
            for pixel in range(images.shape[1]):
                share = images[mask, pixel] / peaks[mask]
                if share >= least_share:
                    pixels[place] = pixel
                    energies[place] = np.uint8(np.rint(share * steps))
                    place += 1
    return lengths, pixels, energies
