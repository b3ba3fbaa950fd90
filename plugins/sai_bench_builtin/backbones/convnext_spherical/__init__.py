"""Backbone `convnext_spherical`: ConvNeXt encoder and spherical cross-attention (report, section 2.2.2)."""

from sai_bench_builtin.backbones.convnext_spherical.backbone import ConvNextSpherical

__all__ = ["ConvNextSpherical"]
