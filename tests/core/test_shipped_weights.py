"""The weights in specs/weights fit the spec that uses them, are what their card says, and have learned."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sai_bench.before_work import check_weights_headers
from sai_bench.detector import Detector
from sai_bench.network_state import state_of
from sai_bench.networks import build_parts
from sai_bench.spec import load_spec
from sai_bench.sphere import angle_between_deg, azimuth_deg, elevation_deg
from sai_bench.weights import read_header, read_weights

SPECS = Path(__file__).parents[2] / "specs"
CARD = SPECS / "weights" / "README.md"

ONE_SOURCE = (
    "data.events={overlap_shares: {1: 1}, moving_probability: 0, duration_range_s: [2, 2]}",
    "data.extent={radius_shares: {3: 1}}",
    "data.rooms={side_range_m: [4, 6], absorption_range: [0.5, 0.6], image_source_order: 1}",
    "data.snr_range_db=[30, 30]",
    "inference.context_s=0.8",
)
"""One still source at a time in a dry room: as easy as it gets."""

SCENES = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def spec():
    return load_spec(SPECS / "steered_pretrained.yaml", overrides=ONE_SOURCE)


def test_every_file_has_a_card_with_its_size_and_hash():
    files = sorted(CARD.parent.glob("*.safetensors"))
    text = CARD.read_text()
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert [*sections] == [file.name for file in files]
    for file in files:
        content = file.read_bytes()
        assert f"| SHA-256 | {hashlib.sha256(content).hexdigest()} |" in sections[file.name]
        assert f"| file | `{file.name}`, {len(content) / 1e6:.2f} MB |" in sections[file.name]
        assert len(content) <= 6e6


def test_they_are_those_of_the_spec_by_their_header(spec):
    check_weights_headers(spec)
    header = read_header(spec.system.weights)
    assert header.components.keys() == {"front_end", "backbone", "decoder", "prior"}
    assert header.sha256.keys() == {"backbone", "decoder", "prior"}
    assert header.untrained == ()
    assert (header.heard.microphones, header.heard.segment_s) == ("mic", spec.inference.segment_s)


def test_every_tensor_is_used_and_none_is_missing(spec):
    stored = read_weights(spec.system.weights).tensors
    parts = build_parts(spec.system, spec.seed)
    networks = {kind: state for kind, part in parts.items() if (state := state_of(part))}
    assert networks.keys() == stored.keys() - {"prior"}
    for kind, state in networks.items():
        assert state.keys() == stored[kind].keys()
        assert all(np.array_equal(state[name].numpy(), array) for name, array in stored[kind].items())
    spec.system.prior.build().load_weights(stored["prior"])


@pytest.fixture(scope="module")
def scenes(spec):
    dataset = spec.data.build()
    return [dataset.rendered("test", number, 2.0) for number in SCENES]


def strongest(regions, frame):
    """Return class, azimuth and elevation of the strongest candidate of a frame, None if there is none."""
    (candidates,) = np.nonzero(regions.frames == frame)
    if not len(candidates):
        return None
    best = candidates[np.argmax(regions.scores[candidates])]
    points = regions.points(regions.masks[best])
    x, y, _ = points[np.argmax(points[:, 2])]
    return regions.classes[best], azimuth_deg(x), elevation_deg(y)


def distances_and_hits(detector, scenes):
    """Return how far the strongest candidate is from each label in degrees, and if its class is right."""
    distances, hits = [], []
    for scene in scenes:
        regions = detector(scene.waveform, scene.sample_rate_hz, scene.array)
        for label in scene.annotations:
            found = strongest(regions, label.metadata_frame_index)
            x, y, _ = max(
                (point for part in label.segmentation for point in part), key=lambda point: point[2]
            )
            place = (azimuth_deg(x), elevation_deg(y))
            distances.append(180.0 if found is None else angle_between_deg(*found[1:], *place))
            hits.append(found is not None and found[0] == label.category_id)
    return np.array(distances), np.array(hits)


def test_the_detector_has_learned_places_and_classes_that_random_weights_do_not_know(spec, scenes):
    assert len({label.category_id for scene in scenes for label in scene.annotations}) > 1
    trained = Detector(spec.system, spec.inference)
    untrained = Detector(replace(spec.system, weights=None), spec.inference)

    distances, hits = distances_and_hits(trained, scenes)
    assert np.median(distances) < 15
    assert np.mean((distances < 15) & hits) > 0.6

    # Steering vectors alone, which are not learned, find the place; the class, they do not know.
    distances, hits = distances_and_hits(untrained, scenes)
    assert np.mean((distances < 15) & hits) < 0.3
