"""Averaging class maps over time along the path that a source may have taken."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from sai_bench.sphere import COLUMNS, FRAME_S
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig, ClassMapsConfig
from sai_bench_builtin.decoders.class_maps.network import MapLogits

_WORTH_IT = 0.02
"""Maps of classes less probable than this stay as they are: nobody will look at them."""

_CLEARLY = 1e-4
"""A faster speed must raise the peak by more than rounding does."""


def smoothed(logits: MapLogits, batch: torch.Size, config: ClassMapsConfig | ClassDiscsConfig) -> MapLogits:
    """Return what is left of the logits of B segments with N label frames after averaging over time.

    Args:
        logits: of B N label frames.
        batch: (B, N).
        config: over how many frames.
    """
    activity, maps = logits.activity.unflatten(0, batch), logits.maps
    if config.smoothing_frames:
        speed = config.smoothing_speed_deg_per_s
        maps = smooth(activity, maps.unflatten(0, batch), config.smoothing_frames, speed).flatten(0, 1)
    if config.activity_smoothing_frames:
        activity = smooth_activity(activity, config.activity_smoothing_frames)
    return replace(logits, activity=activity.flatten(0, 1), maps=maps)


def smooth(activity: torch.Tensor, maps: torch.Tensor, frames: int, speed_deg_per_s: float) -> torch.Tensor:
    """Return maps averaged over neighbouring label frames, following sources that move around the array.

    The map of a class in frame n becomes the weighted mean of the logits in frames n - `frames` ...
    n + `frames`; weights fall linearly with the distance and rise with the probability that the class sounds
    there. Before, the map k frames away is turned by k v. Of all speeds v up to the given one, that is taken
    which makes the mean's peak the highest; it is found on the maps' highest logit in each column, whatever
    its row. A source that stands still has v = 0, one that moves steadily around the array stays sharp.

    Args:
        activity: [B, N, K] logits of whether a class sounds.
        maps: [B, N, K, h, w] logits.
        frames: label frames on either side.
        speed_deg_per_s: highest speed around the vertical axis; 0: sources are taken to stand still.
    """
    probability = activity.sigmoid()
    batch, frame, kind = (probability >= _WORTH_IT).nonzero(as_tuple=True)
    if not len(frame):
        return maps
    offsets = torch.arange(-frames, frames + 1, device=maps.device)
    near = frame[:, None] + offsets  # [m, offsets]
    exists = (near >= 0) & (near < maps.shape[1])
    near = near.clamp(0, maps.shape[1] - 1)
    weights = (frames + 1 - offsets.abs()) * exists * probability[batch[:, None], near, kind[:, None]]
    weights = weights / weights.sum(1, keepdim=True)
    columns = maps.amax(3, keepdim=True)
    best = torch.full_like(weights[:, 0], -torch.inf)
    turns = torch.zeros_like(near)
    for speed in _trial_speeds(frames, speed_deg_per_s, COLUMNS / maps.shape[4]):
        turn = torch.round(offsets * speed).long().expand_as(near)
        peak = _averaged(columns, batch, near, kind, weights, turn).flatten(1).amax(1)
        better = peak > best + _CLEARLY
        best = torch.where(better, peak, best)
        turns = torch.where(better[:, None], turn, turns)
    result = maps.clone()
    result[batch, frame, kind] = _averaged(maps, batch, near, kind, weights, turns)
    return result


def smooth_activity(activity: torch.Tensor, frames: int) -> torch.Tensor:
    """Return logits [B, N, K] averaged over +-`frames`, with weights that fall linearly."""
    index = torch.arange(activity.shape[1], device=activity.device)
    kernel = (frames + 1 - (index[:, None] - index).abs()).clamp_min(0).to(activity.dtype)
    return (kernel / kernel.sum(1, keepdim=True)) @ activity


def _trial_speeds(frames, speed_deg_per_s, cell_deg):
    """Return speeds in cells per frame, slow ones first; paths differ by a cell at the farthest frame."""
    farthest = speed_deg_per_s * frames * FRAME_S / cell_deg
    steps = math.floor(farthest + 1e-9)
    return [step / max(frames, 1) for step in sorted(range(-steps, steps + 1), key=abs)]


def _averaged(maps, batch, near, kind, weights, turns):
    """Return the weighted mean [m, h, w] of maps in frames `near` [m, offsets], turned by `turns` columns.

    A source that moves by +s columns until frame n + k is found there s columns further right.
    """
    columns = torch.arange(maps.shape[4], device=maps.device)
    total = 0
    for number in range(near.shape[1]):
        there = maps[batch, near[:, number], kind]  # [m, h, w]
        source = (columns + turns[:, number, None]) % maps.shape[4]  # [m, w]
        turned = there.gather(2, source[:, None].expand_as(there))
        total = total + weights[:, number, None, None] * turned
    return total
