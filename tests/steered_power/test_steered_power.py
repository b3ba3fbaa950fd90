from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pydantic
import pyroomacoustics
import pytest
import torch

from sai_bench.errors import WiringError
from sai_bench.interfaces import FeatureSpec
from sai_bench.sphere import (
    MIC_CAPSULES_BY_YAW_DEG,
    angle_between_deg,
    em32_array,
    grid_directions,
    mic_array,
    unit_vectors,
)
from sai_bench_builtin.backbones.steered_power import SteeredPower
from sai_bench_builtin.backbones.steering import steering_vectors
from sai_bench_builtin.configs.backbone import SteeredPowerConfig
from sai_bench_builtin.configs.front_end import StftConfig
from sai_bench_builtin.front_ends.stft import Stft

FEATURES = FeatureSpec("complex_spectrum", sample_rate_hz=24000, n_fft=512, hop_samples=480, bins=257)
FREQUENCIES_HZ = np.arange(257) * 24000 / 512
DIRECTIONS = {
    "front": (0, 0),
    "left": (90, 0),
    "up": (0, 80),
    "behind": (180, 0),
    "seam, left of it": (179, 10),
    "seam, right of it": (-179, 10),
    "down right": (-50, -35),
}


def plane_wave(array, azimuth, elevation, frames=5, seed=0):
    """Spectra [M, T, F] of white noise from far away, by delays of e^{i k r.d} in the open."""
    rng = np.random.default_rng(seed)
    source = rng.standard_normal((frames, 257)) + 1j * rng.standard_normal((frames, 257))
    if array.baffle == "rigid":
        transfer = steering_vectors(array, unit_vectors([azimuth], [elevation]), FREQUENCIES_HZ)[:, :, 0].T
    else:
        lead_s = array.positions_m @ unit_vectors(azimuth, elevation) / 343
        transfer = np.exp(2j * np.pi * lead_s[:, None] * FREQUENCIES_HZ)
    return source * transfer[:, None]


def spectra_of(*arrays):
    return torch.from_numpy(np.stack(arrays)).to(torch.complex64)


@pytest.fixture(scope="module")
def backbone():
    return SteeredPower(SteeredPowerConfig(), FEATURES)


def peak(power_map):
    row, column = np.unravel_index(int(power_map.argmax()), power_map.shape)
    azimuth, elevation = grid_directions(*power_map.shape)
    return azimuth[column], elevation[row]


@pytest.mark.parametrize("where", DIRECTIONS)
@pytest.mark.parametrize("baffle", ["open", "rigid"])
def test_map_peaks_within_one_cell_of_a_plane_wave(where, baffle, backbone):
    array = mic_array(baffle)

    power = backbone(spectra_of(plane_wave(array, *DIRECTIONS[where])), array)

    assert power.shape == (1, 1, 1, 36, 72)
    # A cell is 5 x 5 degrees: its corner lies 3.6 degrees from its centre.
    assert angle_between_deg(*peak(power[0, 0, 0]), *DIRECTIONS[where]) < 3.6


@pytest.mark.parametrize("baffle", ["open", "rigid"])
def test_power_is_one_towards_a_lone_wave_and_near_zero_for_independent_noise(baffle, backbone):
    array = mic_array(baffle)
    azimuth, elevation = grid_directions(36, 72)
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((4, 200, 257)) + 1j * rng.standard_normal((4, 200, 257))

    wave = backbone(spectra_of(plane_wave(array, azimuth[20], elevation[9])), array)
    quiet = backbone(spectra_of(noise), array)

    assert float(wave[0, 0, 0, 9, 20]) == pytest.approx(1, abs=1e-5)
    assert wave.max() <= 1
    assert wave.min() >= -1 / 3 - 1e-5
    assert quiet.abs().max() < 0.08
    assert abs(float(quiet.mean())) < 0.005


@pytest.mark.parametrize("array", [mic_array("rigid"), em32_array("open").subset("five", (1, 7, 13, 21, 32))])
@pytest.mark.parametrize("many_microphones", [False, True])
def test_equals_the_double_loop_over_pairs(array, many_microphones, monkeypatch):
    if many_microphones:  # forces the path that 32 microphones take
        monkeypatch.setattr("sai_bench_builtin.backbones.steered_power._TABLE_BYTES", 0)
        monkeypatch.setattr("sai_bench_builtin.backbones.steered_power._BEAM_BYTES", 10_000)
    config = SteeredPowerConfig(
        grid_height=6, grid_width=12, min_hz=500, max_hz=1500, onset_memory_s=0, smoothing_frames=0
    )
    rng = np.random.default_rng(2)
    shape = (2, array.microphones, 12, 257)
    spectra = torch.from_numpy(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))

    power = SteeredPower(config, FEATURES)(spectra.to(torch.complex64), array)

    assert power.shape == (2, 3, 1, 6, 12)
    azimuth, elevation = grid_directions(6, 12)
    for b, n, i, j in [(0, 0, 0, 0), (0, 1, 3, 7), (1, 2, 5, 11), (1, 0, 2, 4)]:
        direction = unit_vectors([azimuth[j]], [elevation[i]])
        expected = _double_loop(spectra[b, :, 5 * n : 5 * n + 5].numpy(), array, direction, config)
        assert float(power[b, n, 0, i, j]) == pytest.approx(expected, abs=1e-5)


def _double_loop(spectra, array, direction, config):
    """The formula of the class docstring for one label frame and direction, spectra [M, T, F]."""
    bins = [f for f in range(257) if config.min_hz <= FREQUENCIES_HZ[f] <= config.max_hz]
    steering = steering_vectors(array, direction, FREQUENCIES_HZ)[:, :, 0]
    total = weights = 0.0
    for t in range(spectra.shape[1]):
        for f in bins:
            weight = np.mean(np.abs(spectra[:, t, f])) ** config.magnitude_exponent
            weights += weight
            for i, j in combinations(range(len(spectra)), 2):
                measured = spectra[i, t, f] * np.conj(spectra[j, t, f])
                modelled = steering[f, i] * np.conj(steering[f, j])
                total += weight * np.cos(np.angle(measured) - np.angle(modelled))
    return total / weights / (len(spectra) * (len(spectra) - 1) / 2)


def test_agrees_with_pyroomacoustics_srp_phat():
    array = mic_array("open")
    waves = plane_wave(array, 31, -22) + 0.7 * plane_wave(array, -110, 40, seed=1)
    config = SteeredPowerConfig(
        grid_height=18, grid_width=36, magnitude_exponent=0, onset_memory_s=0, smoothing_frames=0
    )
    azimuth, elevation = grid_directions(18, 36)
    reference = pyroomacoustics.doa.SRP(
        array.positions_m.T,
        fs=24000,
        nfft=512,
        dim=3,
        azimuth=np.radians(azimuth),
        colatitude=np.radians(90 - elevation),
    )
    reference.locate_sources(waves.transpose(0, 2, 1), freq_bins=config.bins(FEATURES))

    power = SteeredPower(config, FEATURES)(spectra_of(waves), array)[0, 0, 0].numpy()

    # Its grid is azimuth ascending within colatitude ascending, its value offset and scaled.
    expected = reference.grid.values.reshape(18, 36)[:, ::-1]
    assert np.corrcoef(power.ravel(), expected.ravel())[0, 1] > 0.9999
    assert power.argmax() == expected.argmax()


@pytest.mark.parametrize("yaw_deg", [90, 180, 270])
def test_capsules_turned_by_a_yaw_shift_the_map_by_it(yaw_deg, backbone):
    em32 = em32_array("rigid")
    turned = em32.subset("turned", MIC_CAPSULES_BY_YAW_DEG[yaw_deg])
    source = (40, 25)

    # The turned capsules hear the source; the map is drawn as if they stood where the MIC capsules stand.
    power = backbone(spectra_of(plane_wave(turned, *source)), mic_array("rigid"))

    # The capsule table is in whole degrees, so the turned set is not exactly congruent.
    assert angle_between_deg(*peak(power[0, 0, 0]), source[0] - yaw_deg, source[1]) < 5


def test_two_waves_give_two_peaks():
    array = em32_array("open")
    waves = plane_wave(array, 60, 0) + plane_wave(array, -60, 20, seed=1)
    config = SteeredPowerConfig(grid_height=18, grid_width=36, max_hz=4000)

    power = SteeredPower(config, FEATURES)(spectra_of(waves), array)[0, 0, 0]

    left, right = power[:, :18].clone(), power[:, 18:].clone()
    azimuth, elevation = grid_directions(18, 36)
    for half, offset, source in ((left, 0, (60, 0)), (right, 18, (-60, 20))):
        row, column = np.unravel_index(int(half.argmax()), half.shape)
        assert angle_between_deg(azimuth[column + offset], elevation[row], *source) < 8
        assert half.max() > power.mean() + 0.2


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-12])
def test_silence_and_very_quiet_sound_give_no_nan(level, backbone):
    array = mic_array()
    spectra = spectra_of(plane_wave(array, 0, 0)) * level
    power = backbone(spectra, array)

    assert torch.isfinite(power).all()
    assert float(power.max()) == pytest.approx(0 if level == 0 else 1, abs=0.05)


def test_one_silent_microphone_leaves_the_pairs_of_the_others(backbone):
    array = em32_array("open").subset("six", (1, 7, 13, 21, 25, 32))
    waves = plane_wave(array, 90, 0)
    waves[2] = 0

    power = backbone(spectra_of(waves), array)[0, 0, 0]

    assert angle_between_deg(*peak(power), 90, 0) < 3.6
    assert 0.6 < float(power.max()) <= 10 / 15 + 1e-5


def test_frames_hold_the_stft_frames_whose_centre_lies_in_them():
    array = mic_array("open")
    spectra = np.zeros((4, 11, 257), dtype=complex)
    spectra[:, 5:10] = plane_wave(array, 45, 0)  # samples 2400 ... 4320: label frame 1 of 0.1 s
    config = SteeredPowerConfig(smoothing_frames=0)

    power = SteeredPower(config, FEATURES)(spectra_of(spectra), array)[0, :, 0]

    assert [float(p.abs().max()) > 0.5 for p in power] == [False, True, False]


def test_smoothing_weights_fall_linearly_and_sum_to_one():
    array = mic_array("open")
    spectra = np.zeros((4, 45, 257), dtype=complex)
    spectra[:, 20:25] = plane_wave(array, 45, 0)  # label frame 4 of 9
    sharp = SteeredPower(SteeredPowerConfig(smoothing_frames=0), FEATURES)(spectra_of(spectra), array)
    smooth = SteeredPower(SteeredPowerConfig(smoothing_frames=2), FEATURES)(spectra_of(spectra), array)

    expected = np.array([0, 0, 1, 2, 3, 2, 1, 0, 0]) / 9
    shares = (smooth[0].amax((1, 2, 3)) / sharp[0, 4].max()).numpy()
    np.testing.assert_allclose(shares, expected, atol=1e-5)


def test_smoothing_leaves_a_moving_source_in_place(backbone):
    array = mic_array("open")
    azimuths = np.arange(9) * 4.0  # 40 degrees a second
    spectra = np.concatenate([plane_wave(array, a, 0, seed=int(a)) for a in azimuths], axis=1)

    power = backbone(spectra_of(spectra), array)

    assert angle_between_deg(*peak(power[0, 4, 0]), azimuths[4], 0) < 3.6


def test_onset_weights_find_the_source_through_a_louder_echo():
    array = mic_array("open")
    rng = np.random.default_rng(3)
    waves = plane_wave(array, 30, 0, frames=25)
    echo = plane_wave(array, -120, 0, frames=25, seed=4)
    # The source strikes once, its echo rings on and dies away over the label frame.
    direct_level = np.where(np.arange(25) == 10, 1.0, 0.0)
    echo_level = np.where(np.arange(25) >= 11, 0.9 ** (np.arange(25) - 10.0), 0.0)
    noise = 1e-3 * rng.standard_normal(waves.shape)
    spectra = waves * direct_level[:, None] + echo * echo_level[:, None] + noise

    def first_peak(onset_memory_s):
        config = SteeredPowerConfig(onset_memory_s=onset_memory_s, smoothing_frames=0)
        return peak(SteeredPower(config, FEATURES)(spectra_of(spectra), array)[0, 2, 0])

    assert angle_between_deg(*first_peak(0.0), -120, 0) < 8
    assert angle_between_deg(*first_peak(0.1), 30, 0) < 8


def test_32_microphones_localise():
    array = em32_array("rigid")
    config = SteeredPowerConfig(grid_height=18, grid_width=36)

    power = SteeredPower(config, FEATURES)(spectra_of(plane_wave(array, -100, 50)), array)

    assert angle_between_deg(*peak(power[0, 0, 0]), -100, 50) < 7.2


def test_32_microphones_stay_within_bounded_memory():
    # In a fresh process, because the memory that a process once used hides later needs.
    program = """
import resource, torch
from sai_bench.sphere import em32_array
from sai_bench_builtin.backbones.steered_power import SteeredPower
from sai_bench_builtin.configs.backbone import SteeredPowerConfig
from sai_bench_builtin.configs.front_end import StftConfig
torch.set_num_threads(1)
features = StftConfig().output()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
spectra = torch.randn(1, 32, 10, features.bins, dtype=torch.complex64)
SteeredPower(SteeredPowerConfig(), features)(spectra, em32_array())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    # The phase differences of 496 pairs, 286 bins and 2592 directions alone would take 2800 MiB.
    assert float(done.stdout) < 1000


def test_waveform_to_map_through_the_stft():
    array = mic_array("rigid")
    rng = np.random.default_rng(5)
    frequencies_hz = np.fft.rfftfreq(12000, 1 / 24000)
    transfer = steering_vectors(array, unit_vectors([120], [-30]), frequencies_hz)[:, :, 0]
    waveform = np.fft.irfft(np.fft.rfft(rng.standard_normal(12000))[:, None] * transfer, axis=0).T
    front_end = StftConfig()

    features = Stft(front_end)(torch.from_numpy(waveform).float()[None])
    power = SteeredPower(SteeredPowerConfig(), front_end.output())(features, array)

    assert power.shape[1] == 5
    for frame in power[0, :5, 0]:
        assert angle_between_deg(*peak(frame), 120, -30) < 5


def test_same_input_gives_the_same_bits_and_segments_do_not_mix(backbone):
    array = mic_array()
    a, b = plane_wave(array, 10, 0, 20), plane_wave(array, 80, 0, 20, seed=1)

    together = backbone(spectra_of(a, b), array)

    assert torch.equal(together, SteeredPower(SteeredPowerConfig(), FEATURES)(spectra_of(a, b), array))
    torch.testing.assert_close(together[1:], backbone(spectra_of(b), array), atol=1e-5, rtol=0)


def test_one_backbone_serves_several_arrays(backbone):
    for array in (mic_array("open"), mic_array("rigid"), mic_array("open")):
        power = backbone(spectra_of(plane_wave(array, -20, 15)), array)
        assert float(power.max()) > 0.95


def test_wrong_channel_count_is_refused():
    with pytest.raises(ValueError, match="4 channels, array 'em32' of 32"):
        SteeredPower(SteeredPowerConfig(), FEATURES)(
            torch.zeros(1, 4, 5, 257, dtype=torch.cfloat), em32_array()
        )


def test_config_rejects_grids_that_do_not_divide_the_image_and_empty_bands():
    for keys, message in (
        ({"grid_height": 40}, "grid_height = 40 does not divide 180"),
        ({"grid_width": 100}, "grid_width = 100 does not divide 360"),
        ({"min_hz": 5000, "max_hz": 4000}, "5000 is not below max_hz = 4000"),
    ):
        with pytest.raises(pydantic.ValidationError, match=message):
            SteeredPowerConfig(**keys)


def test_wiring_names_what_does_not_fit():
    config = SteeredPowerConfig()
    sphere = config.output(FEATURES)
    assert (sphere.representation, sphere.channels, sphere.height, sphere.width) == (
        "steered_power",
        1,
        36,
        72,
    )
    with pytest.raises(WiringError, match="'complex_spectrum', got 'log_magnitude'"):
        config.output(FeatureSpec("log_magnitude", 24000, 512, 480, 257))
    with pytest.raises(WiringError, match="whole hops"):
        config.output(FeatureSpec("complex_spectrum", 24000, 512, 500, 257))
    with pytest.raises(WiringError, match=r"no frequency bin lies in 300 \.\.\. 400 Hz"):
        SteeredPowerConfig(min_hz=300, max_hz=400).output(FeatureSpec("complex_spectrum", 24000, 32, 240, 17))


@pytest.mark.parametrize("frame", [3, 4, 5])
def test_a_short_burst_shows_in_its_own_label_frame(frame):
    array, front_end = mic_array("open"), StftConfig()
    config = SteeredPowerConfig(smoothing_frames=0, onset_memory_s=0)
    rng = np.random.default_rng(1)
    burst = np.zeros((4, 24000), dtype=np.float32)
    # 60 ms of the same noise in all capsules, in the middle of the label frame; faint noise elsewhere.
    start = frame * 2400 + 480
    burst[:, start : start + 1440] = rng.standard_normal(1440)
    burst += 1e-3 * rng.standard_normal(burst.shape).astype(np.float32)

    features = Stft(front_end)(torch.from_numpy(burst)[None])
    power = SteeredPower(config, front_end.output())(features, array)

    mean = power[0, :, 0].mean(dim=(1, 2)).numpy()
    assert mean.argmax() == frame
    others = np.delete(mean, frame)
    assert others.max() < 0.5 * mean[frame]
