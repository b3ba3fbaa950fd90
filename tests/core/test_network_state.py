"""Making the same network twice, without touching anybody else's random numbers."""

import torch

from sai_bench.network_state import seeded


def test_seeded_draws_are_those_of_a_new_generator_and_the_global_one_goes_on_as_before():
    expected = torch.rand(5, generator=torch.Generator().manual_seed(7))
    torch.manual_seed(3)
    first, second = torch.rand(2), torch.rand(2)
    torch.manual_seed(3)

    assert torch.equal(torch.rand(2), first)
    with seeded(7):
        assert torch.equal(torch.rand(5), expected)
    assert torch.equal(torch.rand(2), second)


def test_seeding_leaves_the_generators_of_accelerators_alone(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)

    with seeded(7):
        torch.rand(1)

    assert seeds == []
