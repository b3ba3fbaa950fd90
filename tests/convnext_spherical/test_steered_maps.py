"""Steered maps beside the learned attention: the formula, plane waves, and what they leave alone."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch

from sai_bench.description import describe
from sai_bench.errors import AudioError, WiringError
from sai_bench.interfaces import FeatureSpec
from sai_bench.spec import load_spec
from sai_bench.sphere import (
    ArrayGeometry,
    angle_between_deg,
    em32_array,
    grid_directions,
    mic_array,
    unit_vectors,
)
from sai_bench_builtin.backbones.convnext_spherical.backbone import ConvNextSpherical
from sai_bench_builtin.backbones.convnext_spherical.steered_maps import SteeredMaps
from sai_bench_builtin.backbones.steering import steering_vectors
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig
from sai_bench_builtin.configs.front_end import (
    StftConfig,
    StftLogMagnitudePhaseConfig,
    StftPhaseDifferenceConfig,
)
from sai_bench_builtin.front_ends.stft_log_magnitude_phase import StftLogMagnitudePhase

TINY_STEERED = Path(__file__).parents[2] / "specs" / "tiny_steered_rooms13.yaml"
RATE_HZ = 24000


def built(keys, features, bands=3, seed=0):
    torch.manual_seed(seed)
    return ConvNextSpherical(ConvNextSphericalConfig(**keys, steered_bands=bands), features).eval()


def random_features(frames=44, batch=1, seed=5):
    """Log magnitudes, sines and cosines [B, 12, T, 64] of random phases."""
    generator = torch.Generator().manual_seed(seed)
    levels, phases = torch.randn(2, batch, 4, frames, 64, generator=generator)
    return torch.cat([levels, phases.mul(4).sin(), phases.mul(4).cos()], dim=1)


def front_end():
    return StftLogMagnitudePhase(
        StftLogMagnitudePhaseConfig(sample_rate_hz=RATE_HZ, n_fft=512, hop_samples=240)
    )


def maps_of(waveform, array, bands=4):
    """Return maps [N, h, w, bands] of 18 x 36 cells with encoder frames of 20 ms."""
    config = ConvNextSphericalConfig(grid_height=18, grid_width=36, steered_bands=bands)
    features = front_end().config.output()
    maps = SteeredMaps(config, features, config.output(features))
    return (
        maps(front_end()(torch.from_numpy(waveform).float()[None]), array)[0].unflatten(1, (18, 36)).numpy()
    )


def plane_wave(array, azimuth, elevation, begin_s, end_s, length_s=1.0):
    """Return what the capsules hear [M, S]: white noise from far away, begin to end, and their own noise."""
    rng = np.random.default_rng(0)
    samples = round(length_s * RATE_HZ)
    source = rng.standard_normal(samples)
    source[: round(begin_s * RATE_HZ)] = source[round(end_s * RATE_HZ) :] = 0
    frequencies_hz = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    if array.baffle == "rigid":
        response = steering_vectors(array, unit_vectors([azimuth], [elevation]), frequencies_hz)[:, :, 0].T
    else:
        lead_s = array.positions_m @ unit_vectors(azimuth, elevation) / 343
        response = np.exp(2j * np.pi * lead_s[:, None] * frequencies_hz)
    own_noise = 0.01 * rng.standard_normal((array.microphones, samples))
    return np.fft.irfft(np.fft.rfft(source) * response, samples) + own_noise


def peak_direction(power_map):
    azimuth, elevation = grid_directions(*power_map.shape)
    row, column = np.unravel_index(int(power_map.argmax()), power_map.shape)
    return azimuth[column], elevation[row]


# ---------------------------------------------------------------------------------------------------------- #
# The maps


def test_maps_are_the_mean_that_the_docstring_states(tiny_keys, tiny_features):
    array, features = mic_array("open"), random_features()
    backbone = built({**tiny_keys, "steered_min_hz": 500, "steered_max_hz": 3000}, tiny_features)
    maps = backbone.steered.maps(features, array)[0].unflatten(1, (4, 8)).numpy()
    assert maps.shape == (3, 4, 8, 3)

    phases = np.exp(1j * np.arctan2(*features[0, 4:].numpy().reshape(2, 4, 44, 64)))  # [M, T, F]
    frequencies_hz = np.arange(64) * 8000 / 128
    edges_hz = 700 * (np.logspace(np.log10(1 + 500 / 700), np.log10(1 + 3000 / 700), 4) - 1)
    azimuth, elevation = grid_directions(4, 8)
    for (frame, times), (row, column), band in itertools.product(
        # Five encoder frames of four STFT frames each; the encoder frame at n/10 s is in the middle.
        enumerate([range(12), range(12, 32), range(32, 44)]),
        [(0, 0), (1, 5), (3, 7)],
        range(3),
    ):
        in_band = (frequencies_hz >= edges_hz[band] - 1e-9) & (frequencies_hz < edges_hz[band + 1])
        bins = np.flatnonzero(in_band | ((band == 2) & (frequencies_hz == 3000)))
        direction = unit_vectors(azimuth[column], elevation[row])
        agreements = []
        for (i, j), t, f in itertools.product(itertools.combinations(range(4), 2), times, bins):
            lead_s = (array.positions_m[i] - array.positions_m[j]) @ direction / 343
            expected = np.exp(2j * np.pi * frequencies_hz[f] * lead_s)
            agreements.append((phases[i, t, f] * phases[j, t, f].conj() * expected.conj()).real)
        assert maps[frame, row, column, band] == pytest.approx(np.mean(agreements), abs=1e-5)


@pytest.mark.parametrize("array", [mic_array("open"), mic_array("rigid")], ids=lambda array: array.baffle)
@pytest.mark.parametrize("direction", [(0, 0), (179, 10), (-90, 45), (60, -60)])
def test_a_plane_wave_peaks_where_it_comes_from_in_its_label_frames(array, direction):
    maps = maps_of(plane_wave(array, *direction, begin_s=0.35, end_s=0.65), array)

    power = maps.mean(3)
    for frame in (4, 5, 6):  # centred on 0.4, 0.5 and 0.6 s
        assert angle_between_deg(*peak_direction(power[frame]), *direction) < 10  # a cell is 10 degrees wide
        assert power[frame].max() > 0.8
    for band in range(1, 4):  # the lowest band's maps are too smooth for one cell
        assert angle_between_deg(*peak_direction(maps[5, :, :, band]), *direction) < 15
    assert np.abs(power[[0, 1, 8, 9]]).max() < 0.2
    assert np.abs(maps).max() <= 1 + 1e-5


def test_two_sources_in_turn_are_each_seen_in_their_own_label_frames():
    array, places = mic_array("open"), [(90, 0), (-45, 30)]
    one, two = (
        plane_wave(array, *place, *times) for place, times in zip(places, [(0, 0.5), (0.5, 1)], strict=True)
    )

    power = maps_of(one + two, array).mean(3)

    for frame in (1, 2, 3, 4, 6, 7, 8, 9):
        assert angle_between_deg(*peak_direction(power[frame]), *places[frame > 5]) < 10


def test_a_band_hears_only_its_own_frequencies():
    array, samples = mic_array("open"), RATE_HZ
    low, high = (np.fft.rfft(plane_wave(array, *place, 0, 1)) for place in [(90, 0), (-45, 30)])
    below = np.fft.rfftfreq(samples, 1 / RATE_HZ) < 2600

    maps = maps_of(np.fft.irfft(np.where(below, low, high), samples), array, bands=6)

    # Bands of equal width on the mel scale end at about 770, 1400, 2240, 3380, 5000 and 9000 Hz.
    assert angle_between_deg(*peak_direction(maps[5, :, :, 2]), 90, 0) < 15
    assert angle_between_deg(*peak_direction(maps[5, :, :, 4]), -45, 30) < 15
    assert angle_between_deg(*peak_direction(maps[5, :, :, 5]), -45, 30) < 15


@pytest.mark.parametrize("stride", [1, 2, 4, 5])
def test_the_stft_frames_of_a_map_are_those_that_the_learned_attention_averages(
    stride, tiny_keys, tiny_features
):
    keys = {**tiny_keys, "stem_kernel": (stride, 4), "stem_stride": (stride, 4), "depthwise_kernel": 1}
    backbone = built({**keys, "feed_forward_width": 0}, tiny_features)
    silence = torch.zeros(1, 12, 47, 64)
    silence[:, 8:] = 1
    for frame in range(47):
        click = silence.clone()
        click[:, :, frame] = random_features()[:, :, 0]
        with torch.inference_mode():
            maps = backbone.steered.maps(click, mic_array())[0]
            queries, stages = (
                backbone.queries().flatten(0, 1),
                [backbone.encoder(x)[1] for x in (silence, click)],
            )
            before, after = (
                backbone.attentions[0](queries, stage, backbone.frames_per_map[0])[0] for stage in stages
            )

        assert maps.shape[0] == after.shape[0]
        assert torch.equal(maps.abs().amax((1, 2)) > 0, (after - before).abs().amax((1, 2)) > 0)


def test_silence_adds_nothing(tiny_keys):
    features = front_end().config.output()
    backbone = built({**tiny_keys, "stem_kernel": (2, 4), "stem_stride": (2, 4)}, features)

    with torch.inference_mode():
        added = backbone.steered(front_end()(torch.zeros(1, 4, 12000)), mic_array())

    assert added.shape == (1, 6, 32, 6)
    assert not added.any()


def test_bins_above_half_the_sample_rate_do_not_count():
    padded = FeatureSpec("log_magnitude_phase", 8000, n_fft=128, hop_samples=40, bins=128, channels=12)

    bands = ConvNextSphericalConfig(steered_bands=4, steered_min_hz=0).steered_bins(padded)

    assert [bands[0].start, bands[-1].stop] == [1, 64]
    assert all(one.stop == two.start for one, two in itertools.pairwise(bands))


def test_the_array_of_the_call_decides(tiny_keys, tiny_features):
    backbone, features = built(tiny_keys, tiny_features), random_features()
    order = [2, 0, 3, 1]
    swapped = features.unflatten(1, (3, 4))[:, :, order].flatten(1, 2)
    array = ArrayGeometry("mic", mic_array("open").positions_m[order], "open")
    maps = backbone.steered.maps

    torch.testing.assert_close(maps(swapped, array), maps(features, mic_array("open")))
    assert not torch.allclose(maps(features, array), maps(features, mic_array("open")), atol=1e-3)
    assert not torch.allclose(
        maps(features, mic_array("rigid")), maps(features, mic_array("open")), atol=1e-3
    )


def test_an_array_of_many_microphones_works(tiny_keys, tiny_features):
    backbone = built(tiny_keys, dataclasses.replace(tiny_features, channels=96))

    with torch.inference_mode():
        assert backbone(torch.randn(1, 96, 44, 64), em32_array()).shape == (1, 3, 6, 4, 8)


# ---------------------------------------------------------------------------------------------------------- #
# What they are added to


def test_without_bands_nothing_changes(tiny_keys, tiny_features):
    with_maps, without = (built(tiny_keys, tiny_features, bands) for bands in (3, 0))
    plain = ConvNextSpherical(ConvNextSphericalConfig(**tiny_keys), tiny_features)
    weights, steered_weights = without.state_dict(), with_maps.state_dict()

    assert plain.state_dict().keys() == weights.keys()
    assert steered_weights.keys() - weights.keys() == {"steered.gain", "steered.mix.weight"}
    assert all(torch.equal(weights[name], steered_weights[name]) for name in weights)
    assert "steered maps" not in without.landmarks
    with torch.inference_mode():
        with_maps.steered.mix.weight.zero_()
        outputs = [backbone(random_features(), mic_array()) for backbone in (with_maps, without)]
        assert torch.equal(*outputs)
        assert torch.equal(without(random_features()), outputs[0])  # no array, as ever


def test_the_embedding_gets_a_linear_map_of_the_maps(tiny_keys, tiny_features):
    with_maps, without = (built(tiny_keys, tiny_features, bands) for bands in (3, 0))
    features = random_features(batch=2)

    with torch.inference_mode():
        change = with_maps(features, mic_array()) - without(features, mic_array())
        maps = with_maps.steered.maps(features, mic_array())

    assert with_maps.steered.gain.tolist() == [4, 4, 4]
    weight = with_maps.steered.mix.weight.detach().numpy()
    expected = np.einsum("bngk,dk->bndg", 4 * maps.numpy(), weight)
    np.testing.assert_allclose(change.flatten(3).numpy(), expected, atol=1e-5)


def test_every_weight_learns_also_after_inference(tiny_keys, tiny_features):
    backbone, features = built(tiny_keys, tiny_features), random_features()
    with torch.inference_mode():
        backbone(features, mic_array())

    backbone.train()(features, mic_array()).square().mean().backward()

    silent = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


@pytest.mark.parametrize("by", ["weights", "autocast"])
def test_bf16_stays_near_fp32(by, tiny_keys, tiny_features):
    backbone, features = built(tiny_keys, tiny_features), random_features()
    with torch.inference_mode():
        exact = backbone(features, mic_array())
        if by == "weights":
            found = backbone.bfloat16()(features, mic_array())
            assert found.dtype == torch.bfloat16
        else:
            with torch.autocast("cpu", torch.bfloat16):
                found = backbone(features, mic_array())
                assert backbone.steered.maps(features, mic_array()).dtype == torch.float32

    assert float((found.float() - exact).norm() / exact.norm()) < 0.03


def test_strides_that_differ_between_stages_and_odd_lengths_work(tiny_keys, tiny_features):
    keys = {
        "stem_kernel": (3, 7),
        "stem_stride": (1, 4),
        "downsampling_strides": ((2, 2), (1, 2), (2, 2)),
    }
    for more, frames in itertools.product([keys, {**keys, "stem_kernel": (2, 4)}], [7, 40, 41, 43, 61]):
        with_maps, without = (built({**tiny_keys, **more}, tiny_features, bands) for bands in (2, 0))
        with torch.inference_mode():
            found, plain = (one(random_features(frames), mic_array()) for one in (with_maps, without))
        assert found.shape == plain.shape
        assert found.isfinite().all()


def test_an_encoder_frame_of_nothing_but_padding_has_empty_maps(tiny_keys, tiny_features):
    keys = {**tiny_keys, "stem_kernel": (2, 4), "stem_stride": (1, 4)}
    backbone = built(keys, dataclasses.replace(tiny_features, hop_samples=800))  # one hop per label frame

    with torch.inference_mode():
        maps = backbone.steered.maps(random_features(6), mic_array())

    assert maps.shape[1] == 7
    assert (maps[:, :6] != 0).all()
    assert not maps[:, 6].any()


def test_the_shipped_spec_differs_in_one_key_and_describes_its_maps():
    tiny, steered = (
        load_spec(TINY_STEERED.with_name(name)) for name in ("tiny_rooms13.yaml", TINY_STEERED.name)
    )
    config = steered.system.backbone.config

    assert config.steered_bands == 8
    assert config.model_copy(update={"steered_bands": 0}) == tiny.system.backbone.config
    assert [stage.settings for stage in steered.training] == [stage.settings for stage in tiny.training]

    backbone = describe(steered).parts[1]
    (shape,) = [shape for shape in backbone.shapes if shape.what == "steered maps"]
    assert shape.axes == "B N hw bands"
    assert shape.lengths[2:] == (18 * 36, 8)
    assert backbone.details["steered"]["parameters"] == 8 + 8 * 16


# ---------------------------------------------------------------------------------------------------------- #
# What they refuse


@pytest.mark.parametrize(
    ("front_end_config", "message"),
    [
        (
            StftPhaseDifferenceConfig(),
            "phase of each microphone.*'phase_difference'.*or set steered_bands to 0",
        ),
        (StftConfig(), "needs real features"),
        (StftLogMagnitudePhaseConfig(microphones=1), "at least 2 microphones, got features of 3 channels"),
        (
            StftLogMagnitudePhaseConfig(n_fft=480, hop_samples=480),
            "not every one of 8 steered bands in 300 ... 1000 Hz holds.*100 Hz apart. Lower steered_bands",
        ),
    ],
)
def test_wiring_refuses_features_that_cannot_be_steered(front_end_config, message):
    keys = {"steered_bands": 8, "steered_max_hz": 1000}
    with pytest.raises(WiringError, match=message):
        ConvNextSphericalConfig(**keys).output(front_end_config.output())


def test_wiring_refuses_a_band_above_half_the_sample_rate(tiny_features):
    with pytest.raises(WiringError, match=r"in 5000 ... 4000 Hz holds a frequency bin"):
        ConvNextSphericalConfig(steered_bands=1, steered_min_hz=5000).output(tiny_features)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"steered_min_hz": 9000}, "steered_min_hz = 9000 is not below steered_max_hz = 9000"),
        ({"steered_bands": -1}, "steered_bands"),
        ({"steered_gain": 0}, "steered_gain"),
    ],
)
def test_config_refuses_keys_that_make_no_sense(keys, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        ConvNextSphericalConfig(**keys)


def test_a_call_without_a_fitting_array_is_refused(tiny_keys, tiny_features):
    backbone = built(tiny_keys, tiny_features)
    ambisonic = ArrayGeometry("foa", np.zeros((4, 3)), "ambisonic")

    with pytest.raises(
        ValueError, match="steered_bands needs the array geometry: call it with `array`, the 4"
    ):
        backbone(random_features())
    with pytest.raises(ValueError, match="features of 4 microphones, array 'em32' of 32"):
        backbone(random_features(), em32_array())
    with pytest.raises(AudioError, match=r"'foa' has ambisonic channels.*steered_bands to 0"):
        backbone(random_features(), ambisonic)
