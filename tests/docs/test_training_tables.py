"""Tables about trained systems: they show the numbers of the committed results and say what these count."""

import json
import re

import pytest
import yaml


@pytest.fixture
def tables(hooks):
    return hooks.training_tables


def result_of(repository, *path):
    return json.loads(repository.joinpath("docs/results/training", *path).read_text())


def june_map(repository, variant):
    return result_of(repository, "steered", "result.json")["variants"][variant]["metrics"]["dcase2026_june"][
        "macro_mAP"
    ]


def test_core_minutes_are_those_of_all_stages_and_processes(tables, repository):
    rows = {line.split(" | ")[0].strip("| `"): line.split(" | ") for line in tables.systems().splitlines()}
    for spec, stages in tables.STAGES.items():
        results = [result_of(repository, spec, f"{stage}.json") for stage in stages]
        minutes = sum(result["seconds"] * result["processes"] for result in results) / 60
        assert rows[f"{spec}.yaml"][1:3] == [
            f"{minutes:.0f}",
            str(sum(result["steps"] for result in results)),
        ]


def test_the_tables_say_whose_minutes_leave_validation_and_checkpoints_out(tables, monkeypatch):
    said = "validation and checkpoints are included"
    monkeypatch.setattr(tables, "STEPS_ONLY", frozenset())
    assert f"{said}. " in tables.systems()
    assert "validation and checkpoints included |" in tables.model_card()
    monkeypatch.setattr(tables, "STEPS_ONLY", frozenset({"steered"}))
    assert f"{said}, but not in those of `steered.yaml`. " in tables.systems()
    assert "validation and checkpoints not counted |" in tables.model_card()


def test_names_of_results_without_validation_are_names_of_results(tables):
    assert tables.STEPS_ONLY.issubset(tables.STAGES)


def test_a_spec_that_is_listed_has_its_results_its_stages_and_its_alphas(tables, repository):
    for spec, stages in tables.STAGES.items():
        record = result_of(repository, spec, "result.json")
        assert {spec, *tables.OTHER_ALPHAS.values()} <= set(record["variants"])
        training = record["spec"]["training"]
        assert [name for name, keys in training.items() if keys.get("trains") != "prior"] == list(stages)


@pytest.mark.parametrize(
    ("suggested", "word"), [((0, 1), "within"), ((0.9, 1), "below"), ((0, 1e-4), "above")]
)
def test_what_was_reached_is_placed_against_the_prototype(tables, repository, monkeypatch, suggested, word):
    monkeypatch.setattr(tables, "PROTOTYPE_MAP", suggested)
    sentence = tables.against_prototype()
    assert f"reaches {june_map(repository, 'steered'):.3f}, which lies {word} that range" in sentence
    low, high = map(float, re.search(r"([\d.]+) to ([\d.]+)\.\n$", sentence).groups())
    alphas = [june_map(repository, name) for name in ("steered", "alpha_0", "alpha_0_25", "alpha_1")]
    assert (low, high) == (round(min(alphas), 3), round(max(alphas), 3))


def test_rendering_takes_the_minutes_that_were_measured_and_at_most_ten(tables, repository):
    seconds = result_of(repository, "rendering.json")["seconds"]
    assert f"rendered in {seconds / 60:.1f} minutes" in tables.rendering()
    assert seconds < 600


def test_each_choice_is_named_by_the_keys_that_its_spec_changes(tables, repository):
    written = yaml.safe_load((repository / "specs" / "steered_choices.yaml").read_text())["variants"]
    rows = [line.split(" | ") for line in tables.choices().splitlines() if line.startswith("| `")]
    changes = [{k.rpartition(".")[2]: v for k, v in variant.items()} for variant in written.values()]
    assert [row[0].strip("| `") for row in rows] == [
        ", ".join(f"{key}: {value:g}" for key, value in change.items()) for change in changes
    ]
    scores = result_of(repository, "steered_choices", "result.json")["variants"]
    assert [row[1] for row in rows] == [
        f"{scores[name]['metrics']['dcase2026_june']['macro_mAP']:.3f}" for name in written
    ]
