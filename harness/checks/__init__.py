"""Deterministic checks: what an answer has to be for a task case to pass.

`golden.py` builds checks from YAML; `judge` applies a list of them. A new kind of
check is a class in one of the modules here, and its entry in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from harness.checks.base import Check
from harness.checks.lists import Lines, Set
from harness.checks.number import Number
from harness.checks.sql import Sql
from harness.checks.structure import Json, Yaml
from harness.checks.text import Contains, Equals, Length, Matches, OneOf, Refusal
from harness.records import CheckResult, Outcome

__all__ = ["CHECKS", "COMBINATORS", "AllOf", "AnyOf", "Check", "CheckResult", "Not", "judge"]

CHECKS: dict[str, type[Check]] = {
    check.name: check
    for check in (Contains, Equals, Json, Length, Lines, Matches, Number, OneOf, Refusal, Set, Sql, Yaml)
}
"""Every check that judges an answer by itself, by its name in YAML."""


class AllOf:
    """All of the checks pass. One failure decides; without one, an errored check leaves it open."""

    name: ClassVar = "all"

    def __init__(self, checks: Sequence[Any]) -> None:
        self.checks = checks

    def __call__(self, answer: str) -> CheckResult:
        results = [check(answer) for check in self.checks]
        return _first(results, Outcome.FAILED, Outcome.ERRORED) or _passed(self.name)


class AnyOf:
    """At least one of the checks passes."""

    name: ClassVar = "any"

    def __init__(self, checks: Sequence[Any]) -> None:
        self.checks = checks

    def __call__(self, answer: str) -> CheckResult:
        results = [check(answer) for check in self.checks]
        if any(result.outcome is Outcome.PASSED for result in results):
            return _passed(self.name)
        errored = _first(results, Outcome.ERRORED)
        if errored:
            return errored
        reasons = "; ".join(result.reason for result in results)
        return CheckResult(check=self.name, outcome=Outcome.FAILED, reason=f"none of these holds: {reasons}")


class Not:
    """The check fails."""

    name: ClassVar = "not"

    def __init__(self, checks: Sequence[Any]) -> None:
        (self.check,) = checks

    def __call__(self, answer: str) -> CheckResult:
        result: CheckResult = self.check(answer)
        if result.outcome is Outcome.ERRORED:
            return result
        if result.outcome is Outcome.FAILED:
            return _passed(self.name)
        reason = f"`{self.check.name}` holds, and must not"
        return CheckResult(check=self.name, outcome=Outcome.FAILED, reason=reason)


COMBINATORS: dict[str, type[AllOf | AnyOf | Not]] = {"all": AllOf, "any": AnyOf, "not": Not}


def judge(checks: Iterable[Any], answer: str) -> CheckResult:
    """Return the result of all checks together: the first failure, else the first error, else a pass."""
    return AllOf(list(checks))(answer)


def _first(results: Iterable[CheckResult], *wanted: Outcome) -> CheckResult | None:
    listed = list(results)
    return next((r for outcome in wanted for r in listed if r.outcome is outcome), None)


def _passed(name: str) -> CheckResult:
    return CheckResult(check=name, outcome=Outcome.PASSED, reason="")
