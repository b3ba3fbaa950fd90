"""A source at a known direction: audio -> steered power -> JSON -> picture, all by the conventions.

The audio comes straight from pyroomacoustics, the expected column, row and place in the picture from the
formulas of the design, so that no mistake can cancel itself out.
"""

import json
import math

import matplotlib.image
import numpy as np
import pytest
import soundfile

from sai_bench.predictions import read_annotations
from sai_bench.results.pictures import recording_figure
from sai_bench.sphere import array_for_channels

SPEC = """\
name: directions
system:
  front_end: {use: stft}
  backbone: {use: steered_power}
  decoder: {use: peak_regions, peaks: 1}
  prior: {use: uniform}
  fusion: {use: none}
  compressor: {use: grid_support}
export: {detections_per_frame: 1}
"""

CHANNEL_COUNTING_PRIOR = """
import numpy as np
import sai_bench
from sai_bench.sphere import frame_count


class Config(sai_bench.ComponentConfig):
    pass


class Channels(sai_bench.Prior):
    def __init__(self, config):
        pass

    def __call__(self, waveform, sample_rate_hz):
        return np.full((13, frame_count(waveform.shape[1], sample_rate_hz)), 1 / len(waveform))


@sai_bench.hookimpl
def sai_bench_register(register):
    register.component("prior", "channels", Channels, config=Config, summary="1 over M")
"""

DIRECTIONS = {  # azimuth (+ left), elevation in degrees
    "front": (0, 0),
    "left": (90, 0),
    "up": (20, 70),
    "behind": (176, -5),
    "across_the_seam": (-178, 10),
}


def render(azimuth_deg, elevation_deg, channels, rate):
    """One second of noise from 3 m away in an anechoic room, [S, channels]."""
    import pyroomacoustics

    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    towards = np.array(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    centre = np.array([5.0, 5.0, 5.0])
    room = pyroomacoustics.ShoeBox([10, 10, 10], fs=rate, max_order=0, air_absorption=False)
    room.add_source(centre + 3 * towards, signal=np.random.default_rng(0).standard_normal(rate))
    room.add_microphone_array((centre + array_for_channels(channels).positions_m).T)
    room.simulate()
    audio = room.mic_array.signals.T[:rate]
    noise = np.random.default_rng(1).standard_normal(audio.shape) * audio.std() * 0.01
    return 0.2 * (audio + noise) / np.abs(audio).max()


def angle_deg(azimuth_a, elevation_a, azimuth_b, elevation_b):
    a, b, c, d = map(math.radians, (azimuth_a, elevation_a, azimuth_b, elevation_b))
    cosine = math.sin(b) * math.sin(d) + math.cos(b) * math.cos(d) * math.cos(a - c)
    return math.degrees(math.acos(min(1.0, cosine)))


@pytest.fixture(scope="module")
def detected(tmp_path_factory, fresh):
    """Detections and pictures of all directions; one recording is 48 kHz and has 32 channels."""
    folder = tmp_path_factory.mktemp("directions")
    (folder / "spec.yaml").write_text(SPEC)
    for name, (azimuth, elevation) in DIRECTIONS.items():
        channels, rate = (32, 48000) if name == "left" else (4, 24000)
        audio = render(azimuth, elevation, channels, rate)
        soundfile.write(folder / f"{name}.wav", audio, rate, subtype="PCM_24")
    wavs = [folder / f"{name}.wav" for name in DIRECTIONS]
    arguments = ("--out", folder / "out", "--baffle", "open")
    done = fresh("-m", "sai_bench.cli", "detect", folder / "spec.yaml", *wavs, *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_json_points_to_the_source(detected, name):
    annotations = json.loads((detected / f"{name}.json").read_text())["annotations"]
    assert len(annotations) == 10
    for annotation in annotations:
        x, y, _ = max(annotation["segmentation"][0], key=lambda point: point[2])
        assert 0 <= x < 360
        found = (180 - x, 90 - y * 180 / 179)
        assert angle_deg(*found, *DIRECTIONS[name]) < 4


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_picture_shows_the_source_with_left_on_the_left(detected, name):
    detections = read_annotations(detected / f"{name}.json")
    figure = recording_figure(title=f"{name}.wav", detections=detections, frames=10)
    image = matplotlib.image.imread(detected / f"{name}.png")[
        ::-1, :, :3
    ]  # row 0 at the bottom, as in figures
    height, width = image.shape[:2]
    box = figure.axes[1].get_position()
    left, right = round(box.x0 * width), round(box.x1 * width)
    bottom, top = round(box.y0 * height), round(box.y1 * height)
    saturation = np.ptp(image[bottom:top, left:right], axis=2)
    rows, columns = np.nonzero(saturation > 0.5 * saturation.max())
    # Columns run from azimuth +180 on the left to -180 on the right; average them on the circle.
    azimuths = np.radians(180 - 360 * columns / (right - left))
    azimuth = math.degrees(math.atan2(np.sin(azimuths).mean(), np.cos(azimuths).mean()))
    elevation = -90 + 180 * np.median(rows) / (top - bottom)
    assert angle_deg(azimuth, elevation, *DIRECTIONS[name]) < 15


def test_an_em32_recording_is_heard_through_its_mic_capsules(tmp_path, fresh):
    audio = render(30, 10, 32, 24000)
    (tmp_path / "spec.yaml").write_text(SPEC.replace("prior: {use: uniform}", "prior: {use: channels}"))
    (tmp_path / "channels.py").write_text(CHANNEL_COUNTING_PRIOR)
    for name, channels in {"em32": range(32), "mic": (5, 9, 25, 21)}.items():
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "same.wav", audio[:, list(channels)], 24000, subtype="PCM_24")
        command = ("detect", tmp_path / "spec.yaml", tmp_path / name / "same.wav", "--out", tmp_path / name)
        done = fresh(
            *("-m", "sai_bench.cli", *command),
            *("--plugin", tmp_path / "channels.py", "--cache", tmp_path / "cache"),
        )
        assert done.returncode == 0, done.stderr
    em32, mic = (tmp_path / name / "same.json" for name in ("em32", "mic"))
    assert em32.read_bytes() == mic.read_bytes()
    assert len(json.loads(mic.read_text())["annotations"]) == 10
