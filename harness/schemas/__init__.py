"""JSON schemas of the files users write, for editors. `harness schema KIND > harness/schemas/…`."""

from __future__ import annotations

import json
from typing import Any

from harness.checks import CHECKS
from harness.config import ConfigSpec
from harness.golden import TaskSpec

FILES = {"providers": "providers.schema.json", "golden": "golden.schema.json"}
_TEMPLATE = {"type": "string", "pattern": r"\{\{", "description": "a template, filled in for each case"}


def schema_text(kind: str) -> str:
    """Return the schema of `providers` or `golden` files as the text of its committed file."""
    schema = ConfigSpec.model_json_schema() if kind == "providers" else _golden_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _golden_schema() -> dict[str, Any]:
    schema = TaskSpec.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    definitions["Check"] = {
        "description": "One check: its name and its arguments.",
        "oneOf": [*(_named(check.name, _arguments(check)) for check in CHECKS.values()), *_combinators()],
    }
    schema["properties"]["checks"]["items"] = {"$ref": "#/$defs/Check"}
    return schema


def _arguments(check: Any) -> dict[str, Any]:
    """Return the schema of a check's arguments: keywords that may be templates, or a bare value."""
    keywords = check.model_json_schema()
    keywords["properties"] = {
        name: {"anyOf": [value, _TEMPLATE]} for name, value in keywords["properties"].items()
    }
    bare = {"not": {"type": "object"}}
    return {"anyOf": [keywords, bare] if check.name not in ("json", "yaml") else [keywords, {}]}


def _named(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}


def _combinators() -> list[dict[str, Any]]:
    one = {"$ref": "#/$defs/Check"}
    return [
        _named("all", {"type": "array", "items": one, "minItems": 1}),
        _named("any", {"type": "array", "items": one, "minItems": 1}),
        _named("not", one),
    ]
