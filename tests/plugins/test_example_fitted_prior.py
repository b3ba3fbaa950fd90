"""The example of a fitted prior does what the documentation says of it."""

from pathlib import Path

import numpy as np
import pytest

import sai_bench
from sai_bench.class_activity import class_activity
from sai_bench.files import encode_arrays, read_arrays
from sai_bench.stages.fitting import needs_fit

REPOSITORY = Path(__file__).parents[2]
PLUGIN = REPOSITORY / "plugins" / "example_fitted_prior.py"
TONES_HZ = {3: 500, 8: 4000}
"""Class -> what it sounds like in these toy recordings; the other classes never sound."""


def recording(sounding, rate=24_000, seconds=2.0, channels=4):
    """Return an Example with noise throughout and a class's tone in each of the given label frames."""
    samples = round(seconds * rate)
    waveform = 0.01 * np.random.default_rng(0).standard_normal((channels, samples)).astype(np.float32)
    activity = np.zeros((13, sai_bench.frame_count(samples, rate)), dtype=bool)
    seconds_of_sample = np.arange(samples) / rate
    for category, frames in sounding.items():
        activity[category, frames] = True
        on = activity[category][np.minimum(seconds_of_sample * 10, activity.shape[1] - 1).astype(int)]
        waveform += np.float32(0.3) * on * np.sin(2 * np.pi * TONES_HZ[category] * seconds_of_sample)
    return sai_bench.Example(waveform.astype(np.float32), rate, activity)


class Examples(list):
    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


@pytest.fixture
def system():
    spec = sai_bench.load_spec(
        REPOSITORY / "specs" / "quickstart.yaml", overrides=["system.prior.use=bands"], plugin_files=[PLUGIN]
    )
    assert needs_fit(spec)
    return spec.require_system()


@pytest.fixture
def examples():
    return Examples(
        [recording({3: range(2, 9), 8: range(6, 15)}), recording({8: range(0, 5), 3: range(10, 18)})]
    )


@pytest.fixture
def fitted(system, examples, tmp_path):
    """Return a prior that was built anew and got its weights from a file, as in a run."""
    stored = tmp_path / "weights.npz"
    stored.write_bytes(encode_arrays(system.prior.build().fit(examples, seed=1)))
    prior = system.prior.build()
    prior.load_weights(read_arrays(stored))
    return prior


def test_it_hears_its_classes_in_a_recording_that_it_was_not_fitted_to(fitted):
    heard = recording({3: range(12, 16), 8: range(3, 7)})
    p = class_activity(fitted, heard.waveform, heard.sample_rate_hz)
    for category in TONES_HZ:
        np.testing.assert_array_equal(p[category] > 0.5, heard.activity[category])
    assert p[[c for c in range(13) if c not in TONES_HZ]].max() < 0.1


@pytest.mark.parametrize(("rate", "seconds"), [(16_000, 1.0), (44_100, 1.05), (48_000, 0.1), (24_000, 0.101)])
def test_it_has_a_column_for_each_label_frame_at_any_rate(fitted, rate, seconds):
    heard = recording({3: range(1)}, rate, seconds, channels=2)
    p = class_activity(fitted, heard.waveform, rate)
    assert p.shape == heard.activity.shape
    assert p[3].argmax() == 0


def test_it_goes_through_the_examples_twice_and_draws_nothing(system, examples):
    weights = [system.prior.build().fit(examples, seed) for seed in (1, 2)]
    assert examples.passes == 4
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])


def test_mean_and_scale_are_those_of_all_frames(system, examples):
    prior = system.prior.build()
    rows = np.concatenate([prior.features(e.waveform, e.sample_rate_hz) for e in examples])
    weights = prior.fit(examples, seed=1)
    np.testing.assert_allclose(weights["mean"], rows.mean(axis=0))
    np.testing.assert_allclose(weights["scale"], rows.std(axis=0))


def test_a_tone_stands_out_in_the_band_it_lies_in(system):
    rate = system.prior.config.sample_rate_hz
    edges_hz = np.geomspace(200, rate / 2, 25)
    features = system.prior.build().features(recording({3: range(20)}).waveform, 24_000)
    for band in features.argmax(axis=1):
        assert edges_hz[band] - 10 <= TONES_HZ[3] <= edges_hz[band + 1] + 10
