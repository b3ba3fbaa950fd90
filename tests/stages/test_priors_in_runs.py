"""What priors ask of a run: labels, a fit that depends on the config, and notes that nobody overlooks."""

import json

import pytest

from sai_bench.detecting import detect_recordings
from sai_bench.errors import DatasetError, WeightsError
from sai_bench.progress import Reporter
from sai_bench.running import open_context, predict_only
from sai_bench.spec import load_spec

TINY = "encoder_width: 16, encoder_depth: 1, encoder_heads: 2, hidden: 8"
TIMED = f"system.prior={{use: audiomae, head: random, {TINY}}}"
FITTED = f"system.prior={{use: audiomae, fit_steps: 2, {TINY}}}"
ORACLE = "system.prior={use: oracle}"


def test_random_weights_are_named_while_running_in_the_record_and_in_the_summary(workshop):
    record, said = workshop.run(TIMED)
    notes = [note for note in record.notes if note.startswith("toy: prior audiomae: THE ")]
    assert len(notes) == 2
    assert any(line.startswith("note: prior audiomae: THE ENCODER IS RANDOM") for line in said)
    assert (
        "- Note: toy: prior audiomae: THE HEAD IS RANDOM" in (workshop.folder / "run/summary.md").read_text()
    )
    assert json.loads((workshop.folder / "run/result.json").read_text())["notes"] == list(record.notes)


def test_notes_are_the_same_when_everything_is_reused_and_absent_where_nothing_is_to_say(workshop):
    first, _ = workshop.run(TIMED)
    again, said = workshop.run(TIMED)
    assert "prior: 2 recordings reused" in said
    assert again.notes == first.notes
    assert workshop.run()[0].notes == ()
    assert "Note" not in (workshop.folder / "run/summary.md").read_text()


def test_whether_a_prior_is_fitted_is_a_matter_of_its_config(workshop):
    timed, _ = workshop.run(TIMED)
    fitted, _ = workshop.run(FITTED)
    assert timed.variants["toy"].fits == {}
    assert fitted.variants["toy"].fits["prior"].recordings == 2


def test_a_file_that_is_no_encoder_is_named_before_anything_is_computed(workshop):
    (workshop.folder / "other.pth").write_text("no tensors")
    with pytest.raises(WeightsError, match=r"other\.pth: cannot be read as tensors"):
        workshop.run(FITTED, f"system.prior.encoder_weights={workshop.folder / 'other.pth'}")
    assert not (workshop.folder / "cache" / "detect").exists()


def test_the_oracle_lets_only_labelled_classes_through(workshop):
    record, _ = workshop.run(
        ORACLE, "system.fusion={use: power}", "export.score_threshold=1e-6", "inference.score_floor=0"
    )
    kept = {
        (a["metadata_frame_index"], a["category_id"])
        for content in workshop.predictions().values()
        for a in json.loads(content)["annotations"]
    }
    assert kept == {(1, 3)}  # all that the toy data have labels of
    assert any("READS THE LABELS" in note for note in record.notes)


def test_the_oracle_cannot_predict_recordings_without_labels(workshop):
    spec = load_spec(workshop.spec, overrides=[ORACLE, "data.unlabelled=[two]"])
    with pytest.raises(DatasetError, match="Oracle reads the labels"):
        predict_only(spec, workshop.folder / "all", open_context(workshop.folder / "cache", Reporter(), 1))


def test_the_oracle_cannot_hear_ones_own_recordings_and_says_so_at_once(workshop):
    spec = load_spec(workshop.spec, overrides=[ORACLE])
    context = open_context(workshop.folder / "cache", Reporter(), 1)
    detected = detect_recordings(
        spec, [workshop.folder / "absent.wav"], workshop.folder / "out", "open", context
    )
    with pytest.raises(DatasetError, match="Oracle reads the labels"):
        next(detected)
