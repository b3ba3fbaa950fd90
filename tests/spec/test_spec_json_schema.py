"""The JSON Schema for editors: valid itself, and of one mind with load_spec."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sai_bench.errors import SpecError
from sai_bench.plugin_loading import load_plugins
from sai_bench.registry import Origin, Registrar, Registry
from sai_bench.spec import load_spec, spec_json_schema

SPECS = Path(__file__).parents[2] / "specs"
GOOD = {
    "name": "good",
    "seed": 1,
    "plugins": [],
    "data": {"use": "rooms", "folder": "../data"},
    "system": {
        "microphones": "all",
        "front_end": {"use": "window", "taper": "hamming"},
        "backbone": {"use": "power_map"},
        "decoder": {"use": "peaks"},
        "prior": {"use": "learned", "layers": [{"width": 3, "rate": "auto"}], "gains": {"1": 2.0}},
        "fusion": {"use": "exponent", "alpha": 0.5},
        "compressor": {"use": "keep"},
    },
    "training": {
        "rooms": {"steps": 9, "losses": {"dice": 1.0}, "optimiser": {"learning_rate": 0.01}},
        "prior": {"trains": "prior", "data": {"use": "rooms", "folder": "../other"}},
    },
    "inference": {"segment_s": 2.0},
    "export": {"detections_per_frame": 3},
    "evaluation": {"split": "test", "metrics": [{"use": "june", "alpha": 1}], "pictures": 0},
    "variants": {
        "v": {"system.prior": {"use": "flat"}, "system.fusion.alpha": 0.1, "inference": {"segment_s": 1}}
    },
}


@pytest.fixture(scope="module")
def validator(fakes) -> Draft202012Validator:
    return Draft202012Validator(spec_json_schema(fakes.registry))


LOADER_CASES = (
    "name", "seed", "plugins", "data", "data/folder", "data/use", "system", "system/prior",
    "system/prior/use", "system/prior/layers", "system/prior/weights", "system/prior/gains",
    "system/fusion/alpha", "inference", "training", "training/rooms", "training/rooms/losses",
    "training/prior/trains",
    "inference/segment_s", "evaluation", "evaluation/metrics", "evaluation/metrics/0", "variants",
    "variants/v", "variants/v/system.prior", "extends", "anything",
)  # fmt: skip


def changed(path: str, value: object, *, remove: bool = True) -> dict:
    """Return GOOD with the value at a /-separated path replaced, or removed if it is None."""
    document = copy.deepcopy(GOOD)
    *steps, last = path.split("/")
    place = document
    for step in steps:
        place = place[int(step) if isinstance(place, list) else step]
    last = int(last) if isinstance(place, list) else last
    if value is None and remove:
        del place[last]
    else:
        place[last] = value
    return document


def loads(folder, document: dict) -> bool:
    try:
        folder.load_text(yaml.safe_dump(document))
    except SpecError:
        return False
    return True


def test_the_schema_is_valid_json_schema_and_plain_json(fakes):
    schema = spec_json_schema(fakes.registry)
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema
    assert schema == spec_json_schema(fakes.registry)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 0), ("name", None), ("variants", None), ("variants", {}), ("evaluation", None),
        ("system/microphones", None), ("system/prior", {"use": "flat"}), ("data/recordings", 9),
        ("system/prior/weights", "w.npz"), ("evaluation/metrics", []), ("inference/context_s", 0),
        ("system/prior/layers/0/rate", 0.5), ("variants/v/system.prior", {"use": "learned", "gains": {}}),
        ("variants/v/system.prior.use", "flat"), ("variants/v/seed", 4), ("variants/v/data.recordings", 2),
        ("training", None), ("training", {}), ("training/rooms", {"steps": 1}), ("training/prior/split", "x"),
        ("variants/v/training.rooms.steps", 4),
        # wrong ones
        ("training/rooms/steps", None), ("training/rooms/steps", 0), ("training/rooms/trains", "all"),
        ("training/rooms/losses/dyce", 1), ("training/rooms/losses", 3), ("training/prior/losses", {}),
        ("training/prior/steps", 3), ("training/Bad name", {"steps": 1}), ("training", []),
        ("training/rooms/optimiser/learning_rate", 0), ("training/prior/data", {"use": "rooms"}),
        ("sed", 1), ("seed", -1), ("seed", "x"), ("name", 3), ("name", "a b"), ("system/prior", None),
        ("system/prior", {}), ("system/prior/use", "lerned"), ("system/prior/alpha", 1),
        ("data/folder", None), ("data/recordings", 0), ("system/front_end/taper", "ham"),
        ("system/front_end/windw_ms", 3),
        ("system/fusion/alpha", 1.5), ("system/fusion/alpha", "high"), ("system/fusion", "exponent"),
        ("system/prior/layers/0/width", "wide"), ("system/prior/layers/0/wdth", 3),
        ("system/microphones", "foa"), ("system/fusions", {}), ("evaluation/metrics", {"use": "june"}),
        ("evaluation/metrics/0/use", "july"),
        ("inference/segment_s", 0), ("inference/segment", 1), ("export/mask_energy", 1), ("plugins", "x.py"),
        ("variants/Bad name", {}), ("variants/v", []), ("variants/v/name", "x"),
        ("variants/v/sytem.prior", {}), ("variants/v/system.prior", {"use": "lerned"}),
        ("variants/v/system.fusion.alpa", 1),
        ("variants/v/system.fusion.alpha", "high"), ("variants/v/inference.segment_s", "x"), ("extends", []),
    ],
)  # fmt: skip
def test_schema_and_loader_agree(folder, validator, path, value):
    document = changed(path, value)
    assert validator.is_valid(document) == loads(folder, document)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["use", "a.b", "x"]), inner),
    max_leaves=4,
)


@settings(deadline=None, max_examples=80)
@given(
    path=st.sampled_from(LOADER_CASES),
    value=VALUES,
)
def test_whatever_stands_in_a_spec_loads_or_raises_spec_error(fakes, tmp_path_factory, path, value):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(changed(path, value, remove=False)))
    try:
        spec = load_spec(file, plugins=fakes)
    except SpecError as error:
        assert all(problem.startswith(f"{file}:") for problem in error.problems)  # noqa: PT017
    else:
        assert len(spec.sha256) == 64


def test_the_good_document_is_good_and_most_changes_above_are_not(folder, validator):
    assert validator.is_valid(GOOD)
    assert loads(folder, GOOD)
    assert not validator.is_valid(changed("seed", -1))


def test_a_spec_that_extends_another_may_leave_everything_out(validator):
    assert validator.is_valid({"extends": "whole.yaml"})
    assert validator.is_valid({"extends": ["whole.yaml"], "system": {"fusion": {"alpha": 0.3}}})
    assert not validator.is_valid({"system": {"fusion": {"alpha": 0.3}}})
    assert not validator.is_valid({"extends": "whole.yaml", "system": {"fusion": {"alhpa": 0.3}}})


def test_resolved_specs_satisfy_the_schema(whole, validator):
    assert list(validator.iter_errors(whole.load("specs/whole.yaml").resolved())) == []


def test_descriptions_reach_the_editor(fakes):
    definitions = spec_json_schema(fakes.registry)["$defs"]
    assert definitions["front_end.window"]["properties"]["window_ms"]["description"] == (
        "Window length in milliseconds."
    )
    assert definitions["prior.flat"]["description"] == "fake flat"


def test_a_component_with_a_broken_config_does_not_spoil_the_schema():
    registrar = Registrar(Origin("test"))
    registrar.component("prior", "lost", "gone:Prior", config="gone:Config", summary="broken")
    registry = Registry()
    registry.add_all(registrar.registrations)
    schema = spec_json_schema(registry)
    Draft202012Validator.check_schema(schema)
    assert "cannot be loaded" in schema["$defs"]["prior.lost"]["description"]


@pytest.mark.skipif(not list(SPECS.glob("*.yaml")), reason="no shipped specs yet")
@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_specs_satisfy_the_schema_of_the_installed_components(path):
    plugins = load_plugins()
    validator = Draft202012Validator(spec_json_schema(plugins.registry))
    assert list(validator.iter_errors(yaml.safe_load(path.read_text()))) == []
    assert list(validator.iter_errors(load_spec(path, plugins=plugins).resolved())) == []
