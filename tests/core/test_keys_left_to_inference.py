"""Keys of a component that are left to the spec's section `inference`."""

import pytest

from sai_bench.spec import load_spec

SMALL = "use: audiomae, head: random, encoder_width: 16, encoder_depth: 1, encoder_heads: 2"


def prior_keys(spec):
    return {key: spec.system.prior.resolved()[key] for key in ("device", "precision")}


@pytest.mark.parametrize(
    ("keys", "inference", "expected"),
    [
        ("", {}, {"device": "cpu", "precision": "fp32"}),
        ("", {"precision": "bf16"}, {"device": "cpu", "precision": "bf16"}),
        ("", {"device": "cuda"}, {"device": "cuda", "precision": "fp32"}),
        (", precision: fp32", {"precision": "bf16"}, {"device": "cpu", "precision": "fp32"}),
        (", device: cpu", {"device": "cuda"}, {"device": "cpu", "precision": "fp32"}),
    ],
)
def test_a_prior_computes_like_the_detector_unless_it_says_otherwise(tiny_spec, keys, inference, expected):
    spec = tiny_spec(f"system.prior={{{SMALL}{keys}}}", *(f"inference.{k}={v}" for k, v in inference.items()))
    assert prior_keys(spec) == expected


def test_a_variant_that_changes_the_inference_changes_the_prior(tiny_spec, tmp_path):
    text = tiny_spec.path.read_text().replace("{use: uniform}", f"{{{SMALL}}}")
    path = tmp_path / "other.yaml"
    path.write_text(f"{text}variants: {{rounded: {{inference.precision: bf16}}}}\n")
    spec = load_spec(path)
    assert prior_keys(spec)["precision"] == "fp32"
    assert prior_keys(spec.variants["rounded"])["precision"] == "bf16"
