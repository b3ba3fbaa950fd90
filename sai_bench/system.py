"""An assembled system: waveform -> detections, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sai_bench.audio import select_microphones
from sai_bench.class_activity import class_activity, require_labels
from sai_bench.detector import Detector
from sai_bench.export import detections_of, fuse_and_select
from sai_bench.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from sai_bench.predictions import Detection
    from sai_bench.spec import Spec
    from sai_bench.sphere import ArrayGeometry


class System:
    """Front end, backbone, decoder, prior, fusion rule and compressor, built from a spec.

    The staged pipeline (`sai_bench.stages`) calls the same parts one by one and keeps what each returns.
    """

    def __init__(self, spec: Spec, prior_weights: Mapping[str, np.ndarray] | None = None):
        """Build every component of `spec.system`.

        Args:
            spec: a validated spec that declares a system.
            prior_weights: what the prior's `fit` returned, for a prior that needs it.
        """
        system = spec.require_system()
        self._export = spec.export
        self._microphones = system.microphones
        self.detector = Detector(system, spec.inference, spec.seed)
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
        require_labels(type(self.prior), activity is not None)
        waveform, array = select_microphones(waveform, array, self._microphones)
        with one_blas_thread():
            regions = self.detector(waveform, sample_rate_hz, array)
            p = class_activity(self.prior, waveform, sample_rate_hz, activity)
            selection = fuse_and_select(regions, p, self.fusion, self._export, name)
            return detections_of(regions, selection, self.compressor, self._export)
