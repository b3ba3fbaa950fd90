"""What `check-submission` finds in a folder of prediction files."""

import json
import os

import pytest

from sai_bench.errors import AnnotationError
from sai_bench.metrics import submission
from sai_bench.metrics.submission import check_submission

GOOD = {
    "metadata_frame_index": 3,
    "category_id": 4,
    "score": 0.25,
    "distance": 100,
    "segmentation": [[[10, 20.5, 0.5], [11, 21, 1]], [[0, 0, 0]]],
}


@pytest.fixture
def check(tmp_path):
    """Check a folder made from {file name: list of annotations, or bytes}."""

    def write_and_check(files):
        for name, content in files.items():
            path = tmp_path / "submission" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not isinstance(content, bytes):
                content = json.dumps({"annotations": content}).encode()
            path.write_bytes(content)
        return check_submission(tmp_path / "submission", workers=1)

    return write_and_check


def entry(**changes):
    return {key: value for key, value in {**GOOD, **changes}.items() if value != "absent"}


def scored(*scores, **changes):
    return [entry(score=score, **changes) for score in scores]


def found(report):
    return [(finding.level, finding.rule) for finding in report.findings]


@pytest.mark.parametrize("suffix", ["", "_inference"])
def test_a_good_submission_has_no_findings(check, suffix):
    report = check(
        {f"a{suffix}.json": scored(0.1, 0.2), f"b{suffix}.json": scored(0.3), f"c{suffix}.json": []}
    )
    assert report.findings == ()
    assert report.accepted
    assert (report.files, report.detections) == (3, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"segmentation": [[[360 - 1e-9, 179, 1e-6]]]},
        {"distance": "absent"},
        {"instance_id": None, "note": {"any": "thing"}},
        {"score": 0},
        {"score": 1},
        {"metadata_frame_index": 10**7},
        {"category_id": 12.0},
    ],
)
def test_what_the_evaluators_read_as_it_was_meant_is_fine(check, changes):
    assert found(check({"a.json": [entry(**changes)]})) == []


@pytest.mark.parametrize(
    ("changes", "rule", "says"),
    [
        ({"category_id": 13}, "category_id", "is 13. Expected a class from 0 to 12"),
        ({"category_id": -1}, "category_id", "is -1"),
        ({"category_id": "4"}, "category_id", 'is "4"'),
        ({"category_id": True}, "category_id", "is true"),
        ({"category_id": "absent"}, "category_id", "is missing"),
        ({"category_id": 3.5}, "category_id", "is 3.5"),
        ({"metadata_frame_index": -1}, "metadata_frame_index", "is -1. Expected a label frame"),
        ({"metadata_frame_index": None}, "metadata_frame_index", "is null"),
        ({"metadata_frame_index": 0.5}, "metadata_frame_index", "is 0.5"),
        ({"score": "absent"}, "score", "has no score"),
        ({"score": None}, "score", "is null. Expected a number from 0 to 1"),
        ({"score": float("nan")}, "score", "is NaN"),
        ({"score": "high"}, "score", 'is "high"'),
        ({"distance": None}, "distance", "is null. Expected a number in cm"),
        ({"distance": float("inf")}, "distance", "is Infinity"),
        ({"segmentation": "absent"}, "segmentation", "is missing. Expected [[[x, y, energy]"),
        ({"segmentation": [[1, 2, 3]]}, "segmentation", "has the point 1."),
        ({"segmentation": [[[1, 2]]]}, "segmentation", "has the point [1, 2]."),
        ({"segmentation": [[[1, 2, 3, 4]]]}, "segmentation", "has the point [1, 2, 3, 4]."),
        ({"segmentation": [[[1, "2", 3]]]}, "segmentation", 'has the point [1, "2", 3].'),
        (
            {"segmentation": [[[1, 2, float("nan")]]]},
            "segmentation",
            "NaN]. Expected [x, y, energy], three finite numbers.",
        ),
        ({"segmentation": [[[10**400, 2, 3]]]}, "segmentation", "has the point [1000"),
        ({"segmentation": [[[361, 2, 1]]]}, "coordinates", "[361, 2, 1] is outside the image"),
        ({"segmentation": [[[1, 2, 1]], [[-0.5, 2, 1]]]}, "coordinates", "[-0.5, 2, 1]"),
        ({"segmentation": [[[1, 180.5, 1]]]}, "coordinates", "[1, 180.5, 1]"),
        ({"segmentation": [[[1, -1, 1]]]}, "coordinates", "[1, -1, 1]"),
    ],
)
def test_a_wrong_annotation_is_an_error_with_its_place_and_what_was_expected(check, changes, rule, says):
    report = check({"a.json": [entry(score=0.5), entry(**changes)]})
    assert found(report) == [("error", rule)]
    assert not report.accepted
    assert report.findings[0].annotation == 1
    assert str(report.findings[0]).startswith("a.json: annotation 1 (counted from 0): ")
    assert says in report.findings[0].message


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"score": 1.5}, ["score"]),
        ({"segmentation": [[[360, 180, 1]]]}, ["coordinates"]),
        ({"segmentation": [[[1, 179.5, 1]]]}, ["coordinates"]),
        ({"segmentation": [[[1, 2, 1], [3, 4, -0.1]]]}, ["energy"]),
        ({"segmentation": [[[1, 2, 0], [3, 4, 0]]]}, ["empty_april", "empty_june"]),
        ({"segmentation": []}, ["empty_april", "empty_june"]),
        ({"segmentation": [[]]}, ["empty_april", "empty_june"]),
        ({"segmentation": [[[1, 2, -1]]]}, ["energy", "empty_april", "empty_june"]),
        # A triangle between two rows of the June evaluator's grid: y = 0 and y = 3.6.
        ({"segmentation": [[[10, 1, 1], [20, 1, 1], [15, 3, 1]]]}, ["empty_june"]),
    ],
)
def test_what_costs_score_is_a_warning(check, changes, rules):
    report = check({"a.json": [entry(**changes)]})
    assert found(report) == [("warning", rule) for rule in rules]
    assert report.accepted
    assert not report.strictly().accepted


@pytest.mark.parametrize("entry", [None, 5, [1, 2], "text"])
def test_an_annotation_that_is_no_object_is_an_error(check, entry):
    report = check({"a.json": [entry]})
    assert found(report) == [("error", "object")]
    assert report.findings[0].message.startswith(f"is {json.dumps(entry)}. Expected an object with metadata")


def test_a_key_that_stands_twice_is_an_error(check):
    text = json.dumps({"annotations": [GOOD]}).replace('"score"', '"score": 0.5, "score"')
    assert found(check({"a.json": text.encode()})) == [("error", "keys")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"annotations": [{"sco', "line 1 column"),
        (b"\xff\xfe\x00", "UTF-16 or UTF-32"),
        (b"[]", "not DCASE JSON"),
        (b"{}", "no list 'annotations'"),
        (b"[" * 100_000, "nested too deeply (more than 60 deep at line 1 column 61)"),
    ],
)
def test_a_file_that_is_no_dcase_json_is_an_error_and_the_others_are_checked(check, content, says):
    report = check({"a.json": content, "b.json": [entry(category_id=20)]})
    assert found(report) == [("error", "schema"), ("error", "category_id")]
    assert says in report.findings[0].message
    assert str(report.findings[0]).count("a.json") == 1


def test_one_problem_of_many_annotations_is_one_finding_with_their_number(check):
    report = check({"a.json": [entry(score=i / 8, category_id=13 if i > 2 else 1) for i in range(8)]})
    assert found(report) == [("error", "category_id")]
    assert (report.findings[0].annotation, report.findings[0].count) == (3, 5)
    assert "annotation 3 and 4 more (counted from 0)" in str(report.findings[0])


def test_equal_scores_are_counted_within_and_across_classes_of_all_files(check):
    report = check(
        {
            "a.json": [*scored(0.5, 0.5, 0.1), *scored(0.7, category_id=1)],
            "b.json": [*scored(0.5, 0.7, 0.2)],
        }
    )
    assert found(report) == [("warning", "ties")]
    # 0.5 three times in class 4; 0.7 once in class 4 and once in class 1.
    assert report.findings[0].message.startswith(
        "5 of 7 detections share their score with another, 3 of them"
    )


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(19_000_000, []), (19_000_001, ["warning"]), (20_000_000, ["warning"]), (20_000_001, ["error"])],
)
def test_the_size_limit_is_twenty_million_bytes_with_a_warning_before(check, size_bytes, expected):
    text = json.dumps({"annotations": [GOOD]}).encode()
    report = check({"a.json": text + b" " * (size_bytes - len(text))})
    assert found(report) == [(level, "size") for level in expected]
    assert report.largest_bytes == size_bytes


def test_a_file_of_two_gigabytes_is_an_error_and_not_read(check, tmp_path):
    check({"a.json": []})
    os.truncate(tmp_path / "submission" / "a.json", 2 * 10**9)
    assert found(check({})) == [("error", "size")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a_std.json"], [("error", "name")]),
        (["a b.json"], [("error", "name")]),
        (["mix[1].json"], [("error", "name")]),
        (["a.json", "b_inference.json"], [("warning", "name")]),
        (["a.json", "a_inference.json"], [("error", "name"), ("warning", "name")]),
        (["inside/a.json"], [("warning", "name")]),
    ],
)
def test_names_that_an_evaluator_overlooks_are_found(check, names, expected):
    report = check({name: scored(0.1 + i / 10) for i, name in enumerate(names)})
    assert found(report) == expected


def test_names_in_capital_letters_are_not_looked_at_and_mentioned(check):
    report = check({"a.json": scored(0.1), "b.JSON": scored(0.2)})
    assert report.files == 1
    assert found(report) == [("warning", "name")]
    assert "b.JSON" in report.findings[0].message


def test_a_name_with_a_line_break_does_not_break_the_message(check):
    report = check({"a\nb.json": scored(0.1)})
    assert "\n" not in str(report.findings[0])
    assert str(report.findings[0]).startswith(r"'a\nb.json': the file name has")


def test_a_link_that_leads_nowhere_is_an_error(check, tmp_path):
    check({"a.json": scored(0.5)})
    (tmp_path / "submission" / "b.json").symlink_to(tmp_path / "nowhere")
    assert found(check({})) == [("error", "schema")]


def test_the_report_does_not_depend_on_the_number_of_workers(check, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "WORTH_PROCESSES_BYTES", 0)
    one = check({f"{name}.json": [entry(category_id=13), entry(score=i)] for i, name in enumerate("abc")})
    assert check_submission(tmp_path / "submission", workers=2) == one


def test_a_submission_without_any_detection_is_warned_about(check):
    assert found(check({"a.json": [], "b.json": []})) == [("warning", "detections")]


def test_a_folder_without_json_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="no JSON file"):
        check_submission(tmp_path)


def test_the_report_is_json_ready(check):
    report = check({"a.json": [entry(category_id=13), entry(score=2)]}).to_json()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["accepted"] is False
    assert [e["rule"] for e in report["errors"]] == ["category_id"]
    assert [w["rule"] for w in report["warnings"]] == ["score"]
    assert report["errors"][0]["file"] == "a.json"
