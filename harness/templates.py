"""Fill in the templates of golden tasks: Jinja2 in its sandbox, without anything to call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError
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


class _Sandbox(ImmutableSandboxedEnvironment):
    # `{{ "x" * 10**9 }}` would fill memory before any limit on the result could see it.
    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002 - jinja's
        raise SecurityError(f"`{operator}` is not allowed in templates")


@cache
def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
    environment.globals.clear()
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
        text = _compiled(template).render(inputs)
    except UndefinedError as exc:
        missing = _MISSING.search(str(exc))
        raise TemplateFault(str(exc), missing[1] if missing else "") from None
    except TemplateSyntaxError as exc:
        raise TemplateFault(f"line {exc.lineno} of the template: {exc.message}") from None
    except (TemplateError, ArithmeticError, TypeError, ValueError) as exc:
        raise TemplateFault(str(exc)) from None
    if len(text) > MAX_CHARS:
        raise TemplateFault(f"it fills in to {len(text):,} characters; at most {MAX_CHARS:,} are allowed")
    return text


@cache
def _compiled(template: str) -> Template:
    return _environment().from_string(template)
