"""The rigid-sphere response against the scattering series of point sources, its limits, and beamforming."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from sai_bench import sphere
from sai_bench_builtin.backbones.steered_power import SteeredPower
from sai_bench_builtin.configs.backbone import SteeredPowerConfig
from sai_bench_builtin.configs.dataset import EventsConfig, SimulatedRoomsConfig
from sai_bench_builtin.configs.front_end import StftConfig
from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms
from sai_bench_builtin.datasets.simulated_rooms.image_sums import HALF_TAPS
from sai_bench_builtin.datasets.simulated_rooms.rendering import render_scene
from sai_bench_builtin.datasets.simulated_rooms.responses import RoomResponses
from sai_bench_builtin.datasets.simulated_rooms.scene import Event, Room, Scene, SubSources
from sai_bench_builtin.datasets.simulated_rooms.sphere_sums import add_images_on_a_sphere, sphere_filters
from sai_bench_builtin.front_ends.stft import Stft

RADIUS_M, C = 0.042, 343.0
POINT = SubSources(np.zeros((1, 2)), np.ones(1), np.zeros(1))


def pressure_on_sphere(hz: float, angle: float, distance_m: float) -> complex:
    """Incident plus scattered field of a point source exp(-ikd)/d on a rigid sphere, summed term by term.

    Addition theorem of the Green's function and vanishing radial velocity on the surface (Williams, Fourier
    Acoustics, 6.10; Duda and Martens, JASA 104 (1998)), for the time factor exp(+i omega t).
    """
    k = 2 * np.pi * hz / C
    n = np.arange(50)

    def hankel(x, derivative=False):
        return spherical_jn(n, x, derivative) - 1j * spherical_yn(n, x, derivative)

    with np.errstate(all="ignore"):
        scattered = spherical_jn(n, k * RADIUS_M, True) / hankel(k * RADIUS_M, True) * hankel(k * RADIUS_M)
        terms = (2 * n + 1) * hankel(k * distance_m) * (spherical_jn(n, k * RADIUS_M) - scattered)
        terms = -1j * k * terms * eval_legendre(n, np.cos(angle))
    return terms[np.isfinite(terms)].sum()


def rendered_pressure(hz: np.ndarray, angle: float, distance_m: float, rate: int) -> np.ndarray:
    image_m = distance_m * np.array([[np.cos(angle), np.sin(angle), 0.0]])
    response = np.zeros((1, int(distance_m / C * rate) + 400), dtype=np.float32)
    capsule_m = np.array([[RADIUS_M, 0.0, 0.0]])
    add_images_on_a_sphere(response, capsule_m, image_m, np.ones(1), np.zeros(1), rate)
    times_s = (np.arange(response.shape[1]) - HALF_TAPS) / rate
    return np.exp(-2j * np.pi * hz[:, None] * times_s) @ response[0].astype(float)


@pytest.mark.parametrize("rate", [24_000, 48_000])
@pytest.mark.parametrize(("distance_m", "error"), [(0.5, 0.14), (1.0, 0.07), (2.0, 0.035), (20.0, 0.02)])
def test_pressure_is_that_of_the_series_for_point_sources(rate, distance_m, error):
    hz = np.array([60, 125, 250, 500, 1000, 2000, 4000, 8000, 10_000, 16_000, 20_000])
    hz = hz[hz < 0.46 * rate]
    for angle in np.radians([0, 30.3, 60, 90.7, 120, 150.4, 171.3, 180]):
        expected = np.array([pressure_on_sphere(f, angle, distance_m) for f in hz]) * distance_m
        measured = rendered_pressure(hz, angle, distance_m, rate) * distance_m
        # The free field has pressure 1 here; in the front the sphere makes it 2.
        assert np.abs(measured - expected).max() < error


def test_low_frequencies_pass_as_in_the_free_field():
    hz = np.array([40.0, 80.0])  # ka < 0.07
    for angle in np.radians([0, 90, 180]):
        assert np.abs(rendered_pressure(hz, angle, 30.0, 24_000) * 30) == pytest.approx([1, 1], abs=0.02)


def test_high_frequencies_double_in_front_and_are_shaded_at_the_sides_behind():
    hz = np.array([20_000.0])  # ka = 15
    front, shade, behind = (
        20 * np.log10(np.abs(rendered_pressure(hz, np.radians(a), 30.0, 48_000) * 30)) for a in (0, 150, 180)
    )
    assert front == pytest.approx(6.02, abs=0.2)
    assert shade < -6
    assert shade < behind < front  # waves round the sphere meet in phase at the back: the bright spot


def test_neighbouring_filters_differ_little_so_that_interpolation_holds():
    filters = sphere_filters(RADIUS_M, 48_000)
    middle = (filters[:-2:2] + filters[2::2]) / 2
    # Over twice the angle that lies between two filters, the error of interpolation is four times as large.
    assert np.abs(middle - filters[1:-1:2]).max() / 4 < 0.01


def test_reflections_add_up_as_single_images_do():
    room = Room("room1", np.array([5.0, 4.0, 3.0]), 0.3, 1, 0.0, 0)
    centre, source = np.array([2.0, 1.8, 1.4]), np.array([3.9, 2.9, 1.9])
    capsules = centre + sphere.em32_array().positions_m[:3]
    response = RoomResponses(room, capsules, 24_000, centre).to(source[None], POINT)
    images = [(source, 1.0)]
    for axis in range(3):
        for wall in (0.0, room.sides_m[axis]):
            image = source.copy()
            image[axis] = 2 * wall - image[axis]
            images.append((image, np.sqrt(1 - 0.3)))
    hz = np.array([300.0, 2500.0, 7000.0])
    times_s = np.arange(response.shape[1]) / 24_000
    measured = response.astype(float) @ np.exp(-2j * np.pi * times_s[:, None] * hz)
    expected = np.zeros((3, 3), dtype=complex)
    for position, gain in images:
        ahead = (position - centre) / np.linalg.norm(position - centre)
        for m, capsule in enumerate(capsules - centre):
            angle = np.arccos(ahead @ capsule / np.linalg.norm(capsule))
            distance_m = np.linalg.norm(position - centre)
            expected[m] += [gain * pressure_on_sphere(f, angle, distance_m) for f in hz]
    assert measured == pytest.approx(expected, abs=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("channels", [4, 32])
def test_steering_with_the_arrays_own_baffle_finds_the_source(channels):
    array = sphere.array_for_channels(channels, "rigid")
    azimuth, elevation, yaw = 130.0, -20.0, 37.0
    centre = np.array([4.0, 3.5, 3.0])
    aim = sphere.unit_vectors(azimuth + yaw, elevation)
    event = Event(10, 11, 0.0, 1.0, 0.0, POINT, np.zeros(1), (centre + 1.5 * aim)[None])
    room = Room("room1", np.array([8.0, 7.0, 6.0]), 1.0, 0, 0.0, 0)
    scene = Scene("x", "test", 1.0, room, centre, yaw, (event,), 40.0, 5)

    def noise(category, variation, samples, sample_rate_hz):
        return np.random.default_rng(variation).standard_normal(samples)

    rendered = render_scene(scene, array, EventsConfig(), 24_000, noise)
    front_end, config = StftConfig(), SteeredPowerConfig(grid_height=18, grid_width=36)
    features = Stft(front_end)(torch.from_numpy(rendered.waveform)[None])
    power = SteeredPower(config, front_end.output())(features, array)[0, 5].squeeze().numpy()
    azimuths, elevations = sphere.grid_directions(config.grid_height, config.grid_width)
    row, column = np.unravel_index(np.argmax(power.reshape(-1, *power.shape[-2:])[0]), power.shape[-2:])
    apart = sphere.angle_between_deg(azimuth, elevation, azimuths[column], elevations[row])
    assert apart < 10


def test_one_table_of_filters_serves_arrays_at_all_places():
    room, before = (
        Room("room1", np.array([5.0, 4.0, 3.0]), 0.3, 0, 0.0, 0),
        sphere_filters.cache_info().misses,
    )
    for centre in ([2.0, 1.8, 1.4], [1.137, 2.941, 0.733], [3.3, 0.917, 2.219]):
        capsules = np.array(centre) + sphere.mic_array().positions_m
        RoomResponses(room, capsules, 22_050, np.array(centre)).to(np.array([[4.0, 3.0, 1.0]]), POINT)
    assert sphere_filters.cache_info().misses == before + 1


def test_recordings_say_that_they_were_made_on_a_rigid_sphere(tmp_path):
    config = SimulatedRoomsConfig(folder=tmp_path, array_response="rigid_sphere")
    assert SimulatedRooms(config).rendered("train", 0, 0.5).array.baffle == "rigid"
