"""The losses of `class_maps` against plain formulas, and that they teach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sai_bench.interfaces import SphereSpec
from sai_bench.training.mask_sets import EMPTY
from sai_bench.training.targets import MaskTargets
from sai_bench_builtin.configs.class_maps import ClassMapsConfig, ClassMapsLosses
from sai_bench_builtin.decoders.class_maps import ClassMaps
from sai_bench_builtin.decoders.class_maps import losses as terms

SPHERE = SphereSpec("embedding", channels=6, height=6, width=12)
GRID = (12, 24)
EVERYTHING = ClassMapsLosses(place=0.3, shape=1, dice=1)


def built(seed=0, **keys):
    torch.manual_seed(seed)
    return ClassMaps(ClassMapsConfig(**{"upsampling": 2, "hidden_channels": 16, **keys}), SPHERE)


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def targets(classes, seed=2, class_agnostic=False):
    """Targets [1, N, T] of the given classes, each with a block of 2 x 3 cells somewhere."""
    rng = np.random.default_rng(seed)
    classes = torch.tensor(classes)[None]
    masks = torch.zeros(*classes.shape, *GRID)
    for index in (classes != EMPTY).nonzero().tolist():
        row, column = rng.integers(0, 10), rng.integers(0, 21)
        masks[tuple(index)][row : row + 2, column : column + 3] = torch.tensor(
            [[0.5, 1, 0.5], [0.4, 0.9, 0.4]]
        )
    return MaskTargets(classes, classes, {GRID: masks}, class_agnostic)


# ---------------------------------------------------------------------------------------------------------- #
# Each term by itself


def test_targets_of_a_class_are_the_union_of_its_regions():
    given = targets([[4, 4, EMPTY], [7, EMPTY, EMPTY], [EMPTY, EMPTY, EMPTY]])
    classes, masks = given.classes[0], given.masks[GRID][0]

    sounds, union = terms.class_targets(classes, masks)

    assert sounds.nonzero().tolist() == [[0, 4], [1, 7]]
    assert torch.equal(union[0, 4], torch.maximum(masks[0, 0], masks[0, 1]))
    assert torch.equal(union[1, 7], masks[1, 0])
    union[0, 4] = union[1, 7] = 0
    assert not union.any()


def test_map_loss_is_the_weighted_cross_entropy():
    logits, wanted = random(3, *GRID), random(3, *GRID, seed=4).sigmoid()
    p, y = logits.sigmoid().double().numpy(), wanted.double().numpy()
    entropy = -(y * np.log(p) + (1 - y) * np.log(1 - p))

    for exponent in (0, 1, 2):
        expected = (np.abs(y - p) ** exponent * entropy).sum() / y.sum()
        assert terms.map_loss(logits, wanted, exponent).item() == pytest.approx(expected, rel=1e-4)


def test_place_loss_is_least_where_the_softmax_is_the_target_and_heeds_no_level():
    wanted = random(2, *GRID, seed=4).sigmoid()
    exact = wanted.log()
    share = (wanted / wanted.sum((1, 2), keepdim=True)).double()
    entropy = -(share * share.log()).sum() / 2

    assert terms.place_loss(exact, wanted).item() == pytest.approx(entropy.item(), rel=1e-4)
    assert terms.place_loss(exact + 5, 3 * wanted).item() == pytest.approx(entropy.item(), rel=1e-4)
    assert terms.place_loss(exact + random(2, *GRID), wanted) > entropy + 0.1


def test_shape_loss_heeds_no_peak_and_is_one_without_overlap():
    wanted = targets([[1]]).masks[GRID][0, 0]
    same = (0.3 * wanted).clamp_min(1e-9).logit()
    elsewhere = same.roll(12, 2)

    assert terms.shape_loss(same, wanted).item() == pytest.approx(0, abs=1e-4)
    assert terms.shape_loss(elsewhere, wanted).item() == pytest.approx(1, abs=1e-4)


def test_dice_loss_is_the_formula():
    logits, wanted = random(2, *GRID), random(2, *GRID, seed=4).sigmoid()
    p, y = logits.sigmoid().numpy(), wanted.numpy()
    dice = [1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, y, strict=True)]
    assert terms.dice_loss(logits, wanted).item() == pytest.approx(np.mean(dice), rel=1e-4)


def test_quality_is_the_best_soft_iou_with_a_label_of_the_class():
    given = targets([[4, 4, 7]])
    masks, classes = given.masks[GRID][0], given.classes[0]
    candidates = torch.stack([0.5 * masks[0, 1], masks[0, 2], masks[0, 2].roll(1, 1)])[None]

    quality = terms.qualities(candidates, torch.tensor([[4, 4, 7]]), masks, classes)[0]

    a, b = masks[0, 2].roll(1, 1).numpy(), masks[0, 2].numpy()
    overlap = np.minimum(a, b).sum() / np.maximum(a, b).sum()
    assert quality.tolist() == pytest.approx([1, 0, overlap], abs=1e-5)


# ---------------------------------------------------------------------------------------------------------- #
# All together


def test_the_total_is_the_weighted_sum_of_the_named_parts():
    decoder, sphere = built(), random(1, 2, 6, 6, 12)
    total, parts = decoder.loss(sphere, targets([[4, 7], [4, EMPTY]]), EVERYTHING)

    assert set(parts) == {"activity", "map", "place", "dice", "shape", "score"}
    expected = sum(getattr(EVERYTHING, name) * part for name, part in parts.items())
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    _, fewer = decoder.loss(sphere, targets([[4, 7], [4, EMPTY]]), ClassMapsLosses(place=0, shape=0, score=0))
    assert set(fewer) == {"activity", "map"}


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("classes", [[[EMPTY], [EMPTY]], [[], []]])
def test_frames_without_any_region_give_finite_losses(classes, class_agnostic):
    given = MaskTargets(
        torch.tensor(classes, dtype=torch.long)[None],
        torch.tensor(classes, dtype=torch.long)[None],
        {GRID: torch.zeros(1, 2, len(classes[0]), *GRID)},
        class_agnostic,
    )
    decoder = built()
    total, _ = decoder.loss(random(1, 2, 6, 6, 12), given, EVERYTHING)
    total.backward()
    assert total.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in decoder.parameters())


def test_every_weight_learns():
    decoder = built()
    total, _ = decoder.loss(random(1, 2, 6, 6, 12), targets([[4, 7], [4, EMPTY]]), EVERYTHING)
    total.backward()
    assert [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_training_finds_class_place_and_shape_and_a_score_that_tells_good_masks():
    given, sphere = targets([[4, 7], [4, EMPTY], [EMPTY, EMPTY]]), random(1, 3, 6, 6, 12)
    decoder = built(min_separation_deg=60)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    for _ in range(150):
        total, _ = decoder.loss(sphere, given, EVERYTHING)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()

    candidates = decoder.eval()(sphere)
    sure = (candidates.scores[0] > 0.5).nonzero().tolist()
    found = sorted((frame, int(candidates.class_logits[0, frame, slot].argmax())) for frame, slot in sure)
    assert found == [(0, 4), (0, 7), (1, 4)]
    for frame, slot in sure:
        kind = int(candidates.class_logits[0, frame, slot].argmax())
        mask = candidates.mask_logits[0, frame, slot].sigmoid()
        own = given.masks[GRID][0, frame][given.classes[0, frame] == kind]
        assert (
            terms.qualities(mask[None, None], torch.tensor([[kind]]), own[None], torch.tensor([[kind]])) > 0.6
        )


def test_class_agnostic_targets_teach_where_anything_sounds():
    given, sphere = targets([[0, 0], [0, EMPTY]], class_agnostic=True), random(1, 2, 6, 6, 12)
    decoder = built()
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    for _ in range(80):
        total, _ = decoder.loss(sphere, given, EVERYTHING)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()

    found = decoder.eval()(sphere)
    assert found.scores[0].amax(1).min() > 0.3  # any region makes a candidate good, whatever its class
    maps = decoder.network(sphere[0]).maps.amax(1)
    wanted = given.masks[GRID][0].amax(1) > 0.6
    assert maps[wanted].mean() > maps[~wanted].mean() + 3
