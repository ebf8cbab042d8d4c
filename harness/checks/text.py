"""Claims about the words of an answer."""

from __future__ import annotations

from typing import Annotated, ClassVar

import regex
from pydantic import AfterValidator, Field

from harness.checks.base import Check, shown, unfenced, unwrapped
from harness.errors import CheckCrashed

MAX_PATTERN_CHARS = 2_000
REGEX_SECONDS = 1.0  # a catastrophic pattern is the author's fault and must not hang the run

# What assistants say when they decline. Matched at the start of the answer only: a later "I cannot"
# may well be part of a good one.
_REFUSAL = regex.compile(
    r"\A\W*(i('m| am) (sorry|unable|not able)|i (can('|no)t|will not|won't|must decline)|sorry|"
    r"(unfortunately,? )?i (can('|no)t|am unable)|as an ai)\b",
    regex.IGNORECASE,
)


def _compiles(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN_CHARS:
        raise ValueError(f"a pattern of {len(pattern):,} characters; at most {MAX_PATTERN_CHARS:,} are read")
    try:
        regex.compile(pattern)
    except (regex.error, RecursionError, MemoryError) as exc:
        raise ValueError(f"not a regular expression: {exc}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class Equals(Check):
    """The answer is this text, but for blanks, quotes, a fence or a final full stop around it."""

    name: ClassVar = "equals"
    value: str
    ignore_case: bool = False
    exact: bool = False
    """Compare letter by letter, blanks included."""

    def fault(self, answer: str) -> str:
        got = answer if self.exact else unwrapped(answer)
        want = self.value if self.exact else unwrapped(self.value)
        same = _folded(got, self.ignore_case) == _folded(want, self.ignore_case)
        return "" if same else f"expected {shown(want)}, got {shown(got)}"


class OneOf(Check):
    """The answer is one of these texts; compared as `equals` does."""

    name: ClassVar = "one_of"
    shorthand: ClassVar = "values"
    values: list[str] = Field(min_length=1)
    ignore_case: bool = False

    def fault(self, answer: str) -> str:
        got = _folded(unwrapped(answer), self.ignore_case)
        allowed = {_folded(unwrapped(value), self.ignore_case) for value in self.values}
        return (
            "" if got in allowed else f"expected one of {shown(self.values)}, got {shown(unwrapped(answer))}"
        )


class Contains(Check):
    """The answer holds all of these texts."""

    name: ClassVar = "contains"
    shorthand: ClassVar = "values"
    values: list[str] = Field(min_length=1)
    ignore_case: bool = False

    @classmethod
    def arguments(cls, raw: object) -> object:
        return {"values": [raw]} if isinstance(raw, str) else super().arguments(raw)

    def fault(self, answer: str) -> str:
        text = _folded(answer, self.ignore_case)
        missing = [value for value in self.values if _folded(value, self.ignore_case) not in text]
        return f"does not contain {', '.join(map(shown, missing))}" if missing else ""


class Matches(Check):
    """A regular expression is found in the answer; with `equals`, its group holds that text.

    A group that took no part in the match is not a pass.
    """

    name: ClassVar = "matches"
    shorthand: ClassVar = "pattern"
    pattern: Pattern
    group: int | str = 0
    equals: str | None = None
    ignore_case: bool = False

    def fault(self, answer: str) -> str:
        flags = regex.IGNORECASE if self.ignore_case else 0
        try:
            found = regex.search(self.pattern, answer, flags=flags, timeout=REGEX_SECONDS)
        except TimeoutError:
            raise CheckCrashed(f"the pattern took longer than {REGEX_SECONDS:g} s; simplify it") from None
        if found is None:
            return f"nothing matches {shown(self.pattern)}"
        try:
            got = found[self.group]
        except IndexError:
            raise CheckCrashed(f"the pattern has no group {self.group!r}") from None
        if got is None:
            return f"group {self.group!r} of {shown(self.pattern)} took no part in the match"
        if self.equals is not None and _folded(got, self.ignore_case) != _folded(
            self.equals, self.ignore_case
        ):
            return f"expected {shown(self.equals)}, got {shown(got)}"
        return ""


class Length(Check):
    """The answer keeps to these limits; blank lines and a code fence do not count."""

    name: ClassVar = "length"
    shorthand: ClassVar = "max_words"
    max_words: int | None = Field(default=None, ge=0)
    min_words: int | None = Field(default=None, ge=0)
    max_lines: int | None = Field(default=None, ge=0)
    min_lines: int | None = Field(default=None, ge=0)

    def fault(self, answer: str) -> str:
        text = unfenced(answer)
        words = len(text.split())
        lines = sum(1 for line in text.splitlines() if line.strip())
        return _outside("words", words, self.min_words, self.max_words) or _outside(
            "lines", lines, self.min_lines, self.max_lines
        )


class Refusal(Check):
    """The answer declines (`refusal: true`), or does not (`refusal: false`)."""

    name: ClassVar = "refusal"
    shorthand: ClassVar = "expected"
    expected: bool

    def fault(self, answer: str) -> str:
        refused = bool(_REFUSAL.search(answer.replace("\u2019", "'")))
        if refused == self.expected:
            return ""
        return "expected a refusal" if self.expected else f"refused: {shown(answer)}"


def _folded(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _outside(what: str, found: int, low: int | None, high: int | None) -> str:
    if high is not None and found > high:
        return f"{found} {what}, at most {high} allowed"
    if low is not None and found < low:
        return f"{found} {what}, at least {low} needed"
    return ""
