"""A complete prior that is fitted: naive Bayes on band energies. Try it with --plugin FILE."""

import numpy as np
from pydantic import Field

import sai_bench

BANDS = 24


class BandsConfig(sai_bench.ComponentConfig):
    """What a spec may set: `prior: {use: bands, sample_rate_hz: 24000}`."""

    sample_rate_hz: int = Field(default=16_000, ge=8_000, le=48_000, multiple_of=10)
    """Rate that recordings are resampled to, in Hz."""


class BandsPrior(sai_bench.Prior):
    """Is a frame more like the frames with a class or like those without it, as normal distributions?"""

    needs_fit = True

    def __init__(self, config: BandsConfig):
        self.config = config

    def fit(self, examples, seed):
        """Go through the recordings twice: for mean and scale of all frames, then for the centroids."""
        frames = total = squares = 0
        for example in examples:
            x = self.features(example.waveform, example.sample_rate_hz)
            frames, total, squares = frames + len(x), total + x.sum(axis=0), squares + (x**2).sum(axis=0)
        mean = total / frames
        scale = np.sqrt(np.maximum(squares / frames - mean**2, 1e-6))
        sums = counts = 0
        for example in examples:
            x = (self.features(example.waveform, example.sample_rate_hz) - mean) / scale
            sounds = np.stack([example.activity, ~example.activity]).astype(float)  # [2, K, N]
            sums, counts = sums + sounds @ x, counts + sounds.sum(axis=2)
        centroids = sums / np.maximum(counts, 1)[..., None]
        return {"mean": mean, "scale": scale, "centroids": centroids, "log_counts": np.log(counts + 1)}

    def load_weights(self, weights):
        """Take what `fit` returned."""
        self.weights = weights

    def __call__(self, waveform, sample_rate_hz):
        """Return p [K, N]: each class by itself, bands as if independent."""
        x = (self.features(waveform, sample_rate_hz) - self.weights["mean"]) / self.weights["scale"]
        squared_distance = ((x - self.weights["centroids"][:, :, None]) ** 2).sum(axis=-1)  # [2, K, N]
        yes, no = self.weights["log_counts"][..., None] - squared_distance / 2
        return np.exp(-np.logaddexp(0, no - yes))  # exp(yes) / (exp(yes) + exp(no))

    def features(self, waveform, sample_rate_hz):
        """Return the log energy of each band in each label frame, [N, BANDS]."""
        rate, frames = self.config.sample_rate_hz, sai_bench.frame_count(waveform.shape[1], sample_rate_hz)
        samples = sai_bench.resample(waveform[:1], sample_rate_hz, rate)[0].astype(float)
        samples = np.pad(samples, (0, frames * rate // 10))[: frames * rate // 10]  # the last may be partial
        power = np.abs(np.fft.rfft(samples.reshape(frames, rate // 10))) ** 2  # bins are 10 Hz apart
        edges = np.geomspace(20, power.shape[1], BANDS, endpoint=False).astype(int)
        return np.log(np.add.reduceat(power, edges, axis=1) + 1e-6)


@sai_bench.hookimpl
def sai_bench_register(register):
    """Tell sai_bench about the prior."""
    register.component("prior", "bands", BandsPrior, config=BandsConfig, summary="naive Bayes on bands")
