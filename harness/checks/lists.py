"""Claims about answers that are a list of things."""

from __future__ import annotations

import json
import re
from typing import ClassVar

from pydantic import Field

from harness.checks.base import Check, shown, unfenced, unwrapped

_BULLET = re.compile(r"\A\s*(?:[-*•]|\d+[.)])\s+")


class Lines(Check):
    """The answer's non-blank lines are these, in this order; bullets and numbering do not count."""

    name: ClassVar = "lines"
    shorthand: ClassVar = "values"
    values: list[str] = Field(min_length=1)
    ignore_case: bool = False

    def fault(self, answer: str) -> str:
        got = [_item(line) for line in unfenced(answer).splitlines() if line.strip()]
        return _difference(self.values, got, self.ignore_case, ordered=True)


class Set(Check):
    """The answer lists exactly these things, in any order: lines, commas or a JSON array."""

    name: ClassVar = "set"
    shorthand: ClassVar = "values"
    values: list[str] = Field(min_length=1)
    ignore_case: bool = False

    def fault(self, answer: str) -> str:
        parts = _array(answer) or re.split(r"[\n,;]", unwrapped(answer))
        got = [_item(part) for part in parts if part.strip()]
        if len(set(got)) != len(got):
            return f"something is listed twice in {shown(', '.join(got))}"
        return _difference(self.values, got, self.ignore_case, ordered=False)


def _array(answer: str) -> list[str]:
    try:
        data = json.loads(unfenced(answer))
    except (ValueError, RecursionError):
        return []
    return data if isinstance(data, list) and all(isinstance(item, str) for item in data) else []


def _item(line: str) -> str:
    return unwrapped(_BULLET.sub("", line))


def _difference(want: list[str], got: list[str], ignore_case: bool, *, ordered: bool) -> str:
    def folded(items: list[str]) -> list[str]:
        return [unwrapped(item).casefold() if ignore_case else unwrapped(item) for item in items]

    wanted, found = folded(want), folded(got)
    if wanted == found or (not ordered and sorted(wanted) == sorted(found)):
        return ""
    missing = [item for item in wanted if item not in found]
    extra = [item for item in found if item not in wanted]
    if missing:
        return f"missing {shown(', '.join(missing))}, got {shown(', '.join(got))}"
    if extra:
        return f"not asked for: {shown(', '.join(extra))}"
    return f"expected the order {shown(', '.join(want))}, got {shown(', '.join(got))}"
