import pydantic
import pytest
import torch

from sai_bench.detector import check_candidates
from sai_bench.errors import WiringError
from sai_bench.interfaces import CandidateSpec, SphereSpec
from sai_bench_builtin.configs.decoder import MaskQueriesConfig
from sai_bench_builtin.decoders.mask_queries.decoder import MaskQueries
from sai_bench_builtin.decoders.mask_queries.heads import AttentionMasks, ProductMasks, derived_scores

SPHERE = SphereSpec("embedding", channels=6, height=18, width=36)
SMALL = {
    "queries": 5,
    "layers": 3,
    "query_channels": 32,
    "feed_forward_channels": 48,
    "mask_channels": 8,
    "refinement_channels": 8,
}
DETR = {
    "masked_attention": False,
    "initial_prediction": False,
    "first_attention": "self",
    "initial_queries": "zero",
    "mask_head": "attention",
}
STYLES = {"detr": DETR, "maskformer": {**DETR, "mask_head": "product"}, "mask2former": {}}
each_style = pytest.mark.parametrize("style", STYLES)
each_scope = pytest.mark.parametrize("scope", ["frame", "segment"])


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def decoder(seed=0, **keys):
    torch.manual_seed(seed)
    return MaskQueries(MaskQueriesConfig(**{**SMALL, **keys}), SPHERE)


def sphere_features(batch=2, frames=3):
    return random(batch, frames, 6, 18, 36)


@torch.no_grad()
@each_scope
@each_style
@pytest.mark.parametrize("score", ["learned", "derived"])
def test_every_style_gives_candidates_as_the_detector_wants_them(style, scope, score):
    built = decoder(**STYLES[style], query_scope=scope, score=score)

    candidates = built(sphere_features(batch=1))

    check_candidates(candidates, (1, 3), "mask_queries")
    assert candidates.class_logits.shape == (1, 3, 5, 14)
    assert candidates.mask_logits.shape == (1, 3, 5, 18, 36)
    assert candidates.mask_of.tolist() == [0, 1, 2, 3, 4]
    images = candidates.masks(torch.tensor([[0, 2, 4], [0, 0, 1]]))
    assert images.shape == (2, 180, 360)
    assert ((images >= 0) & (images <= 1)).all()


@torch.no_grad()
def test_the_least_refinement_that_a_config_allows_makes_masks():
    with pytest.raises(pydantic.ValidationError, match="greater than or equal to 4"):
        MaskQueriesConfig(refinement_channels=3)
    candidates = decoder(refinement_channels=4)(sphere_features(batch=1))
    assert candidates.masks(torch.tensor([[0, 0, 0]])).shape == (1, 180, 360)


@torch.no_grad()
def test_report_shapes_and_parameters_at_full_size():
    config, spec = MaskQueriesConfig(), SphereSpec("embedding", 16, 45, 90)
    built = MaskQueries(config, spec)

    assert config.output(spec) == CandidateSpec(masks=16, candidates=16, height=45, width=90)
    assert len(built.layers) == 10
    assert built.identities.shape == (16, 256)
    assert built.layers[0].expansion.out_features == 2048
    candidates, layers = built.forward_layers(random(1, 1, 16, 45, 90))
    assert candidates.mask_logits.shape == (1, 1, 16, 45, 90)
    assert candidates.masks(torch.tensor([[0, 0, 0]])).shape == (1, 180, 360)
    assert len(layers) == 11


@torch.no_grad()
@each_scope
@each_style
def test_layer_predictions_end_with_the_final_one(style, scope):
    built = decoder(**STYLES[style], query_scope=scope)
    sphere = sphere_features()

    candidates, layers = built.forward_layers(sphere)

    assert len(layers) == (4 if style == "mask2former" else 3)
    sets, frames = (6, 1) if scope == "frame" else (2, 3)
    assert {tuple(layer.mask_logits.shape) for layer in layers} == {(sets, 5, frames, 18, 36)}
    assert {tuple(layer.class_logits.shape) for layer in layers} == {(sets, 5, 14)}
    assert {tuple(layer.score_logits.shape) for layer in layers} == {(sets, 5)}
    final = built(sphere)
    assert torch.equal(final.scores, candidates.scores)
    assert torch.equal(final.mask_logits, candidates.mask_logits)
    masks = layers[-1].mask_logits.transpose(1, 2).reshape(2, 3, 5, 18, 36)
    assert torch.equal(final.mask_logits, masks)


@torch.no_grad()
def test_predictions_before_the_first_layer_guide_it_only_if_asked_for():
    sphere = sphere_features()
    guided, free = (decoder(initial_prediction=asked) for asked in (True, False))
    free.load_state_dict(guided.state_dict())
    whole = decoder(masked_attention=False)
    whole.load_state_dict(guided.state_dict())

    guided, free, whole = (built.forward_layers(sphere)[1] for built in (guided, free, whole))

    # Without an initial prediction the first layer reads everything, as without any masks; then they part.
    assert len(guided) == 4
    assert len(free) == 3
    assert torch.equal(free[0].class_logits, whole[1].class_logits)
    assert not torch.allclose(free[0].class_logits, guided[1].class_logits)
    assert not torch.allclose(free[1].class_logits, whole[2].class_logits)


def mask2former_decoder(built):
    """The whole decoder of transformers with the weights of ours (positions: none, D = d)."""
    mask2former = pytest.importorskip("transformers.models.mask2former.modeling_mask2former")
    config = pytest.importorskip("transformers").Mask2FormerConfig(
        hidden_dim=32,
        mask_feature_size=8,
        dim_feedforward=48,
        num_attention_heads=4,
        dropout=0.0,
        decoder_layers=len(built.layers) + 1,
    )
    theirs = mask2former.Mask2FormerMaskedAttentionDecoder(config).eval()
    for layer, ours in zip(theirs.layers, built.layers, strict=True):
        cross, attention = ours.cross_attention, ours.self_attention
        projections = [cross.query_projection, cross.key_projection, cross.value_projection]
        layer.cross_attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        layer.cross_attn.in_proj_bias[:32] = cross.query_projection.bias
        layer.cross_attn.in_proj_bias[64:] = cross.value_projection.bias
        layer.cross_attn.out_proj.load_state_dict(cross.output_projection.state_dict())
        query, key = attention.query_key_projection.weight.chunk(2)
        query_bias, key_bias = attention.query_key_projection.bias.chunk(2)
        layer.self_attn.q_proj.load_state_dict({"weight": query, "bias": query_bias})
        layer.self_attn.k_proj.load_state_dict({"weight": key, "bias": key_bias})
        layer.self_attn.v_proj.load_state_dict(attention.value_projection.state_dict())
        layer.self_attn.out_proj.load_state_dict(attention.output_projection.state_dict())
        layer.fc1.load_state_dict(ours.expansion.state_dict())
        layer.fc2.load_state_dict(ours.contraction.state_dict())
    embedder = [part for part in built.mask_head.embedding if isinstance(part, torch.nn.Linear)]
    for number, linear in enumerate(embedder):
        theirs.mask_predictor.mask_embedder.layers[number].layers[0].load_state_dict(linear.state_dict())
    return theirs


@torch.no_grad()
def test_all_predictions_equal_those_of_transformers_mask2former_decoder():
    torch.manual_seed(0)
    spec = SphereSpec("embedding", channels=32, height=18, width=36)
    built = MaskQueries(MaskQueriesConfig(**SMALL, position="none"), spec)
    for name, parameter in built.named_parameters():
        if name.endswith("bias") and "norm" not in name:
            parameter += 0.1 * random(*parameter.shape)
    sphere = random(1, 3, 32, 18, 36)
    cells = sphere[0].flatten(2).permute(2, 0, 1)

    theirs = mask2former_decoder(built)(
        inputs_embeds=built.start[:, None].expand(-1, 3, -1),
        multi_stage_positional_embeddings=[torch.zeros_like(cells)] * 3,
        pixel_embeddings=built.mask_features(sphere[0]),
        encoder_hidden_states=[cells] * 3,
        query_position_embeddings=built.identities[:, None].expand(-1, 3, -1),
        feature_size_list=[(18, 36)] * 3,
        return_dict=True,
    )
    _, ours = built.forward_layers(sphere)

    assert len(ours) == len(theirs.masks_queries_logits) == 4
    for found, masks, states in zip(
        ours, theirs.masks_queries_logits, theirs.intermediate_hidden_states, strict=True
    ):
        covered = (found.mask_logits >= 0).float().mean()
        assert 0.05 < covered < 0.95
        torch.testing.assert_close(found.mask_logits[:, :, 0], masks, atol=1e-4, rtol=1e-4)
        classes = built.class_head(states.transpose(0, 1))
        torch.testing.assert_close(found.class_logits, classes, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@each_scope
def test_frames_mix_only_within_the_scope_of_a_query(scope):
    built = decoder(query_scope=scope)
    sphere = sphere_features()
    changed = sphere.clone()
    changed[0, 1] += 1

    before, after = built(sphere).class_logits, built(changed).class_logits

    moved = (before - after).abs().amax((2, 3)) > 1e-4
    assert moved[1].tolist() == [False] * 3
    assert moved[0].tolist() == ([False, True, False] if scope == "frame" else [True] * 3)


@torch.no_grad()
def test_query_of_a_segment_has_one_class_and_scores_where_its_mask_is():
    built = decoder(query_scope="segment", masked_attention=False)
    sphere = sphere_features(batch=1)

    candidates, layers = built.forward_layers(sphere)

    assert torch.equal(candidates.class_logits[:, 0], candidates.class_logits[:, 2])
    peaks = candidates.mask_logits.sigmoid().amax((3, 4))
    expected = layers[-1].score_logits.sigmoid()[:, None] * peaks
    torch.testing.assert_close(candidates.scores, expected)
    assert candidates.scores.std(1).max() > 0


@torch.no_grad()
def test_query_of_a_segment_knows_the_order_of_frames():
    built = decoder(query_scope="segment", masked_attention=False)
    sphere = sphere_features(batch=1)

    forwards, backwards = built(sphere), built(sphere.flip(1))

    assert not torch.allclose(forwards.class_logits, backwards.class_logits, atol=1e-4)


@torch.no_grad()
@each_style
@each_scope
@pytest.mark.parametrize("position", ["none", "elevation", "sphere"])
def test_turning_the_features_turns_the_masks_unless_positions_tell_azimuths_apart(style, scope, position):
    built = decoder(**STYLES[style], query_scope=scope, position=position)
    sphere = sphere_features(batch=1)

    plain, turned = built(sphere), built(sphere.roll(7, dims=-1))

    expected = plain.mask_logits.roll(7, dims=-1)
    same = torch.allclose(turned.mask_logits, expected, atol=1e-4)
    assert same == (position != "sphere")
    if same:
        torch.testing.assert_close(turned.scores, plain.scores, atol=1e-4, rtol=0)
        chosen = torch.tensor([[0, 1, 2], [0, 2, 0]])
        images = plain.masks(chosen).roll(70, dims=-1)
        torch.testing.assert_close(turned.masks(chosen), images, atol=1e-4, rtol=0)


def test_derived_score_follows_its_formula_pixel_by_pixel():
    class_logits, mask_logits = random(1, 2, 3, 14), 3 * random(1, 2, 3, 4, 6)
    mask_logits[0, 1, 2] = -1.0

    found = derived_scores(class_logits, mask_logits)

    for frame in range(2):
        for query in range(3):
            p = class_logits[0, frame, query].softmax(0).tolist()
            pixels = mask_logits[0, frame, query].sigmoid().flatten().tolist()
            inside = [pixel for pixel in pixels if pixel > 0.5]
            expected = (1 - p[-1]) * max(p[:-1]) * (sum(inside) / len(inside) if inside else 0)
            assert float(found[0, frame, query]) == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def test_attention_masks_convolve_the_maps_of_where_a_query_looks():
    head = AttentionMasks(query_channels=32, channels=8, heads=4)
    states, features = random(2, 5, 32), random(2, 8, 3, 18, 36, seed=2)

    found = head(states, features)

    query = head.query_projection(states)[1, 3].reshape(4, 2)
    key = features[1].reshape(4, 2, -1)
    maps = torch.stack([(query[h] @ key[h] / 2**0.5).softmax(0) for h in range(4)])
    expected = head.mixing((maps * 3 * 18 * 36).reshape(4, 3, 18, 36).transpose(0, 1))
    torch.testing.assert_close(found[1, 3], expected[:, 0])


@torch.no_grad()
@pytest.mark.parametrize("mode", ["autocast", "weights"])
@each_style
def test_bfloat16_gives_float32_candidates_close_to_those_of_float32(style, mode):
    # Without masks, since a threshold may turn a small difference into another cell.
    built = decoder(**{**STYLES[style], "masked_attention": False})
    sphere = sphere_features(batch=1)
    expected = built(sphere)

    if mode == "weights":
        found = built.to(torch.bfloat16)(sphere.to(torch.bfloat16))
    else:
        with torch.autocast("cpu", torch.bfloat16):
            found = built(sphere)

    for name in ("class_logits", "scores", "mask_logits"):
        a, b = getattr(found, name), getattr(expected, name)
        assert a.dtype == torch.float32
        assert float((a - b).norm() / b.norm()) < 0.05
    assert found.masks(torch.tensor([[0, 0, 0]])).dtype == torch.float32


@pytest.mark.parametrize("position", ["elevation", "sphere"])
def test_a_network_in_bfloat16_reads_exact_positions(position):
    built = decoder(position=position)
    exact = built.positions.clone()

    built.to(torch.bfloat16)

    assert built.identities.dtype == torch.bfloat16
    torch.testing.assert_close(built.positions, exact, rtol=0, atol=0)
    assert built.to("meta").positions.is_meta


@torch.no_grad()
def test_mask_product_keeps_float32_under_autocast_because_a_threshold_follows():
    head = ProductMasks(32, 8)
    states, features = random(2, 5, 32), random(2, 8, 1, 18, 36, seed=2)
    with torch.autocast("cpu", torch.bfloat16):
        found = head(states, features)
        embedding = head.embedding(states)

    exact = embedding.double() @ features.double().flatten(2)

    assert embedding.dtype == torch.bfloat16
    torch.testing.assert_close(found.flatten(2).double(), exact, atol=1e-5, rtol=1e-5)


def test_seed_decides_the_weights():
    first, again, other = decoder(seed=1), decoder(seed=1), decoder(seed=2)

    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.identities, other.identities)


def test_zero_queries_are_no_weights_and_learned_ones_are():
    zero, learned = decoder(initial_queries="zero"), decoder()

    assert not zero.start.any()
    assert "start" not in dict(zero.named_parameters())
    assert "start" in dict(learned.named_parameters())


def test_config_and_wiring_say_what_does_not_fit():
    with pytest.raises(pydantic.ValidationError, match="query_channels = 30 is not a multiple of heads = 4"):
        MaskQueriesConfig(query_channels=30)
    with pytest.raises(pydantic.ValidationError, match="mask_channels = 6 is not a multiple of heads = 4"):
        MaskQueriesConfig(mask_channels=6, mask_head="attention")
    assert MaskQueriesConfig(mask_channels=6).mask_channels == 6
    with pytest.raises(WiringError, match="got 'steered_power'"):
        MaskQueriesConfig().output(SphereSpec("steered_power", 1, 36, 72))
    with pytest.raises(WiringError, match="embedding"):
        MaskQueries(MaskQueriesConfig(), SphereSpec("steered_power", 1, 36, 72))
