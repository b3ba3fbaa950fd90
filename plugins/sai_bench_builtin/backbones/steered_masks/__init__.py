"""`steered_masks`: learned masks over time and frequency, steered by the array's geometry."""

from sai_bench_builtin.backbones.steered_masks.backbone import SteeredMasks

__all__ = ["SteeredMasks"]
