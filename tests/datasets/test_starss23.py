import math

import numpy as np
import pytest

from sai_bench.errors import AnnotationError, AudioError, DatasetError
from sai_bench.predictions import read_annotations
from sai_bench.sphere import angle_between_deg, azimuth_deg, elevation_deg
from sai_bench_builtin.backbones.steering import steering_vectors
from sai_bench_builtin.configs.dataset import DirectionRegionsConfig, Starss23Config
from sai_bench_builtin.datasets.starss23 import dataset as starss23_dataset
from sai_bench_builtin.datasets.starss23.dataset import Starss23
from sai_bench_builtin.datasets.starss23.metadata import SourceRow, read_metadata
from sai_bench_builtin.datasets.starss23.regions import DirectionRegions

CSV = "0,1,0,90,30,140\n0,1,1,-90,0,150\n1,12,0,180,-45,300\n"


@pytest.fixture
def starss23(tree, tmp_path):
    def build(**keys):
        return Starss23(Starss23Config(folder=tree.root, labels_folder=tmp_path / "cache", **keys))

    return build


@pytest.fixture
def published(tree):
    for place, name in (("dev-train-sony", "fold3_room21_mix001"), ("dev-test-tau", "fold4_room2_mix001")):
        tree.audio(f"mic_dev/{place}/{name}.wav", seed=1)
        tree.audio(f"foa_dev/{place}/{name}.wav", seed=2)
        tree.text(f"metadata_dev/{place}/{name}.csv", CSV)
    return tree


def only(dataset, split="test"):
    (recording,) = dataset.recordings(split)
    return recording


def test_directions_become_labels_with_distance_and_sources_of_one_class_apart(published, starss23):
    dataset = starss23(regions={"radius_deg": 0})
    dataset.prepare()
    assert dataset.splits() == ("train", "train-sony", "test", "test-tau")
    annotations = read_annotations(only(dataset).labels_path)
    seen = [
        (a.metadata_frame_index, a.category_id, a.instance_id, a.distance, a.segmentation[0])
        for a in annotations
    ]
    # Column 180 - azimuth, row (90 - elevation) * 179 / 180: 59.67, 89.5 and 134.25, rounded (half to even).
    assert seen == [
        (0, 1, 0, 140, [(90, 60, 1)]),
        (0, 1, 1, 150, [(270, 90, 1)]),
        (1, 12, 0, 300, [(0, 134, 1)]),
    ]


@pytest.mark.parametrize("direction", [(0, 0), (180, 0), (-170, 60), (35, -89), (10, 90)])
def test_a_region_is_a_disc_whose_energy_falls_with_the_angle(direction):
    radius_deg = 10.0
    regions = DirectionRegions(DirectionRegionsConfig(radius_deg=radius_deg, spacing_deg=2))
    x, y, energy = np.array(regions.points(*direction)).T
    angle = angle_between_deg(azimuth_deg(x), elevation_deg(y), *direction)
    assert angle.max() <= radius_deg + 0.75  # half a pixel's diagonal
    assert angle.max() > radius_deg - 1.5
    assert energy.max() == 1
    assert angle[energy.argmax()] <= 0.75
    # A pixel is within 0.71 degrees of the point that it stands for.
    for a, e in zip(angle, energy, strict=True):
        low, high = (math.exp(-(((a + shift) / radius_deg) ** 2)) for shift in (0.75, -min(a, 0.75)))
        assert low - 6e-4 <= e <= high + 6e-4
    assert len(set(zip(x, y, strict=True))) == len(x)
    assert ((x >= 0) & (x < 360) & (y >= 0) & (y < 180)).all()


def test_radius_and_spacing_say_how_many_points_there_are():
    def points(radius_deg, spacing_deg):
        config = DirectionRegionsConfig(radius_deg=radius_deg, spacing_deg=spacing_deg)
        return len(DirectionRegions(config).points(20, 10))

    assert points(0, 4) == 1
    assert points(4, 4) == 7  # a hexagon and its centre
    assert points(8, 4) == 19  # two rings
    # An even density of one point per spacing^2 * sqrt(3) / 2.
    assert points(20, 2) == pytest.approx(math.pi * 20**2 / (2**2 * math.sqrt(3) / 2), rel=0.05)


def test_labels_are_made_once_and_again_when_csv_or_settings_change(published, starss23, monkeypatch):
    made = []
    true_make = starss23_dataset._make_labels
    monkeypatch.setattr(
        starss23_dataset, "_make_labels", lambda *task: made.append(task[0].name) or true_make(*task)
    )
    first = starss23()
    first.prepare()
    assert len(made) == 2
    path, content = only(first).labels_path, only(first).content_sha256
    again = starss23()
    again.prepare()
    assert len(made) == 2
    assert only(again).labels_path == path
    wider = starss23(regions={"radius_deg": 12})
    wider.prepare()
    assert len(made) == 4
    assert only(wider).labels_path != path
    assert only(wider).content_sha256 != content
    published.text("metadata_dev/dev-test-tau/fold4_room2_mix001.csv", CSV + "2,0,0,0,0,100\n")
    changed = starss23()
    changed.prepare()
    assert len(read_annotations(only(changed).labels_path)) == 4
    assert len(read_annotations(path)) == 3
    assert path.name == "fold4_room2_mix001_std.json"


def test_a_truncated_label_file_is_never_there_after_a_failed_write(
    published, starss23, monkeypatch, tmp_path
):
    from sai_bench import files

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", no_space)
    with pytest.raises(Exception, match="No space left"):
        starss23().prepare()
    assert [*tmp_path.glob("cache/**/*_std.json")] == []
    monkeypatch.undo()
    dataset = starss23()
    dataset.prepare()
    assert len(read_annotations(only(dataset).labels_path)) == 3


def test_malformed_lines_of_all_files_are_reported_together_with_their_numbers(published, starss23):
    published.text("metadata_dev/dev-test-tau/fold4_room2_mix001.csv", CSV + "x,0,0,0,0,1\n1,13,0,0,0,1\n")
    published.text("metadata_dev/dev-train-sony/fold3_room21_mix001.csv", "0,0,0,0,91,1\n")
    dataset = starss23()
    with pytest.raises(DatasetError) as failure:
        dataset.prepare()
    assert len(failure.value.problems) == 2
    text = str(failure.value)
    assert "fold4_room2_mix001.csv: line 4: frame is 'x', expected a number; line 5: class is 13" in text
    assert "fold3_room21_mix001.csv: line 1: elevation is 91, expected -90 to 90 degrees" in text
    assert "https://zenodo.org/records/7880637" in text
    assert dataset.recordings("test") == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0,0,0,0", "has 4 values"),
        ("0,0,0,0,0,0,0", "has 7 values"),
        ("frame,class,source,azimuth,elevation,distance", "frame is 'frame'"),
        ("0;0;0;0;0;0", "has 1 values"),
        ("-1,0,0,0,0,1", "frame is -1"),
        ("1.5,0,0,0,0,1", "frame is '1.5', expected a whole number"),
        ("0,-1,0,0,0,1", "class is -1"),
        ("0,0,0,nan,0,1", "azimuth is 'nan', expected a finite number"),
        ("0,0,0,181,0,1", "azimuth is 181"),
        ("0,0,0,0,-91,1", "elevation is -91"),
        ("0,0,0,0,0,-5", "distance is -5"),
        ("0,0,0,0,0,", "distance is ''"),
        ("0,0,0,1_0,0,1", "azimuth is '1_0'"),
        ("1e400,0,0,0,0,1", "frame is '1e400'"),
    ],
)
def test_a_malformed_line_is_named(tree, line, says):
    path = tree.text("a.csv", f"0,0,0,0,0,1\n\n{line}\n")
    with pytest.raises(AnnotationError) as failure:
        read_metadata(path)
    assert f"{path}: line 3: {says}" in str(failure.value)


def test_many_malformed_lines_are_cut_short_and_what_is_no_text_is_refused(tree):
    path = tree.text("a.csv", "bad\n" * 1000)
    with pytest.raises(AnnotationError, match=r"line 5: .*; and 995 more lines"):
        read_metadata(path)
    path.write_bytes(b"0,0,0,0,0,1\n\xff\xfe")
    with pytest.raises(AnnotationError, match="is no text"):
        read_metadata(path)
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_metadata(tree.root / "absent.csv")


def test_spellings_that_spreadsheets_leave_behind_are_read(tree):
    path = tree.root / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf1,2,3, -40.0 ,5\r\n0,2,3,-40,5,120\r\n0,2,3,-40,5,120\r\n\r\n")
    assert read_metadata(path) == [SourceRow(0, 2, 3, -40, 5, 120), SourceRow(1, 2, 3, -40, 5, None)]


def test_foa_has_its_own_audio_and_no_capsules_to_steer(published, starss23):
    mic, foa = starss23(), starss23(format="foa")
    assert only(mic).audio_path.parts[-3] == "mic_dev"
    assert (only(mic).array.name, only(mic).array.baffle) == ("mic", "rigid")
    assert only(foa).audio_path.parts[-3] == "foa_dev"
    assert (only(foa).array.name, only(foa).array.microphones) == ("foa", 4)
    assert only(foa).content_sha256 != only(mic).content_sha256
    assert only(foa).labels_path == only(mic).labels_path
    with pytest.raises(AudioError, match=r"ambisonic channels.*`format: mic`"):
        steering_vectors(only(foa).array, np.array([[1.0, 0, 0]]), np.array([1000.0]))


def test_foa_that_was_not_downloaded_is_asked_for(tree, starss23):
    tree.audio("mic_dev/dev-test-tau/fold4_room2_mix001.wav")
    tree.text("metadata_dev/dev-test-tau/fold4_room2_mix001.csv", CSV)
    with pytest.raises(DatasetError, match=r"no recording of STARSS23.*foa_dev/dev-test-tau/NAME\.wav"):
        starss23(format="foa").prepare()


def test_names_from_the_data_do_not_leave_the_folder_of_labels(tree, starss23, tmp_path):
    name = "fold4_ä\n;.."
    tree.audio(f"mic_dev/dev-test-tau/{name}.wav")
    tree.text(f"metadata_dev/dev-test-tau/{name}.csv", CSV)
    recording = only(starss23())
    assert recording.name == name
    assert recording.labels_path.is_relative_to(tmp_path / "cache")
    assert recording.labels_path.name.isascii()
    assert recording.labels_path.name.isprintable()


def test_an_empty_csv_is_a_recording_without_events(tree, starss23):
    tree.audio("mic_dev/dev-test-tau/fold4_room2_mix001.wav")
    tree.text("metadata_dev/dev-test-tau/fold4_room2_mix001.csv", "")
    assert read_annotations(only(starss23()).labels_path) == []
