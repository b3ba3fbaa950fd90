"""Phase-transformed cross-spectra of microphone pairs in groups of bins, and their fixed steering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sai_bench.sphere import ArrayGeometry
from sai_bench_builtin.backbones.steering import steering_vectors

_GROUPS_AT_ONCE = 8


def select_pairs(array: ArrayGeometry, most: int) -> np.ndarray:
    """Return microphone pairs (i, j), i < j, [P, 2]: all of them, or `most` with unlike baselines.

    Of many, the longest baseline comes first, and then always the one least like those already there, where
    a baseline and its opposite are alike. The choice depends on the geometry alone.
    """
    pairs = np.stack(np.triu_indices(array.microphones, 1), axis=1)
    if len(pairs) <= most:
        return pairs
    baselines = array.positions_m[pairs[:, 0]] - array.positions_m[pairs[:, 1]]
    # Rounded, so that equally good pairs of a regular array are told apart by their number, not by rounding.
    lengths = np.linalg.norm(baselines, axis=1).round(9)
    chosen = [int(lengths.argmax())]
    unlikeness = np.full(len(pairs), np.inf)
    while len(chosen) < most:
        newest = baselines[chosen[-1]]
        same, opposite = (np.linalg.norm(baselines - sign * newest, axis=1) for sign in (1, -1))
        unlikeness = np.minimum(unlikeness, np.minimum(same, opposite).round(9))
        unlikeness[chosen[-1]] = -1
        chosen.append(int(unlikeness.argmax()))
    return pairs[np.sort(chosen)]


def cross_spectra(spectra: torch.Tensor, pairs: torch.Tensor, bins_per_group: int) -> torch.Tensor:
    """Return the mean phase-transformed cross-spectra of groups of neighbouring bins.

    With x the spectra scaled to magnitude 1 (0 where silent), the mean over a group of x_i x_j*.

    Args:
        spectra: [B, M, T, F] complex, F a multiple of `bins_per_group`.
        pairs: [P, 2] integers (i, j).
        bins_per_group: neighbouring bins that are averaged.

    Returns:
        [B, T, F / bins_per_group, 2 P] real: of each pair real and imaginary part, in [-1, 1].
    """
    phases = torch.sgn(spectra)
    products = phases[:, pairs[:, 0]] * phases[:, pairs[:, 1]].conj()  # [B, P, T, F]
    means = torch.view_as_real(products.unflatten(3, (-1, bins_per_group)).mean(4))
    return means.permute(0, 2, 3, 1, 4).flatten(3)


@dataclass(frozen=True)
class Steering:
    """What a lone plane wave from each direction of a grid would make of an array's cross-spectra.

    Attributes:
        pairs: [P, 2] the pairs that are used.
        table: [groups * 2 P, directions] float32; a product with it is the mean over pairs of steered power.
    """

    pairs: torch.Tensor
    table: torch.Tensor


def steering_of(
    array: ArrayGeometry,
    directions: np.ndarray,
    groups_hz: Sequence[np.ndarray],
    most_pairs: int,
    device: torch.device,
) -> Steering:
    """Return the steering of one array.

    Args:
        array: the capsules; those on a rigid sphere get the phases that the sphere gives them.
        directions: [G, 3] unit vectors.
        groups_hz: the frequencies of the bins of each group, equally many.
        most_pairs: see `select_pairs`.
        device: where it is kept.
    """
    pairs = select_pairs(array, most_pairs)
    parts = []
    for first in range(0, len(groups_hz), _GROUPS_AT_ONCE):
        frequencies_hz = np.stack(groups_hz[first : first + _GROUPS_AT_ONCE])
        vectors = steering_vectors(array, directions, frequencies_hz.ravel())
        phases = vectors / np.maximum(np.abs(vectors), np.finfo(np.float32).tiny)
        products = phases[:, pairs[:, 0]] * phases[:, pairs[:, 1]].conj()  # [bins, P, G]
        parts.append(products.reshape(*frequencies_hz.shape, len(pairs), -1).mean(1))
    products = np.concatenate(parts) / len(pairs)  # [groups, P, G]
    table = np.stack([products.real, products.imag], axis=2).reshape(-1, len(directions))
    return Steering(torch.from_numpy(pairs).to(device), torch.from_numpy(table).float().to(device))
