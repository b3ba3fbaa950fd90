"""`class_maps`: for each class whether it sounds, and a map of where."""

from sai_bench_builtin.decoders.class_maps.decoder import ClassMaps

__all__ = ["ClassMaps"]
