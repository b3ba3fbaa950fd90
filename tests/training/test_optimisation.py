"""AdamW's groups, the learning rate over the steps, frozen parameters, the running mean."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sai_bench.errors import SpecError
from sai_bench.spec.training_settings import OptimiserSettings, ScheduleSettings
from sai_bench.training.optimisation import RunningMean, freeze, learning_rate_share, make_optimiser


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv1d(2, 3, 3), nn.GroupNorm(1, 3), nn.Linear(4, 4))
        self.decoder = nn.ModuleDict({"head": nn.Linear(4, 2), "names": nn.Embedding(5, 4)})
        self.queries = nn.Parameter(torch.randn(7, 4))
        self.register_buffer("seen", torch.zeros(2))


def rates(steps, **keys):
    return [learning_rate_share(step, steps, ScheduleSettings(**keys)) for step in range(steps)]


def test_cosine_and_linear_schedules_are_those_of_torch_after_a_linear_warmup():
    steps, warmup, final = 21, 5, 0.1
    for shape in ("cosine", "linear"):
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        falling = steps - warmup - 1
        after = (
            torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, falling, eta_min=final)
            if shape == "cosine"
            else torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, final, total_iters=falling)
        )
        expected = [(step + 1) / warmup for step in range(warmup)]
        for _ in range(steps - warmup):
            expected.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            after.step()

        assert rates(steps, warmup_steps=warmup, shape=shape, final_share=final) == pytest.approx(expected)


def test_a_constant_rate_stays_and_a_single_step_has_the_whole_rate():
    assert rates(4, warmup_steps=2, shape="constant", final_share=0.5) == [0.5, 1, 1, 1]
    assert rates(1) == [1]


def test_only_matrices_and_convolutions_decay():
    net = Net()
    names = {id(parameter): name for name, parameter in net.named_parameters()}

    groups = make_optimiser(net, OptimiserSettings(weight_decay=0.2)).param_groups

    named = {group["weight_decay"]: {names[id(p)] for p in group["params"]} for group in groups}
    assert named[0.2] == {"backbone.0.weight", "backbone.2.weight", "decoder.head.weight"}
    assert named[0.0] == set(names.values()) - named[0.2]


def test_frozen_parameters_do_not_learn_and_the_others_do():
    net = Net()
    freeze(net, ["backbone.2", "queries"], "a")

    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}

    assert frozen == {"backbone.2.weight", "backbone.2.bias", "queries"}
    held = {id(p) for group in make_optimiser(net, OptimiserSettings()).param_groups for p in group["params"]}
    assert held == {id(p) for p in net.parameters() if p.requires_grad}


def test_a_prefix_that_names_nothing_is_refused_with_the_nearest_name():
    with pytest.raises(
        SpecError, match=r"training\.a\.frozen: no parameter.*'decoder\.hed'.*'decoder\.head'"
    ):
        freeze(Net(), ["decoder.hed"], "a")
    with pytest.raises(SpecError, match="no parameter"):
        freeze(Net(), ["back"], "a")  # not the whole of a part of the name
    with pytest.raises(SpecError, match="nothing is left that learns"):
        freeze(Net(), ["backbone", "decoder", "queries"], "a")


def test_the_running_mean_follows_the_recurrence_and_leaves_the_model_alone():
    net = Net()
    mean = RunningMean(net, decay=0.6)
    expected = net.queries.detach().clone()
    for step in range(8):
        with torch.no_grad():
            net.queries += 1.0
        mean.update(net, step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * net.queries.detach()

    torch.testing.assert_close(mean.weights["queries"], expected)
    assert not torch.equal(mean.weights["queries"], net.queries)
