import pytest
import torch
import torch.nn.functional as F

from sai_bench.interfaces import SphereSpec
from sai_bench.upsampling import enlarge
from sai_bench_builtin.configs.decoder import MaskQueriesConfig
from sai_bench_builtin.decoders.mask_queries.convolution import SphereConv
from sai_bench_builtin.decoders.mask_queries.decoder import MaskQueries
from sai_bench_builtin.decoders.mask_queries.refinement import Refinement

SMALL = {"queries": 5, "layers": 2, "query_channels": 32, "feed_forward_channels": 48, "mask_channels": 8}


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(module):
    """As if trained: corrections no longer start as zero."""
    for number, parameter in enumerate(module.parameters()):
        parameter.data += 0.2 * random(*parameter.shape, seed=number)
    return module


def candidates_of(sphere, **keys):
    torch.manual_seed(0)
    spec = SphereSpec("embedding", sphere.shape[2], *sphere.shape[3:])
    return trained(MaskQueries(MaskQueriesConfig(**SMALL, **keys), spec))(sphere)


def selection_of_all(sphere):
    batch, frames = sphere.shape[:2]
    return torch.cartesian_prod(torch.arange(batch), torch.arange(frames), torch.arange(5))


@torch.no_grad()
def test_masks_of_the_chosen_equal_those_out_of_all():
    sphere = random(2, 3, 6, 45, 90)
    candidates = candidates_of(sphere)
    everything = selection_of_all(sphere)
    some = torch.tensor([28, 3, 17, 3, 0])

    chosen = candidates.masks(everything[some])

    assert chosen.shape == (5, 180, 360)
    torch.testing.assert_close(chosen, candidates.masks(everything)[some], atol=1e-5, rtol=0)
    assert candidates.masks(everything[:0]).shape == (0, 180, 360)


@torch.no_grad()
def test_untrained_refinement_is_linear_interpolation_step_by_step():
    refinement = Refinement(6, (45, 90), 16)
    logits = random(4, 45, 90)

    levels = refinement(logits, refinement.frame_features(random(4, 6, 45, 90, seed=2)))

    assert [tuple(level.shape) for level in levels] == [(4, 45, 90), (4, 90, 180), (4, 180, 360)]
    torch.testing.assert_close(levels[2], enlarge(enlarge(logits, (2, 2)), (2, 2)))


@torch.no_grad()
def test_enlarging_is_bilinear_interpolation_of_the_map_repeated_around_the_sphere():
    logits = random(2, 9, 18)
    around = torch.cat([logits] * 3, dim=2)[:, None]

    expected = F.interpolate(around, size=(27, 3 * 36), mode="bilinear", align_corners=False)

    torch.testing.assert_close(enlarge(logits, (3, 2)), expected[:, 0, :, 36:72])


@torch.no_grad()
def test_convolution_sees_across_the_seam_and_holds_the_first_and_last_row():
    convolution, maps = SphereConv(3, 4), random(2, 3, 6, 10)
    rows = torch.cat([maps[:, :, :1], maps, maps[:, :, -1:]], dim=2)
    around = torch.cat([rows] * 3, dim=3)

    expected = F.conv2d(around, convolution.weight, convolution.bias)[..., 9:19]

    torch.testing.assert_close(convolution(maps), expected)


@torch.no_grad()
@pytest.mark.parametrize("refinement", ["learned", "linear"])
def test_turning_mask_and_features_by_cells_turns_the_image_by_their_blocks(refinement):
    sphere = random(1, 1, 6, 18, 36)
    candidates = candidates_of(sphere, refinement=refinement)
    everything = selection_of_all(sphere)
    images = candidates.masks(everything)

    candidates.mask_logits = candidates.mask_logits.roll(7, dims=-1)
    if refinement == "learned":
        candidates.sphere = candidates.sphere.roll(7, dims=-1)

    torch.testing.assert_close(candidates.masks(everything), images.roll(70, dims=-1), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(
    ("grid", "sizes"),
    [
        ((18, 36), [(18, 36), (36, 72), (180, 360)]),
        ((36, 90), [(36, 90), (180, 180), (180, 360)]),
        ((180, 120), [(180, 120), (180, 360)]),
    ],
)
def test_any_grid_is_refined_to_the_image(grid, sizes):
    refinement = trained(Refinement(3, grid, 8))

    levels = refinement(random(2, *grid), refinement.frame_features(random(2, 3, *grid)))

    assert [tuple(level.shape[1:]) for level in levels] == sizes
    assert all(level.isfinite().all() for level in levels)


@torch.no_grad()
def test_grid_of_image_size_needs_no_refinement():
    candidates = candidates_of(random(1, 1, 2, 180, 360))

    image = candidates.masks(torch.tensor([[0, 0, 3]]))

    torch.testing.assert_close(image[0], candidates.mask_logits[0, 0, 3].sigmoid())


@torch.no_grad()
def test_correction_of_a_block_comes_from_its_own_cell():
    # A lone feature far from everything changes the image around its own block only.
    refinement = trained(Refinement(3, (45, 90), 8))
    logits, sphere = random(1, 45, 90), torch.zeros(1, 3, 45, 90)
    changed = sphere.clone()
    changed[..., 20, 30] = 5.0

    plain, other = (refinement(logits, refinement.frame_features(s))[-1] for s in (sphere, changed))

    rows, columns = (plain[0] - other[0]).abs().gt(1e-6).nonzero().unbind(1)
    middle = rows.float().mean(), columns.float().mean()
    assert middle[0] == pytest.approx(20 * 4 + 1.5, abs=2)
    assert middle[1] == pytest.approx(30 * 4 + 1.5, abs=2)
    assert rows.max() - rows.min() < 32
    assert columns.max() - columns.min() < 32


@pytest.mark.parametrize("refinement", ["learned", "linear"])
def test_full_size_masks_pass_the_gradients_of_their_logits(refinement):
    sphere = random(1, 4, 6, 18, 36).requires_grad_()
    candidates = candidates_of(sphere, refinement=refinement, refinement_channels=4)
    selection, weight = selection_of_all(sphere), random(20, 180, 360, seed=3)
    learned = list(candidates.refinement.parameters()) if refinement == "learned" else []

    def gradients(images):
        return torch.autograd.grad((images * weight).mean(), [sphere, *learned], retain_graph=True)

    together = gradients(candidates.masks(selection))
    one_by_one = gradients(torch.cat([candidates.masks(chosen[None]) for chosen in selection]))

    for found, expected in zip(together, one_by_one, strict=True):
        assert expected.abs().max() > 0
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8)


def test_every_level_can_be_trained():
    sphere = random(1, 2, 6, 45, 90)
    candidates = candidates_of(sphere)

    levels = candidates.mask_levels(torch.tensor([[0, 0, 1], [0, 1, 4]]))
    sum(level.square().mean() for level in levels).backward()

    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in candidates.refinement.parameters())
