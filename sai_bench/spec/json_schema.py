"""One JSON Schema (draft 2020-12) for whole specs, made from the registered components.

Editors use it through `# yaml-language-server: $schema=...`: completion, hover texts, red lines. It judges a
single file: what a spec inherits through `extends` is unknown to it, so there nothing is required.
"""

from __future__ import annotations

from pydantic import BaseModel

from sai_bench.errors import PluginError
from sai_bench.registry import Registration, Registry
from sai_bench.spec.models import (
    SYSTEM_KINDS,
    EvaluationKeys,
    ExportSettings,
    Header,
    InferenceSettings,
    SystemKeys,
)
from sai_bench.spec.training_settings import STAGE_NAME, STAGE_SETTINGS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIANT_NAME = "[a-z0-9_]+"
_PATHS = {"type": "array", "items": {"type": "string", "minLength": 1}}


def spec_json_schema(registry: Registry) -> dict:
    """Return the JSON Schema of a spec file, JSON-ready."""
    return _Builder(registry).build()


class _Builder:
    """Collects the definitions that the parts of the schema refer to."""

    def __init__(self, registry: Registry):
        self.registry = registry
        self.definitions: dict[str, dict] = {}

    def build(self) -> dict:
        parts = {kind: self._kind(kind) for kind in (*SYSTEM_KINDS, "dataset", "metric")}
        whole, inherited = self._document(parts, "whole"), self._document(parts, "inherited")
        return {
            "$schema": DIALECT,
            "title": "sai_bench spec",
            "description": "A semantic acoustic imaging system, its data and how it is scored.",
            "type": "object",
            "if": {"required": ["extends"]},
            "then": inherited,
            "else": whole,
            "$defs": dict(sorted(self.definitions.items())),
        }

    def _document(self, parts: dict[str, list[Registration]], flavour: str) -> dict:
        """Return the schema of a file; `inherited` asks for nothing that a base file may hold."""
        components = {kind: {"$ref": f"#/$defs/{kind}.{flavour}"} for kind in parts}
        system = _plain(SystemKeys, "A whole system.")
        system["properties"] |= {kind: components[kind] for kind in SYSTEM_KINDS}
        evaluation = _plain(EvaluationKeys, "What is scored and drawn.")
        evaluation["properties"]["metrics"] = {"type": "array", "items": {"$ref": "#/$defs/metric.whole"}}
        sections = {
            "data": components["dataset"],
            "system": system,
            "training": self._training(flavour),
            "inference": _plain(InferenceSettings),
            "export": _plain(ExportSettings),
            "evaluation": evaluation,
        }
        document = _plain(Header)
        document["properties"]["name"].pop("default")
        document["properties"] |= {
            "extends": {
                "description": "Spec file(s) to inherit from, relative to this file.",
                "anyOf": [{"type": "string", "minLength": 1}, _PATHS | {"minItems": 1}],
            },
            "plugins": {"description": "Python files with components, relative to this file.", **_PATHS},
            **sections,
        }
        self._add_variants(document, flavour)
        if flavour == "whole":
            system["required"] = list(SYSTEM_KINDS)
            document["dependentRequired"] = {"system": ["name"]}
        return document

    def _training(self, flavour: str) -> dict:
        """Describe `training`: stage name -> keys of a stage that trains the detector or the prior."""
        stages = []
        for part, model in STAGE_SETTINGS.items():
            schema = model.model_json_schema(ref_template="#/$defs/training:{model}")
            self.definitions |= {f"training:{k}": v for k, v in schema.pop("$defs", {}).items()}
            data = {"$ref": f"#/$defs/dataset.{flavour}"}
            schema["properties"]["data"] = {"anyOf": [data, {"type": "null"}]}
            if part == "detector":
                schema["properties"]["losses"] = {
                    "description": "Which losses the decoder is trained with, and their weights.",
                    "anyOf": [*self._losses(), {"type": "null"}],
                }
            else:
                schema["required"] = ["trains"]
            if flavour == "inherited":
                schema.pop("required", None)
            stages.append(schema)
        return {
            "description": "Stages of training in the order in which they run: name -> keys; null: dropped.",
            "type": ["object", "null"],
            "propertyNames": {"pattern": f"^{STAGE_NAME}$"},
            "additionalProperties": {"anyOf": [*stages, {"type": "null"}]},
        }

    def _losses(self) -> list[dict]:
        """Return the loss keys of every decoder that can be trained."""
        found = []
        for component in self._components("decoder"):
            try:
                model = component.load_config().losses
                schema = model and model.model_json_schema(
                    ref_template=f"#/$defs/losses.{component.name}:{{model}}"
                )
            except Exception:  # `_component` says what is wrong with this plugin's config
                continue
            if schema:
                nested = schema.pop("$defs", {})
                self.definitions |= {f"losses.{component.name}:{k}": v for k, v in nested.items()}
                found.append(schema)
        return found or [{"type": "object"}]

    def _add_variants(self, document: dict, flavour: str) -> None:
        """Describe `variants`: the same keys once more, as dotted paths."""
        sections = {
            key: value
            for key, value in document["properties"].items()
            if key not in ("name", "extends", "plugins")
        }
        paths = {}
        for section, schema in sections.items():
            for key, below in schema.get("properties", {}).items():
                paths[f"{section}.{key}"] = below
        for kind, place in [("dataset", "data"), *((kind, f"system.{kind}") for kind in SYSTEM_KINDS)]:
            paths[place] = {"$ref": f"#/$defs/{kind}.inherited"}
            paths |= {f"{place}.{key}": schema for key, schema in self._component_keys(kind).items()}
        loose = {
            key: {"type": "object"} if "properties" in value else value for key, value in sections.items()
        }
        document["properties"]["variants"] = {
            "description": "Further systems, run beside this one: name -> {dotted path: value}; null: none.",
            "type": ["object", "null"],
            "propertyNames": {"pattern": f"^{VARIANT_NAME}$"},
            "additionalProperties": {
                "type": "object",
                "properties": loose | paths,
                # Keys below a component's own keys are checked when the spec is loaded.
                "patternProperties": {r"^(data|system\.\w+)\.\w+\.": True, r"^training\.\w+": True},
                "additionalProperties": False,
            },
        }

    def _component_keys(self, kind: str) -> dict[str, dict]:
        """Return every key that some component of a kind understands, with what it may hold."""
        choices: dict[str, list[dict]] = {}
        for component in self._components(kind):
            definition = self.definitions[f"{kind}.{component.name}"]
            for key, schema in definition["properties"].items():
                choices.setdefault(key, []).append(schema)
        return {
            key: schemas[0] if len(schemas) == 1 else {"anyOf": schemas} for key, schemas in choices.items()
        }

    def _components(self, kind: str) -> list[Registration]:
        return [component for component in self.registry if component.kind == kind]

    def _kind(self, kind: str) -> list[Registration]:
        """Define a kind: one of its components, each recognised by `use`."""
        components = self._components(kind)
        for component in components:
            whole = self._component(component)
            self.definitions[f"{kind}.{component.name}"] = whole
            inherited = {key: value for key, value in whole.items() if key != "required"}
            self.definitions[f"{kind}.{component.name}.inherited"] = inherited
        names = [component.name for component in components]
        self.definitions[f"{kind}.whole"] = _any_of([f"{kind}.{name}" for name in names], "oneOf")
        # Without `use` several components may understand the same keys: any of them will do.
        self.definitions[f"{kind}.inherited"] = _any_of([f"{kind}.{n}.inherited" for n in names], "anyOf")
        return components

    def _component(self, component: Registration) -> dict:
        """Return the schema of one component, its nested definitions moved to the top under its name."""
        prefix = f"{component.kind}.{component.name}"
        use = {"const": component.name, "description": component.summary}
        try:
            model = component.load_config()
            own = model.model_json_schema(ref_template=f"#/$defs/{prefix}:{{model}}")
        except PluginError:
            return _unchecked(use, "its config cannot be loaded: `sai-bench show` says why")
        except Exception as error:  # a config model may hold types that no schema can express
            return _unchecked(use, f"cannot be described ({type(error).__name__}: {error})")
        nested = own.pop("$defs", {})
        if "$ref" in own:  # a model that refers to itself
            own = dict(nested[model.__name__])
        self.definitions |= {f"{prefix}:{name}": definition for name, definition in nested.items()}
        return {
            "title": component.name,
            "description": component.summary,
            "type": "object",
            "properties": {"use": use, **own.get("properties", {})},
            "required": ["use", *own.get("required", [])],
            "additionalProperties": own.get("additionalProperties", True),
        }


def _any_of(names: list[str], keyword: str) -> dict:
    return {keyword: [{"$ref": f"#/$defs/{name}"} for name in names]} if names else {"not": {}}


def _unchecked(use: dict, reason: str) -> dict:
    return {"type": "object", "properties": {"use": use}, "required": ["use"], "description": reason}


def _plain(model: type[BaseModel], description: str | None = None) -> dict:
    """Return the schema of a section with fixed keys."""
    schema = model.model_json_schema()
    schema.pop("title")
    return schema | ({"description": description} if description else {})
