"""The network of `class_maps` and `class_discs`: what it makes of maps that the backbone made of classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sai_bench.interfaces import SphereSpec
from sai_bench.sphere import angle_between_deg, grid_directions
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig, ClassMapsConfig
from sai_bench_builtin.decoders.class_maps.network import ClassMapNetwork, MapLogits

HEIGHT, WIDTH = 60, 120
PLACES = [(0, 0), (178, 3), (-179, -30), (40, 80), (-100, -85), (91, 44)]


def built(class_maps=True, seed=0, config=ClassDiscsConfig, **keys):
    torch.manual_seed(seed)
    channels = 6 + 13 * class_maps
    return ClassMapNetwork(
        config(**{"hidden_channels": 16, **keys}), SphereSpec("embedding", channels, 20, 40, class_maps)
    )


def blob(place, height=20, width=40, width_deg=18.0):
    """A map [h, w] in [0, 1] with its peak at a place."""
    azimuths, elevations = grid_directions(height, width)
    angle = angle_between_deg(azimuths[None], elevations[:, None], *place)
    return torch.from_numpy(np.exp(-((angle / width_deg) ** 2) / 2)).float()


def features(seed=1):
    """Sphere features [1, 6 + 13, 20, 40]; class k's map peaks at place k of PLACES, the others are noise."""
    generator = torch.Generator().manual_seed(seed)
    of_classes = 0.2 * torch.randn(13, 20, 40, generator=generator)
    for kind, place in enumerate(PLACES):
        of_classes[kind] = blob(place)
    return torch.cat([torch.randn(6, 20, 40, generator=generator), of_classes])[None]


@torch.no_grad()
@pytest.mark.parametrize("config", [ClassDiscsConfig, ClassMapsConfig])
def test_maps_begin_as_the_given_maps_of_the_classes(config):
    maps = built(config=config)(features()).maps[0].numpy()

    azimuth, elevation = grid_directions(HEIGHT, WIDTH)
    for kind, place in enumerate(PLACES):
        row, column = np.unravel_index(maps[kind].argmax(), (HEIGHT, WIDTH))
        assert angle_between_deg(azimuth[column], elevation[row], *place) < 3.5  # a cell is 3 degrees wide
        expected = -3 + 20 * blob(place, HEIGHT, WIDTH).numpy()
        assert np.abs(maps[kind] - expected).max() < 0.1  # of 20; the rest is a correction


@torch.no_grad()
def test_the_gain_says_what_is_taken_of_the_given_maps():
    seen = features()
    low, high = (built(class_map_gain=gain)(seen).maps for gain in (5, 10))
    none = built(class_map_gain=1e-9)(seen).maps
    assert torch.allclose(high - none, 2 * (low - none), atol=1e-3)
    assert torch.allclose((high - none)[0, 0], 10 * blob(PLACES[0], HEIGHT, WIDTH), atol=0.02)


@torch.no_grad()
def test_without_given_maps_all_channels_are_features():
    network = built(class_maps=False)
    assert network.log_gain is None
    assert not any("gain" in name for name in network.state_dict())
    found = network(features()[:, :6])
    assert found.maps.shape == (1, 13, HEIGHT, WIDTH)
    assert found.activity.shape == (1, 13)
    assert found.cells.shape == (1, 20, 40, 16)


@pytest.mark.parametrize("class_maps", [True, False])
def test_every_weight_learns(class_maps):
    network = built(class_maps)
    found = network(features()[:, : 6 + 13 * class_maps])
    generator = torch.Generator().manual_seed(0)
    loss = sum((part * torch.randn(part.shape, generator=generator)).sum() for part in vars(found).values())
    loss.backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not (p.grad != 0).all()] == []


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_give_nearly_the_same_in_float32(dtype):
    network, seen = built(), features()
    exact = network(seen)

    rough = network.to(dtype)(seen.to(dtype))

    assert {part.dtype for part in vars(rough).values()} == {torch.float32}
    assert (rough.maps - exact.maps).abs().max() < 0.03 * exact.maps.abs().max()
    assert (rough.activity - exact.activity).abs().max() < 0.05


def test_features_of_a_cell_of_a_map_are_those_of_the_coarse_cell_around_it():
    cells = torch.randn(2, 4, 8, 5, generator=torch.Generator().manual_seed(0))
    logits = MapLogits(torch.zeros(2, 13), torch.zeros(2, 13, 12, 24), cells)
    wanted = torch.tensor([[3 * 24 + 6, 11 * 24 + 23], [0, 2 * 24 + 2]])

    found = logits.features_at(torch.arange(2)[:, None], wanted)

    assert found[0, 0].equal(cells[0, 1, 2])
    assert found[0, 1].equal(cells[0, 3, 7])
    assert found[1].equal(cells[1, [0, 0], [0, 0]])


def test_maps_of_any_class_have_the_odds_of_all_classes_together():
    generator = torch.Generator().manual_seed(0)
    logits = MapLogits(
        torch.randn(2, 13, generator=generator), torch.randn(2, 13, 4, 8, generator=generator), torch.zeros(1)
    )
    together = logits.of_any_class()
    assert torch.allclose(together.activity.exp(), logits.activity.exp().sum(1, keepdim=True))
    assert torch.allclose(together.maps.exp(), logits.maps.exp().sum(1, keepdim=True))
