"""A run folder holds the files of one run, and other people's files stay."""

import json
import os
import shutil

import pytest

from sai_bench.errors import OutputError
from sai_bench.progress import Reporter
from sai_bench.run_folder import RunFolder
from sai_bench.running import open_context, predict_only
from sai_bench.spec import load_spec


def files_in(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {".lock"}


def test_files_of_the_user_stay(workshop):
    out = workshop.folder / "run"
    for name in ("predictions/mine.json", "pictures/holiday.png", "notes.txt"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
    workshop.run("evaluation.pictures=2", pictures=True)
    workshop.run("data.names=[one]")
    for name in ("predictions/mine.json", "pictures/holiday.png", "notes.txt"):
        assert (out / name).read_text() == "mine"


def test_what_an_earlier_run_left_and_this_one_lacks_goes(workshop):
    out = workshop.folder / "run"
    variants = "variants={loud: {system.fusion: {use: none}}}"
    workshop.run("evaluation.pictures=2", variants, pictures=True)
    assert {
        "variants/loud/predictions/two.json",
        "pictures/one_frame0001.png",
        "predictions/two.json",
    } <= files_in(out)
    workshop.run("data.names=[one]")
    assert files_in(out) == {"files.json", "result.json", "summary.md", "predictions/one.json"}
    assert not (out / "variants").exists()


def test_a_folder_that_the_user_deleted_is_no_obstacle(workshop):
    out = workshop.folder / "run"
    workshop.run("evaluation.pictures=2", pictures=True)
    shutil.rmtree(out / "pictures")
    workshop.run("data.names=[one]")
    assert files_in(out) == {"files.json", "result.json", "summary.md", "predictions/one.json"}


def test_prediction_alone_leaves_no_record_of_another_run(workshop):
    workshop.run()
    out = workshop.folder / "run"
    spec = load_spec(workshop.spec, overrides=["system.fusion={use: none}"])
    predict_only(spec, out, open_context(workshop.folder / "cache", Reporter(), workers=1))
    assert files_in(out) == {"files.json", "predictions/one.json", "predictions/two.json"}


def test_an_interrupted_publication_leaves_no_record_and_is_made_good(workshop, monkeypatch):
    workshop.run()
    out = workshop.folder / "run"
    before = workshop.predictions()

    def interrupted(files, folder):
        (out / "predictions" / "one.json").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sai_bench.running._copy_files", interrupted)
        with pytest.raises(KeyboardInterrupt):
            workshop.run("data.names=[one]")
    assert not (out / "result.json").exists()
    workshop.run()
    assert workshop.predictions() == before
    assert (out / "result.json").exists()


def test_two_runs_cannot_write_to_one_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    busy = pytest.raises(OutputError, match="another run is writing here")
    with folder.locked(), busy, RunFolder(folder.path).locked():
        pass
    with folder.locked():
        assert (folder.path / ".lock").exists()


def test_a_lock_does_not_outlive_its_process_in_a_forked_child(tmp_path):
    """Processes that read ahead for a training are forks, and go seconds after it was killed."""
    folder = RunFolder(tmp_path / "run")
    reading, writing = os.pipe()
    running, runs = os.pipe()
    with folder.locked():
        child = os.fork()
        if not child:
            os.write(runs, b"x")
            os.close(writing)
            os.read(reading, 1)  # until the parent lets go
            os._exit(0)
        os.read(running, 1)
        with pytest.raises(OutputError), RunFolder(folder.path).locked():
            pass
    try:
        with folder.locked():
            pass
    finally:
        os.close(writing)
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    "index",
    [b"", b"{", b"[]", b'{"files": ["../outside.txt"]}', b'{"files": ["/etc/x"]}', b'{"files": [1]}'],
)
def test_a_forged_or_damaged_index_removes_nothing(tmp_path, index):
    outside = tmp_path / "outside.txt"
    outside.write_text("keep")
    folder = RunFolder(tmp_path / "run")
    (folder.path / "files.json").write_bytes(index)
    with folder.publishing(["a.txt"]):
        (folder.path / "a.txt").write_text("new")
    assert outside.read_text() == "keep"
    assert json.loads((folder.path / "files.json").read_text()) == {"files": ["a.txt"]}
