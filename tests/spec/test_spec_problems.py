"""A wrong spec: every problem is found, at its line, with what was expected."""

# ruff: noqa: E501 (messages stand on one line, as they are shown)

from __future__ import annotations

import pytest

from sai_bench.errors import SpecError

FIVE_MISTAKES = """\
name: broken
system:
  front_end:
    use: window
    windw_ms: 30
  backbone: {use: power_map}
  decoder: {use: peeks}
  prior: {use: flat}
  fusion:
    use: exponent
    alpha: 1.5
    floor: low
    alpha: 0.5
  compressor: {use: keep}
"""

SYSTEM = """\
name: s
system:
  front_end: {use: window}
  backbone: {use: power_map}
  decoder: {use: peaks}
  prior: {use: flat}
  fusion: {use: exponent}
  compressor: {use: keep}
"""


def test_five_mistakes_are_all_reported_with_lines_and_suggestions(folder):
    assert folder.problems_of(FIVE_MISTAKES) == [
        "s.yaml:5: system.front_end.windw_ms: unknown key. Did you mean 'window_ms'?",
        "s.yaml:7: system.decoder.use: Unknown decoder 'peeks'. Did you mean 'peaks'? Available: fixed_peaks, peaks, silent.",
        "s.yaml:11: system.fusion.alpha: expected a number of at most 1, got 1.5.",
        "s.yaml:12: system.fusion.floor: expected a number, got the text 'low'.",
        "s.yaml:13: system.fusion.alpha: duplicate key; it also stands on line 11. Keep one of them.",
    ]


def test_problems_of_several_files_name_the_file_each_was_written_in(folder):
    folder.write("specs/data/base.yaml", "data: {use: rooms, folder: ., recordings: 0}\n")
    folder.write("specs/main.yaml", "extends: data/base.yaml\nseed: -1\n")
    assert folder.problems("specs/main.yaml") == [
        "specs/data/base.yaml:1: data.recordings: expected a number of at least 1, got 0.",
        "specs/main.yaml:2: seed: expected a number of at least 0, got -1.",
    ]


def test_the_error_text_is_the_problems_line_by_line(folder):
    folder.write("s.yaml", "sed: 1\nnme: x\n")
    with pytest.raises(SpecError) as caught:
        folder.load("s.yaml")
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "s.yaml:1: sed: unknown key. Did you mean 'seed'?\ns.yaml:2: nme: unknown key. Did you mean 'name'?"
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("name: [a]", "s.yaml:1: name: expected text, got a list."),
        ("name: 2026", "s.yaml:1: name: expected text, got 2026. For text write '2026' in quotes."),
        ("name: a/b", "s.yaml:1: name: expected text that matches"),
        ("name: ''", "$, got the text ''."),
        ("seed: 1.5", "s.yaml:1: seed: expected a whole number, got 1.5."),
        ("seed: 'x'", "s.yaml:1: seed: expected a whole number, got the text 'x'."),
        ("seed: yes", "s.yaml:1: seed: expected a number, got true (YAML reads the bare word yes as true"),
        ("seed:", "s.yaml:1: seed: expected a whole number, got nothing."),
        ("name: x\nsystem: 3", "s.yaml:2: system: expected a mapping of keys, got 3."),
        ("data: rooms", "s.yaml:1: data: expected a mapping with the key 'use', got the text 'rooms'. Did you mean {use: rooms}?"),
        ("data: {}", "s.yaml:1: data.use: missing. It names the dataset. Available: rooms."),
        ("data: {ues: rooms}", "Did you mean 'use' where it says 'ues'?"),
        ("data: {use: [rooms]}", "s.yaml:1: data.use: expected the name of a dataset, got a list."),
        ("data: {use: no}", "got false (YAML reads the bare word no as false; for text write 'no' in quotes)"),
        ("data: {use: rooms}", "s.yaml:1: data.folder: missing. This key is required."),
        ("data:\n  use: rooms\n  folder: .\n  recordings: many", "s.yaml:4: data.recordings: expected a whole number"),
        ("inference: {segment_s: 0}", "inference.segment_s: expected a number greater than 0, got 0."),
        ("inference: {segment_s: .nan}", "inference.segment_s: expected a finite number, got .nan."),
        ("inference: {context_s: .inf}", "inference.context_s: expected a finite number, got .inf."),
        ("inference: {context_s: -1e400}", "inference.context_s: expected a finite number, got the text '-1e400'."),
        ("inference: {segment_s: 0.14}", "inference.segment_s: segment_s = 0.14 is no whole number of label frames of 0.1 s"),
        ("inference: {context_s: 2.05}", "inference.context_s: context_s = 2.05 is no whole number of label frames of 0.1 s"),
        ("inference: {compile: true}", "compile needs segments of equal length"),
        ("inference: {batch_segments: 2}", "batch_segments = 2 needs segments of equal length"),
        ("inference: {segment: 1}", "inference.segment: unknown key. Did you mean 'segment_s'?"),
        ("inference: null", "inference: expected a mapping of keys, got nothing."),
        ("export: {mask_energy: 1}", "export.mask_energy: expected a number less than 1, got 1."),
        ("export: {xyz: 1}", "unknown key. Known keys: detections_per_frame, mask_energy, score_threshold."),
        ("evaluation: {metrics: {use: april}}", "evaluation.metrics: expected a list of metrics"),
        ("evaluation:\n  metrics:\n  - use: april\n  - use: may", "s.yaml:4: evaluation.metrics.1.use: Unknown metric 'may'."),
        ("evaluation: {metrics: [{use: june, alpha: 2}]}", "evaluation.metrics.0.alpha: expected a number of at most 1"),
        ("evaluation: {metrics: [{use: june}, {use: june, alpha: .5}]}", "stands here twice"),
        ("evaluation: {metric: []}", "evaluation.metric: unknown key. Did you mean 'metrics'?"),
        ("plugins: x.py", "s.yaml:1: plugins: expected a list of Python files, got the text 'x.py'."),
        ("variants: [a]", "s.yaml:1: variants: expected a mapping of names, got a list."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_explained(folder, change, problem):
    problems = folder.problems_of(change + "\n")
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("line", "replacement", "problem"),
    [
        (3, "", "s.yaml:2: system.front_end: missing. Available: mel, window."),
        (1, "", "s.yaml:1: name: missing. A spec with a system needs a name."),
        (3, "  frontend: {use: window}", "s.yaml:3: system.frontend: unknown key. Did you mean 'front_end'?"),
        (3, "  front_end: {use: window, taper: ham}", "expected 'hann', 'hamming' or 'off', got the text 'ham'."),
        (3, "  front_end: {use: window, taper: of}", "Did you mean 'off'?"),
        (3, "  front_end: {use: window, taper: off}", "got false (YAML reads the bare word off as false"),
        (3, "  front_end: {use: window, window_ms: on}", "s.yaml:3: system.front_end.window_ms: expected a number, got true"),
        (6, "  prior: {use: learned, layers: [{wdth: 3}]}", "s.yaml:6: system.prior.layers.0.wdth: unknown key. Did you mean 'width'?"),
        (6, "  prior: {use: learned, layers: [{rate: fast}]}", "layers.0.rate: expected a number or 'auto', got the text 'fast'."),
        (6, "  prior: {use: learned, layers: [{}, {width: yes}]}", "layers.1.width: expected a number, got true"),
        (6, "  prior: {use: learned, layers: [7]}", "layers.0: expected a mapping of keys, got 7."),
        (6, "  prior: {use: learned, gains: {a: 1}}", "system.prior.gains.a: expected a whole number"),
        (6, "  prior: {use: learned, gains: {1: 1, 2: 1, 3: 1, 4: 1}}", "system.prior.gains: at most three gains"),
        (6, "  prior: {use: learned, weights: ~nobody_at_all/x}", "LearnedConfig failed (RuntimeError"),
        (6, "  prior: {use: learned, window: [1, 2]}", "s.yaml:6: system.prior.window: expected 3 items, got 2."),
        (6, "  prior: {use: learned, window: []}", "s.yaml:6: system.prior.window: expected 3 items, got 0."),
        (6, "  prior: {use: learned, window: [1, 2, 3, 4]}", "system.prior.window: expected at most 3 items, got 4."),
        (6, "  prior: {use: learned, window: 3}", "system.prior.window: expected a list, got 3."),
        (7, "  fusion:\n    use: weighted\n", "s.yaml:7: system.fusion.weight: missing. This key is required."),
        (7, "  fusion: {use: faulty, mode: b}", "FaultyConfig failed (RuntimeError: a bug of the plugin)"),
    ],
)  # fmt: skip
def test_a_wrong_system_is_explained(folder, line, replacement, problem):
    lines = SYSTEM.splitlines()
    lines[line - 1] = replacement
    text = "\n".join(row for row in lines if row)
    assert any(problem in found for found in folder.problems_of(text)), folder.problems_of(text)


def test_a_text_number_like_1e_3_is_a_number(folder):
    assert folder.load_text("inference: {segment_s: 1e+1, context_s: '0.5', score_floor: 1e-3}\n").inference
    spec = folder.load("s.yaml")
    assert (spec.inference.segment_s, spec.inference.context_s, spec.inference.score_floor) == (
        10,
        0.5,
        1e-3,
    )


def test_parts_that_do_not_fit_are_reported_at_the_later_part(folder):
    problems = folder.problems_of(SYSTEM.replace("use: window", "use: mel"))
    assert problems == [
        "s.yaml:4: system.backbone: takes complex_spectrum, got log_mel. Use front end window."
    ]


def test_a_component_that_cannot_say_what_it_produces_is_a_problem(folder):
    problems = folder.problems_of(SYSTEM.replace("use: peaks", "use: silent"))
    assert len(problems) == 1
    assert problems[0].startswith("s.yaml:5: system.decoder: decoder 'silent' cannot say what it produces")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("export:\n  mask_energy: 0.05", "s.yaml:10: export.mask_energy: 0.05 has no effect"),
        ("inference:\n  stored_energy: 0.5", "s.yaml:10: export.mask_energy: 0.1 has no effect"),
        ("inference: {score_floor: 0.3}", "s.yaml:9: export.score_threshold: 0.05 has no effect"),
        (
            "export: {detections_per_frame: 200}",
            "s.yaml:9: export.detections_per_frame: 200 detections a frame",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_reported(folder, settings, problem):
    problems = folder.problems_of(SYSTEM + settings + "\n")
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_variant_problems_stand_at_the_variants_lines(folder):
    text = SYSTEM + (
        "variants:\n"
        "  flat:\n"
        "    system.prior: {use: flt}\n"
        "  mel:\n"
        "    system.front_end: {use: mel}\n"
        "  Bad name: {}\n"
        "  other: {name: x, system..a: 1, sytem.prior: {use: flat}, system.fusion.alpa: 1}\n"
        "  empty:\n"
    )
    problems = folder.problems_of(text)
    assert problems[0].startswith("s.yaml:11: variants.flat.system.prior.use: Unknown prior 'flt'.")
    assert problems[1].startswith("s.yaml:12: variants.mel.system.backbone: takes complex_spectrum")
    assert problems[2].startswith("s.yaml:14: variants.Bad name: a variant's name consists of")
    assert problems[3].startswith("s.yaml:15: variants.other.name: a variant cannot change this.")
    assert problems[4].startswith("s.yaml:15: variants.other.system..a: expected a dotted path")
    assert problems[5].startswith("s.yaml:16: variants.empty: expected keys such as")
    assert len(problems) == 6
    found = folder.problems_of(text.replace("name: x, system..a: 1, ", ""))
    assert "s.yaml:15: variants.other.sytem: unknown key. Did you mean 'system'?" in found
    assert "s.yaml:15: variants.other.system.fusion.alpa: unknown key. Did you mean 'alpha'?" in found


def test_a_mistake_of_the_main_spec_is_not_repeated_for_each_variant(folder):
    text = (
        SYSTEM.replace("use: exponent", "use: exponent, alpa: 1") + "variants: {a: {seed: 2}, b: {seed: 3}}\n"
    )
    assert len(folder.problems_of(text)) == 1
