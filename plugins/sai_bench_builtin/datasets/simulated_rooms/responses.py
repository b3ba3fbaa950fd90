"""Room impulse responses of extended sources: the image-source method, all sub-sources in one response."""

from __future__ import annotations

import numpy as np

from sai_bench.sphere import SPEED_OF_SOUND_M_PER_S
from sai_bench_builtin.datasets.simulated_rooms.image_sums import HALF_TAPS, add_images_in_the_open
from sai_bench_builtin.datasets.simulated_rooms.scene import Room, SubSources
from sai_bench_builtin.datasets.simulated_rooms.sphere_sums import add_images_on_a_sphere


class RoomResponses:
    """Responses from any place in a room to the capsules of an array, in the free field or on a rigid sphere.

    pyroomacoustics computes the image sources of one reference position. In a shoebox every image moves with
    its source, mirrored or not along each axis, so the images of all other positions follow exactly. The
    images of all sub-sources then go into one response per capsule: they share one dry sound.
    """

    def __init__(
        self,
        room: Room,
        capsules_m: np.ndarray,
        sample_rate_hz: int,
        sphere_centre_m: np.ndarray | None = None,
    ):
        """Prepare a room.

        Args:
            room: the room.
            capsules_m: [M, 3] capsule positions in room coordinates.
            sample_rate_hz: rate of the responses.
            sphere_centre_m: [3] centre of the rigid sphere that all capsules sit on, in room coordinates;
                None: they are in the free field.
        """
        # Imported here: it takes a second that nobody should pay who only reads rendered data.
        import pyroomacoustics

        self._sample_rate_hz = sample_rate_hz
        self._capsules_m = capsules_m
        self._sphere_centre_m = sphere_centre_m
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
        self._samples = int(farthest_m / SPEED_OF_SOUND_M_PER_S * sample_rate_hz) + 3 * (2 * HALF_TAPS + 1)

    def to(self, points_m: np.ndarray, subsources: SubSources) -> np.ndarray:
        """Return the responses [M, L] float32 when the sub-sources are at `points_m` [S, 3]."""
        images_m = self._images_m + self._mirror * (points_m - self._reference_m)[:, None]
        amplitudes = (subsources.gains[:, None] * self._damping).ravel()
        delays_s = np.repeat(subsources.delays_s, len(self._images_m))
        images_m = images_m.reshape(-1, 3)
        responses = np.zeros((len(self._capsules_m), self._samples), dtype=np.float32)
        if self._sphere_centre_m is None:
            add, capsules_m = add_images_in_the_open, self._capsules_m
        else:
            add, capsules_m = add_images_on_a_sphere, self._capsules_m - self._sphere_centre_m
            images_m = images_m - self._sphere_centre_m
        add(responses, capsules_m, images_m, amplitudes, delays_s, self._sample_rate_hz)
        return responses[:, HALF_TAPS:]
