import math

import numpy as np
import pydantic
import pytest
import torch

from sai_bench.errors import AudioError
from sai_bench_builtin.configs.front_end import StftLogMagnitudePhaseConfig
from sai_bench_builtin.front_ends.centred_stft import centred_stft
from sai_bench_builtin.front_ends.stft_log_magnitude_phase import StftLogMagnitudePhase

AT_24_KHZ = {"sample_rate_hz": 24000, "n_fft": 1024, "hop_samples": 240, "pad_bins_to": 1024}
SMALL = {"sample_rate_hz": 8000, "n_fft": 256, "hop_samples": 80, "microphones": 3}


def features_of(waveform, **keys):
    return StftLogMagnitudePhase(StftLogMagnitudePhaseConfig(**keys))(torch.as_tensor(waveform))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def band_limited_noise(samples, sample_rate_hz, below_hz, seed=0):
    """Four channels of noise with nothing at or above `below_hz` (brick wall over twice the length)."""
    spectrum = np.fft.rfft(0.1 * noise(4, 2 * samples, seed=seed))
    spectrum[:, int(below_hz / sample_rate_hz * 2 * samples) :] = 0
    return np.fft.irfft(spectrum)[:, :samples]


def windowed_dft(waveform, centre, n_fft):
    """The transform of the n_fft samples around `centre` of [..., S], zeros outside, written out."""
    padded = np.pad(waveform.astype(float), [(0, 0)] * (waveform.ndim - 1) + [(n_fft, n_fft)])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    start = n_fft + centre - n_fft // 2
    return np.fft.rfft(padded[..., start : start + n_fft] * window)


@pytest.mark.parametrize("keys", [{}, AT_24_KHZ])
def test_two_seconds_of_four_microphones_have_the_reports_shape(keys):
    config = StftLogMagnitudePhaseConfig(**keys)
    features = StftLogMagnitudePhase(config)(torch.zeros(2, 4, 2 * config.sample_rate_hz))

    assert features.shape == (2, 12, 202, 1024)
    promised = config.output()
    assert (promised.representation, promised.channels, promised.bins) == ("log_magnitude_phase", 12, 1024)
    assert promised.hop_samples / promised.sample_rate_hz == 0.01
    assert promised.sample_rate_hz / promised.n_fft == 48000 / 2048
    assert promised.first_centre_samples == 0


def test_channels_are_log_magnitudes_sines_and_cosines_of_the_windowed_dft():
    waveform = noise(2, 3, 1000)
    features = features_of(waveform, **SMALL).numpy()

    assert features.shape == (2, 9, 14, 128)  # 1000 // 80 + 1 = 13 frames, the last one twice
    for frame in (0, 1, 6, 12):
        expected = windowed_dft(waveform, 80 * frame, 256)[..., :128]
        np.testing.assert_allclose(features[:, :3, frame], np.log(np.abs(expected)), atol=1e-9)
        np.testing.assert_allclose(features[:, 3:6, frame], np.sin(np.angle(expected)), atol=1e-9)
        np.testing.assert_allclose(features[:, 6:, frame], np.cos(np.angle(expected)), atol=1e-9)


@pytest.mark.parametrize(("multiple", "frames"), [(1, 13), (2, 14), (8, 16), (13, 13)])
def test_the_last_frame_is_repeated_up_to_a_multiple(multiple, frames):
    features = features_of(noise(1, 3, 1000), **SMALL, frame_multiple=multiple)
    bare = features_of(noise(1, 3, 1000), **SMALL, frame_multiple=1)

    assert features.shape[2] == frames
    torch.testing.assert_close(features[:, :, :13], bare, rtol=0, atol=0)
    for repeated in features[:, :, 13:].unbind(2):
        torch.testing.assert_close(repeated, bare[:, :, 12], rtol=0, atol=0)


def test_silence_reads_as_the_floor_with_phase_zero():
    waveform = torch.from_numpy(noise(1, 3, 1000)).float()
    waveform[:, 1] = 0
    features = features_of(waveform, **SMALL, magnitude_floor=1e-3)

    torch.testing.assert_close(features[:, 1], torch.full_like(features[:, 1], math.log(1e-3)))
    assert (features[:, 4] == 0).all()
    assert (features[:, 7] == 1).all()


@pytest.mark.parametrize("level", [1e-35, 1e-25, 1e-12, 1.0, 1e12])
def test_phases_lie_on_the_unit_circle_at_any_level_and_nothing_overflows(level):
    waveform = torch.from_numpy(level * noise(1, 3, 1000)).float()
    features = features_of(waveform, **SMALL)

    assert features.isfinite().all()
    assert (features[:, :3] >= math.log(1e-5) - 1e-6).all()
    squares = features[:, 3:6] ** 2 + features[:, 6:] ** 2
    torch.testing.assert_close(squares, torch.ones_like(squares), rtol=0, atol=1e-5)


def test_bins_below_the_phase_floor_have_no_phase():
    waveform = noise(1, 3, 1000)
    bare = features_of(waveform, **SMALL)
    floored = features_of(waveform, **SMALL, phase_floor=5.0)
    silent = bare[:, :3].exp() <= 5

    assert 0.05 < silent.double().mean() < 0.95
    assert (floored[:, 3:6][silent] == 0).all()
    assert (floored[:, 6:][silent] == 1).all()
    torch.testing.assert_close(floored[:, 3:6][~silent], bare[:, 3:6][~silent], rtol=0, atol=0)
    torch.testing.assert_close(floored[:, :3], bare[:, :3], rtol=0, atol=0)


def test_the_24_khz_spectrum_is_the_48_khz_one_plus_its_alias_for_any_waveform():
    waveform = torch.from_numpy(noise(1, 4, 9600))
    full = centred_stft(waveform, StftLogMagnitudePhaseConfig(), 4)
    half = centred_stft(waveform[..., ::2], StftLogMagnitudePhaseConfig(**AT_24_KHZ), 4)

    alias = full[..., 513:].flip(-1).conj()  # bins 1023 ... 513, which fall on 1 ... 511
    torch.testing.assert_close(half[..., 1:512], full[..., 1:512] + alias, rtol=0, atol=1e-10)


def test_the_24_khz_form_equals_the_48_khz_form_of_a_band_limited_waveform():
    waveform = band_limited_noise(24000, 48000, below_hz=10000)
    floors = {"magnitude_floor": 1e-3, "phase_floor": 1e-3}
    full = features_of(waveform[None], **floors).numpy()
    half = features_of(waveform[None, :, ::2], **floors, **AT_24_KHZ).numpy()

    # Frames whose windows lie within the waveform: where one is cut off, a click fills all frequencies.
    inside = slice(3, -4)
    assert (full[:, :4, inside, :420] > math.log(1e-3)).all()
    np.testing.assert_allclose(half[:, :4, inside], full[:, :4, inside], atol=2e-3)
    np.testing.assert_allclose(half[:, 4:, inside], full[:, 4:, inside], atol=2e-3)
    # In the waveform's own band nothing but the window's leakage differs.
    np.testing.assert_allclose(half[..., inside, :400], full[..., inside, :400], atol=5e-5)


def test_the_upper_half_of_the_24_khz_form_is_silence():
    features = features_of(noise(1, 4, 4800), **AT_24_KHZ)

    assert (features[:, :4, :, 512:] == math.log(1e-5)).all()
    assert (features[:, 4:8, :, 512:] == 0).all()
    assert (features[:, 8:, :, 512:] == 1).all()
    unpadded = features_of(noise(1, 4, 4800), **{**AT_24_KHZ, "pad_bins_to": None})
    assert unpadded.shape[3] == 512
    torch.testing.assert_close(features[:, :4, :, :512], unpadded[:, :4] + math.log(2), rtol=0, atol=1e-9)


def test_reflected_edges_mirror_the_waveform_and_lose_the_phase_there():
    waveform = noise(1, 3, 1000)
    features = features_of(waveform, **SMALL, edges="reflect").numpy()

    mirrored = np.pad(waveform, ((0, 0), (0, 0), (128, 128)), mode="reflect")
    for frame in (0, 1, 6, 12):
        expected = np.abs(windowed_dft(mirrored, 128 + 80 * frame, 256)[..., :128])
        np.testing.assert_allclose(features[:, :3, frame], np.log(expected), atol=1e-8)
    assert np.abs(features[:, 3:6, 0]).max() < 1e-9
    assert np.abs(features[:, 3:6, 3]).max() > 0.9


@pytest.mark.parametrize("samples", [1, 79, 80, 255])
def test_segments_shorter_than_the_window_are_accepted(samples):
    features = features_of(torch.ones(1, 3, samples), **SMALL, frame_multiple=1)
    assert features.shape == (1, 9, samples // 80 + 1, 128)
    assert features.isfinite().all()


def test_a_segment_too_short_to_reflect_is_named():
    with pytest.raises(AudioError, match=r"128 samples, too few to reflect.*more than n_fft / 2 = 128"):
        features_of(torch.ones(1, 3, 128), **SMALL, edges="reflect")


def test_another_number_of_microphones_is_named_with_what_to_set():
    with pytest.raises(AudioError, match=r"hears 32 microphones, expected 4.*front_end\.microphones"):
        features_of(torch.zeros(1, 32, 4800))


def test_bfloat16_waveforms_give_bfloat16_features_computed_in_float32():
    waveform = torch.from_numpy(noise(1, 3, 1000)).bfloat16()
    features = features_of(waveform, **SMALL)

    assert features.dtype == torch.bfloat16
    torch.testing.assert_close(features, features_of(waveform.float(), **SMALL).bfloat16(), rtol=0, atol=0)


def test_autocast_changes_nothing():
    waveform = torch.from_numpy(noise(1, 3, 1000)).float()
    expected = features_of(waveform, **SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(features_of(waveform, **SMALL), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"hop_samples": 450}, r"4800 samples; choose a divisor such as 480\b"),
        ({"n_fft": 256}, "skips samples"),
        ({"n_fft": 2049}, "multiple of 2"),
        ({"pad_bins_to": 1000}, "pad_bins_to = 1000 is less than the 1024 bins"),
        ({"magnitude_floor": 0}, "greater than 0"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(keys, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        StftLogMagnitudePhaseConfig(**keys)
