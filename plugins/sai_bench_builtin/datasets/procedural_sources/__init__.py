"""Source bank `procedural`: one synthesiser per class, so that nothing has to be downloaded.

`synthesise(category, variation, samples, sample_rate_hz)` gives the dry, mono sound of one event. Each class
varies in every parameter that a listener would name (pitch, tempo, material, timbre), keeps a noise component
as real sounds do, and follows textbook models: pulse train through formants, Karplus-Strong strings, modes.
"""

from __future__ import annotations

from sai_bench_builtin.datasets.procedural_sources.bank import SYNTHESISERS, synthesise

__all__ = ["SYNTHESISERS", "synthesise"]
