"""Groups of an evaluation."""

from pathlib import Path

import pytest

from sai_bench.metrics.diagnosing.breakdowns import by_elevation, by_source_count, room_of, site_of
from sai_bench.sphere import row


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("fold4_room23_mix001", "room23"),
        ("dev-test-tau/fold4_room2_mix002", "room2"),
        ("Room7", "room7"),
        ("fold4_room1_mix001_room9", "room1"),
        ("fold4_bedroom2_mix001", "unknown"),
        ("room2b", "unknown"),
        ("take_1", "unknown"),
    ],
)
def test_room_is_the_first_word_of_room_and_number(name, room):
    assert room_of(name) == room


@pytest.mark.parametrize(
    ("name", "label_path", "site"),
    [
        ("fold4_room2_mix001", "labels_dev/dev-test-tau/fold4_room2_mix001_std.json", "tau"),
        ("fold4_room23_mix001", "labels_dev/dev-train-sony/fold4_room23_mix001_std.json", "sony"),
        ("dev-test-sony/fold4_room23_mix001", "dev-test-tau/x_std.json", "sony"),
        ("fold4_room2_TAU", None, "tau"),
        ("fold4_room2_mix001", "sony/labels/fold4_room2_mix001_std.json", "unknown"),
        ("fold4_tauwest_mix001", None, "unknown"),
    ],
)
def test_site_is_a_word_of_the_name_or_else_of_the_label_files_folder(name, label_path, site):
    assert site_of(name, Path(label_path) if label_path else None) == site


def test_frames_are_grouped_by_their_labels_and_kept_whole(region):
    labels = [
        region([(9, 9, 1)], k, frame) for frame, count in enumerate((1, 2, 5, 3, 4)) for k in range(count)
    ]
    predictions = [region([(9, 9, 1)], 0, frame, 0.5) for frame in (0, 0, 1, 2, 7)]
    groups = by_source_count(predictions, labels)
    frames = {
        name: tuple(sorted({a.metadata_frame_index for a in side}) for side in sides)
        for name, sides in groups.items()
    }
    assert frames == {
        "0": ([7], []),
        "1": ([0], [0]),
        "2": ([1], [1]),
        "3": ([], [3]),
        "4+": ([2], [2, 4]),
    }
    assert sum(len(own) for own, _ in groups.values()) == len(predictions)
    assert sum(len(own) for _, own in groups.values()) == len(labels)


def test_each_side_is_cut_by_the_elevation_of_its_own_strongest_point(region):
    def at(elevation, score=None):
        strongest = (50, float(row(elevation)), 1.0)
        return region([(50, float(row(-elevation)), 0.5), strongest], score=score)

    labels = [at(-31), at(-29), at(29), at(31), at(80), at(-90), region([(50, 5, 0.0)])]
    predictions = [at(-29, 0.5), at(28, 0.5)]
    groups = by_elevation(predictions, labels)
    assert {name: tuple(map(len, sides)) for name, sides in groups.items()} == {
        "below -30": (0, 2),
        "-30 to 0": (1, 1),
        "0 to 30": (1, 1),
        "30 and above": (0, 2),
    }


def test_a_band_holds_its_lower_edge(region):
    equator = region([(50, 89.5, 1.0)])
    assert by_elevation([], [equator])["0 to 30"] == ([], [equator])
