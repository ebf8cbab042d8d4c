"""Claims about answers that are data: JSON and YAML."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from harness.checks.base import Check, shown, unfenced
from harness.errors import InputError
from harness.yaml_source import parse_yaml

_PATH_PART = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")


def _is_schema(schema: dict[str, Any]) -> dict[str, Any]:
    import jsonschema  # 130 ms, and few checks need it

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as exc:
        raise ValueError(f"not a JSON schema: {exc.message}") from None
    if any(not ref.startswith("#") for ref in _references(schema)):
        raise ValueError("a `$ref` may only point into the schema itself (`#/…`); nothing is fetched")
    return schema


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (str(value) for key, value in schema.items() if key in ("$ref", "$dynamicRef"))
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for part in parts:
        yield from _references(part)


class _Data(Check):
    """What JSON and YAML answers share: equality as a whole or at paths, and a schema."""

    shorthand: ClassVar = "equals"
    equals: Any = None
    at: dict[str, Any] = Field(default_factory=dict)
    """Path to expected value, such as `{"jobs[0].name": "test"}`."""
    schema_: Annotated[dict[str, Any], AfterValidator(_is_schema)] | None = Field(
        default=None, alias="schema"
    )
    unordered: bool = False
    """Compare lists without regard to their order."""

    @classmethod
    def arguments(cls, raw: Any) -> Any:
        own = {"equals", "at", "schema", "unordered"}
        return raw if isinstance(raw, dict) and set(raw) & own else {"equals": raw}

    def parsed(self, text: str) -> Any:
        """Return the data in a text; raise ValueError with a reason if there is none."""
        raise NotImplementedError

    def fault(self, answer: str) -> str:
        try:
            data = self.parsed(unfenced(answer).strip())
        except ValueError as exc:
            return f"not {self.name.upper()}: {exc}"
        return self._schema_fault(data) or self._equality_fault(data)

    def _schema_fault(self, data: Any) -> str:
        if self.schema_ is None:
            return ""
        import jsonschema

        error = next(jsonschema.Draft202012Validator(self.schema_).iter_errors(data), None)
        return f"at {error.json_path}: {error.message}" if error else ""

    def _equality_fault(self, data: Any) -> str:
        wanted = dict(self.at)
        if "equals" in self.model_fields_set:
            wanted[""] = self.equals
        for path, value in wanted.items():
            try:
                got = value_at(data, path)
            except LookupError:
                return f"nothing at `{path}`"
            if _key(got, self.unordered) != _key(value, self.unordered):
                place = f"at `{path}` " if path else ""
                return f"{place}expected {shown(value)}, got {shown(got)}"
        return ""


class Json(_Data):
    """The answer is JSON, bare or in one code fence, and holds what is claimed."""

    name: ClassVar = "json"

    def parsed(self, text: str) -> Any:
        try:
            return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class Yaml(_Data):
    """The answer is YAML 1.2, bare or in one code fence, and holds what is claimed."""

    name: ClassVar = "yaml"

    def parsed(self, text: str) -> Any:
        try:
            document = parse_yaml(text, Path("answer"))
        except InputError as exc:
            raise ValueError(exc.problems[0].message) from None
        if document.problems:
            raise ValueError(document.problems[0].message)
        data = document.data
        if not isinstance(data, dict | list):
            raise ValueError(  # noqa: TRY004 - the text is wrong, not a type of ours
                f"plain text, not a mapping or a list: {shown(text)}"
            )
        return data


def value_at(data: Any, path: str) -> Any:
    """Return the value at a path such as `jobs[0].name`; raise LookupError if there is none.

    >>> value_at({"jobs": [{"name": "test"}]}, "jobs[0].name")
    'test'
    """
    for name, index in _PATH_PART.findall(path):
        if name and isinstance(data, dict):
            data = data[name]
        elif index and isinstance(data, list):
            data = data[int(index)]
        else:
            raise LookupError(path)
    return data


def _key(value: Any, unordered: bool) -> str:
    """Return a text equal for equal data: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, dict):
        parts = [f"{k!r}:{_key(v, unordered)}" for k, v in sorted(value.items())]
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        items = [_key(item, unordered) for item in value]
        return "[" + ",".join(sorted(items) if unordered else items) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        first = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"key {shown(first)} stands twice")
    return data


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
