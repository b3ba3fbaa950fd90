"""Whatever determines a result is part of its key: change it, and this stage and what follows is redone."""

import subprocess
import sys

import pytest

SCORE = "score.dcase2026_april"
AFTER_PRIOR = {"prior", "fuse", "compress", SCORE}
EVERYTHING = {"detect", *AFTER_PRIOR}
AFTER_DETECT = EVERYTHING - {"prior"}


@pytest.fixture
def ran(workshop):
    assert workshop.computed() == EVERYTHING
    assert workshop.computed() == set()
    return workshop


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("data.baffle=rigid", EVERYTHING),
        ("system.front_end.n_fft=2048", AFTER_DETECT),
        ("system.backbone.min_hz=400", AFTER_DETECT),
        ("system.decoder.peaks=2", AFTER_DETECT),
        ("system.microphones=all", EVERYTHING),
        ("inference.segment_s=0.3", AFTER_DETECT),
        ("inference.masks_per_frame=1", AFTER_DETECT),
        ("system.prior={use: uniform}", AFTER_PRIOR),
        ("system.fusion={use: none}", {"fuse", "compress", SCORE}),
        ("export.score_threshold=0.01", {"fuse", "compress", SCORE}),
        ("export.mask_energy=0.2", {"fuse", "compress", SCORE}),
        ("system.compressor.strong_cell_px=3", {"compress", SCORE}),
        ("evaluation.metrics=[{use: dcase2026_april, sigma_deg: 5}]", {SCORE}),
        ("evaluation.pictures=1", set()),
        ("seed=7", set()),
        ("name=other", set()),
    ],
)
def test_a_changed_key_of_the_spec_redoes_what_depends_on_it(ran, override, stages):
    assert ran.computed(override) == stages


def test_a_changed_recording_is_redone_and_the_other_kept(ran):
    import numpy as np
    import soundfile

    noise = np.random.default_rng(9).uniform(-0.5, 0.5, (12000, 4))
    soundfile.write(ran.folder / "data" / "one.wav", noise, 24000)
    _, said = ran.run()
    assert "detect: 1 recordings computed, 1 reused" in said


def test_a_changed_file_that_the_config_names_is_noticed(ran):
    before = ran.predictions()
    (ran.folder / "level.txt").write_text("0.4")
    assert ran.computed("system.fusion={use: power}") == {"fuse", "compress", SCORE, "prior"}
    assert ran.predictions() != before


def test_two_specs_with_the_same_text_and_other_files_do_not_share_results(ran):
    elsewhere = ran.folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("toy.yaml", "toy_components.py"):
        (elsewhere / name).write_text((ran.folder / name).read_text())
    (elsewhere / "level.txt").write_text("0.2")
    ran.spec = elsewhere / "toy.yaml"
    assert "prior" in ran.computed()


def test_changed_code_of_a_plugin_file_is_noticed(ran):
    plugin = ran.folder / "toy_components.py"
    plugin.write_text(plugin.read_text() + "# changed\n")
    assert {"prior", "fuse"} <= ran.computed()


def test_changed_code_that_a_plugin_imports_is_noticed_by_the_next_process(ran):
    def computed():
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]);"
            "sys.argv[1:] = ['evaluate', 'toy.yaml', '--out', 'run', '--cache', 'cache', '--workers', '1'];"
            "from sai_bench.cli.main import main; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, ran.folder],
            cwd=ran.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return {line.split(":")[0] for line in done.stderr.splitlines() if "computed" in line}

    assert computed() == set()
    before = ran.predictions()
    (ran.folder / "toy_numbers.py").write_text("HALF = 0.25\n")
    assert "fuse" in computed()
    assert ran.predictions() != before


def test_the_seed_decides_about_a_fitted_prior(ran):
    noisy = "system.prior={use: noisy}"
    assert ran.computed(noisy) == {"fit", *AFTER_PRIOR}
    assert ran.computed(noisy) == set()
    assert ran.computed(noisy, "seed=7") == {"fit", *AFTER_PRIOR}


def test_a_truncated_stored_result_is_computed_again(ran):
    before = ran.predictions()
    for stored in [*(ran.folder / "cache" / "compress").rglob("*.json")]:
        if stored.name != "key.json":
            stored.write_bytes(stored.read_bytes()[:50])
    assert ran.computed() == {"compress"}
    assert ran.predictions() == before


def test_a_damaged_stored_result_of_the_same_size_is_computed_again(ran):
    before = ran.predictions()
    for stored in (ran.folder / "cache" / SCORE).rglob("*.npz"):
        content = bytearray(stored.read_bytes())
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
        stored.write_bytes(content)
    assert ran.computed() == {SCORE}
    assert ran.computed() == set()
    assert ran.predictions() == before


def test_times_of_reused_results_are_remembered(ran):
    first, _ = ran.run()
    again, _ = ran.run()
    for stage, timing in first.variants["toy"].stages.items():
        assert timing.seconds == again.variants["toy"].stages[stage].seconds > 0
