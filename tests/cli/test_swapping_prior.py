"""Another prior by editing one line of the spec: fitted anew, while the detector's results are reused."""

import pytest

AUDIOMAE = "prior: {use: audiomae, encoder_width: 16, encoder_depth: 1, encoder_heads: 2, fit_steps: 3}"
EDITS = {
    "audiomae": AUDIOMAE,
    "log_mel_cnn": "prior: {use: log_mel_cnn, steps: 2, channels_first: 2, crop_s: 1}",
    "label_frequency": "prior: {use: label_frequency}",
}


@pytest.fixture
def spec_with(tmp_path, tiny_spec_text):
    """Write the tiny spec with another line for the prior."""

    def write(line):
        text = tiny_spec_text.partition("variants:")[0]
        assert text.count("prior: {use: log_mel_linear}") == 1
        spec = tmp_path / "tiny.yaml"
        spec.write_text(text.replace("prior: {use: log_mel_linear}", line))
        return spec

    return write


def test_priors_are_dropped_and_taken_by_one_line(spec_with, sai_bench):
    predicted = {}
    for name, line in EDITS.items():
        done = sai_bench("predict", spec_with(line), "--out", name, "--cache", "cache")
        assert done.code == 0, done.err
        assert f"fit: prior {name} on 4 recordings" in done.err
        assert f"detect: 3 recordings {'reused' if predicted else 'computed'}" in done.err
        assert ("note: prior audiomae: THE ENCODER IS RANDOM" in done.err) == (name == "audiomae")
        folder = spec_with(line).parent / name / "predictions"
        predicted[name] = [path.read_bytes() for path in sorted(folder.glob("*.json"))]
    assert len({tuple(contents) for contents in predicted.values()}) == len(EDITS)


def test_a_file_that_is_no_encoder_ends_with_exit_code_2_and_its_name(spec_with, sai_bench, tmp_path):
    (tmp_path / "mine.pth").write_text("no tensors")
    spec = spec_with(AUDIOMAE.replace("fit_steps: 3", "encoder_weights: mine.pth"))
    done = sai_bench("predict", spec, "--out", "run", "--cache", "cache")
    assert done.code == 2
    assert "mine.pth: cannot be read as tensors" in done.err
    assert "Expected pretrained.pth or finetuned.pth" in done.err


def test_the_oracle_is_refused_for_ones_own_recordings(spec_with, sai_bench):
    done = sai_bench("detect", spec_with("prior: {use: oracle}"), "mine.wav", "--out", "run")
    assert done.code == 2
    assert "Oracle reads the labels" in done.err
