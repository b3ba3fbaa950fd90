"""`specs/report.yaml` against the figures of the technical report, at full size."""

from pathlib import Path

import pytest
import torch

from sai_bench.description import describe
from sai_bench.spec import load_spec
from sai_bench.sphere import array_for_channels
from sai_bench.training.views import views_of

SPECS = Path(__file__).parents[2] / "specs"


@pytest.fixture(scope="module")
def described():
    torch.set_num_threads(1)
    description = describe(load_spec(SPECS / "report.yaml", overrides=["system.prior.head=random"]))
    return {part.kind: part for part in description.parts}


def lengths(part):
    return {shape.what: shape.lengths for shape in part.shapes}


def test_the_front_end_makes_202_frames_of_1024_bins_and_12_channels(described):
    assert lengths(described["front_end"])["features"] == (1, 12, 202, 1024)


def test_the_encoder_stages_have_the_shapes_of_figure_2(described):
    found = lengths(described["backbone"])
    assert found["stage 2"] == (1, 101, 128, 192)
    assert found["stage 3"] == (1, 101, 64, 384)
    assert found["stage 4"] == (1, 101, 32, 768)


def test_45_by_90_by_16_queries_give_a_map_for_each_stage(described):
    found = lengths(described["backbone"])
    assert found["queries"] == (45, 90, 16)
    for stage in (2, 3, 4):
        assert found[f"stage {stage} map, averaged to label frames"] == (1, 21, 45 * 90, 16)


def test_the_literal_reading_shows_maps_of_101_frames():
    overrides = ["system.backbone.feed_forward_at=encoder_frames", "system.prior={use: uniform}"]
    backbone = describe(load_spec(SPECS / "tiny.yaml", overrides=overrides)).parts[1]
    assert lengths(backbone)["stage 4 map"] == (1, 101, 18 * 36, 16)
    assert lengths(backbone)["sphere features"] == (1, 21, 16, 18, 36)


def test_the_spherical_feature_map_is_21_by_16_by_45_by_90(described):
    assert lengths(described["backbone"])["sphere features"] == (1, 21, 16, 45, 90)


def test_there_are_16_queries_a_frame_and_masks_of_180_by_360(described):
    found = lengths(described["decoder"])
    assert found["scores"] == (1, 20, 16)
    assert found["class logits"] == (1, 20, 16, 14)
    assert found["mask logits"] == (1, 20, 16, 45, 90)
    assert found["one full-size mask"] == (1, 180, 360)


def test_the_encoder_has_the_size_and_cost_of_convnext_t(described):
    backbone = described["backbone"]
    assert backbone.details["encoder"]["parameters"] == pytest.approx(27.05e6, abs=0.01e6)
    assert backbone.details["encoder"]["gmacs"] == pytest.approx(137, abs=1)


def test_the_prior_gives_13_classes_on_20_label_frames(described):
    assert lengths(described["prior"])["class activity"] == (13, 20)
    assert described["prior"].parameters > 85e6


def test_the_stages_of_training_are_the_rows_of_table_1():
    spec = load_spec(SPECS / "report.yaml")
    synthetic, dcase, prior = spec.training

    for stage, rate, steps in ((synthetic, 1e-4, 500_000), (dcase, 3e-5, 60_000)):
        settings = stage.settings
        assert (settings.optimiser.learning_rate, settings.steps, settings.batch_segments) == (rate, steps, 1)
        assert settings.segment_s == 2
    fit = spec.system.prior.config
    assert (fit.learning_rate, fit.fit_steps, fit.fit_batch_size) == (3e-4, 30_000, 8)
    assert not prior.trains_detector
    assert {stage.data.name for stage in (dcase, prior)} == {"stairs26"}


def test_each_stage_has_the_masks_and_losses_of_its_row():
    synthetic, dcase, _ = load_spec(SPECS / "report.yaml").training
    names = ("classification", "bce", "dice", "refinement", "calibration", "scoring")

    def lowered(stage):
        return {name for name in names if getattr(stage.losses, name)}

    assert synthetic.settings.targets.class_agnostic
    assert lowered(synthetic) == {"bce", "dice", "refinement"}
    assert synthetic.losses.matching.classification == 0
    assert not dcase.settings.targets.class_agnostic
    assert lowered(dcase) == {"classification", "bce", "dice", "calibration", "scoring"}
    assert min(dcase.losses.matching.model_dump().values()) > 0


def test_synthetic_scenes_are_those_of_section_3_1_1_rendered_for_each_step():
    synthetic = load_spec(SPECS / "report.yaml").training[0]
    fragment = load_spec(SPECS / "data" / "vctk_rooms.yaml").data

    assert synthetic.data.config == fragment.config
    assert synthetic.settings.sampling.online


def test_real_segments_are_heard_through_four_views_of_the_em32():
    spec = load_spec(SPECS / "report.yaml")
    dcase = spec.training[1]

    assert (dcase.data.config.channels, spec.system.microphones) == (32, "mic")
    recorded, heard = array_for_channels(32, "rigid"), array_for_channels(4, "rigid")
    assert len(views_of(recorded, heard, dcase.settings.augmentation.views)) == 4


def test_the_decoder_has_ten_layers_and_the_export_keeps_six_above_5_percent():
    spec = load_spec(SPECS / "report.yaml")
    system = spec.system
    assert (system.decoder.config.layers, system.decoder.config.queries) == (10, 16)
    assert system.backbone.config.feed_forward_at == "label_frames"
    assert (system.fusion.name, system.fusion.config.alpha) == ("power", 0.5)
    assert system.prior.config.window_s == 2.0
    export = spec.export
    assert (export.score_threshold, export.detections_per_frame, export.mask_energy) == (0.05, 6, 0.1)
