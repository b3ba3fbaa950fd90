"""Encoder frames around each label frame: which are averaged, and how many they are."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def label_windows(x: torch.Tensor, frames: int) -> torch.Tensor:
    """Return the `frames` encoder frames around the start of each label frame, zeros where there are none.

    Window n holds encoder frames n * frames - frames // 2 onwards, so that for odd `frames` encoder frame
    n * frames, at n/10 s, is in the middle.

    Args:
        x: [B, T, ...].
        frames: encoder frames per label frame.

    Returns:
        [B, N, frames, ...], N = T / frames, rounded up.
    """
    number, before = _layout(x.shape[1], frames)
    after = number * frames - before - x.shape[1]  # negative: the last frames are nearer to a frame beyond
    padded = F.pad(x, (*[0] * (2 * (x.ndim - 2)), before, after))
    return padded.unflatten(1, (number, frames))


def frames_in_window(total: int, frames: int, device: torch.device) -> torch.Tensor:
    """Return how many of the `total` encoder frames lie in each window, [N] integers."""
    number, before = _layout(total, frames)
    first = torch.arange(number, device=device) * frames - before
    return (first + frames).clamp(max=total) - first.clamp(min=0)


def average(x: torch.Tensor, frames: int) -> torch.Tensor:
    """Return the mean [B, N, ...] of [B, T, ...] around each label frame.

    At the ends of the segment the mean is over the frames that exist. Counting the missing ones as zeros
    would fade the map there to 3/5.
    """
    counts = frames_in_window(x.shape[1], frames, x.device).to(x.dtype)
    return label_windows(x, frames).sum(2) / counts.view(-1, *[1] * (x.ndim - 2))


def _layout(total: int, frames: int) -> tuple[int, int]:
    """Return the number of windows and how many frames the first one begins before frame 0."""
    return -(-total // frames), frames // 2
