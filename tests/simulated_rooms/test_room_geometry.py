"""Rendered audio and labels against sound paths computed directly from the geometry."""

from __future__ import annotations

import numpy as np
import pytest

from sai_bench import sphere
from sai_bench_builtin.configs.dataset import EventsConfig
from sai_bench_builtin.datasets.procedural_sources import synthesise
from sai_bench_builtin.datasets.simulated_rooms.labels import label_scene
from sai_bench_builtin.datasets.simulated_rooms.rendering import render_scene
from sai_bench_builtin.datasets.simulated_rooms.responses import RoomResponses
from sai_bench_builtin.datasets.simulated_rooms.scene import Event, Room, Scene, SubSources

RATE = 24_000
WATER, KNOCK = 10, 12
POINT = SubSources(np.zeros((1, 2)), np.ones(1), np.zeros(1))
ANECHOIC = Room("room1", np.array([8.0, 7.0, 6.0]), 1.0, 0, 0.0, 0)
YAW_DEG = 37.0
ARRAY_M = np.array([4.1, 3.3, 2.9])


def place(azimuth, elevation, distance_m):
    """Room positions of directions seen from the array, by a rotation written out here."""
    azimuth, elevation = np.radians(np.asarray(azimuth) + YAW_DEG), np.radians(elevation)
    unit = np.stack(
        np.broadcast_arrays(
            np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
        ),
        axis=-1,
    )
    return ARRAY_M + distance_m * unit


def scene_with(
    *events: Event, room: Room = ANECHOIC, duration_s: float = 1.0, snr_db: float = 100.0
) -> Scene:
    return Scene("fold4_room1_mix001", "test", duration_s, room, ARRAY_M, YAW_DEG, events, snr_db, 5)


def still_event(
    azimuth, elevation, distance_m=2.0, category=WATER, subsources=POINT, duration_s=1.0, onset_s=0.0
):
    position = np.atleast_2d(place(azimuth, elevation, distance_m))
    return Event(category, 11, onset_s, duration_s, 0.0, subsources, np.zeros(1), position)


def render(scene: Scene, array=None):
    return render_scene(scene, array or sphere.mic_array("open"), EventsConfig(), RATE, synthesise)


def delay_us(later: np.ndarray, earlier: np.ndarray) -> float:
    """Delay in microseconds by the phase transform on a grid of 1 us."""
    cross = np.fft.rfft(later) * np.conj(np.fft.rfft(earlier))
    hz = np.fft.rfftfreq(len(later), 1 / RATE)
    used = (hz > 300) & (hz < 8000)
    cross = (cross / np.abs(cross))[used]
    grid = np.arange(-300, 301)
    return grid[np.argmax([np.sum(cross * np.exp(2j * np.pi * hz[used] * d * 1e-6)).real for d in grid])]


DIRECTIONS = {
    "front": (0, 0, 180, 89.5),
    "left": (90, 0, 90, 89.5),
    "up": (0, 90, None, 0),
    "behind": (180, 0, 0, 89.5),
    "seam": (-179.4, 20, 359.4, 69.6),
    "lower right": (-70, -40, 250, 129.3),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_sound_and_label_agree_with_the_direction(name):
    azimuth, elevation, x, y = DIRECTIONS[name]
    scene = scene_with(still_event(azimuth, elevation))
    rendered = render(scene)
    array = sphere.mic_array("open").positions_m
    # Spherical wave from the direction in the array's own axes.
    paths_m = np.linalg.norm(2.0 * sphere.unit_vectors(azimuth, elevation) - array, axis=-1)
    for m in range(1, 4):
        expected_us = (paths_m[m] - paths_m[0]) / 343 * 1e6
        assert delay_us(rendered.waveform[m], rendered.waveform[0]) == pytest.approx(expected_us, abs=2)
    (point,) = label_scene(scene, rendered.active)[3].segmentation[0]
    assert x is None or abs((point[0] - x + 180) % 360 - 180) <= 0.5
    assert abs(point[1] - y) <= 0.5
    assert isinstance(point[0], int)
    assert 0 <= point[0] < 360


def test_the_loudest_steering_direction_is_the_label():
    azimuth, elevation = -130.0, 25.0
    rendered = render(scene_with(still_event(azimuth, elevation)), sphere.em32_array("open"))
    spectra = np.fft.rfft(rendered.waveform[:, 2000:6096])
    hz = np.fft.rfftfreq(4096, 1 / RATE)
    used = (hz > 500) & (hz < 6000)
    spectra = (spectra / np.abs(spectra))[:, used]
    azimuths, elevations = np.meshgrid(np.arange(-180, 180, 10.0), np.arange(-85, 90, 10.0))
    units = sphere.unit_vectors(azimuths.ravel(), elevations.ravel())
    # A plane wave from direction u reaches a capsule at p earlier by u . p / c.
    early_s = units @ sphere.em32_array().positions_m.T / 343
    power = [
        np.sum(np.abs(np.sum(spectra * np.exp(-2j * np.pi * hz[used] * e[:, None]), axis=0)) ** 2)
        for e in early_s
    ]
    best = int(np.argmax(power))
    assert (azimuths.ravel()[best], elevations.ravel()[best]) == (azimuth, elevation)


def test_the_distance_sets_delay_and_level():
    near, far = (render(scene_with(still_event(20, 10, distance_m=d))) for d in (1.0, 2.0))
    noise = 1e-3
    assert np.std(near.waveform) / near.scale == pytest.approx(2 * np.std(far.waveform) / far.scale, rel=0.05)
    # 1 m is 70 samples at 24 kHz: the onset moves by so many.
    starts = [
        np.flatnonzero(np.abs(r.waveform[0]) > noise * np.abs(r.waveform[0]).max())[0] for r in (near, far)
    ]
    assert starts[1] - starts[0] == pytest.approx(70, abs=4)


def test_a_dry_sound_has_its_level_at_one_metre():
    for subsources in (POINT, ring_of(13, 12)):
        rendered = render(scene_with(still_event(0, 0, distance_m=1.0, subsources=subsources)))
        assert np.std(rendered.waveform) / rendered.scale == pytest.approx(0.08, rel=0.12)


def ring_of(radius_deg: float, count: int) -> SubSources:
    angles = 2 * np.pi * np.arange(count) / count
    offsets = radius_deg * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    offsets = np.concatenate([[[0.0, 0.0]], offsets])
    delays = np.random.default_rng(1).uniform(-2e-4, 2e-4, count + 1)
    return SubSources(offsets, np.append(1.0, np.full(count, np.exp(-0.5))), delays)


def test_labels_of_an_extended_source_across_the_seam_have_its_radius_and_energies():
    scene = scene_with(still_event(180, 0, subsources=ring_of(13, 12)))
    annotation = label_scene(scene, render(scene).active)[0]
    points = np.array(annotation.segmentation[0])
    assert len(points) == 13
    assert points[:, 0].min() >= 0
    assert points[:, 0].max() <= 359
    assert np.any(points[:, 0] < 20)
    assert np.any(points[:, 0] > 340)
    angle = sphere.angle_between_deg(
        180, 0, sphere.azimuth_deg(points[:, 0]), sphere.elevation_deg(points[:, 1])
    )
    assert np.sort(angle) == pytest.approx([0.0] + [13] * 12, abs=0.8)
    assert np.sort(points[:, 2])[::-1] == pytest.approx([1.0] + [np.exp(-1)] * 12, abs=1e-3)


def test_points_that_share_a_pixel_merge_to_the_stronger():
    close = SubSources(np.array([[0.0, 0.0], [0.1, 0.0]]), np.array([0.5, 1.0]), np.zeros(2))
    scene = scene_with(still_event(30, 0, subsources=close))
    assert label_scene(scene, render(scene).active)[0].segmentation == [[(150, 90, 1.0)]] or [
        p[2] for p in label_scene(scene, render(scene).active)[0].segmentation[0]
    ] == [1.0]


def test_distance_is_in_centimetres_and_instances_are_told_apart():
    scene = scene_with(still_event(0, 0, distance_m=1.5), still_event(90, 0, distance_m=2.25, category=1))
    found = {a.instance_id: (a.category_id, a.distance) for a in label_scene(scene, render(scene).active)}
    assert found == {0: (WATER, 150), 1: (1, 225)}


def test_frames_are_labelled_only_while_the_sound_is_heard():
    scene = scene_with(still_event(0, 0, duration_s=0.7, onset_s=0.5), duration_s=2.0)
    frames = [a.metadata_frame_index for a in label_scene(scene, render(scene).active)]
    assert frames == [5, 6, 7, 8, 9, 10, 11] or frames == [5, 6, 7, 8, 9, 10, 11, 12]
    level = np.std(render(scene).waveform[0].reshape(20, 2400), axis=1)
    assert level[:5].max() < 1e-2 * level[7]


def test_pauses_between_knocks_are_not_labelled():
    scene = scene_with(still_event(0, 0, category=KNOCK, duration_s=6.0), duration_s=6.0)
    rendered = render(scene)
    level_db = 20 * np.log10(np.std(rendered.waveform[0].reshape(60, 2400), axis=1))
    active = rendered.active[0]
    assert 10 < active.sum() < 60
    assert level_db[~active].max() < level_db[active].max() - 30


def test_a_moving_source_moves_in_sound_and_labels():
    times = np.arange(0, 2.01, 0.2)
    azimuth = 90 - 60 * times / 2
    path = np.stack([place(a, 0, 2.0) for a in azimuth])
    event = Event(WATER, 3, 0.0, 2.0, 0.0, POINT, times, path)
    scene = scene_with(event, duration_s=2.0)
    rendered = render(scene)
    labels = label_scene(scene, rendered.active)
    columns = [a.segmentation[0][0][0] for a in labels[:20]]
    expected = 180 - (90 - 30 * (np.arange(20) + 0.5) / 10)
    assert columns == pytest.approx(expected, abs=1)
    array = sphere.mic_array("open").positions_m
    for frame in (1, 10, 18):
        heard = slice(frame * 2400 + 140, (frame + 1) * 2400 + 140)
        paths_m = np.linalg.norm(2 * sphere.unit_vectors(180 - expected[frame], 0) - array, axis=-1)
        for m in (1, 2, 3):
            measured = delay_us(rendered.waveform[m, heard], rendered.waveform[0, heard])
            assert measured == pytest.approx((paths_m[m] - paths_m[0]) / 343 * 1e6, abs=12)


def test_a_source_that_walks_nowhere_sounds_like_a_still_one():
    still = still_event(40, 10)
    times = np.arange(0, 1.01, 0.2)
    walking = Event(WATER, 11, 0.0, 1.0, 0.0, POINT, times, np.repeat(still.positions_m, len(times), axis=0))
    a, b = render(scene_with(still)).waveform, render(scene_with(walking)).waveform
    assert b == pytest.approx(a, abs=1e-5)


def test_responses_equal_those_of_pyroomacoustics():
    import pyroomacoustics

    room = Room("room1", np.array([5.2, 4.3, 2.7]), 0.3, 4, 0.0, 0)
    capsules = np.array([[2.0, 1.5, 1.2], [2.05, 1.48, 1.25]])
    points = np.array([[4.0, 3.1, 1.9], [3.9, 3.3, 1.7]])
    subsources = SubSources(np.zeros((2, 2)), np.array([1.0, 0.6]), np.zeros(2))
    ours = RoomResponses(room, capsules, RATE).to(points, subsources)

    oracle = pyroomacoustics.ShoeBox(
        room.sides_m, fs=RATE, max_order=4, materials=pyroomacoustics.Material(0.3)
    )
    for point in points:
        oracle.add_source(point)
    oracle.add_microphone_array(capsules.T)
    before = pyroomacoustics.constants.get("rir_hpf_enable")
    pyroomacoustics.constants.set("rir_hpf_enable", False)
    try:
        oracle.compute_rir()
    finally:
        pyroomacoustics.constants.set("rir_hpf_enable", before)
    for m in range(2):
        expected = np.zeros(ours.shape[1])
        for gain, response in zip(subsources.gains, oracle.rir[m], strict=True):
            # pyroomacoustics delays everything by half of its 81-tap filter.
            expected[: len(response) - 40] += gain * response[40:]
        assert ours[m] == pytest.approx(expected, abs=2e-4 * np.abs(expected).max())


def test_reflections_are_shifted_but_not_the_direct_path():
    shifted = Room("room1", np.array([5.0, 4.0, 3.0]), 0.1, 3, 0.08, 9)
    plain = Room("room1", np.array([5.0, 4.0, 3.0]), 0.1, 3, 0.0, 9)
    capsules, point = np.array([[2.0, 2.0, 1.5]]), np.array([[3.0, 2.2, 1.6]])
    a, b = (RoomResponses(room, capsules, RATE).to(point, POINT)[0] for room in (shifted, plain))
    direct = int(np.linalg.norm(point - capsules) / 343 * RATE)
    assert a[: direct + 20] == pytest.approx(b[: direct + 20], abs=0.03)
    assert np.abs(a - b).max() > 0.05


def test_noise_has_the_asked_level_and_is_independent_between_channels():
    quiet, noisy = (render(scene_with(still_event(0, 0), snr_db=snr)) for snr in (100.0, 12.0))
    noise = noisy.waveform / noisy.scale - quiet.waveform / quiet.scale
    snr = 20 * np.log10(np.std(quiet.waveform / quiet.scale) / np.std(noise))
    assert snr == pytest.approx(12, abs=0.3)
    correlation = np.corrcoef(noise)
    assert np.abs(correlation - np.eye(4)).max() < 0.03


def test_silence_has_noise_only_and_no_labels():
    scene = scene_with(snr_db=20.0)
    rendered = render(scene)
    assert label_scene(scene, rendered.active) == []
    assert np.std(rendered.waveform) == pytest.approx(0.008, rel=0.05)


def test_a_recording_too_loud_is_scaled_down_as_a_whole():
    crowd = [still_event(60 * i, 0, distance_m=0.5, category=i) for i in range(6)]
    events = EventsConfig(dry_rms=0.8)
    rendered = render_scene(scene_with(*crowd), sphere.mic_array("open"), events, RATE, synthesise)
    assert rendered.scale < 1
    assert np.abs(rendered.waveform).max() == pytest.approx(0.95, abs=1e-5)
