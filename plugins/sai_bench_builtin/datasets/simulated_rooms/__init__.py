"""Data set `simulated_rooms`: extended, moving, overlapping sources in shoebox rooms (report 3.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms

__all__ = ["SimulatedRooms"]


def __getattr__(name: str):
    # Worker processes import the renderer below this package and must not pay for the rest of it.
    if name != "SimulatedRooms":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms

    return SimulatedRooms
