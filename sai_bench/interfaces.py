"""The eight component kinds: what goes in, what comes out, in which shapes and units.

Axes: B batch, M microphones, S samples, C channels, T STFT frames, F frequency bins, N label frames (10 per
second, frame k starts at k/10 s), D embedding, Q queries (candidates of a frame), R masks of a frame, K = 13
classes, h x w coarse grid, H x W = 180 x 360 image. See `sai_bench.sphere` for directions and grids.

Front end, backbone and decoder exchange torch tensors (a neural one is an `nn.Module` that also derives from
the base class here, and whose config says `learned = True`); the other kinds exchange NumPy arrays and need
no torch. This module imports neither.

A network may have `landmarks`, a mapping of labels to (name of a submodule, axes of what that returns):
`sai-bench describe` shows their shapes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch

    from sai_bench.config import ComponentConfig
    from sai_bench.predictions import Annotation
    from sai_bench.progress import Reporter
    from sai_bench.sphere import ArrayGeometry

AnnotationRole = Literal["prediction", "label"]

Progress = Callable[[int, int], None]
"""Called with (done, total) while long work goes on."""


# ---------------------------------------------------------------------------------------------------------- #
# What flows between components, known before anything is built (the wiring check compares these)


@dataclass(frozen=True)
class FeatureSpec:
    """What a front end promises about its features [B, C, T, F].

    Attributes:
        representation: what the numbers are, such as `complex_spectrum` (C = M, complex64).
        sample_rate_hz: the rate that the front end wants its waveform at.
        n_fft: FFT length in samples; bin f lies at f * sample_rate_hz / n_fft Hz.
        hop_samples: distance of neighbouring STFT frames.
        first_centre_samples: STFT frame t is centred on sample first_centre_samples + t * hop_samples.
        bins: F.
        channels: C, None if it is the number of microphones M, whatever that is.
    """

    representation: str
    sample_rate_hz: int
    n_fft: int
    hop_samples: int
    bins: int
    first_centre_samples: int = 0
    channels: int | None = None


@dataclass(frozen=True)
class SphereSpec:
    """What a backbone promises about its sphere features [B, N, D, height, width].

    Attributes:
        representation: what the numbers are: `steered_power` (D = 1, in [-1, 1]; 1 is a lone plane wave) or
            `embedding` (learned).
    """

    representation: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class CandidateSpec:
    """What a decoder promises: at most `masks` masks (R) and `candidates` candidates (Q) a frame."""

    masks: int
    candidates: int
    height: int
    width: int


@dataclass
class Candidates:
    """What a decoder returns for a batch of segments.

    Attributes:
        class_logits: [B, N, Q, K+1]; the last class is "no object".
        scores: [B, N, Q] in [0, 1], 0 where a slot is empty.
        mask_logits: [B, N, R, h, w].
        mask_of: [Q] integers in [0, R): which mask a candidate uses. Usually R = Q and this is 0 ... Q-1;
            a class-agnostic decoder lets K candidates share a mask.
    """

    class_logits: torch.Tensor
    scores: torch.Tensor
    mask_logits: torch.Tensor
    mask_of: torch.Tensor

    def masks(self, selection: torch.Tensor) -> torch.Tensor:
        """Return full-size masks of the chosen few.

        The default interpolates the logits linearly (circular in azimuth) and applies a sigmoid; a decoder
        with a better way returns a subclass.

        Args:
            selection: [n, 3] integers: (segment, frame, mask).

        Returns:
            [n, 180, 360] energies in [0, 1].
        """
        from sai_bench.upsampling import upsample_to_image

        batch, frame, mask = selection.unbind(1)
        return upsample_to_image(self.mask_logits[batch, frame, mask]).sigmoid()


# ---------------------------------------------------------------------------------------------------------- #
# The six kinds that make a system


class FrontEnd(ABC):
    """Waveform to features. Built as `cls(config)`."""

    @abstractmethod
    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch of waveforms.

        Args:
            waveform: [B, M, S] float32, full scale 1, at the declared `sample_rate_hz`.

        Returns:
            [B, C, T, F] as declared by the config's `output()`.
        """


class Backbone(ABC):
    """Features to features on the sphere. Built as `cls(config, features)`, features a FeatureSpec."""

    @abstractmethod
    def __call__(self, features: torch.Tensor, array: ArrayGeometry) -> torch.Tensor:
        """Return sphere features at the label frames that the segment touches.

        Args:
            features: [B, C, T, F] from the front end.
            array: the capsules that the M channels come from.

        Returns:
            [B, N, D, h, w]; frame n starts n/10 s after the segment. There may be more frames than the
            segment has full label frames; the caller drops the rest.
        """


class Decoder(ABC):
    """Sphere features to candidates. Built as `cls(config, sphere)` with the backbone's SphereSpec."""

    frames_are_independent: bool = True
    """Whether a frame's candidates hang on its own features alone. If not, the decoder is also given the
    frames around those that are wanted."""

    @abstractmethod
    def __call__(self, sphere: torch.Tensor) -> Candidates:
        """Return the candidates of every frame.

        Args:
            sphere: [B, N, D, h, w] from the backbone.
        """


@dataclass(frozen=True)
class Example:
    """One labelled recording as a fitted component sees it.

    Attributes:
        waveform: [M, S] float32, full scale 1.
        sample_rate_hz: its rate.
        activity: [K, N] bool, which classes sound in which label frame.
    """

    waveform: np.ndarray
    sample_rate_hz: int
    activity: np.ndarray


class Prior(ABC):
    """Waveform to class activity. Built as `cls(config)`."""

    needs_fit: ClassVar[bool] = False
    """Whether `fit` and `load_weights` must be called before the prior can be used."""

    needs_labels: ClassVar[bool] = False
    """Whether the prior is called with `activity=`, [K, N] bool: which classes the recording's labels have in
    which label frame. Only for diagnostics: such a prior cannot hear recordings without labels."""

    @classmethod
    def needs_fit_with(cls, config: ComponentConfig) -> bool:
        """Return whether `needs_fit` holds for a prior with this config."""
        return cls.needs_fit

    @abstractmethod
    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return how probable each class is in each label frame.

        Args:
            waveform: [M, S] float32, full scale 1, the whole recording.
            sample_rate_hz: its rate.

        Returns:
            p [K, N] float32 in [0, 1], N = sai_bench.sphere.frame_count(S, sample_rate_hz).
        """

    def notes(self) -> list[str]:
        """Return what the user must know before trusting numbers made with it, such as random weights.

        They are printed and stand in the run record and the summary; the same config gives the same notes.
        """
        return []

    def fit(self, examples: Collection[Example], seed: int) -> dict[str, np.ndarray]:
        """Return weights learned from labelled recordings (only if `needs_fit`).

        Must be deterministic: the same examples and seed give the same weights.

        Args:
            examples: the training recordings at their own rate, the MIC capsules only if the system says
                so. You can go through them as often as you like; each time they are read again, one by one.
            seed: for whatever is random.

        Returns:
            any names -> arrays of numbers, such as a network's state as NumPy arrays.
        """
        raise TypeError(f"{type(self).__name__} has no fit")

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take the weights that `fit` returned.

        Raises:
            sai_bench.errors.WeightsError: an array is missing or has another shape.
        """
        raise TypeError(f"{type(self).__name__} has no weights")


class Fusion(ABC):
    """Detector scores and class activity to new scores; class and mask stay. Built as `cls(config)`."""

    @abstractmethod
    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return the fused scores of all candidates of one recording.

        Args:
            scores: [n] float64 detector scores in [0, 1].
            classes: [n] integers in [0, K).
            frames: [n] integers in [0, N).
            p: [K, N] float64 class activity in [0, 1] of the whole recording.

        Returns:
            [n] finite scores in [0, 1].
        """


class Compressor(ABC):
    """Point sets to smaller point sets. Built as `cls(config)`."""

    @abstractmethod
    def __call__(self, point_sets: Sequence[np.ndarray], scores: np.ndarray) -> list[np.ndarray]:
        """Return a smaller point set for each mask of one recording, in the same order.

        Args:
            point_sets: arrays [n_i, 3] of (x, y, energy) rows; x in [0, 360), y in [0, 179],
                energy in (0, 1].
            scores: [len(point_sets)] fused scores, for rules that spend less on weak detections.

        Returns:
            arrays [m_i, 3], m_i >= 1 wherever n_i >= 1.
        """


# ---------------------------------------------------------------------------------------------------------- #
# The two kinds that surround a system


@dataclass(frozen=True)
class Recording:
    """One recording of a data set.

    Attributes:
        name: unique within the data set, without suffix, such as `fold4_room23_mix001`.
        audio_path: the audio file.
        labels_path: the DCASE label JSON, None if unlabelled.
        array: where the capsules of the channels are.
        content_sha256: changes whenever audio or labels do; part of the stage keys.
    """

    name: str
    audio_path: Path
    labels_path: Path | None
    array: ArrayGeometry
    content_sha256: str


class Dataset(ABC):
    """Split names to recordings. Built as `cls(config)`."""

    @abstractmethod
    def prepare(self, workers: int = 1, reporter: Reporter | None = None) -> None:
        """Make the data ready: render, or check what was downloaded. Safe to call again and after a kill.

        Args:
            workers: how many processes may work at once; the data do not depend on it.
            reporter: told what is going on and how far it is.

        Raises:
            sai_bench.errors.DatasetError: something is missing or contradicts the manifest.
        """

    @property
    @abstractmethod
    def root(self) -> Path:
        """Return the folder that holds the data (STAIRS26 layout)."""

    @property
    @abstractmethod
    def manifest_sha256(self) -> str:
        """Return a hash of everything in the data set (after `prepare`), for the run record."""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits, such as `("train", "test")`."""

    @abstractmethod
    def recordings(self, split: str) -> list[Recording]:
        """Return the recordings of a split in sorted name order (after `prepare`).

        Raises:
            sai_bench.errors.DatasetError: unknown split; the message lists the splits.
        """


class Metric(ABC):
    """Predictions and labels to named numbers. Built as `cls(config)`. Needs no torch.

    Scoring has two steps so that the costly one runs in parallel and is cached per recording.
    """

    headline: ClassVar[tuple[str, ...]] = ()
    """The names of the numbers that a summary table shows."""

    prediction_suffixes: ClassVar[tuple[str, ...] | None] = None
    """What may stand between the recording's name and `.json` for the official evaluator to find a
    prediction file (`""`: nothing); None: anything. Files with other names are scored here all the same,
    with a warning."""

    label_suffixes: ClassVar[tuple[str, ...] | None] = None
    """Likewise for label files."""

    prediction_folders: ClassVar[tuple[str, ...] | None] = None
    """Where below the prediction folder the official evaluator looks for files: `""` in the folder itself,
    `"x"` in a folder x in it, `"*"` one level down; None: everywhere. Others are scored with a warning."""

    label_folders: ClassVar[tuple[str, ...] | None] = None
    """Likewise for label files."""

    file_lists: ClassVar[tuple[str, str] | None] = None
    """Under which names the official report lists prediction files with and without labels; None: it lists
    none. Scoring folders adds the lists to the numbers."""

    def read(self, path: Path, role: AnnotationRole) -> list[Annotation]:
        """Return the annotations of a prediction or label file, by the metric's own reading rules.

        The default is `sai_bench.predictions.read_annotations`. An annotation may have a class that
        `score_recording` leaves out.

        Raises:
            sai_bench.errors.AnnotationError: the file is not valid; the message names file and position.
        """
        from sai_bench.predictions import read_annotations

        return read_annotations(path)

    @abstractmethod
    def score_recording(
        self, predictions: Sequence[Annotation], labels: Sequence[Annotation]
    ) -> dict[str, np.ndarray]:
        """Return everything the metric needs to know about one recording, as plain arrays."""

    def score_with_memory(
        self,
        predictions: Sequence[Annotation],
        labels: Sequence[Annotation],
        memory: Mapping[str, np.ndarray],
    ) -> tuple[dict[str, np.ndarray], Mapping[str, np.ndarray] | None]:
        """Do `score_recording` with labels that another system may have been scored against before.

        Override it if work on the labels is worth keeping. It must not change a number, and not take longer
        the first time. The default keeps nothing.

        Args:
            predictions: as for `score_recording`.
            labels: likewise.
            memory: what an earlier call returned for a label file of the same content; empty if none did.

        Returns:
            What `score_recording` returns, and what the next call should get; None: nothing new.
        """
        return self.score_recording(predictions, labels), None

    @abstractmethod
    def combine(self, recordings: Sequence[Mapping[str, np.ndarray]]) -> dict[str, object]:
        """Return the metric's numbers from the parts of all recordings, in the order of their files' paths.

        The result is JSON-ready: numbers, None for "not defined", text, lists and dicts of those.
        """

    def warnings(self, recordings: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
        """Return what the user should know before trusting the numbers, from the parts of all recordings."""
        return []

    def overlap(self, predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> np.ndarray | None:
        """Return how much regions of one frame overlap, whatever their classes: [P, G] in [0, 1], 1 is equal.

        Diagnostics ask for it; None (the default) means that the metric has no such measure.
        """
        return None

    def combine_weighted(
        self, recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray
    ) -> dict[str, np.ndarray] | None:
        """Return the headline numbers for many resamples at once; None (the default): only `combine` can.

        Args:
            recordings: as for `combine`.
            weights: [R, recordings] integers >= 0, how often each recording counts in each resample.

        Returns:
            headline name -> [R] what `combine` gives for the parts repeated so often, NaN where not defined.
        """
        return None


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
