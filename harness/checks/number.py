"""Claims about the numbers in an answer."""

from __future__ import annotations

import math
import re
from typing import ClassVar, Literal

from pydantic import Field

from harness.checks.base import Check, shown

# 1,234.5 with separators in threes, or 1234.5, or .5; an exponent; a unit may follow (22min, 5x), but
# no piece of a word or a version. A minus counts only when it touches: "- 42" is a bullet.
_NUMBER = re.compile(
    r"(?<![\w.])([-+−]?)[$€£]?((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)([eE][-+]?\d+)?(?![A-Za-z_]*\d|\.\d)"
)
_NUMBERING = re.compile(r"^[ \t]*(\d+)[.)][ \t]+(?=\S)", re.MULTILINE)


class Number(Check):
    """The answer gives this number, within a tolerance.

    `pick: only` (the default) wants exactly one distinct number in the answer, so that a list of
    guesses is not a pass; `first` and `last` take that one of several.
    """

    name: ClassVar = "number"
    value: float
    tolerance: float = Field(default=0, ge=0)
    relative: float = Field(default=0, ge=0)
    pick: Literal["only", "first", "last"] = "only"

    def fault(self, answer: str) -> str:
        found = numbers_in(answer)
        if not found:
            return f"no number in {shown(answer)}"
        if self.pick == "only" and len(set(found)) > 1:
            listed = ", ".join(f"{n:g}" for n in dict.fromkeys(found))
            return f"expected one number, got {len(set(found))} ({shown(listed)})"
        got = found[-1] if self.pick == "last" else found[0]
        allowed = max(float(self.tolerance), float(self.relative) * abs(self.value))
        # A hair's width for decimal fractions that binary floats cannot hold, as 0.1 + 0.2.
        if math.isclose(got, self.value, rel_tol=1e-12) or abs(got - self.value) <= allowed * (1 + 1e-9):
            return ""
        return f"expected {self.value:g}{f' ± {allowed:g}' if allowed else ''}, got {got:g}"


def numbers_in(text: str) -> list[float]:
    """Return every number of a text, in order.

    >>> numbers_in("cost $1,234.50, down 12% from -3e2 in 22min (v1.2.3)")
    [1234.5, 12.0, -300.0, 22.0]
    """
    return [
        float(("-" if sign in "-−" and sign else "") + digits.replace(",", "") + exponent)
        for sign, digits, exponent in _NUMBER.findall(_without_numbering(text))
    ]


def _without_numbering(text: str) -> str:
    """Return the text without a numbered list's own numbers: two lines or more that count from 1."""
    found = [int(number) for number in _NUMBERING.findall(text)]
    counts = len(found) > 1 and found == list(range(1, len(found) + 1))
    return _NUMBERING.sub("", text) if counts else text
