"""Splits that a spec names must be among those of its data sets, as far as their configs can tell."""

from __future__ import annotations

import pytest

import sai_bench
from sai_bench.config import ComponentConfig, DatasetConfig
from sai_bench.errors import SpecError
from sai_bench.plugin_loading import load_plugins
from sai_bench.registry import Origin, Registration
from sai_bench.spec import load_spec

SPEC = """\
name: split
data:
  use: simulated_rooms
  folder: data
  splits: {learn: {recordings: 2, rooms: 1}, test: {recordings: 2, rooms: 1}}
system:
  front_end: {use: stft}
  backbone: {use: steered_masks}
  decoder: {use: class_discs}
  prior: {use: uniform}
  fusion: {use: none}
  compressor: {use: dense}
training:
  first: {steps: 1, split: learn}
  last: {trains: prior, split: learn}
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def loaded(*overrides, text=SPEC, **options):
        (tmp_path / "split.yaml").write_text(text)
        return load_spec("split.yaml", overrides=overrides, **options)

    return loaded


@pytest.fixture
def problems(load):
    def found(*overrides, **options):
        with pytest.raises(SpecError) as error:
            load(*overrides, **options)
        return error.value.problems

    return found


def test_splits_that_are_there_are_right(load):
    load("evaluation.split=learn", "training.first.validation_split=test")


@pytest.mark.parametrize(
    "key",
    ["evaluation.split", "training.first.split", "training.first.validation_split", "training.last.split"],
)
def test_a_split_that_is_not_there_is_named_with_those_that_are(problems, key):
    assert problems(f"{key}=tset") == [
        f"--set {key}: data set 'simulated_rooms' has no split 'tset'. Did you mean 'test'? Splits: learn, "
        "test."
    ]


def test_the_line_is_that_of_the_split(problems):
    text = SPEC.replace("split: learn}", "split: lern}", 1) + "evaluation:\n  split: final\n"
    assert problems(text=text) == [
        "split.yaml:14: training.first.split: data set 'simulated_rooms' has no split 'lern'. Did you mean "
        "'learn'? Splits: learn, test.",
        "split.yaml:17: evaluation.split: data set 'simulated_rooms' has no split 'final'. Splits: learn, "
        "test.",
    ]


def test_a_default_that_is_not_there_is_told_too(problems):
    (problem,) = problems(text=SPEC.replace("test: {", "final: {"))
    assert (
        "evaluation.split: data set 'simulated_rooms' has no split 'test'. Splits: learn, final." in problem
    )


def test_stages_are_compared_with_their_own_data(load, problems):
    own = "training.first.data={use: simulated_rooms, folder: own, splits: {real: {recordings: 1, rooms: 1}}}"
    load(own, "training.first.split=real")
    (problem,) = problems(own)
    assert "training.first.split: data set 'simulated_rooms' has no split 'learn'. Splits: real." in problem


def test_a_variant_is_named(problems):
    (problem,) = problems(text=SPEC + "variants:\n  other: {evaluation.split: tets}\n")
    assert problem.startswith(
        "split.yaml:17: variants.other.evaluation.split: data set 'simulated_rooms' has no"
    )


def test_a_fragment_without_a_system_needs_no_split_to_test(load):
    fragment = SPEC[: SPEC.index("system:")].replace("test: {", "final: {")
    assert load(text=fragment).system is None


def test_splits_that_only_the_data_tell_are_left_to_them(load):
    load("data={use: stairs26, folder: .}", "evaluation.split=any", "training.first.split=any")


class PlainConfig(ComponentConfig):
    """Knows nothing of splits."""


class SilentConfig(DatasetConfig):
    """Cannot tell."""


class BrokenConfig(DatasetConfig):
    """Raises."""

    def split_names(self):
        raise RuntimeError("a bug of the plugin")


@pytest.fixture
def plugins():
    loaded = load_plugins()
    for name, config in {"plain": PlainConfig, "silent": SilentConfig, "broken": BrokenConfig}.items():
        registration = Registration("dataset", name, "no_such_module:Thing", config, "fake", Origin("test"))
        loaded.registry.add_all([registration])
    return loaded


@pytest.mark.parametrize("name", ["plain", "silent"])
def test_a_config_that_does_not_tell_its_splits_takes_any(load, plugins, name):
    load(f"data={{use: {name}}}", "evaluation.split=any", plugins=plugins)


def test_a_config_that_raises_is_named(problems, plugins):
    told = problems("data={use: broken}", "training=null", plugins=plugins)
    assert "data set 'broken' cannot say which splits it has (RuntimeError: a bug of the plugin)." in told[0]


def test_the_base_class_is_public():
    assert sai_bench.DatasetConfig is DatasetConfig
