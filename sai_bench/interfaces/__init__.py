"""The eight component kinds: what goes in, what comes out, in which shapes and units.

Axes: B batch, M microphones, S samples, C channels, T STFT frames, F frequency bins, N label frames (10 per
second, frame k starts at k/10 s), D embedding, Q queries (candidates of a frame), R masks of a frame, K = 13
classes, h x w coarse grid, H x W = 180 x 360 image. See `sai_bench.sphere` for directions and grids.

Front end, backbone and decoder exchange torch tensors (a neural one is an `nn.Module` that also derives from
the base class here, and whose config says `learned = True`); the other kinds exchange NumPy arrays and need
no torch. This module imports neither.
"""

from __future__ import annotations

from collections.abc import Callable

from sai_bench.interfaces.backbone import Backbone
from sai_bench.interfaces.candidates import Candidates
from sai_bench.interfaces.compressor import Compressor
from sai_bench.interfaces.dataset import Dataset, Recording, RenderedRecording
from sai_bench.interfaces.decoder import Decoder
from sai_bench.interfaces.front_end import FrontEnd
from sai_bench.interfaces.fusion import Fusion
from sai_bench.interfaces.metric import AnnotationRole, Metric
from sai_bench.interfaces.prior import Example, Prior
from sai_bench.interfaces.promises import CandidateSpec, FeatureSpec, SphereSpec

Progress = Callable[[int, int], None]
"""Called with (done, total) while long work goes on."""

KIND_CLASSES: dict[str, type] = {
    "front_end": FrontEnd,
    "backbone": Backbone,
    "decoder": Decoder,
    "prior": Prior,
    "fusion": Fusion,
    "compressor": Compressor,
    "dataset": Dataset,
    "metric": Metric,
}

__all__ = [
    "KIND_CLASSES",
    "AnnotationRole",
    "Backbone",
    "CandidateSpec",
    "Candidates",
    "Compressor",
    "Dataset",
    "Decoder",
    "Example",
    "FeatureSpec",
    "FrontEnd",
    "Fusion",
    "Metric",
    "Prior",
    "Progress",
    "Recording",
    "RenderedRecording",
    "SphereSpec",
]
