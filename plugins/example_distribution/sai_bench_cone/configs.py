"""Config model of the compressor `cone`."""

from pydantic import Field

import sai_bench


class ConeConfig(sai_bench.ComponentConfig):
    """Keys of the compressor `cone`."""

    spacing_deg: float = Field(default=5.0, ge=1, le=60)
    """Distance between neighbouring rings, and between neighbours on a ring (degrees)."""

    floor: float = Field(default=0.10, gt=0, le=1)
    """Points below this fraction of the peak do not count; also the energy at the rim as such a fraction."""
