"""`sai-bench score` and `sai-bench check-submission` from the command line."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CASE = Path(__file__).parents[1] / "cases" / "april" / "sparse"
APRIL = "dcase2026_april"
FIRST = "fold4_room1_mix001"


@pytest.fixture
def folders(tmp_path):
    shutil.copytree(CASE, tmp_path / "case")
    return tmp_path / "case" / "predictions", tmp_path / "case" / "labels"


@pytest.fixture
def score(sai_bench, folders):
    """Score the case, or other folders, with the April metric and one worker."""

    def call(*arguments):
        paths = arguments[:2] if arguments and isinstance(arguments[0], Path) else folders
        options = arguments[2:] if paths is not folders else arguments
        return sai_bench("score", *paths, "--metric", APRIL, "--workers", 1, *options)

    return call


def test_the_report_shows_headlines_classes_and_counts(score):
    done = score()
    assert done.code == 0, done.err
    for text in ("2 recordings scored", APRIL, "map", "0.2414", "4 Laughter", "0.1028", "labels 172"):
        assert text in done.out
    assert "warning" not in done.err


def test_the_json_file_has_an_object_for_each_metric_and_the_report_beside(score, tmp_path):
    done = score("--json", tmp_path / "out" / "scores.json")
    assert done.code == 0, done.err
    result = json.loads((tmp_path / "out" / "scores.json").read_text())
    expected = json.loads((CASE.parent / "expected.json").read_text())["sparse"]
    assert result[APRIL]["map"] == pytest.approx(expected["map"], abs=1e-6)
    assert list(result[APRIL]["per_class_ap"]) == [str(k) for k in range(13)]
    assert set(result) == {APRIL, "_report"}
    assert result["_report"]["pairing"] == "complete"
    assert result["_report"]["warnings"] == []


def test_intervals_and_diagnostics_are_shown_when_asked_for(score, tmp_path):
    done = score("--bootstrap", 50, "--diagnostics", "--json", tmp_path / "scores.json")
    assert done.code == 0, done.err
    for text in ("95% interval", "diagnostics", "one class", "room1", "location_only"):
        assert text in done.out
    assert {"bootstrap", "diagnostics"} <= set(json.loads((tmp_path / "scores.json").read_text())[APRIL])
    assert "95% interval" not in score().out


@pytest.mark.parametrize(("rule", "fate"), [("complete", "count as empty"), ("official", "are left out")])
def test_a_missing_prediction_file_is_a_loud_warning(score, folders, tmp_path, rule, fate):
    (folders[0] / f"{FIRST}_inference.json").unlink()
    done = score("--pairing", rule, "--json", tmp_path / "scores.json")
    assert done.code == 0
    assert f"warning: 1 of 2 labelled recordings have no prediction file and {fate}" in " ".join(
        done.err.split()
    )
    head = " ".join(done.out.split(APRIL)[0].split())
    assert f"1 of 2 labelled recordings have no prediction file and {fate}" in head
    report = json.loads((tmp_path / "scores.json").read_text())["_report"]
    assert any(fate in warning for warning in report["warnings"])
    assert len(report["recordings"]) == (2 if rule == "complete" else 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"annotations": [{"category', "line 1 column"),
        (b"[]", "not DCASE JSON"),
        (b'{"annotations": [5]}', "annotation 0 (counted from 0): is 5"),
        (
            b'{"annotations": [{"category_id": 1}]}',
            "annotation 0 (counted from 0): has no metadata_frame_index",
        ),
        (b"\xff\xfe\xfa", "looks like UTF-16 or UTF-32 from byte 0"),
        (b'{"annotations":\n' + b"[" * 50_000, "nested too deeply (more than 60 deep at line 2 column 60)"),
        (b'{"annotations": [], "annotations": []}', "twice"),
        (
            b'{"annotations": [{"category_id": 1, "metadata_frame_index": 0, "score": 1, '
            b'"segmentation": [[[NaN, 2, 1]]]}]}',
            "Expected finite x and y",
        ),
    ],
    ids=["truncated", "list", "number", "no_frame", "no_text", "deep", "twice", "nan"],
)
@pytest.mark.parametrize("side", [0, 1], ids=["predictions", "labels"])
def test_a_bad_file_is_refused_with_its_name_and_the_place(score, folders, content, says, side):
    path = sorted(folders[side].iterdir())[0]
    path.write_bytes(content)
    done = score()
    assert done.code == 2
    assert done.err.count("error:") == 1
    assert path.name in done.err
    assert says in done.err
    assert done.out == ""


@pytest.mark.parametrize("missing", ["predictions", "labels"])
def test_a_folder_without_json_is_refused(score, folders, tmp_path, missing):
    (tmp_path / "empty").mkdir()
    paths = {"predictions": folders[0], "labels": folders[1], missing: tmp_path / "empty"}
    done = score(paths["predictions"], paths["labels"])
    assert done.code == 2
    assert "empty: no JSON file here or below" in done.err


def test_an_unknown_metric_or_pairing_is_refused(sai_bench, folders):
    done = sai_bench("score", *folders, "--metric", "april")
    assert (done.code, done.err.count("error:")) == (2, 1)
    assert APRIL in done.err
    assert sai_bench("score", *folders, "--pairing", "strict").code == 2


def test_a_result_that_cannot_be_written_is_an_error_before_anything_is_computed(score, tmp_path):
    (tmp_path / "folder").mkdir()
    done = score("--json", tmp_path / "folder", "--cache", tmp_path / "cache")
    assert done.code == 2
    assert "folder: cannot be written (it is a folder)" in done.err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("command", ["score", "check-submission"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("case/predictions/scores.json", "lies in the folder of the predictions"),
        ("case/predictions/new/scores.txt", "lies in the folder of the predictions"),
        ("link/scores.json", "lies in the folder of the predictions"),
        (f"outside/{FIRST}_inference.json", "is one of the predictions"),
        ("case/labels/scores.json", "lies in the folder of the labels"),
    ],
)
def test_the_result_must_not_lie_among_what_is_read(sai_bench, folders, tmp_path, command, name, says):
    if "labels" in says and command == "check-submission":
        pytest.skip("it reads no labels")
    (tmp_path / "link").symlink_to(folders[0])
    (tmp_path / "outside").mkdir()
    moved = folders[0] / f"{FIRST}_inference.json"
    moved.rename(tmp_path / "outside" / moved.name)
    moved.symlink_to(tmp_path / "outside" / moved.name)
    before = moved.read_bytes()
    done = sai_bench(command, *folders[: 2 if command == "score" else 1], "--json", tmp_path / name)
    assert done.code == 2
    assert says in done.err
    assert done.out == ""
    assert moved.read_bytes() == before


@pytest.mark.parametrize("command", ["score", "check-submission"])
def test_a_dash_gives_the_json_on_standard_output_in_place_of_the_report(sai_bench, folders, command):
    options = ("--metric", APRIL, "--workers", 1) if command == "score" else ("--workers", 1)
    done = sai_bench(command, *folders[: 2 if command == "score" else 1], *options, "--json", "-")
    assert (APRIL if command == "score" else "accepted") in json.loads(done.out)
    assert not Path("-").exists()


def test_the_report_is_printed_and_the_result_written_even_if_one_of_the_two_fails(monkeypatch, tmp_path):
    from sai_bench.cli.results_out import deliver
    from sai_bench.errors import OutputError

    printed = FullDisk()
    monkeypatch.setattr(sys, "stdout", printed)
    with pytest.raises(OutputError, match="Standard output cannot be written \\(No space left"):
        deliver(lambda: "report\n", lambda: {"a": 1}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    printed.full = False
    with pytest.raises(OutputError, match="it is a folder"):
        deliver(lambda: "report\n", lambda: {"a": 1}, tmp_path)
    assert printed.getvalue() == 2 * "report\n"


class FullDisk(io.StringIO):
    """Standard output on a disk without free space."""

    encoding = "ascii"
    full = True

    def flush(self):
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_name_that_standard_output_cannot_say_is_escaped(monkeypatch):
    from sai_bench.cli.results_out import write_out

    printed = FullDisk()
    printed.full = False
    monkeypatch.setattr(sys, "stdout", printed)
    write_out("r\N{LATIN SMALL LETTER E WITH ACUTE}sum\udce9")
    assert printed.getvalue() == "r\\xe9sum\\udce9"


@pytest.mark.parametrize("command", ["score", "check-submission"])
def test_that_nobody_reads_the_report_is_no_error(folders, submission, tmp_path, command):
    options = ["--metric", APRIL] if command == "score" else []
    given = [*folders[: 2 if command == "score" else 1], *options, "--workers", 1, "--json", "result.json"]
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as nobody_reads:
        done = subprocess.run(
            [sys.executable, "-c", "from sai_bench.cli.main import main; main()", command, *map(str, given)],
            cwd=tmp_path,
            stdout=nobody_reads,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert json.loads((tmp_path / "result.json").read_text())


def test_scoring_and_checking_do_without_torch(fresh, folders, tmp_path):
    code = (
        "import sys; from sai_bench.cli.main import app; sys.argv[0] = 'sai-bench'\n"
        "try: app()\n"
        "except SystemExit as leaving: code = leaving.code\n"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    for command in (
        ["score", *folders, "--metric", APRIL, "--workers", 1],
        ["check-submission", folders[0]],
    ):
        done = fresh("-c", code, *command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def submission(folders):
    """Predictions whose regions are single points, which no evaluator loses."""
    for path in folders[0].iterdir():
        document = json.loads(path.read_text())
        for annotation in document["annotations"]:
            annotation["segmentation"] = [[[10, 90, 1]]]
        path.write_text(json.dumps(document))
    return folders[0]


def test_a_good_submission_passes(sai_bench, submission, tmp_path):
    done = sai_bench("check-submission", submission, "--json", tmp_path / "check.json", "--strict")
    assert done.code == 0
    assert "2 files, 189 detections" in done.out
    assert "0 errors, 0 warnings" in done.out
    assert json.loads((tmp_path / "check.json").read_text())["accepted"] is True


def test_warnings_become_errors_when_strict(sai_bench, submission, tmp_path):
    path = submission / f"{FIRST}_inference.json"
    document = json.loads(path.read_text())
    document["annotations"][0]["score"] = document["annotations"][1]["score"]
    path.write_text(json.dumps(document))
    plain = sai_bench("check-submission", submission, "--json", tmp_path / "plain.json")
    strict = sai_bench("check-submission", submission, "--json", tmp_path / "strict.json", "--strict")
    assert (plain.code, strict.code) == (0, 2)
    assert "warning: 2 of 189 detections share their score" in plain.err
    assert "error: 2 of 189 detections share their score" in strict.err
    results = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("plain", "strict")]
    assert [result["accepted"] for result in results] == [True, False]
    assert [len(result["errors"]) for result in results] == [0, 1]


def test_a_bad_submission_is_refused_with_every_problem(sai_bench, folders):
    for name in (FIRST, "fold4_room2_mix002"):
        (folders[0] / f"{name}_inference.json").write_text('{"annotations": [{}')
    done = sai_bench("check-submission", folders[0])
    assert done.code == 2
    assert done.err.count("error:") == 2
    assert done.err.count("line 1 column") == 2
