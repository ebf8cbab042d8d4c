"""Fill in the templates of golden tasks: Jinja2 in its sandbox, without anything to call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template, UndefinedError, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARS = 200_000
_WHOLE = re.compile(r"\A\{\{\s*(\w+)\s*\}\}\Z")
_MISSING = re.compile(r"'(\w+)' is undefined")


class TemplateFault(Exception):
    """A template cannot be filled in; `missing` names the input that is not there, if that is why."""

    def __init__(self, message: str, missing: str = "") -> None:
        super().__init__(message)
        self.missing = missing


# What a template may pipe values through; none of them makes much out of little.
_FILTERS = ("capitalize", "first", "join", "last", "length", "lower", "sort", "tojson", "trim", "upper")
_REFUSED = ((nodes.Concat, "~"), (nodes.Macro, "macro"), (nodes.Block, "block"), (nodes.Assign, "set"))
MAX_TEMPLATE_CHARS = 20_000


class _Sandbox(ImmutableSandboxedEnvironment):
    # Each of these can make gigabytes out of a line before a limit on the result could see it.
    intercepted_binops = frozenset({"*", "**", "%", "+", "//"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002 - jinja's
        raise SecurityError(f"`{operator}` is not allowed in templates")

    def call(self, *_: Any, **__: Any) -> Any:
        raise SecurityError("nothing can be called in templates")


@cache
def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False, optimized=False)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    return environment


def fill(template: Any, inputs: Mapping[str, Any]) -> Any:
    """Fill in every text of a value, lists and mappings included.

    A text that is one expression, such as `"{{ expect }}"`, becomes the input itself with its type,
    so that numbers and lists can be expected. Raises TemplateFault.
    """
    if isinstance(template, dict):
        return {key: fill(value, inputs) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(item, inputs) for item in template]
    if not isinstance(template, str):
        return template
    whole = _WHOLE.match(template)
    if whole and whole[1] in inputs:
        return inputs[whole[1]]
    return fill_text(template, inputs)


def fill_text(template: str, inputs: Mapping[str, Any]) -> str:
    """Fill in one text. Raises TemplateFault."""
    if "{" not in template:
        return template
    try:
        return _bounded(_compiled(template).generate(inputs))
    except TemplateFault:
        raise
    except UndefinedError as exc:
        missing = _MISSING.search(str(exc))
        raise TemplateFault(str(exc), missing[1] if missing else "") from None
    except TemplateSyntaxError as exc:
        raise TemplateFault(f"line {exc.lineno} of the template: {exc.message}") from None
    except Exception as exc:  # noqa: BLE001 - whatever an author writes is an error of the file
        raise TemplateFault(f"{type(exc).__name__}: {exc}") from None


def _bounded(pieces: Iterable[str]) -> str:
    text = ""
    for piece in pieces:
        text += piece
        if len(text) > MAX_CHARS:
            raise TemplateFault(f"it fills in to more than {MAX_CHARS:,} characters")
    return text


@cache
def _compiled(template: str) -> Template:
    if len(template) > MAX_TEMPLATE_CHARS:
        raise TemplateFault(f"{len(template):,} characters; at most {MAX_TEMPLATE_CHARS:,} are read")
    tree = _environment().parse(template)
    for kind, name in (
        (nodes.Concat, "~"),
        (nodes.Macro, "macro"),
        (nodes.Block, "block"),
        (nodes.Assign, "set"),
    ):
        if tree.find(kind):
            raise TemplateFault(f"`{name}` is not allowed in templates")
    if any(loop.find(nodes.For) for loop in tree.find_all(nodes.For)):
        raise TemplateFault("a loop in a loop is not allowed in templates")
    return _environment().from_string(tree)
