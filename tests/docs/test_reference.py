"""Every module is either in the reference or known to be nobody's business but ours."""

import importlib.util

INTERNAL = {
    "sai_bench",  # gathers names from the modules below
    "sai_bench.before_work",
    "sai_bench.cli",  # its commands are in commands.md
    "sai_bench.cores",
    "sai_bench.folder_lock",
    "sai_bench.json_document",
    "sai_bench.memory_peak",
    "sai_bench.point_text",
    "sai_bench.run_folder",
    # what data sets are checked with
    "sai_bench.dataset_check.cheap",
    "sai_bench.dataset_check.checking",
    "sai_bench.dataset_check.findings",
    "sai_bench.dataset_check.labels",
    "sai_bench.dataset_check.one_recording",
    "sai_bench.dataset_check.samples",
    "sai_bench.dataset_check.sound",
    # what metrics are made of
    "sai_bench.metrics.april",
    "sai_bench.metrics.average_precision",
    "sai_bench.metrics.diagnosing",
    "sai_bench.metrics.diagnosing.diagnosis_stage",
    "sai_bench.metrics.diagnosing.score_thresholds",
    "sai_bench.metrics.diagnosing.weighted_precision",
    "sai_bench.metrics.grouping",
    "sai_bench.metrics.input_judging",
    "sai_bench.metrics.june",
    "sai_bench.metrics.numbers",
    "sai_bench.metrics.official_lookup",
    "sai_bench.metrics.score_stage",
    "sai_bench.metrics.strongest_point",
    "sai_bench.metrics.submission_content",
    # how results are gathered and drawn
    "sai_bench.results.build_record",
    "sai_bench.results.class_colours",
    "sai_bench.results.data_report",
    "sai_bench.results.diagnostics_report",
    "sai_bench.results.environment",
    "sai_bench.results.figure_layout",
    "sai_bench.results.frame_choice",
    "sai_bench.results.rendering",
    "sai_bench.results.score_report",
    "sai_bench.results.sphere_axes",
    "sai_bench.results.text_placement",
    # how a spec is read and checked
    "sai_bench.spec.key_tables",
    "sai_bench.spec.merging",
    "sai_bench.spec.problems",
    "sai_bench.spec.pydantic_messages",
    "sai_bench.spec.spec",
    "sai_bench.spec.validation",
    "sai_bench.spec.yaml_source",
    # how stages work
    "sai_bench.stages.label_memory",
    "sai_bench.stages.labelled",
    "sai_bench.stages.portable",
    "sai_bench.stages.stored",
    "sai_bench.stages.works",
    # how training feeds and keeps itself
    "sai_bench.training.checkpoints",
    "sai_bench.training.label_masks",
    "sai_bench.training.label_regions",
    "sai_bench.training.mask_drawing",
    "sai_bench.training.mask_grids",
    "sai_bench.training.optimisation",
    "sai_bench.training.segment_audio",
    "sai_bench.training.segment_batches",
    "sai_bench.training.segment_index",
    "sai_bench.training.segment_sources",
    "sai_bench.training.segment_loader",
    "sai_bench.training.segments",
    "sai_bench.training.stage_data",
    "sai_bench.training.training_log",
    "sai_bench.training.training_step",
}
WHOLE = ("sai_bench.cli.", "sai_bench.metrics.april.", "sai_bench.metrics.june.")
"""Packages with nothing public in them."""


def modules(repository):
    for path in sorted((repository / "sai_bench").rglob("*.py")):
        parts = path.relative_to(repository).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def listed(repository):
    lines = (repository / "docs" / "reference.md").read_text().splitlines()
    return [line.removeprefix("::: ") for line in lines if line.startswith("::: ")]


def test_every_module_is_in_the_reference_or_internal(repository):
    known = {*listed(repository), *INTERNAL}
    new = [name for name in modules(repository) if name not in known and not name.startswith(WHOLE)]
    assert not new, "add them to docs/reference.md, or to INTERNAL here"


def test_the_reference_names_each_module_once_and_only_modules_that_exist(repository):
    names = listed(repository)
    assert sorted(names) == sorted(set(names))
    assert [name for name in names if importlib.util.find_spec(name) is None] == []


def test_what_is_internal_exists_and_is_not_in_the_reference(repository):
    assert set(modules(repository)) >= INTERNAL
    assert not INTERNAL & set(listed(repository))
