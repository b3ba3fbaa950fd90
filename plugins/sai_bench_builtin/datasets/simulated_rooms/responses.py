"""Room impulse responses of extended sources: the image-source method, all sub-sources in one response."""

from __future__ import annotations

import numpy as np

from sai_bench.sphere import SPEED_OF_SOUND_M_PER_S
from sai_bench_builtin.datasets.simulated_rooms.scene import Room, SubSources

_DELAY_TAPS = 81
_TABLE_STEPS = 20
_NEAREST_M = 0.05


class RoomResponses:
    """Responses from any place in a room to the capsules of an array in the free field.

    pyroomacoustics computes the image sources of one reference position. In a shoebox every image moves with
    its source, mirrored or not along each axis, so the images of all other positions follow exactly. The
    images of all sub-sources then go into one response per capsule: they share one dry sound.
    """

    def __init__(self, room: Room, capsules_m: np.ndarray, sample_rate_hz: int):
        """Prepare a room.

        Args:
            room: the room.
            capsules_m: [M, 3] capsule positions in room coordinates.
            sample_rate_hz: rate of the responses.
        """
        # Imported here: it takes a second that nobody should pay who only reads rendered data.
        import pyroomacoustics

        self._build = pyroomacoustics.libroom.rir_builder
        self._capsules_m = capsules_m
        self._sample_rate_hz = sample_rate_hz
        simulated = pyroomacoustics.ShoeBox(
            room.sides_m,
            fs=sample_rate_hz,
            max_order=room.image_source_order,
            materials=pyroomacoustics.Material(room.absorption),
        )
        self._reference_m = room.sides_m / 2
        simulated.add_source(self._reference_m)
        simulated.add_microphone_array(capsules_m.T)
        simulated.image_source_model()
        source = simulated.sources[0]
        self._damping = source.damping[0]
        self._mirror = 1 - 2 * (np.abs(source.orders_xyz.T) % 2)
        rng = np.random.default_rng(room.displacement_seed)
        shift_m = rng.uniform(-room.image_displacement_m, room.image_displacement_m, source.images.T.shape)
        self._images_m = source.images.T.astype(float) + shift_m * (source.orders > 0)[:, None]
        farthest_m = (room.image_source_order + 1) * room.sides_m.max() + np.linalg.norm(room.sides_m)
        self._samples = int(farthest_m / SPEED_OF_SOUND_M_PER_S * sample_rate_hz) + 3 * _DELAY_TAPS

    def to(self, points_m: np.ndarray, subsources: SubSources) -> np.ndarray:
        """Return the responses [M, L] float32 when the sub-sources are at `points_m` [S, 3]."""
        images_m = self._images_m + self._mirror * (points_m - self._reference_m)[:, None]
        amplitudes = (subsources.gains[:, None] * self._damping).ravel()
        delays_s = np.broadcast_to(subsources.delays_s[:, None], images_m.shape[:2]).ravel()
        # The builder centres its fractional delay filter, so it wants all times late by half of that filter.
        half = _DELAY_TAPS // 2
        delays_s = delays_s + half / self._sample_rate_hz
        earliest_s = (half + 1) / self._sample_rate_hz
        responses = np.zeros((len(self._capsules_m), self._samples), dtype=np.float32)
        for capsule_m, response in zip(self._capsules_m, responses, strict=True):
            distances_m = np.sqrt(np.sum((images_m - capsule_m) ** 2, axis=-1)).ravel()
            distances_m = np.maximum(distances_m, _NEAREST_M)
            self._build(
                response,
                np.maximum(distances_m / SPEED_OF_SOUND_M_PER_S + delays_s, earliest_s).astype(np.float32),
                (amplitudes / distances_m).astype(np.float32),
                self._sample_rate_hz,
                _DELAY_TAPS,
                _TABLE_STEPS,
                1,  # one thread: the sum must not depend on how many cores there are
            )
        return responses[:, half:]
