"""When events happen: intervals whose overlap follows a given distribution."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sai_bench_builtin.configs.dataset import EventsConfig

_SHORTEST_S = 0.2


@dataclass(frozen=True)
class Interval:
    """When one event sounds, in seconds of the recording."""

    onset_s: float
    offset_s: float

    def overlaps(self, other: Interval) -> bool:
        """Return whether the two sound at the same time."""
        return self.onset_s < other.offset_s and other.onset_s < self.offset_s


def sample_intervals(rng: np.random.Generator, events: EventsConfig, duration_s: float) -> list[Interval]:
    """Return event intervals sorted by onset.

    Time is cut into segments and each draws its number of simultaneous events from `overlap_shares`,
    independent of its length; so the shares hold exactly on average. An event goes on into the next segment
    unless that has fewer events, or the event would outlive its own drawn length.
    """
    counts, shares = zip(*sorted(events.overlap_shares.items()), strict=True)
    shares = np.array(shares) / sum(shares)
    intervals, running = [], []
    for start_s, end_s in _segments(rng, events.duration_range_s, duration_s):
        going_on = [event for event in running if end_s <= event[1]]
        wanted = int(rng.choice(counts, p=shares))
        going_on = going_on[max(len(going_on) - wanted, 0) :]
        intervals += [Interval(event[0], start_s) for event in running if event not in going_on]
        while len(going_on) < wanted:
            longest_s = max(rng.uniform(*events.duration_range_s), end_s - start_s)
            going_on.append((start_s, start_s + longest_s))
        running = going_on
    intervals += [Interval(event[0], duration_s) for event in running]
    return sorted(intervals, key=lambda interval: (interval.onset_s, interval.offset_s))


def _segments(rng, duration_range_s: tuple[float, float], duration_s: float) -> list[tuple[float, float]]:
    """Return adjoining (start, end) in whole milliseconds, none shorter than the shortest event."""
    shortest_s, longest_s = duration_range_s
    edges = [0.0]
    while edges[-1] < duration_s:
        length_s = rng.uniform(shortest_s, (shortest_s + longest_s) / 2)
        edges.append(round(edges[-1] + length_s, 3))
    # The end of the recording cuts the last segment; a mere rest of one joins its predecessor.
    if len(edges) > 2 and duration_s - edges[-2] < _SHORTEST_S:
        edges.pop()
    edges[-1] = duration_s
    return list(pairwise(edges))
