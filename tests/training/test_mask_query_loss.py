"""The loss of `mask_queries`: sets of frames or events, refinement, calibration, class-agnostic targets."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sai_bench.interfaces import SphereSpec
from sai_bench.training.mask_losses import balancing_weights, calibration_loss, deep_supervision_loss
from sai_bench.training.mask_sets import EMPTY, SetTargets
from sai_bench.training.matching import UNMATCHED, MatchingCosts, match
from sai_bench.training.targets import MaskTargets
from sai_bench_builtin.configs.decoder import MaskQueriesConfig
from sai_bench_builtin.configs.mask_query_losses import MaskQueriesLosses
from sai_bench_builtin.decoders.mask_queries.decoder import MaskQueries
from sai_bench_builtin.decoders.mask_queries.set_loss import sets_of_segments

GRID = (18, 36)
SIZES = (GRID, (36, 72), (180, 360))
SMALL = {
    "queries": 4,
    "layers": 2,
    "query_channels": 16,
    "feed_forward_channels": 32,
    "mask_channels": 8,
    "heads": 2,
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def blob(row, column, grid):
    """A soft disc around a place given as shares of height and width."""
    y, x = torch.meshgrid(torch.arange(grid[0]) / grid[0], torch.arange(grid[1]) / grid[1], indexing="ij")
    return torch.exp(-(((y - row) / 0.12) ** 2) - ((x - column) / 0.08) ** 2)


def targets(class_agnostic=False):
    """Two segments of three frames: event 7 in frames 0 and 1, 9 in 1 and 2; the second holds one event."""
    classes = torch.full((2, 3, 2), EMPTY)
    instances = torch.full((2, 3, 2), EMPTY)
    places = {
        (0, 0, 0): (7, 3, 0.3, 0.2), (0, 1, 0): (7, 3, 0.3, 0.3), (0, 1, 1): (9, 11, 0.6, 0.7),
        (0, 2, 0): (9, 11, 0.6, 0.7), (1, 2, 0): (2, 0, 0.5, 0.5),
    }  # fmt: skip
    masks = {grid: torch.zeros(2, 3, 2, *grid) for grid in SIZES}
    for place, (event, category, row, column) in places.items():
        instances[place], classes[place] = event, category
        for grid in SIZES:
            masks[grid][place] = blob(row, column, grid)
    return MaskTargets(classes, instances, masks, class_agnostic)


def decoder_and_sphere(seed=0, **keys):
    torch.manual_seed(seed)
    decoder = MaskQueries(MaskQueriesConfig(**SMALL, **keys), SphereSpec("embedding", 5, *GRID))
    return decoder, torch.randn(2, 3, 5, *GRID)


def hand_made_sets(wanted):
    """The sets of six frames, written out."""
    return SetTargets(wanted.classes.reshape(6, 2), wanted.masks[GRID].reshape(6, 2, 1, *GRID))


def test_of_frames_is_the_sum_of_deep_supervision_refinement_and_calibration():
    decoder, sphere = decoder_and_sphere()
    wanted = targets()
    losses = MaskQueriesLosses(refinement=3, calibration=2)

    total, named = decoder.loss(sphere, wanted, losses)

    candidates, layers = decoder.forward_layers(sphere)
    sets = hand_made_sets(wanted)
    expected, last, _ = deep_supervision_loss(layers, sets)
    matches = match(layers[-1], sets, MatchingCosts())
    refined = calibrated = weight = 0.0
    balance = balancing_weights(losses.class_frames)
    pairs = [(n, slot, int(matches[n, slot])) for n, slot in (matches != UNMATCHED).nonzero().tolist()]
    for n, slot, query in pairs:
        _, *levels = candidates.mask_levels(torch.tensor([[n // 3, n % 3, query]]))
        for logits, grid in zip(levels, SIZES[1:], strict=True):
            mask, p = wanted.masks[grid][n // 3, n % 3, slot], logits[0].sigmoid()
            bce = F.binary_cross_entropy_with_logits(logits[0], mask)
            dice = 1 - (2 * (p * mask).sum() + 1) / (p.sum() + mask.sum() + 1)
            refined += (bce + dice) / (2 * len(pairs))
        category = wanted.classes[n // 3, n % 3, slot]
        calibrated += balance[category] * F.cross_entropy(layers[-1].class_logits[n, query, :13], category)
        weight += balance[category]
    assert len(pairs) == 5
    torch.testing.assert_close(named["refinement"], refined)
    torch.testing.assert_close(named["calibration"], calibrated / weight)
    torch.testing.assert_close(total, expected + 3 * refined + 2 * calibrated / weight)
    assert named.keys() == {*last, "refinement", "calibration"}


def test_without_deep_supervision_only_the_last_layer_counts():
    decoder, sphere = decoder_and_sphere(refinement="linear")
    losses = MaskQueriesLosses(deep_supervision=False)

    total, _ = decoder.loss(sphere, targets(), losses)

    expected, _, _ = deep_supervision_loss(decoder.forward_layers(sphere)[1][-1:], hand_made_sets(targets()))
    torch.testing.assert_close(total, expected)


@pytest.mark.parametrize("scope", ["frame", "segment"])
def test_class_agnostic_targets_teach_no_class(scope):
    decoder, sphere = decoder_and_sphere(query_scope=scope)
    wanted = targets(class_agnostic=True)
    others = MaskTargets(torch.where(wanted.present, 5, EMPTY), wanted.instances, wanted.masks, True)
    losses = MaskQueriesLosses(calibration=1)

    total, named = decoder.loss(sphere, wanted, losses)

    torch.testing.assert_close(decoder.loss(sphere, others, losses)[0], total)
    assert not named.keys() & {"classification", "calibration"}
    total.backward()
    assert all(p.grad is None or not p.grad.any() for p in decoder.class_head.parameters())


def test_regions_of_one_event_become_one_target_of_a_segment():
    wanted = targets()

    sets, slots = sets_of_segments(wanted, GRID)

    assert sets.classes.tolist() == [[3, 11], [0, EMPTY]]
    assert slots.tolist() == [[[0, 0, EMPTY], [EMPTY, 1, 0]], [[EMPTY, EMPTY, 0], [EMPTY] * 3]]
    masks = wanted.masks[GRID]
    empty = torch.zeros(GRID)
    torch.testing.assert_close(sets.masks[0, 0], torch.stack([masks[0, 0, 0], masks[0, 1, 0], empty]))
    torch.testing.assert_close(sets.masks[0, 1], torch.stack([empty, masks[0, 1, 1], masks[0, 2, 0]]))
    torch.testing.assert_close(sets.masks[1, 0], torch.stack([empty, empty, masks[1, 2, 0]]))
    assert not sets.masks[1, 1].any()


@pytest.mark.parametrize("scope", ["frame", "segment"])
def test_default_losses_reach_every_weight(scope):
    decoder, sphere = decoder_and_sphere(query_scope=scope)

    decoder.loss(sphere, targets(), MaskQueriesLosses())[0].backward()

    assert [name for name, p in decoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("scope", ["frame", "segment"])
def test_a_batch_without_any_target_has_a_finite_loss_and_gradients(scope):
    decoder, sphere = decoder_and_sphere(query_scope=scope)
    nothing = MaskTargets(
        torch.full((2, 3, 1), EMPTY),
        torch.full((2, 3, 1), EMPTY),
        {grid: torch.zeros(2, 3, 1, *grid) for grid in SIZES},
    )

    total, named = decoder.loss(sphere, nothing, MaskQueriesLosses(calibration=1))
    total.backward()

    assert torch.isfinite(total)
    assert named["bce"] == named["dice"] == named["refinement"] == named["calibration"] == 0
    assert all(torch.isfinite(p.grad).all() for p in decoder.parameters() if p.grad is not None)
    assert decoder.class_head.weight.grad.any()


def test_refinement_of_a_few_masks_is_that_of_those_masks():
    decoder, sphere = decoder_and_sphere()
    torch.nn.init.normal_(decoder.refinement.steps[-1].spread.weight, std=0.5)
    every, few = (
        decoder.loss(sphere, targets(), MaskQueriesLosses(refined_masks=n))[1]["refinement"] for n in (5, 1)
    )

    alone = targets()
    keep = torch.zeros_like(alone.present)
    keep[0, 0, 0] = True  # the first of the evenly spread ones
    alone = MaskTargets(torch.where(keep, alone.classes, EMPTY), alone.instances, alone.masks)
    expected = decoder.loss(sphere, alone, MaskQueriesLosses())[1]["refinement"]

    torch.testing.assert_close(few, expected)
    assert abs(every - few) > 1e-4


def test_the_grids_that_are_asked_for_are_those_of_the_masks_and_their_refinement():
    decoder, _ = decoder_and_sphere()
    assert decoder.target_grids(MaskQueriesLosses()) == SIZES
    assert decoder.target_grids(MaskQueriesLosses(refinement=0)) == (GRID,)
    linear, _ = decoder_and_sphere(refinement="linear")
    assert linear.target_grids(MaskQueriesLosses()) == (GRID,)


def test_balancing_weights_are_clipped_inverse_roots_relative_to_their_mean():
    weights = balancing_weights([100.0, 25.0, 0.0])

    # 1/10, 1/5 and (as if it had occurred once) 1, divided by their mean 13/30
    torch.testing.assert_close(weights, torch.tensor([0.25, 6 / 13, 30 / 13]))


def test_the_focus_of_calibration_is_that_of_the_focal_loss():
    torch.manual_seed(1)
    logits, classes = torch.randn(6, 14), torch.tensor([0, 12, 5, 5, 3, 0])
    weights = torch.rand(13) + 0.5

    loss = calibration_loss(logits, classes, weights, focus=2.0)

    p = torch.stack([logits[i, :13].softmax(0)[c] for i, c in enumerate(classes)])
    torch.testing.assert_close(
        loss, (weights[classes] * (1 - p) ** 2 * -p.log()).sum() / weights[classes].sum()
    )
