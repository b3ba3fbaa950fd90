"""Decoder `class_discs`: what the detector wants of it, what it promises, which keys it takes."""

from __future__ import annotations

import pydantic
import pytest
import torch

from sai_bench.detector import check_candidates
from sai_bench.errors import WiringError
from sai_bench.interfaces import CandidateSpec, SphereSpec
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig
from sai_bench_builtin.decoders.class_discs import ClassDiscs

ROWS, COLUMNS = 18, 36


def built(class_maps=False, **keys):
    torch.manual_seed(0)
    config = ClassDiscsConfig(**{"upsampling": 2, "hidden_channels": 8, **keys})
    return ClassDiscs(config, SphereSpec("embedding", 6 + 13 * class_maps, ROWS, COLUMNS, class_maps)).eval()


def sphere_features(batch=1, frames=1, channels=6):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, frames, channels, ROWS, COLUMNS, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("class_maps", [False, True])
def test_candidates_are_as_the_detector_wants_them(class_maps):
    decoder = built(class_maps=class_maps)
    candidates = decoder(sphere_features(2, 3, 6 + 13 * class_maps))

    check_candidates(candidates, (2, 3), "class_discs")
    assert candidates.mask_logits.shape == (2, 3, 8, 36, 72)
    assert candidates.mask_of.tolist() == list(range(8))
    assert candidates.masks(torch.tensor([[1, 2, 7]])).shape == (1, 180, 360)
    assert candidates.mask_logits.isfinite().all()
    assert candidates.scores.max() > 0


@torch.no_grad()
@pytest.mark.parametrize(("batch", "frames"), [(0, 3), (2, 0)])
@pytest.mark.parametrize("keys", [{}, {"smoothing_frames": 2, "activity_smoothing_frames": 1}])
def test_no_frames_have_no_candidates(batch, frames, keys):
    check_candidates(built(**keys)(sphere_features(batch, frames)), (batch, frames), "class_discs")


@torch.no_grad()
def test_many_regions_are_decided_on_in_parts_and_frames_do_not_mix():
    decoder = built(initial_logit=0, candidates=26)  # 40 frames: a thousand candidates
    seen = sphere_features(2, 20)
    together = decoder(seen)
    alone = decoder(seen[1:, 7:8])
    assert torch.allclose(together.scores[1, 7], alone.scores[0, 0], atol=1e-5)
    assert torch.allclose(together.mask_logits[1, 7], alone.mask_logits[0, 0], atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_give_candidates_in_float32(dtype):
    decoder, seen = built(class_maps=True), sphere_features(1, 2, 19)
    exact = decoder(seen)

    rough = decoder.to(dtype)(seen.to(dtype))

    check_candidates(rough, (1, 2), "class_discs")
    assert rough.scores.dtype == rough.mask_logits.dtype == rough.class_logits.dtype == torch.float32
    assert torch.allclose(rough.scores.amax(2), exact.scores.amax(2), rtol=0.5)


@torch.no_grad()
def test_not_a_number_is_not_taken_for_silence():
    candidates = built()(torch.full((1, 1, 6, ROWS, COLUMNS), torch.nan))
    assert candidates.class_logits.isnan().any()  # check_candidates refuses these


def test_averaging_makes_frames_depend_on_each_other_but_not_in_training():
    assert built().frames_are_independent
    decoder = built(smoothing_frames=2)
    assert not decoder.frames_are_independent
    assert decoder.train().frames_are_independent
    assert not built(activity_smoothing_frames=1).frames_are_independent


def test_it_promises_its_candidates():
    sphere = SphereSpec("embedding", 61, 20, 40, class_maps=True)
    assert ClassDiscsConfig().output(sphere) == CandidateSpec(8, 8, 60, 120)
    assert ClassDiscsConfig(peaks_per_class=1, candidates=64).output(sphere).candidates == 13
    with torch.no_grad():
        assert built(peaks_per_class=1, candidates=64)(sphere_features()).scores.shape == (1, 1, 13)


@pytest.mark.parametrize(
    ("sphere", "message"),
    [
        (SphereSpec("steered_power", 1, 18, 36), "^class_discs needs.*embedding.*steered_masks"),
        (SphereSpec("embedding", 6, 18, 36), "^class_discs: .*54 x 108.*do not divide 180 x 360"),
    ],
)
def test_features_that_do_not_fit_are_refused(sphere, message):
    with pytest.raises(WiringError, match=message):
        ClassDiscsConfig().output(sphere)
    with pytest.raises(WiringError, match=message):
        ClassDiscs(ClassDiscsConfig(), sphere)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"extents_deg": (4, 2)}, r"extents_deg = \[4.0, 2.0\] do not ascend"),
        ({"extents_deg": (4, 4)}, "do not ascend"),
        ({"extents_deg": ()}, "at least 1 item"),
        ({"extents_deg": (4, float("nan"))}, "finite number"),
        ({"extents_deg": (0, 4)}, "greater than 0"),
        ({"extents_deg": (4, 91)}, "less than or equal to 90"),
        ({"iou_thresholds": ()}, "at least 1 item"),
        ({"iou_thresholds": (0.5, 1)}, "less than or equal to 0.95"),
        ({"iou_thresholds": (0.01,)}, "greater than or equal to 0.05"),
        ({"edge_deg": 0}, "greater than 0"),
        ({"score": "learned"}, "score"),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        ClassDiscsConfig(**keys)
