"""`check` reads the headers of weights files: what would fail later is named before anything is built."""

from pathlib import Path

import numpy as np
import pytest

from sai_bench.before_work import check_system
from sai_bench.errors import WeightsError
from sai_bench.spec import load_spec
from sai_bench.weights import Heard, write_weights

REPOSITORY = Path(__file__).parents[2]
PRETRAINED = REPOSITORY / "specs" / "steered_pretrained.yaml"

LEARNED = """\
name: learned
system:
  front_end: {use: stft, n_fft: 512, hop_samples: 480}
  backbone: {use: steered_masks, masks: 4}
  decoder: {use: class_discs}
  prior: {use: log_mel_linear}
  fusion: {use: none}
  compressor: {use: dense}
"""
STAGE = "training: {detector: {steps: 1}}\n"

_CHECK_AND_REPORT_MODULES = """
import sys
from sai_bench.cli.main import main
sys.argv = ["sai-bench", "check", *sys.argv[1:]]
try:
    main()
    code = 0
except SystemExit as leaving:
    code = leaving.code or 0
print("CODE", code, "TORCH", "torch" in sys.modules)
"""


@pytest.fixture
def learned(sai_bench, tmp_path):
    """A spec with networks in the current folder, and a weights file `w.safetensors` for it."""
    path = tmp_path / "learned.yaml"
    path.write_text(LEARNED)
    write(tmp_path / "w.safetensors", load_spec(path))
    return path


def write(path, spec, *, without=(), **changed):
    """Write a file that fits a spec by its header; its tensors are none of the networks'."""
    resolved = spec.resolved()["system"]
    kinds = [kind for kind in ("front_end", "backbone", "decoder", "prior") if kind not in without]
    components = {kind: resolved[kind] | changed.get(kind, {}) for kind in kinds}
    tensors = {kind: {"x": np.zeros(3, np.float32)} for kind in kinds if kind != "front_end"}
    write_weights(path, tensors, components, Heard("mic", 20.0))


WEIGHTS = ("--set", "system.weights=w.safetensors")


def test_a_file_that_fits_is_right(sai_bench, learned):
    done = sai_bench("check", learned, *WEIGHTS)
    assert (done.code, done.err) == (0, "")


def test_a_truncated_file_is_refused(sai_bench, learned, tmp_path):
    whole = (tmp_path / "w.safetensors").read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 4):
        (tmp_path / "w.safetensors").write_bytes(whole[:length])
        done = sai_bench("check", learned, *WEIGHTS)
        assert done.code == 2
        assert "learned.yaml: system.weights: w.safetensors: cannot be read as weights" in done.err


def test_other_files_are_refused(sai_bench, learned, tmp_path):
    from safetensors.numpy import save

    for content in (b"no tensors at all", save({"x": np.zeros(2)})):
        (tmp_path / "w.safetensors").write_bytes(content)
        done = sai_bench("check", learned, *WEIGHTS)
        assert done.code == 2
        assert "learned.yaml: system.weights: w.safetensors: " in done.err
        assert "Expected a safetensors file as written by: sai-bench export-weights" in done.err


def test_a_header_whose_components_are_no_mappings_is_refused(sai_bench, learned, tmp_path):
    write_weights(tmp_path / "w.safetensors", {}, {"backbone": "steered_masks"}, Heard("mic", 20.0))
    done = sai_bench("check", learned, *WEIGHTS)
    assert done.code == 2
    assert "w.safetensors: cannot be read as weights (its header holds no mappings)" in done.err


def test_every_key_that_differs_is_named(sai_bench, learned):
    other = ("--set", "system.backbone.masks=8", "--set", "system.prior.mel_bands=20")
    done = sai_bench("check", learned, *WEIGHTS, *other)
    assert done.code == 2
    assert "learned.yaml: system.weights: w.safetensors: made for another config:" in done.err
    assert "system.backbone.masks: the file has 4, the spec 8" in done.err
    assert "system.prior.mel_bands: the file has 40, the spec 20" in done.err


def test_keys_that_do_not_matter_to_weights_may_differ(sai_bench, learned):
    assert sai_bench("check", learned, *WEIGHTS, "--set", "system.decoder.smoothing_frames=4").code == 0


def test_another_prior_than_that_of_the_file_is_fine(sai_bench, learned):
    assert sai_bench("check", learned, *WEIGHTS, "--set", "system.prior={use: uniform}").code == 0


def test_the_config_of_a_prior_that_needs_no_weights_does_not_matter(sai_bench, learned, tmp_path):
    audiomae = (
        "system.prior={use: audiomae, head: fitted, encoder_width: 16, encoder_depth: 1, encoder_heads: 2}"
    )
    write(tmp_path / "w.safetensors", load_spec(learned, overrides=[audiomae]))
    random = audiomae.replace("fitted", "random")
    assert sai_bench("check", learned, *WEIGHTS, "--set", audiomae).code == 0
    assert sai_bench("check", learned, *WEIGHTS, "--set", random).code == 0
    told = sai_bench("check", learned, *WEIGHTS, "--set", random, "--set", "system.backbone.masks=8").err
    assert "system.backbone.masks" in told
    assert "system.prior" not in told


def test_a_network_without_weights_in_the_file_is_named(sai_bench, learned, tmp_path):
    write(tmp_path / "w.safetensors", load_spec(learned), without=("front_end", "backbone", "decoder"))
    done = sai_bench("check", learned, *WEIGHTS)
    assert done.code == 2
    assert "has no weights of backbone 'steered_masks', decoder 'class_discs'" in done.err


def test_what_variants_change_is_told_once_and_by_their_names(sai_bench, learned):
    learned.write_text(
        LEARNED.replace("system:\n", "system:\n  weights: w.safetensors\n")
        + "variants:\n  more: {system.backbone.masks: 8}\n  same: {system.fusion: {use: power}}\n"
    )
    done = sai_bench("check", learned)
    assert done.code == 2
    assert "learned.yaml: variants.more.system.weights: w.safetensors: made for another config" in done.err
    assert done.err.count("made for another config") == 1


def test_what_a_stage_begins_with_is_read_too(sai_bench, learned):
    learned.write_text(LEARNED + STAGE)
    begins = ("--set", "training.detector.initial_weights=w.safetensors")
    other = ("--set", "system.backbone.masks=8")
    assert sai_bench("check", learned, *begins).code == 0
    done = sai_bench("check", learned, *begins, *other)
    assert done.code == 2
    assert "learned.yaml: training.detector.initial_weights: w.safetensors: made for another" in done.err
    overrides = [key for key in (*begins, *other) if key != "--set"]
    with pytest.raises(WeightsError, match=r"initial_weights: .*made for another config"):
        check_system(load_spec(learned, overrides=overrides))


def test_a_stage_that_will_not_run_is_left_alone(sai_bench, learned, tmp_path):
    learned.write_text(LEARNED + STAGE)
    write(tmp_path / "other.safetensors", load_spec(learned), backbone={"masks": 8})
    begins = ("--set", "training.detector.initial_weights=other.safetensors")
    assert sai_bench("check", learned, *begins).code == 2
    assert sai_bench("check", learned, *begins, *WEIGHTS).code == 0


def test_several_specs_are_all_checked(sai_bench, learned, tmp_path):
    (tmp_path / "wrong.yaml").write_text("nmae: x\n")
    done = sai_bench("check", learned, "wrong.yaml", *WEIGHTS, "--set", "system.backbone.masks=8")
    assert done.code == 2
    assert "made for another config" in done.err
    assert "nmae: unknown key" in done.err


@pytest.mark.parametrize(
    ("changes", "code"), [((), 0), (("--set=system.prior.mel_bands=7", "--set=system.backbone.masks=3"), 2)]
)
def test_torch_stays_out(fresh, changes, code):
    done = fresh("-c", _CHECK_AND_REPORT_MODULES, PRETRAINED, *changes)
    assert done.stdout.splitlines()[-1] == f"CODE {code} TORCH False", done.stderr
