from itertools import permutations

import pytest
import torch

from sai_bench.training.mask_sets import EMPTY, SetPrediction, SetTargets
from sai_bench.training.matching import UNMATCHED, MatchingCosts, match, matching_cost

QUERIES, HEIGHT, WIDTH = 6, 9, 18


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def prediction(sets=3, seed=0):
    logits = 3 * random(sets, QUERIES, HEIGHT, WIDTH, seed=seed)
    return SetPrediction(2 * random(sets, QUERIES, 14, seed=seed + 1), logits)


def targets(sizes=(2, 0, 4), soft=False):
    """Sets of different sizes; empty slots lie between others and hold rubbish."""
    generator = torch.Generator().manual_seed(5)
    classes = torch.full((len(sizes), max(sizes) + 1), EMPTY)
    masks = torch.rand(*classes.shape, HEIGHT, WIDTH, generator=generator)
    if not soft:
        masks = (masks < 0.3).float()
    for number, size in enumerate(sizes):
        slots = torch.randperm(max(sizes) + 1, generator=generator)[:size]
        classes[number, slots] = torch.randint(13, (size,), generator=generator)
    return SetTargets(classes, masks)


def lattice(*shape, **_):
    """Pixel centres instead of random points: [..., h * w, 2] as (x, y) in [0, 1]."""
    y, x = torch.meshgrid(
        (torch.arange(HEIGHT) + 0.5) / HEIGHT, (torch.arange(WIDTH) + 0.5) / WIDTH, indexing="ij"
    )
    return torch.stack([x, y], -1).reshape(1, -1, 2).expand(shape).clone()


def test_matches_are_those_of_mask2former_on_every_pixel(monkeypatch):
    mask2former = pytest.importorskip("transformers.models.mask2former.modeling_mask2former")
    matcher = mask2former.Mask2FormerHungarianMatcher(2.0, 5.0, 5.0, num_points=HEIGHT * WIDTH)
    monkeypatch.setattr(torch, "rand", lattice)
    for seed in range(5):
        predicted, wanted = prediction(seed=10 * seed), targets_without_draws(seed)
        present = [slots.nonzero()[:, 0] for slots in wanted.present]

        expected = matcher(
            predicted.mask_logits,
            predicted.class_logits,
            [wanted.masks[n, slots] for n, slots in enumerate(present)],
            [wanted.classes[n, slots] for n, slots in enumerate(present)],
        )
        found = match(predicted, wanted, MatchingCosts())

        for number, (candidates, order) in enumerate(expected):
            assert found[number, present[number][order]].tolist() == candidates.tolist()
            assert (found[number][~wanted.present[number]] == UNMATCHED).all()


def targets_without_draws(seed):
    """Targets that need no torch.rand, which the test replaces."""
    classes = torch.tensor([[4, EMPTY, 0, EMPTY], [EMPTY] * 4, [12, 12, 3, 7]]).roll(seed, 1)
    return SetTargets(classes, (random(3, 4, HEIGHT, WIDTH, seed=seed + 50) > 0.5).float())


@pytest.mark.parametrize("soft", [False, True])
def test_cost_follows_its_formula_pair_by_pair(soft):
    predicted, wanted = prediction(), targets(soft=soft)

    cost = matching_cost(predicted, wanted, MatchingCosts(1.5, 0.7, 2.5))

    for number, slot in wanted.present.nonzero().tolist():
        m = wanted.masks[number, slot].flatten().double()
        for query in range(QUERIES):
            p = predicted.mask_logits[number, query].flatten().double().sigmoid()
            bce = -(m * p.log() + (1 - m) * (1 - p).log()).mean()
            dice = 1 - (2 * (p * m).sum() + 1) / (p.sum() + m.sum() + 1)
            likelihood = predicted.class_logits[number, query].softmax(0)[wanted.classes[number, slot]]
            expected = -1.5 * likelihood + 0.7 * bce + 2.5 * dice
            assert float(cost[number, query, slot]) == pytest.approx(float(expected), abs=1e-5)


def test_assignment_is_the_cheapest_of_all():
    predicted, wanted = prediction(sets=1), targets(sizes=(4,))
    cost = matching_cost(predicted, wanted, MatchingCosts())[0]
    slots = wanted.present[0].nonzero()[:, 0]

    found = match(predicted, wanted, MatchingCosts())[0]

    total = cost[found[slots], slots].sum()
    every = [cost[list(choice), slots].sum() for choice in permutations(range(QUERIES), len(slots))]
    assert float(total) == pytest.approx(float(min(every)), abs=1e-5)


def test_more_targets_than_candidates_leave_targets_unmatched():
    found = match(prediction(sets=1), targets(sizes=(8,)), MatchingCosts())

    assert sorted(found[found != UNMATCHED].tolist()) == list(range(QUERIES))


def test_class_agnostic_matching_ignores_classes():
    predicted, wanted = prediction(), targets()
    other = SetPrediction(predicted.class_logits.flip(1), predicted.mask_logits)
    by_mask = MatchingCosts(classification=0)

    assert torch.equal(match(predicted, wanted, by_mask), match(other, wanted, by_mask))
    assert not torch.equal(
        match(predicted, wanted, MatchingCosts(100)), match(other, wanted, MatchingCosts(100))
    )


def test_diverged_candidate_is_taken_last():
    predicted = prediction(sets=1)
    predicted.mask_logits[0, 2] = torch.nan
    predicted.mask_logits[0, 4] = torch.inf

    found = match(predicted, targets(sizes=(4,)), MatchingCosts())

    assert sorted(found[found != UNMATCHED].tolist()) == [0, 1, 3, 5]


def test_pixels_may_have_any_axes():
    predicted, wanted = prediction(), targets()
    tall = SetPrediction(predicted.class_logits, predicted.mask_logits.unflatten(2, (3, 3)))
    tall_targets = SetTargets(wanted.classes, wanted.masks.unflatten(2, (3, 3)))

    assert torch.equal(match(tall, tall_targets, MatchingCosts()), match(predicted, wanted, MatchingCosts()))


def test_autocast_does_not_coarsen_the_cost():
    predicted, wanted = prediction(), targets()
    with torch.autocast("cpu", torch.bfloat16):
        found = matching_cost(predicted, wanted, MatchingCosts())

    assert torch.equal(found, matching_cost(predicted, wanted, MatchingCosts()))
