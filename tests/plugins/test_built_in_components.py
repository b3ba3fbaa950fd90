import inspect
import subprocess
import sys

import pytest

from sai_bench.config import BackboneConfig, ComponentConfig, DecoderConfig, FrontEndConfig
from sai_bench.interfaces import KIND_CLASSES
from sai_bench.plugin_loading import load_plugins
from sai_bench.spec.models import InferenceSettings

CONFIG_BASES = {"front_end": FrontEndConfig, "backbone": BackboneConfig, "decoder": DecoderConfig}
BUILT_IN = [
    component for component in load_plugins().registry if component.origin.label.startswith("sai-bench ")
]
EXPECTED = {
    ("front_end", "stft"),
    ("front_end", "stft_log_magnitude_phase"),
    ("front_end", "stft_phase_difference"),
    ("backbone", "convnext_spherical"),
    ("backbone", "steered_power"),
    ("decoder", "mask_queries"),
    ("decoder", "peak_regions"),
    ("prior", "audiomae"),
    ("prior", "label_frequency"),
    ("prior", "log_mel_cnn"),
    ("prior", "log_mel_linear"),
    ("prior", "oracle"),
    ("prior", "uniform"),
    ("fusion", "none"),
    ("fusion", "power"),
    ("fusion", "log_odds"),
    ("fusion", "geometric"),
    ("fusion", "rank_average"),
    ("fusion", "noisy_or"),
    ("fusion", "presence"),
    ("compressor", "dense"),
    ("compressor", "grid_support"),
    ("dataset", "simulated_rooms"),
    ("dataset", "stairs26"),
    ("dataset", "starss23"),
    ("metric", "dcase2026_april"),
    ("metric", "dcase2026_june"),
}
each_built_in = pytest.mark.parametrize("component", BUILT_IN, ids=lambda c: f"{c.kind}/{c.name}")


def test_the_promised_components_are_registered():
    assert {(component.kind, component.name) for component in BUILT_IN} >= EXPECTED


@each_built_in
def test_class_is_a_finished_documented_component_of_its_kind(component):
    found = component.load_class()
    assert issubclass(found, KIND_CLASSES[component.kind])
    assert not inspect.isabstract(found)
    assert found.__doc__
    assert found.__doc__.strip()


@each_built_in
def test_registration_names_the_module_that_defines_the_class(component):
    module, _, name = component.target.partition(":")
    found = component.load_class()
    assert (found.__module__, found.__name__) == (module, name)


@each_built_in
def test_keys_that_the_config_singles_out_exist(component):
    model = component.load_config()
    assert model.not_in_weights | model.after_training <= model.model_fields.keys()
    assert model.as_inference <= model.model_fields.keys() & InferenceSettings.model_fields.keys()
    assert all(model.model_fields[key].default is None for key in model.as_inference)


@each_built_in
def test_config_documents_every_key_and_says_what_the_wiring_check_needs(component):
    model = component.load_config()
    base = CONFIG_BASES.get(component.kind, ComponentConfig)
    assert issubclass(model, base)
    assert model.__doc__
    undocumented = [name for name, field in model.model_fields.items() if not field.description]
    assert undocumented == []
    if base is not ComponentConfig:
        assert model.output is not base.output


@each_built_in
def test_config_refuses_unknown_keys_and_stays_frozen(component):
    model = component.load_config()
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"]


def imports_torch(modules):
    """Import modules in a fresh interpreter and tell whether torch came with them."""
    code = f"""
import importlib, sys
for module in {modules!r}:
    importlib.import_module(module)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() == "True"


def test_configs_import_without_torch():
    targets = [c.config if isinstance(c.config, str) else c.config.__module__ for c in BUILT_IN]
    modules = sorted({target.partition(":")[0] for target in targets})
    assert imports_torch(modules) is False


@pytest.mark.parametrize("kind", ["prior", "fusion", "compressor", "metric"])
def test_scoring_kinds_import_without_torch(kind):
    modules = [c.target.partition(":")[0] for c in BUILT_IN if c.kind == kind]
    assert imports_torch(modules) is False
