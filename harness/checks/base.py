"""What a check is: a validated claim about an answer, with a verdict and a reason."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Any, ClassVar

from harness.errors import CheckCrashed
from harness.records import CheckResult, Outcome
from harness.sanitize import one_line
from harness.validation import Strict

MAX_ANSWER_CHARS = 200_000
MAX_REASON_CHARS = 300

# Linear on any answer: nothing here can match the same blanks twice.
_FENCE = re.compile(r"\A\s*```[\w+-]*[ \t]*\n(.*?)```\s*\Z", re.DOTALL)
_INNER_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)```", re.DOTALL)
_OPENING = re.compile(r"\A\s*```[\w+-]*[ \t]*\n")  # of a fence that the token limit cut off
_WRAPPERS = ("`", '"', "'", "**", "*")


class Check(Strict):
    """One claim about an answer.

    Subclasses are pydantic models of the claim's arguments. `shorthand` names the field that a bare
    value stands for, so that `equals: x` means `equals: {value: x}`.
    """

    name: ClassVar[str]
    shorthand: ClassVar[str] = "value"

    @abstractmethod
    def fault(self, answer: str) -> str:
        """Return what is wrong with the answer, or an empty text; raise CheckCrashed if undecidable."""

    def __call__(self, answer: str) -> CheckResult:
        """Judge one answer. A check that cannot decide is `errored`, never a failure or a pass."""
        if len(answer) > MAX_ANSWER_CHARS:
            return self._result(Outcome.FAILED, f"longer than {MAX_ANSWER_CHARS:,} characters")
        try:
            fault = self.fault(answer)
        except CheckCrashed as exc:
            return self._result(Outcome.ERRORED, str(exc))
        except (RecursionError, MemoryError):
            return self._result(Outcome.FAILED, "nested too deeply, or too large")
        except Exception as exc:  # noqa: BLE001 - one broken check must not end the run or count as wrong
            return self._result(
                Outcome.ERRORED, f"the check `{self.name}` crashed: {type(exc).__name__}: {exc}"
            )
        return self._result(Outcome.FAILED if fault else Outcome.PASSED, fault)

    def _result(self, outcome: Outcome, reason: str) -> CheckResult:
        # A reason holds pieces of the answer, which must not reach a terminal as lines of their own.
        return CheckResult(check=self.name, outcome=outcome, reason=one_line(reason, MAX_REASON_CHARS))

    @classmethod
    def arguments(cls, raw: Any) -> Any:
        """Return the arguments as a mapping, with the shorthand written out."""
        return raw if isinstance(raw, dict) else {cls.shorthand: raw}


def unwrapped(answer: str) -> str:
    """Return the answer without what models put around it: blanks, one fence, quotes, a last full stop.

    >>> unwrapped(' **`test_upload`**. '), unwrapped('"Done."')
    ('test_upload', 'Done')
    """
    text = unfenced(answer).strip()
    while (inner := _peeled(text)) != text:
        text = inner
    return text


def _peeled(text: str) -> str:
    if len(text) > 1 and text.endswith(".") and not text.endswith(".."):
        return text[:-1].rstrip()
    for mark in _WRAPPERS:
        inner = text[len(mark) : -len(mark)]
        if len(text) > 2 * len(mark) and text == f"{mark}{inner}{mark}" and mark not in inner:
            return inner.strip()
    return text


def unfenced(answer: str) -> str:
    """Return what stands inside a code fence, if the answer is or holds exactly one; else the answer."""
    whole = _FENCE.match(answer)
    if whole:
        return whole[1].rstrip()
    blocks = _INNER_FENCE.findall(answer)
    if len(blocks) == 1:
        return str(blocks[0]).rstrip()
    return _OPENING.sub("", answer) if answer.count("```") == 1 else answer


def shown(value: object, limit: int = 60) -> str:
    """Return a value for a reason: short, on one line, escaped."""
    text = repr(value) if not isinstance(value, float) else f"{value:g}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
