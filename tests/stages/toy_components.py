"""Small components whose every dependency a test can change; loaded as a single-file plugin."""

from pathlib import Path

import numpy as np
import soundfile

import sai_bench
from sai_bench.files import sha256_of
from sai_bench.sphere import frame_count, mic_array


class ToyDataConfig(sai_bench.ComponentConfig):
    folder: sai_bench.SpecPath
    names: tuple[str, ...] = ("one", "two")
    unlabelled: tuple[str, ...] = ()
    baffle: str = "open"
    rate_hz: int = 24000


class ToyData(sai_bench.Dataset):
    """Half a second of noise for each name; one label of class 3 in frame 1."""

    def __init__(self, config):
        self.config = config

    @property
    def root(self):
        return Path(self.config.folder)

    @property
    def manifest_sha256(self):
        return "toy"

    def splits(self):
        return ("train", "test")

    def prepare(self, workers=1, reporter=None):
        self.root.mkdir(parents=True, exist_ok=True)
        for seed, name in enumerate(self.config.names):
            path = self.root / f"{name}.wav"
            if not path.exists():
                noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (self.config.rate_hz // 2, 4))
                soundfile.write(path, noise, self.config.rate_hz)
            path.with_suffix(".json").write_text(
                '{"annotations": [{"metadata_frame_index": 1, "category_id": 3,'
                ' "segmentation": [[[180, 90, 1.0]]]}]}'
            )

    def recordings(self, split):
        return [
            sai_bench.Recording(
                name=name,
                audio_path=self.root / f"{name}.wav",
                labels_path=None if name in self.config.unlabelled else self.root / f"{name}.json",
                array=mic_array(self.config.baffle),
                content_sha256=sha256_of(self.root / f"{name}.wav"),
            )
            for name in self.config.names
        ]


class TablePriorConfig(sai_bench.ComponentConfig):
    table: sai_bench.SpecPath


class TablePrior(sai_bench.Prior):
    """One activity for all classes, read from a text file."""

    def __init__(self, config):
        self.level = float(Path(config.table).read_text())

    def __call__(self, waveform, sample_rate_hz):
        return np.full((13, frame_count(waveform.shape[1], sample_rate_hz)), self.level)


class NoisyPriorConfig(sai_bench.ComponentConfig):
    pass


class NoisyPrior(sai_bench.Prior):
    """Fitting draws one activity from the seed."""

    needs_fit = True

    def __init__(self, config):
        self.level = None

    def fit(self, examples, seed):
        assert all(example.activity.shape == (13, 5) for example in examples)
        return {"level": np.random.default_rng(seed).uniform(0.5, 1, ())}

    def load_weights(self, weights):
        self.level = float(weights["level"])

    def __call__(self, waveform, sample_rate_hz):
        return np.full((13, frame_count(waveform.shape[1], sample_rate_hz)), self.level)


class HalfConfig(sai_bench.ComponentConfig):
    pass


class HalfFusion(sai_bench.Fusion):
    """Uses a number from a module beside this file."""

    def __init__(self, config):
        from toy_numbers import HALF

        self.half = HALF

    def __call__(self, scores, classes, frames, p):
        return scores * self.half


@sai_bench.hookimpl
def sai_bench_register(register):
    for kind, name, target, config in [
        ("dataset", "toy", ToyData, ToyDataConfig),
        ("prior", "table", TablePrior, TablePriorConfig),
        ("prior", "noisy", NoisyPrior, NoisyPriorConfig),
        ("fusion", "half", HalfFusion, HalfConfig),
    ]:
        register.component(kind, name, target, config=config, summary="for tests")
