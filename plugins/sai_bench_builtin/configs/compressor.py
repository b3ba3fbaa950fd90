"""Config models of the built-in compressors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sai_bench.config import ComponentConfig


class DenseConfig(ComponentConfig):
    """No reduction has no keys."""


class GridSupportConfig(ComponentConfig):
    """Keys of the report's compression rule (section 3.3.2); the defaults are the submitted setting."""

    floor: float = Field(default=0.10, ge=0, le=1)
    """Points below this fraction of the mask's peak are dropped."""

    strong_score: float = Field(default=0.20, ge=0)
    """Detections with at least this fused score get the fine grid, the others the coarse one."""

    strong_cell_px: int = Field(default=2, ge=1, le=180)
    """Side of a grid cell for strong detections, in pixels."""

    weak_cell_px: int = Field(default=6, ge=1, le=180)
    """Side of a grid cell for weak detections, in pixels."""

    boundary_from: Literal["grid", "mask"] = "grid"
    """Where the boundary points of a weak detection come from: the points that its grid keeps, or the whole
    mask. The report allows both; `mask` spends more points on weak detections than on strong ones."""

    boundary_ceiling: float = Field(default=0.22, ge=0, le=1)
    """Points from `floor` up to this fraction of the peak are boundary points (all, if there are none)."""

    boundary_cell_px: int = Field(default=2, ge=1, le=180)
    """Boundary points are thinned to the strongest of each grid cell of this side, in pixels."""

    support_copies: int = Field(default=8, ge=0, le=64)
    """Copies made around each boundary point, evenly spaced on a circle; 0 leaves boundary support out."""

    support_radius_px: float = Field(default=2.0, ge=0, le=90)
    """Radius of that circle in pixels; the copies' offsets are rounded to whole pixels."""

    support_energy: float = Field(default=0.12, gt=0, le=1)
    """Energy of a copy as a fraction of the mask's peak."""
