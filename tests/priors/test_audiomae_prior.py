"""AudioMAE as a prior: windows on the label timeline, padding, a head that learns, loud notes."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sai_bench.audio import resample
from sai_bench.errors import DatasetError, DeviceError, WeightsError
from sai_bench.interfaces import Example
from sai_bench_builtin.configs.prior import AudioMaeConfig
from sai_bench_builtin.priors.audiomae.embedding import WindowEmbedding, frozen_encoder
from sai_bench_builtin.priors.audiomae.filterbank import Filterbank, padded_and_normalised
from sai_bench_builtin.priors.audiomae.prior import AudioMae

torch.set_num_threads(1)
TINY = {"encoder_width": 32, "encoder_depth": 2, "encoder_heads": 4, "hidden": 16}
RATE = 16_000


def config(**keys):
    return AudioMaeConfig(**{**TINY, **keys})


def embedding_of(**keys):
    return WindowEmbedding(config(**keys), frozen_encoder(config(**keys)))


def noise(seconds, rate=RATE, microphones=4, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((microphones, round(seconds * rate)))).astype(np.float32)


@pytest.fixture
def random_prior():
    return AudioMae(config(head="random"))


@pytest.mark.parametrize(
    ("seconds", "rate", "windows"),
    [
        (6.0, RATE, [20, 20, 20]),
        (4.7, RATE, [20, 20, 7]),
        (4.03, 24_000, [20, 20, 1]),
        (0.25, 48_000, [3]),
        (2.0, 44_100, [20]),
    ],
)
def test_windows_abut_on_the_label_timeline_and_the_last_ends_with_the_recording(
    random_prior, seconds, rate, windows
):
    p = random_prior(noise(seconds, rate), rate)
    assert p.shape == (13, sum(windows))
    assert p.dtype == np.float32
    assert ((p > 0) & (p < 1)).all()
    start, firsts = 0, []
    for length in windows:
        window = p[:, start : start + length]
        assert (window == window[:, :1]).all()
        firsts.append(window[:, 0])
        start += length
    assert len(np.unique(np.round(firsts, 7), axis=0)) == len(windows)


def test_a_window_hears_exactly_its_own_two_seconds():
    embedding = embedding_of()
    waveform = noise(5.0)
    before = embedding(waveform, RATE)
    waveform[:, 2 * RATE : 4 * RATE] *= 3.0
    changed = np.abs(embedding(waveform, RATE) - before).max(axis=1) > 1e-4
    assert changed.tolist() == [False, True, False]
    alone = embedding(waveform[:, 2 * RATE : 4 * RATE], RATE)
    np.testing.assert_allclose(embedding(waveform, RATE)[1], alone[0], rtol=1e-4, atol=1e-5)


def test_embedding_is_that_of_the_mean_of_the_microphones_at_16_khz():
    embedding = embedding_of()
    waveform = noise(2.0, rate=48_000)
    mono = torch.from_numpy(resample(waveform.mean(axis=0, keepdims=True), 48_000, RATE))
    spectrogram = padded_and_normalised(Filterbank()(mono), 208)
    with torch.no_grad():
        expected = embedding.encoder(spectrogram, valid_rows=13)
    np.testing.assert_allclose(embedding(waveform, 48_000), expected, rtol=1e-5, atol=1e-6)


def test_results_do_not_depend_on_how_many_windows_go_at_once():
    waveform = noise(9.3)
    expected = embedding_of(batch_size=1)(waveform, RATE)
    assert expected.shape == (5, 32)
    np.testing.assert_allclose(embedding_of(batch_size=3)(waveform, RATE), expected, rtol=1e-4, atol=1e-5)


def test_official_padding_goes_through_the_whole_grid_and_pools_the_rows_that_hold_sound():
    cropped, official = embedding_of(), embedding_of(pad_to_frames=1024)
    samples = torch.from_numpy(noise(2.0)[:1])
    spectrogram = padded_and_normalised(Filterbank()(samples), 1024)
    with torch.no_grad():
        tokens = official.encoder.norm(official.encoder.tokens(spectrogram))
    assert tokens.shape[1] == 513
    got = official.of_windows(samples)
    np.testing.assert_allclose(got, tokens[:, 1:105].mean(dim=1), rtol=1e-4, atol=1e-5)
    # The padding takes part in the attention: close to the crop, but not the same.
    difference = np.abs(got - cropped.of_windows(samples)).max()
    assert 1e-6 < difference < 1.0


def test_padding_to_the_next_multiple_of_16_is_the_default():
    samples = torch.from_numpy(noise(2.0)[:1])
    np.testing.assert_array_equal(
        embedding_of().of_windows(samples),
        embedding_of(pad_to_frames=208).of_windows(samples),
    )


def test_bfloat16_stays_close_to_float32():
    waveform = noise(4.0)
    exact = embedding_of()(waveform, RATE)
    rough = embedding_of(precision="bf16")(waveform, RATE)
    assert rough.dtype == np.float32
    assert np.linalg.norm(rough - exact) < 0.05 * np.linalg.norm(exact)


def test_a_random_encoder_is_the_same_each_time_and_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(5)
    first = embedding_of()
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    np.testing.assert_array_equal(first(noise(2.0), RATE), embedding_of()(noise(2.0), RATE))


def sounding_scene(seed):
    """Six seconds; in each window class 2 (hiss), class 7 (a low tone), both or neither."""
    rng = np.random.default_rng(seed)
    samples = 2 * RATE
    waveform, active = 0.01 * rng.standard_normal((4, 3 * samples)), np.zeros((13, 60), bool)
    for window in range(3):
        hiss = 0.1 * np.diff(rng.standard_normal(samples), prepend=0)
        tone = 0.3 * np.sin(2 * np.pi * rng.uniform(270, 330) * np.arange(samples) / RATE)
        for category, sound in ((2, hiss), (7, tone)):
            if rng.random() < 0.5:
                waveform[:, window * samples : (window + 1) * samples] += sound
                active[category, window * 20 + 5 : window * 20 + 15] = True  # labelled in part of the window
    return Example(waveform.astype(np.float32), RATE, active)


FIT = {"fit_steps": 500, "learning_rate": 3e-3}
TRAINING = range(24)


@pytest.fixture(scope="module")
def fitted():
    prior = AudioMae(config(**FIT))
    weights = prior.fit([sounding_scene(seed) for seed in TRAINING], seed=3)
    return prior, weights


def test_the_head_learns_which_classes_sound_in_a_window(fitted):
    scenes = [sounding_scene(seed) for seed in range(100, 110)]
    p = np.concatenate([fitted[0](s.waveform, RATE)[:, ::20] for s in scenes], axis=1)
    heard = np.concatenate([s.activity.reshape(13, 3, 20).any(axis=2) for s in scenes], axis=1)
    for category in (2, 7):
        assert 0.3 < heard[category].mean() < 0.7
        assert ((p[category] > 0.5) == heard[category]).mean() >= 0.85
    assert p[[k for k in range(13) if k not in (2, 7)]].max() < 0.1


def test_fitting_again_gives_the_same_bytes_and_another_seed_others():
    examples, short = [sounding_scene(seed) for seed in range(3)], config(fit_steps=20)
    first, again, other = (AudioMae(short).fit(examples, seed) for seed in (3, 3, 4))
    for name, array in first.items():
        assert array.tobytes() == again[name].tobytes(), name
    assert not np.array_equal(other["output.weight"], first["output.weight"])


def test_loaded_weights_predict_what_fitted_ones_do(fitted):
    loaded = AudioMae(config(**FIT))
    loaded.load_weights(fitted[1])
    np.testing.assert_array_equal(loaded(noise(4.5), RATE), fitted[0](noise(4.5), RATE))


def test_labels_that_end_before_the_audio_end_the_windows(fitted):
    scene = sounding_scene(0)
    short = Example(scene.waveform, RATE, scene.activity[:, :37])
    embeddings, targets = fitted[0]._collect([short, scene])
    assert embeddings.shape == (2 + 3, 32)
    np.testing.assert_array_equal(targets[0], scene.activity[:, :20].any(axis=1))
    np.testing.assert_array_equal(targets[1], scene.activity[:, 20:37].any(axis=1))


@pytest.mark.parametrize(
    "name", ["cls_token", "patch_embed.proj.weight", "blocks.1.attn.qkv.weight", "norm.bias"]
)
def test_encoders_that_differ_in_one_number_have_different_fingerprints(name):
    def fingerprint(change, **keys):
        encoder = frozen_encoder(config())
        encoder.get_parameter(name).view(-1)[0] += change
        return WindowEmbedding(config(**keys), encoder).fingerprint

    np.testing.assert_array_equal(fingerprint(0.0), fingerprint(0.0, precision="bf16"))
    assert (fingerprint(0.0) != fingerprint(1e-6)).any()


def test_encoders_that_pool_before_and_after_the_norm_have_different_fingerprints():
    before, after = frozen_encoder(config()), frozen_encoder(config())
    after.norm_after_pool = True
    fingerprints = [WindowEmbedding(config(), encoder).fingerprint for encoder in (before, after)]
    assert (fingerprints[0] != fingerprints[1]).any()


def test_a_head_of_another_encoder_is_refused(fitted):
    with pytest.raises(WeightsError, match="fitted with another encoder"):
        AudioMae(config(encoder_depth=1)).load_weights(fitted[1])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda w: w.pop("hidden.bias"), r"hidden\.bias is missing"),
        (
            lambda w: w.update({"output.bias": np.zeros(12, np.float32)}),
            r"output\.bias has shape \[12\], expected \[13\]",
        ),
        (lambda w: w["norm.weight"].fill(np.inf), r"norm\.weight has NaN"),
        (lambda w: w.update(extra=np.zeros(1)), "extra is not part of it"),
    ],
)
def test_damaged_head_weights_are_refused_with_what_is_wrong(fitted, damage, says):
    weights = {name: array.copy() for name, array in fitted[1].items()}
    damage(weights)
    with pytest.raises(WeightsError, match=says):
        AudioMae(config()).load_weights(weights)


def test_without_a_head_it_says_how_to_get_one():
    with pytest.raises(WeightsError, match="Fit it"):
        AudioMae(config())(noise(1.0), RATE)


def test_fitting_on_nothing_says_so():
    with pytest.raises(DatasetError, match="no labelled window"):
        AudioMae(config()).fit([], seed=0)


def test_what_describe_counts_are_encoder_and_head():
    unfitted, complete = AudioMae(config()).networks(), AudioMae(config(head="random")).networks()
    assert list(unfitted) == ["encoder"]
    head = sum(p.numel() for p in complete["head"].parameters())
    assert head == 2 * 32 + 32 * 16 + 16 + 16 * 13 + 13


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_named():
    with pytest.raises(
        DeviceError, match=r"system\.prior\.device or else inference\.device is cuda, but there"
    ):
        AudioMae(config(device="cuda"))


def test_only_a_random_head_needs_no_fit():
    assert AudioMae.needs_fit_with(config())
    assert not AudioMae.needs_fit_with(config(head="random"))


def test_everything_random_is_named_loudly():
    both = AudioMae(config(head="random")).notes()
    assert [note[:24] for note in both] == ["THE ENCODER IS RANDOM, n", "THE HEAD IS RANDOM, clas"]
    assert AudioMae(config()).notes() == both[:1]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"encoder_heads": 5}, "encoder_width = 32 is no multiple of encoder_heads = 5"),
        ({"window_s": 1.95}, "window_s = 1.95 is no multiple of the label frame"),
        ({"pad_to_frames": 192}, "pad_to_frames = 192 is shorter than a window.*198 frames"),
        ({"pad_to_frames": 200}, "multiple of 16"),
    ],
)
def test_configs_that_cannot_work_are_refused(keys, says):
    with pytest.raises(ValidationError, match=says):
        config(**keys)
