import pytest
import torch

from sai_bench.interfaces import SphereSpec
from sai_bench.training.mask_losses import (
    LossWeights,
    bce_loss,
    deep_supervision_loss,
    dice_loss,
    scoring_loss,
    set_losses,
    soft_iou,
)
from sai_bench.training.mask_sets import EMPTY, SetPrediction, SetTargets
from sai_bench.training.matching import UNMATCHED, MatchingCosts, match
from sai_bench_builtin.configs.decoder import MaskQueriesConfig
from sai_bench_builtin.decoders.mask_queries.decoder import MaskQueries

QUERIES, HEIGHT, WIDTH = 6, 9, 18


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def prediction(sets=3, seed=0):
    logits = 3 * random(sets, QUERIES, HEIGHT, WIDTH, seed=seed)
    scores = random(sets, QUERIES, seed=seed + 2)
    return SetPrediction(2 * random(sets, QUERIES, 14, seed=seed + 1), logits, scores)


def targets():
    classes = torch.tensor([[4, EMPTY, 0, EMPTY], [EMPTY] * 4, [12, 12, 3, 7]])
    return SetTargets(classes, (random(3, 4, HEIGHT, WIDTH, seed=50) > 0.5).float())


def lattice(*shape, **_):
    """Pixel centres instead of random points: [..., h * w, 2] as (x, y) in [0, 1]."""
    y, x = torch.meshgrid(
        (torch.arange(HEIGHT) + 0.5) / HEIGHT, (torch.arange(WIDTH) + 0.5) / WIDTH, indexing="ij"
    )
    return torch.stack([x, y], -1).reshape(1, -1, 2).expand(shape).clone()


def mask2former_losses(monkeypatch, layers, wanted):
    """Mask2Former's criterion on the pixel lattice: losses by name, those of layer i with suffix _i."""
    mask2former = pytest.importorskip("transformers.models.mask2former.modeling_mask2former")
    config = pytest.importorskip("transformers").Mask2FormerConfig(
        class_weight=2.0,
        mask_weight=5.0,
        dice_weight=5.0,
        no_object_weight=0.1,
        train_num_points=HEIGHT * WIDTH,
        oversample_ratio=1.0,
        importance_sample_ratio=0.0,
        num_labels=13,
    )
    criterion = mask2former.Mask2FormerLoss(config, {})
    present = [slots.nonzero()[:, 0] for slots in wanted.present]
    monkeypatch.setattr(torch, "rand", lattice)
    try:
        return criterion(
            layers[-1].mask_logits,
            layers[-1].class_logits,
            [wanted.masks[n, slots] for n, slots in enumerate(present)],
            [wanted.classes[n, slots] for n, slots in enumerate(present)],
            [
                {"masks_queries_logits": layer.mask_logits, "class_queries_logits": layer.class_logits}
                for layer in layers[:-1]
            ],
        )
    finally:
        monkeypatch.undo()


def test_losses_and_their_gradients_are_those_of_mask2former_on_every_pixel(monkeypatch):
    layers, wanted = [prediction(seed=seed) for seed in (0, 10, 20)], targets()
    for layer in layers:
        layer.mask_logits.requires_grad_()
        layer.class_logits.requires_grad_()
    inputs = [part for layer in layers for part in (layer.mask_logits, layer.class_logits)]

    expected = mask2former_losses(monkeypatch, layers, wanted)
    weights = LossWeights(scoring=0)
    total, last, _ = deep_supervision_loss(layers, wanted, MatchingCosts(), weights)

    names = {"classification": "loss_cross_entropy", "bce": "loss_mask", "dice": "loss_dice"}
    assert last.keys() == names.keys()
    for name, theirs in names.items():
        torch.testing.assert_close(last[name], expected[theirs])
    factors = {"loss_cross_entropy": 2, "loss_mask": 5, "loss_dice": 5}
    expected_total = sum(
        factor * value for key, factor in factors.items() for name, value in expected.items() if key in name
    )
    assert len(expected) == 9
    torch.testing.assert_close(total, expected_total)
    for a, b in zip(
        torch.autograd.grad(total, inputs), torch.autograd.grad(expected_total, inputs), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_dice_and_bce_follow_their_formulas():
    logits, masks = 3 * random(4, 5, 7), random(4, 5, 7, seed=2).sigmoid()
    p, m = logits.double().sigmoid().flatten(1), masks.double().flatten(1)

    dice = (1 - (2 * (p * m).sum(1) + 1) / (p.sum(1) + m.sum(1) + 1)).sum() / 8
    bce = -(m * p.log() + (1 - m) * (1 - p).log()).mean(1).sum() / 8

    assert float(dice_loss(logits, masks, 8)) == pytest.approx(float(dice), abs=1e-6)
    assert float(bce_loss(logits, masks, 8)) == pytest.approx(float(bce), abs=1e-6)


def test_no_targets_at_all_cost_nothing_but_the_classes():
    predicted = prediction()
    empty = SetTargets(torch.full((3, 4), EMPTY), torch.ones(3, 4, HEIGHT, WIDTH))

    losses = set_losses(predicted, empty, match(predicted, empty, MatchingCosts()), LossWeights())

    assert losses["bce"] == losses["dice"] == 0
    no_object = -predicted.class_logits.log_softmax(-1)[..., -1].mean()
    torch.testing.assert_close(losses["classification"], no_object)
    zero_scores = -torch.nn.functional.logsigmoid(-predicted.score_logits).mean()
    torch.testing.assert_close(losses["scoring"], zero_scores)


def test_a_weight_of_zero_leaves_the_loss_out():
    predicted, wanted = prediction(), targets()
    matches = match(predicted, wanted, MatchingCosts())

    names = set_losses(predicted, wanted, matches, LossWeights(classification=0, scoring=0)).keys()

    assert names == {"bce", "dice"}


def test_best_score_is_the_soft_iou_of_the_mask():
    predicted, wanted = prediction(), targets()
    matches = match(predicted, wanted, MatchingCosts())
    quality = torch.zeros(3, QUERIES)
    for number, slot in (matches != UNMATCHED).nonzero().tolist():
        p = predicted.mask_logits[number, matches[number, slot]].sigmoid()
        m = wanted.masks[number, slot]
        quality[number, matches[number, slot]] = torch.minimum(p, m).sum() / torch.maximum(p, m).sum()

    def loss(scores):
        logits = scores.clamp(1e-6, 1 - 1e-6).logit()
        return scoring_loss(
            SetPrediction(predicted.class_logits, predicted.mask_logits, logits), wanted, matches
        )

    assert quality.count_nonzero() == 6
    assert all(loss(quality) < loss((quality + shift).clamp(0, 1)) for shift in (-0.05, 0.05))


def test_score_loss_teaches_the_score_not_the_mask():
    predicted, wanted = prediction(), targets()
    predicted.mask_logits.requires_grad_()
    predicted.score_logits.requires_grad_()

    scoring_loss(predicted, wanted, match(predicted, wanted, MatchingCosts())).backward()

    assert predicted.mask_logits.grad is None
    assert predicted.score_logits.grad.abs().min() > 0


def test_soft_iou_of_equal_disjoint_and_empty_masks():
    mask = torch.zeros(3, 4, 4)
    mask[:2, :2] = 0.7
    other = mask.clone()
    other[1] = torch.where(mask[1] > 0, 0.0, 0.4)

    assert soft_iou(mask, other).tolist() == [1, 0, 0]


@pytest.mark.parametrize("style", [{}, {"masked_attention": False, "mask_head": "attention"}])
@pytest.mark.parametrize("scope", ["frame", "segment"])
def test_training_a_small_decoder_lowers_the_loss_and_reaches_every_weight(style, scope):
    torch.manual_seed(0)
    config = MaskQueriesConfig(
        queries=4, layers=2, query_channels=32, feed_forward_channels=64, mask_channels=8,
        refinement="linear", query_scope=scope, **style,
    )  # fmt: skip
    decoder = MaskQueries(config, SphereSpec("embedding", 4, HEIGHT, WIDTH))
    sphere = torch.zeros(1, 2, 4, HEIGHT, WIDTH)
    sphere[..., 2:5, 3:8] = 1.0
    masks = sphere[0, :, :1, None] if scope == "frame" else sphere[:, :, 0][:, None]
    wanted = SetTargets(torch.full((len(masks), 1), 3), masks)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=3e-3)

    totals = []
    for _ in range(80):
        _, layers = decoder.forward_layers(sphere)
        total, _, _ = deep_supervision_loss(layers, wanted)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))

    assert totals[-1] < 0.4 * totals[0]
    unreached = [name for name, p in decoder.named_parameters() if p.grad is None]
    assert unreached == []
