"""What `describe` says about a system, against what can be counted by hand."""

from sai_bench.description import describe


def test_shapes_parameters_and_products_of_a_tiny_system(tiny_spec):
    description = describe(tiny_spec())
    assert description.segment_s == 2.0
    front_end, backbone, decoder, prior, fusion, compressor = description.parts
    assert [s.lengths for s in front_end.shapes] == [(1, 4, 100, 513)]
    assert [s.lengths for s in backbone.shapes] == [(1, 20, 3, 18, 36)]
    assert backbone.parameters == 4 * 3 * 18 * 36
    assert round(backbone.gmacs * 1e9) == 20 * 4 * 3 * 18 * 36
    assert {s.what: s.lengths for s in decoder.shapes} == {
        "what the heads say": (1, 20, 30),
        "class logits": (1, 20, 2, 14),
        "scores": (1, 20, 2),
        "mask logits": (1, 20, 2, 18, 36),
        "one full-size mask": (1, 180, 360),
    }
    assert decoder.parameters == 3 * 30 + 30 + 6
    assert [s.lengths for s in prior.shapes] == [(13, 20)]
    assert (fusion.name, compressor.name) == ("none", "dense")


def test_attention_is_counted():
    import torch
    import torch.nn.functional as F

    from sai_bench.description import counted_gmacs

    query, key = torch.randn(2, 4, 100, 32), torch.randn(2, 4, 60, 32)
    with torch.no_grad():
        _, gmacs, _ = counted_gmacs(lambda: F.scaled_dot_product_attention(query, key, key))
    assert round(gmacs * 1e9) == 2 * (2 * 4 * 100 * 60 * 32)
