"""Decoder `class_discs`: where the centre of each class may be, and the disc expected to agree best."""

from sai_bench_builtin.decoders.class_discs.decoder import ClassDiscs

__all__ = ["ClassDiscs"]
