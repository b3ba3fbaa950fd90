"""Compact masks against the same thing written with whole arrays."""

import numpy as np
import pytest

from sai_bench.mask_compaction import compact_masks


@pytest.mark.parametrize("least_share", [0.1, 0.5 / 255, 1.0])
def test_the_kept_pixels_and_energies_are_those_of_the_array_formula(least_share):
    rng = np.random.default_rng(0)
    images = (rng.random((7, 500)) ** 4).astype(np.float32)
    images[2] = 0
    images[3] = -images[3]
    images[4, :499] = 0
    lengths, pixels, energies = compact_masks(images, least_share, 255)
    peaks = images.max(axis=1, keepdims=True)
    relative = np.where(peaks > 0, images / np.where(peaks > 0, peaks, 1), 0).astype(np.float32)
    mask, pixel = np.nonzero(relative >= np.float32(least_share))
    np.testing.assert_array_equal(lengths, np.bincount(mask, minlength=7))
    np.testing.assert_array_equal(pixels, pixel)
    np.testing.assert_array_equal(energies, np.rint(relative[mask, pixel] * np.float32(255)))
    assert (pixels.dtype, energies.dtype) == (np.uint16, np.uint8)
    assert lengths[2] == lengths[3] == 0
    assert lengths[4] == 1
