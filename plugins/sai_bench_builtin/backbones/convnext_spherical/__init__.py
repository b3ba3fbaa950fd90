"""Backbone `convnext_spherical`: ConvNeXt encoder and spherical cross-attention (report, section 2.2.2)."""
