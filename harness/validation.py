"""Check plain data against pydantic models and say what is wrong at the line where it stands."""

from __future__ import annotations

import difflib
import typing
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import Problem
from harness.yaml_source import Document, Loc, did_you_mean


class Strict(BaseModel):
    """A mapping a user writes: every key known, no silent conversions, immutable once read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def validated(
    model: type[Model], data: Any, document: Document, loc: Loc = ()
) -> tuple[Model | None, list[Problem]]:
    """Return the model read from `data`, or None and every problem, each with its place."""
    try:
        return model.model_validate(data), []
    except ValidationError as exc:
        return None, _problems(exc, model, document, loc)


def _problems(exc: ValidationError, model: type[BaseModel], document: Document, loc: Loc) -> list[Problem]:
    errors = exc.errors(include_url=False)
    missing = {e["loc"] for e in errors if e["type"] == "missing"}
    problems = []
    explained: set[Loc] = set()
    for error in errors:
        if error["type"] != "extra_forbidden":
            continue
        place: Loc = error["loc"]
        known = _fields_at(model, place[:-1])
        help = did_you_mean(str(place[-1]), known)
        # An unknown `teir` beside a missing `tier` is one mistake, not two.
        explained |= {m for m in missing if m[:-1] == place[:-1] and f"`{m[-1]}`" in help}
        problems.append(
            document.problem(loc + place, "unknown-key", f"unknown key `{place[-1]}`", help=help, key=True)
        )
    for error in errors:
        if error["type"] == "extra_forbidden" or error["loc"] in explained:
            continue
        problems.append(_problem(dict(error), document, loc + error["loc"]))
    return problems


def _problem(error: dict[str, Any], document: Document, loc: Loc) -> Problem:
    if error["type"] == "missing":
        help = _misspelt(str(loc[-1]), document, loc[:-1])
        return document.problem(loc[:-1], "missing-key", f"`{loc[-1]}` is missing", key=True, help=help)
    if error["type"] == "value_error":
        return document.problem(loc, "bad-value", str(error["ctx"]["error"]))
    found = _shown(error["input"])
    message = f"{error['msg'][0].lower()}{error['msg'][1:]}, found {found}"
    return document.problem(loc, "bad-value", message)


def _misspelt(missing: str, document: Document, loc: Loc) -> str:
    """Return a help line if one of the keys that are there looks like the missing one."""
    present = [str(key[-1]) for key in document.keys if key[:-1] == loc]
    near = difflib.get_close_matches(missing, present, n=1)
    return f"is `{near[0]}` meant to be `{missing}`?" if near else ""


def _shown(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", bool: "true/false", type(None): "nothing"}
    if type(value) in names and not isinstance(value, bool):
        return names[type(value)]
    text = "true" if value is True else "false" if value is False else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fields_at(model: type[BaseModel], loc: Loc) -> set[str]:
    """Return the keys a model knows at a place, following its annotations downwards."""
    annotation: Any = model
    for part in loc:
        owner = _model_in(annotation)
        if owner and isinstance(part, str) and part in _names(owner):
            annotation = _names(owner)[part]
        else:
            args = typing.get_args(annotation)
            annotation = args[-1] if args else None
    owner = _model_in(annotation)
    return set(_names(owner)) if owner else set()


def _names(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (dict, list, tuple):
        return None
    for arg in typing.get_args(annotation):
        if isinstance(arg, type) and issubclass(arg, BaseModel):
            return arg
    return None
