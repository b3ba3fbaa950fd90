"""From a scene to the channels of a recording and to the frames in which each event sounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, signal

from sai_bench.sphere import FRAMES_PER_S, SPEED_OF_SOUND_M_PER_S, ArrayGeometry, frame_count
from sai_bench_builtin.configs.dataset import EventsConfig
from sai_bench_builtin.datasets.simulated_rooms.responses import RoomResponses
from sai_bench_builtin.datasets.simulated_rooms.scene import Event, Scene, SubSources

DrySounds = Callable[[int, int, int, int], np.ndarray]
"""(class, variation, samples, sample_rate_hz) -> dry sound [samples]."""

_PEAK = 0.95


@dataclass(frozen=True)
class Rendered:
    """A rendered scene.

    Attributes:
        waveform: [M, S] float32, within +-0.95.
        active: [events, N] bool, in which label frames each event's dry sound is heard.
        scale: factor that the whole recording was multiplied by so that nothing clips (1 if quiet enough).
    """

    waveform: np.ndarray
    active: np.ndarray
    scale: float


def render_scene(
    scene: Scene, array: ArrayGeometry, events: EventsConfig, sample_rate_hz: int, dry_sounds: DrySounds
) -> Rendered:
    """Return the recording of a scene by an array, in the free field or on a rigid sphere as it says."""
    samples = round(scene.duration_s * sample_rate_hz)
    capsules_m = scene.array_position_m + scene.to_room(array.positions_m)
    sphere_centre_m = scene.array_position_m if array.baffle == "rigid" else None
    room = RoomResponses(scene.room, capsules_m, sample_rate_hz, sphere_centre_m)
    mixture = np.zeros((array.microphones, samples), dtype=np.float32)
    active = np.zeros((len(scene.events), frame_count(samples, sample_rate_hz)), dtype=bool)
    for event, row in zip(scene.events, active, strict=True):
        onset = round(event.onset_s * sample_rate_hz)
        length = round(event.duration_s * sample_rate_hz)
        dry = dry_sounds(event.category, event.variation, length, sample_rate_hz)
        arrival = onset + _propagation(scene, event, sample_rate_hz)
        row[:] = active_frames(dry, arrival, len(row), sample_rate_hz, events.active_floor_db)
        dry *= events.dry_rms / _active_rms(dry, arrival, row, sample_rate_hz)
        dry /= _loudness(dry, event.subsources, sample_rate_hz)
        wet = _convolve(dry.astype(np.float32), scene, event, room, sample_rate_hz)[:, : samples - onset]
        mixture[:, onset : onset + wet.shape[1]] += wet
    _add_noise(mixture, active.any(axis=0), scene, events.dry_rms, sample_rate_hz)
    scale = min(1.0, _PEAK / float(np.abs(mixture).max()))
    return Rendered(np.float32(scale) * mixture, active, scale)


def active_frames(
    dry: np.ndarray, arrival: int, frames: int, sample_rate_hz: int, floor_db: float
) -> np.ndarray:
    """Return in which label frames [N] a sound is heard that reaches the array at sample `arrival`.

    A frame counts if the sound's level in it is above `floor_db` relative to its loudest frame.
    """
    energy = _frame_energies(dry, arrival, frames, sample_rate_hz)
    return energy > energy.max() * 10 ** (floor_db / 10)


def _frame_energies(dry: np.ndarray, arrival: int, frames: int, sample_rate_hz: int) -> np.ndarray:
    summed = np.concatenate([[0.0], np.cumsum(dry**2)])
    edges = np.rint(np.arange(frames + 1) * sample_rate_hz / FRAMES_PER_S).astype(int)
    return np.diff(summed[np.clip(edges - arrival, 0, len(dry))])


def _active_rms(dry: np.ndarray, arrival: int, active: np.ndarray, sample_rate_hz: int) -> float:
    """Return the root mean square of a sound over its active frames."""
    energy = _frame_energies(dry, arrival, len(active), sample_rate_hz)[active].sum()
    sounding = min(active.sum() * sample_rate_hz / FRAMES_PER_S, len(dry))
    return max(float(np.sqrt(energy / max(sounding, 1))), 1e-9)


def _propagation(scene: Scene, event: Event, sample_rate_hz: int) -> int:
    """Return how many samples the sound travels from where the event begins."""
    distance_m = np.linalg.norm(event.positions_m[0] - scene.array_position_m)
    return round(float(distance_m) / SPEED_OF_SOUND_M_PER_S * sample_rate_hz)


def _loudness(dry: np.ndarray, subsources: SubSources, sample_rate_hz: int) -> float:
    """Return by how much the sub-sources together exceed one source with this sound (amplitude).

    They add up in phase at low frequencies and at random at high ones, so it depends on the spectrum.
    """
    block = 1024
    whole = np.append(dry, np.zeros(-len(dry) % block)).reshape(-1, block)
    power = np.mean(np.abs(fft.rfft(whole)) ** 2, axis=0)
    frequencies_hz = fft.rfftfreq(block, 1 / sample_rate_hz)
    phases = np.exp(-2j * np.pi * frequencies_hz * subsources.delays_s[:, None])
    gain = np.abs(np.sum(subsources.gains[:, None] * phases, axis=0)) ** 2
    return max(float(np.sqrt(np.sum(gain * power) / max(np.sum(power), 1e-12))), 1e-9)


def _convolve(dry: np.ndarray, scene: Scene, event: Event, room: RoomResponses, sample_rate_hz: int):
    """Return the event as the capsules hear it, [M, len(dry) + reverberation]."""
    if not event.moving:
        points_m = scene.subsource_positions(event, event.positions_m[0])
        return signal.oaconvolve(dry[None], room.to(points_m, event.subsources), axes=-1)
    # Each key position gets the part of the sound around its time; neighbours cross-fade linearly.
    keys = np.rint(event.times_s * sample_rate_hz).astype(int)
    wet = None
    for i, position_m in enumerate(event.positions_m):
        first, last = keys[max(i - 1, 0)], min(keys[min(i + 1, len(keys) - 1)], len(dry))
        if first >= last:
            break
        part = dry[first:last] * _cross_fade(np.arange(first, last), keys, i)
        response = room.to(scene.subsource_positions(event, position_m), event.subsources)
        if wet is None:
            wet = np.zeros((len(response), len(dry) + response.shape[1] - 1), dtype=np.float32)
        heard = signal.fftconvolve(part[None], response, axes=-1)
        wet[:, first : first + heard.shape[1]] += heard
    return wet


def _cross_fade(at: np.ndarray, keys: np.ndarray, i: int) -> np.ndarray:
    """Return the weight of key `i` at samples `at`: 1 at its own time, 0 at its neighbours'."""
    return np.interp(at, keys, np.arange(len(keys)) == i).astype(np.float32)


def _add_noise(mixture: np.ndarray, active: np.ndarray, scene: Scene, quiet_rms: float, sample_rate_hz: int):
    """Add white noise in place; its level relates to the frames with sound, or to `quiet_rms` without any."""
    sounding = np.repeat(active, -(-sample_rate_hz // FRAMES_PER_S))[: mixture.shape[1]]
    heard = mixture[:, : len(sounding)][:, sounding]
    level = float(np.sqrt(np.mean(heard.astype(np.float64) ** 2))) if heard.size else quiet_rms
    rng = np.random.default_rng(scene.noise_seed)
    noise = rng.standard_normal(mixture.shape, dtype=np.float32)
    mixture += np.float32(level * 10 ** (-scene.snr_db / 20)) * noise
