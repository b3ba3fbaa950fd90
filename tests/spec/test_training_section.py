"""The `training` section: stages by name, each checked by its own keys and its decoder's losses."""

from __future__ import annotations

import pytest
import yaml

STAGES = """\
extends: specs/whole.yaml
training:
  synthetic:
    data: {use: rooms, folder: synthetic}
    steps: 500
    targets: {class_agnostic: true}
    losses: {dice: 2}
  real: {steps: 60, initial_weights: weights/start.safetensors}
  prior: {trains: prior, split: heard}
"""


def test_stages_keep_their_order_and_their_own_data_and_losses(whole):
    spec = whole.load_text(STAGES)

    assert [stage.name for stage in spec.training] == ["synthetic", "real", "prior"]
    assert [stage.trains_detector for stage in spec.training] == [True, True, False]
    synthetic, real, prior = spec.training
    assert synthetic.data.config.folder == whole.path / "synthetic"
    assert synthetic.losses.dice == 2
    assert real.data is None
    assert real.losses.dice == 5
    assert real.settings.initial_weights == whole.path / "weights/start.safetensors"
    assert prior.losses is None
    assert prior.settings.split == "heard"


def test_a_spec_without_stages_resolves_as_if_there_were_no_such_section(whole):
    assert "training" not in whole.load("specs/whole.yaml").resolved()


def test_resolved_stages_load_as_the_same_spec(whole):
    spec = whole.load_text(STAGES)
    whole.write("again.yaml", yaml.safe_dump(spec.resolved(), sort_keys=False))

    assert whole.load("again.yaml").resolved() == spec.resolved()


def test_an_inherited_stage_is_dropped_by_null_and_changed_by_a_dotted_override(whole):
    whole.write("s.yaml", STAGES)
    whole.write("t.yaml", "extends: s.yaml\ntraining: {synthetic: null}\n")

    spec = whole.load("t.yaml", "training.real.optimiser.learning_rate=0.5")

    assert [stage.name for stage in spec.training] == ["real", "prior"]
    assert spec.training[0].settings.optimiser.learning_rate == 0.5


def test_inherited_losses_and_data_of_a_stage_are_dropped_by_null(whole):
    whole.write("s.yaml", STAGES)
    whole.write("t.yaml", "extends: s.yaml\ntraining: {synthetic: {losses: null, data: null}}\n")

    stage, declared = whole.load("t.yaml").training[0], whole.load("s.yaml").training[0]

    assert declared.data is not None
    assert stage.data is None
    assert stage.losses == type(declared.losses)() != declared.losses


def test_variants_change_and_drop_stages(whole):
    changes = "variants: {short: {training.real.steps: 7, training.prior: null}}\n"
    spec = whole.load_text(STAGES + changes)
    variant = spec.variants["short"]

    assert [(stage.name, stage.settings.steps) for stage in variant.training] == [
        ("synthetic", 500),
        ("real", 7),
    ]
    whole.write("again.yaml", yaml.safe_dump(spec.resolved(), sort_keys=False))
    assert whole.load("again.yaml").variants["short"].resolved() == variant.resolved()


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ("{a: {steps: 3, stps: 3}}", "training.a.stps: unknown key. Did you mean 'steps'?"),
        ("{a: {}}", "training.a.steps: missing."),
        ("{a: {steps: 3, losses: {dise: 1}}}", "training.a.losses.dise: unknown key. Did you mean 'dice'?"),
        (
            "{a: {steps: 3, losses: {dice: 0}}}",
            "training.a.losses: all weights are 0 (dice, score), so nothing would be learned. Set one of ",
        ),
        ("{a: {steps: 3, optimiser: {betas: [1, 0.9]}}}", "training.a.optimiser.betas"),
        ("{a: {steps: 3, optimiser: {betas: [0.9, 1.0]}}}", "training.a.optimiser.betas"),
        ("{a: {steps: 3, losses: 4}}", "training.a.losses: expected a mapping"),
        ("{a: {steps: 3, trains: prio}}", "training.a.trains: expected 'detector' or 'prior', got the text"),
        ("{a: {steps: 3, trains: {}}}", "training.a.trains: expected 'detector' or 'prior', got"),
        ("{a: {steps: 3, segment_s: 0.25}}", "segment_s = 0.25 is no whole number of label frames"),
        ("{a: {steps: 3, segment_s: 1, frames_per_segment: 11}}", "has 10 label frames"),
        (
            "{a: {steps: 3, sampling: {online: true, class_balance: 0.5}}}",
            "training.a.sampling: class_balance and silent_share choose among recordings on disk; with",
        ),
        (
            "{a: {steps: 3, sampling: {online: true, silent_share: 0}}}",
            "Leave them at 0 and 1, or set online",
        ),
        ("{a: {steps: 3, data: {use: romms}}}", "training.a.data.use: Unknown dataset 'romms'"),
        ("{a: {steps: .nan}}", "training.a.steps"),
        ("{A: {steps: 3}}", "training.A: a stage's name consists of"),
        ("{a: 3}", "training.a: expected a mapping of keys"),
        ("[a]", "training: expected a mapping of keys"),
        ("{p: {trains: prior, losses: {}}}", "training.p.losses: a prior learns by its own keys"),
        (
            "{p: {trains: prior}, q: {trains: prior}}",
            "training.q: a second stage that trains the prior, which is fitted once. Remove one of them.",
        ),
    ],
)
def test_a_wrong_stage_is_named_with_its_line(whole, stages, problem):
    (found,) = whole.problems_of(f"extends: specs/whole.yaml\ntraining: {stages}\n")

    assert found.startswith("s.yaml:2: ")
    assert problem in found


def test_one_loss_with_a_weight_is_enough(whole):
    text = "extends: specs/whole.yaml\ntraining: {a: {steps: 3, losses: {dice: 0, score: 1, width_deg: 0}}}\n"

    assert whole.load_text(text).training[0].losses.score == 1


def test_a_decoder_that_cannot_be_trained_is_refused_with_those_that_can(whole):
    text = "extends: specs/whole.yaml\nsystem: {decoder: {use: fixed_peaks}}\ntraining: {a: {steps: 3}}\n"
    (found,) = whole.problems_of(text)

    assert "training.a: decoder 'fixed_peaks' cannot be trained. Take one that can (peaks)" in found
