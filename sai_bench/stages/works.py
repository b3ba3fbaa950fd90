"""What each stage does with one recording. Compression and scoring may run in worker processes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.audio import read_heard
from sai_bench.class_activity import class_activity
from sai_bench.export import Selection, dense_size_bytes, detections_of, fuse_and_select
from sai_bench.files import encode_arrays, read_arrays, sha256_of
from sai_bench.predictions import activity, encode_detections, read_annotations
from sai_bench.regions import Regions
from sai_bench.sphere import frame_count

if TYPE_CHECKING:
    from sai_bench.interfaces import Recording
    from sai_bench.spec import ComponentSpec, ExportSettings, Spec, SystemSpec
    from sai_bench.stages.label_memory import LabelMemory
    from sai_bench.stages.portable import PortableComponent


@dataclass
class Detect:
    """Front end, backbone and decoder."""

    spec: Spec

    @functools.cached_property
    def _detector(self):
        from sai_bench.detector import Detector

        return Detector(self.spec.require_system(), self.spec.inference, self.spec.seed)

    def build(self) -> object:
        """Build the detector."""
        return self._detector

    def __call__(self, recording: Recording) -> bytes:
        """Return the recording's regions."""
        waveform, rate, array = read_heard(recording, self.spec.require_system().microphones)
        return encode_arrays(self._detector(waveform, rate, array).arrays())


@dataclass
class ApplyPrior:
    """The prior, with its weights if it has been fitted."""

    system: SystemSpec
    weights: Mapping[str, np.ndarray] | None

    @functools.cached_property
    def _prior(self):
        prior = self.system.prior.build()
        if self.weights is not None:
            prior.load_weights(self.weights)
        return prior

    def build(self) -> object:
        """Build the prior."""
        return self._prior

    def __call__(self, recording: Recording) -> bytes:
        """Return the recording's class activity."""
        waveform, rate, _ = read_heard(recording, self.system.microphones)
        labels = None
        if self._prior.needs_labels and recording.labels_path is not None:
            frames = frame_count(waveform.shape[1], rate)
            labels = activity(read_annotations(recording.labels_path), frames)
        return encode_arrays({"p": class_activity(self._prior, waveform, rate, labels)})


@dataclass
class Fuse:
    """Fusion, threshold, limit per frame; also how large the result would be without compression."""

    component: ComponentSpec
    settings: ExportSettings
    regions: Mapping[str, Path]
    activity: Mapping[str, Path]

    @functools.cached_property
    def _fusion(self):
        return self.component.build()

    def build(self) -> object:
        """Build the fusion rule."""
        return self._fusion

    def __call__(self, recording: Recording) -> bytes:
        """Return which candidates are exported, with their scores."""
        regions = Regions.from_arrays(read_arrays(self.regions[recording.name]))
        p = read_arrays(self.activity[recording.name])["p"]
        selection = fuse_and_select(regions, p, self._fusion, self.settings, recording.name)
        dense_bytes = np.int64(dense_size_bytes(regions, selection, self.settings))
        return encode_arrays({**selection.arrays(), "dense_bytes": dense_bytes})


@dataclass
class Compress:
    """Point sets, compressed and written as DCASE JSON."""

    compressor: PortableComponent
    settings: ExportSettings
    regions: Mapping[str, Path]
    selections: Mapping[str, Path]

    def build(self) -> object:
        """Build the compressor."""
        return self.compressor.build()

    def __call__(self, recording: Recording) -> bytes:
        """Return the recording's prediction file."""
        regions = Regions.from_arrays(read_arrays(self.regions[recording.name]))
        selection = Selection.from_arrays(read_arrays(self.selections[recording.name]))
        detections = detections_of(regions, selection, self.compressor.build(), self.settings)
        return encode_detections(detections)


@dataclass
class Score:
    """One metric's part for one recording."""

    metric: PortableComponent
    memory: LabelMemory
    predictions: Mapping[str, Path]

    def build(self) -> object:
        """Build the metric."""
        return self.metric.build()

    def __call__(self, recording: Recording) -> bytes:
        """Return what the metric needs to know about the recording."""
        metric = self.metric.build()
        predictions = metric.read(self.predictions[recording.name], "prediction")
        labels = metric.read(recording.labels_path, "label")
        labels_sha256 = sha256_of(recording.labels_path)
        return encode_arrays(self.memory.score(metric, predictions, labels, labels_sha256))
