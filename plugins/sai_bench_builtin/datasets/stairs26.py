"""Data set `stairs26`: real recordings of an em32 or its MIC subset, with label JSONs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sai_bench.sphere import ArrayGeometry, array_for_channels
from sai_bench_builtin.configs.dataset import Stairs26Config
from sai_bench_builtin.datasets.recorded import RecordedDataset

_MIC, _EM32 = 4, 32


class Stairs26(RecordedDataset):
    """Recordings in real rooms at two sites; splits `train`, `test` and each by site, such as `test-tau`."""

    title = "STAIRS26"
    zenodo_record = 18171005
    label_suffix = "_std.json"
    example = "eigen_dev/dev-test-tau/NAME.wav with labels_dev/dev-test-tau/NAME_std.json"

    def __init__(self, config: Stairs26Config):
        super().__init__(config.folder, config.cache_folder)
        self.config = config

    def array(self, channels: int) -> ArrayGeometry:
        """Return the capsules on their rigid sphere."""
        return array_for_channels(channels, "rigid")

    def may_be_audio(self, path: Path) -> bool:
        """Return whether a file is no ambisonics: STARSS23 may lie in the same folder."""
        return not any(part.lower().startswith("foa") for part in path.parts[:-1])

    def wanted_channels(self, counts: Sequence[Counter[int]]) -> int:
        """Return 32 if every recording has such a file, else 4, unless the config says which."""
        if self.config.channels != "auto":
            return self.config.channels
        lacking = {channels: sum(not count[channels] for count in counts) for channels in (_EM32, _MIC)}
        return min(lacking, key=lacking.get)
