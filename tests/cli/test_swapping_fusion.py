"""Another fusion rule by one edit: neither the detector nor the prior is run again."""

import pytest

RULES = ["none", "log_odds", "geometric", "rank_average", "noisy_or", "presence"]


def predictions(out):
    return {path.name: path.read_bytes() for path in sorted((out / "predictions").glob("*.json"))}


@pytest.fixture(scope="module")
def predicted(tmp_path_factory, tiny_spec_text, fresh):
    """The tiny spec, whose rule is `power`, after one prediction: (spec path, cache, predictions)."""
    folder = tmp_path_factory.mktemp("predicted")
    spec = folder / "tiny.yaml"
    spec.write_text(tiny_spec_text.partition("variants:")[0])
    cache = folder / "cache"
    done = fresh("-m", "sai_bench.cli", "predict", spec, "--out", folder / "power", "--cache", cache)
    assert done.returncode == 0, done.stderr
    return spec, cache, predictions(folder / "power")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_runs_by_its_name_on_the_stored_detections(predicted, sai_bench, tmp_path, rule):
    spec, cache, with_power = predicted
    swap = ("--set", f"system.fusion={{use: {rule}}}")
    done = sai_bench("predict", spec, "--out", tmp_path / "run", "--cache", cache, *swap)

    assert done.code == 0, done.err
    for stage, what in (("detect", "reused"), ("prior", "reused"), ("fuse", "computed")):
        assert f"{stage}: 3 recordings {what}" in done.err
    swapped = predictions(tmp_path / "run")
    assert swapped.keys() == with_power.keys()
    assert swapped != with_power


def test_a_key_of_another_rule_is_refused_and_named(predicted, sai_bench):
    spec, _, _ = predicted
    done = sai_bench("check", spec, "--set", "system.fusion={use: geometric, alpha: 0.3}")
    assert done.code == 2
    assert "system.fusion.alpha: unknown key" in done.err
