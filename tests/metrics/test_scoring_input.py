"""What `score` is given: folders that are not what they should be, and arguments that make no sense."""

import json
import shutil
from pathlib import Path

import pytest

from sai_bench.errors import AnnotationError
from sai_bench.metrics import score

CASE = Path(__file__).parents[1] / "cases" / "april" / "sparse"
APRIL = "dcase2026_april"
FIRST, SECOND = "fold4_room1_mix001", "fold4_room2_mix002"


@pytest.fixture
def folders(tmp_path):
    """A copy of the case, free to be changed: predictions and labels."""
    shutil.copytree(CASE, tmp_path / "case")
    return tmp_path / "case" / "predictions", tmp_path / "case" / "labels"


@pytest.fixture
def warnings_of(tmp_path):
    def call(predictions, labels, **options):
        return score(predictions, labels, [APRIL], cache=tmp_path / "cache", workers=1, **options).warnings

    return call


def each_annotation(folder, change):
    for path in folder.glob("*.json"):
        document = json.loads(path.read_text())
        for index, annotation in enumerate(document["annotations"]):
            change(index, annotation)
        path.write_text(json.dumps(document))


def without_score(index, annotation):
    annotation.pop("score", None)


def with_score(index, annotation):
    annotation["score"] = 0.5


def test_one_folder_given_twice_is_refused(warnings_of, folders):
    for folder in folders:
        with pytest.raises(AnnotationError, match="2 files are given both as predictions and as labels"):
            warnings_of(folder, folder)


def test_one_folder_with_both_files_of_each_recording_is_fine(warnings_of, folders):
    for path in folders[1].iterdir():
        shutil.copy(path, folders[0])
    assert warnings_of(folders[0], folders[0]) == warnings_of(*folders) == ()


def test_labels_given_as_predictions_are_refused(warnings_of, folders, tmp_path):
    shutil.copytree(folders[1], tmp_path / "copy")
    with pytest.raises(AnnotationError, match="No prediction has a score, and the files are named as labels"):
        warnings_of(tmp_path / "copy", folders[1])


def test_exchanged_folders_are_refused(warnings_of, folders):
    with pytest.raises(
        AnnotationError, match=r"labels have scores and the predictions have none\..*exchange"
    ):
        warnings_of(folders[1], folders[0])


@pytest.mark.parametrize("spared", [0, 1, 80])
def test_missing_scores_alone_are_a_warning(warnings_of, folders, spared):
    each_annotation(folders[0], lambda i, annotation: i >= spared and annotation.pop("score"))
    says = "None of the 189 predictions has a score" if not spared else f"{189 - 2 * spared} of 189"
    assert any(says in warning for warning in warnings_of(*folders))


def test_labels_with_scores_beside_predictions_with_scores_are_a_warning(warnings_of, folders):
    each_annotation(folders[1], with_score)
    assert any("172 of 172 labels have a score" in warning for warning in warnings_of(*folders))


@pytest.mark.parametrize(("side", "name"), [(0, f"{FIRST}_inference.json"), (1, f"{FIRST}_std.json")])
def test_a_file_without_the_list_of_annotations_counts_as_empty_with_a_warning(
    warnings_of, folders, side, name
):
    (folders[side] / name).write_text('{"annotation": [5]}')
    found = [w for w in warnings_of(*folders) if "no list 'annotations'" in w]
    assert len(found) == 1
    assert found[0].startswith(f"1 {('prediction', 'label')[side]} files")
    assert name in found[0]
    (folders[side] / name).write_text('{"annotations": []}')
    assert not any("no list" in warning for warning in warnings_of(*folders))


def test_predictions_without_any_detection_are_a_warning(warnings_of, folders):
    for path in folders[0].iterdir():
        path.write_text('{"annotations": []}')
    assert "No prediction file has a detection." in warnings_of(*folders)


def test_the_folder_to_check_is_named_where_a_prediction_file_is_bad(warnings_of, folders):
    (folders[0] / f"{FIRST}_inference.json").write_text('{"annotations": [{}')
    with pytest.raises(AnnotationError, match=rf"Run `sai-bench check-submission {folders[0]}` to see all"):
        warnings_of(*folders)


def test_checking_a_submission_is_not_advised_for_bad_labels(warnings_of, folders):
    (folders[1] / f"{FIRST}_std.json").write_text('{"annotations": [{}')
    with pytest.raises(AnnotationError) as refused:
        warnings_of(*folders)
    assert "check-submission" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"metrics": APRIL}, rf"Expected a list of names, such as \['{APRIL}'\]"),
        ({"bootstrap": -1}, "bootstrap = -1. Expected a number of resamples"),
        ({"workers": 0}, "workers = 0. Expected 1 or more"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_is_read(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        score(tmp_path / "absent", tmp_path / "absent", cache=tmp_path / "cache", **options)
    assert not (tmp_path / "cache").exists()


def test_paths_may_be_text(folders, tmp_path):
    scores = score(*map(str, folders), [APRIL], cache=str(tmp_path / "cache"), workers=1)
    assert list((tmp_path / "cache").rglob("*.npz"))
    assert scores.metrics[APRIL]["map"] is not None


def test_a_file_too_large_to_be_looked_into_is_no_reason_for_more_processes(tmp_path, monkeypatch):
    from sai_bench.metrics import submission

    started = []

    def done_here(function, tasks, workers):
        started.append(workers)
        return [function(*task) for task in tasks]

    monkeypatch.setattr(submission, "in_processes", done_here)
    (tmp_path / "a.json").write_text('{"annotations": []}')
    (tmp_path / "b.json").write_bytes(b" " * (submission.LARGEST_FILE_BYTES + 1))
    monkeypatch.setattr(submission, "WORTH_PROCESSES_BYTES", submission.LARGEST_FILE_BYTES)
    submission.check_submission(tmp_path, workers=2)
    (tmp_path / "b.json").write_bytes(b" " * submission.LARGEST_FILE_BYTES)
    submission.check_submission(tmp_path, workers=2)
    assert started == [1, 2]
