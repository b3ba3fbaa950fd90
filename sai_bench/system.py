"""An assembled system: waveform -> detections, in one call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from sai_bench.audio import select_microphones
from sai_bench.class_activity import class_activity, require_labels
from sai_bench.detector import Detector
from sai_bench.errors import SpecError
from sai_bench.export import detections_of, fuse_and_select
from sai_bench.sphere import array_for_channels, em32_array, mic_array
from sai_bench.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from sai_bench.predictions import Detection
    from sai_bench.regions import Regions
    from sai_bench.spec import Spec, SystemSpec
    from sai_bench.sphere import ArrayGeometry


class System:
    """Front end, backbone, decoder, prior, fusion rule and compressor, built from a spec.

    The staged pipeline (`sai_bench.stages`) calls the same parts one by one and keeps what each returns.

    Attributes:
        detector: front end, backbone and decoder.
        prior: with its weights, if it was given some.
        fusion: the fusion rule.
        compressor: the compressor.
    """

    def __init__(
        self,
        spec: Spec,
        prior_weights: Mapping[str, np.ndarray] | None = None,
        watch: Callable[[str], AbstractContextManager] = nullcontext,
    ):
        """Build every component of `spec.system`.

        Args:
            spec: a validated spec that declares a system.
            prior_weights: what the prior's `fit` returned, for a prior that needs it.
            watch: called with the name of each step; the step happens inside what it returns.
        """
        system = spec.require_system()
        self._export = spec.export
        self._microphones = system.microphones
        self._watch = watch
        self.detector = Detector(system, spec.inference, spec.seed, watch)
        self.prior = system.prior.build()
        self.fusion = system.fusion.build()
        self.compressor = system.compressor.build()
        if prior_weights is not None:
            self.prior.load_weights(prior_weights)

    def __call__(
        self,
        waveform: np.ndarray,
        sample_rate_hz: int,
        array: ArrayGeometry,
        name: str = "",
        activity: np.ndarray | None = None,
    ) -> list[Detection]:
        """Return the detections of one recording, by frame, strongest first.

        Args:
            waveform: [M, S] float32, full scale 1.
            sample_rate_hz: its rate.
            array: the capsules of the M channels.
            name: the recording's name; decides the order of detections with equal scores.
            activity: [K, N] bool from the recording's labels, for a prior that needs them.

        Raises:
            DatasetError: the prior needs labels and there are none.
        """
        regions, p = self.hear(waveform, sample_rate_hz, array, activity)
        return self.export(regions, p, name)

    def hear(
        self,
        waveform: np.ndarray,
        sample_rate_hz: int,
        array: ArrayGeometry,
        activity: np.ndarray | None = None,
    ) -> tuple[Regions, np.ndarray]:
        """Return what is heard in a recording: the regions of the detector and class activity p [K, N].

        Arguments and errors are those of a call.
        """
        require_labels(type(self.prior), activity is not None)
        waveform, array = select_microphones(waveform, array, self._microphones)
        with one_blas_thread():
            regions = self.detector(waveform, sample_rate_hz, array)
            with self._watch("prior"):
                return regions, class_activity(self.prior, waveform, sample_rate_hz, activity)

    def export(self, regions: Regions, p: np.ndarray, name: str = "") -> list[Detection]:
        """Return the detections that fusion, selection and compression make of what was heard.

        Args:
            regions: of a recording.
            p: its class activity [K, N].
            name: the recording's name; decides the order of detections with equal scores.
        """
        with one_blas_thread():
            with self._watch("fusion"):
                selection = fuse_and_select(regions, p, self.fusion, self._export, name)
            with self._watch("compressor"):
                return detections_of(regions, selection, self.compressor, self._export)


def array_heard(system: SystemSpec) -> ArrayGeometry:
    """Return the array that a system is meant for, as far as its spec tells: MIC, em32.

    A front end that takes any number of microphones hears the em32 where the system hears all channels.

    Raises:
        SpecError: the front end needs a number of microphones that no known array has.
    """
    if system.microphones == "mic":
        return mic_array()
    microphones = system.front_end.config.output().microphones
    if microphones is None:
        return em32_array()
    array = array_for_channels(microphones)
    if array is None:
        raise SpecError(
            [
                f"system.front_end: '{system.front_end.name}' hears {microphones} microphones, and only "
                "arrays of 4 (MIC) and 32 (em32) are known without recordings. Let it hear one of these."
            ]
        )
    return array
