"""May the change be merged? Evidence in, verdict out; pure, and recomputable from `verdict.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any

from harness import stats
from harness.errors import EvidenceError, counted

SCHEMA_VERSION = 1


class Word(StrEnum):
    """The verdict in one word."""

    ALLOW = "ALLOW"
    BLOCK = "BLOCK"
    INCONCLUSIVE = "INCONCLUSIVE"


class Status(StrEnum):
    """A case now, seen from its baseline."""

    PASSED = "passed"
    """Passes; passed in the baseline, or is not in it."""
    REGRESSED = "regressed"
    """Fails; passed in the baseline."""
    NEW = "new"
    """Fails; is not in the baseline, or was edited since."""
    KNOWN = "known"
    """Fails, as in the baseline."""
    IMPROVED = "improved"
    """Passes; failed in the baseline."""
    ERRORED = "errored"
    """Nobody can tell."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rule. More than `max_regressions` regressed tasks block: 3 is ALLOW, 4 is BLOCK."""

    max_regressions: int = 3
    alpha: float = 0.05


@dataclass(frozen=True, kw_only=True)
class CaseEvidence:
    """What was seen of one case under one label."""

    provider: str
    task: str
    case: str
    tier: str
    category: str
    expected: int
    """Epochs that were to be judged."""
    passes: int
    failures: int
    errored: int
    truncated: int
    unpriced: int
    fallbacks: int
    """Samples another deployment answered than the one asked first."""
    baseline_passes: int | None
    baseline_epochs: int | None
    """None: not in the baseline, or edited since."""
    reason: str = ""
    """Why it failed or errored, in words."""

    @property
    def judged(self) -> int:
        """Epochs that are evidence."""
        return self.passes + self.failures

    @property
    def missing(self) -> int:
        """Epochs that were never asked."""
        return self.expected - self.judged - self.errored

    @property
    def status(self) -> Status:
        """The case now, seen from its baseline. It passes when more than half of its epochs do."""
        if not self.judged or self.judged < self.expected:
            return Status.ERRORED
        passed = self.passes * 2 > self.judged
        if self.baseline_epochs is None or self.baseline_passes is None:
            return Status.PASSED if passed else Status.NEW
        before = self.baseline_passes * 2 > self.baseline_epochs
        if passed:
            return Status.PASSED if before else Status.IMPROVED
        return Status.REGRESSED if before else Status.KNOWN


@dataclass(frozen=True, kw_only=True)
class FalseBlocks:
    """How often the rule blocks a change that changes nothing, on this suite."""

    rate: float
    threshold: int
    """The smallest `max_regressions` whose rate is at most alpha."""
    alpha: float
    baseline_epochs: int
    """The fewest baseline epochs of a case the rate rests on."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The word, and everything it rests on."""

    word: Word
    reasons: tuple[str, ...]
    """Sentences; the first is the headline."""
    regressed: tuple[tuple[str, str], ...]
    """(provider, task), worst first."""
    expected: int
    judged: int
    counts: Mapping[str, int]
    """Errored, missing, truncated, unpriced, fallbacks: evidence that is not what was asked for."""
    false_blocks: FalseBlocks | None
    policy: Policy

    @property
    def exit_code(self) -> int:
        """The CLI's exit code: 0 ALLOW, 1 BLOCK, 3 INCONCLUSIVE, 4 nothing judged."""
        if self.expected and not self.judged:
            return 4
        return {Word.ALLOW: 0, Word.BLOCK: 1, Word.INCONCLUSIVE: 3}[self.word]


def decide(cases: Iterable[CaseEvidence], policy: Policy, *, without_baseline: Sequence[str] = ()) -> Verdict:
    """Decide by counting regressed tasks, then ask whether the evidence is all there.

    A task has regressed under a label when any of its cases has. What is missing can only add
    regressions, so BLOCK stands on the evidence there is; ALLOW needs all of it.
    """
    listed = sorted(cases, key=lambda c: (c.provider, c.task, c.case))
    regressed = _regressed_tasks(listed)
    gaps = _gaps(listed, without_baseline)
    limit = policy.max_regressions
    sentence = f"{counted(len(regressed), 'task')} regressed, at most {limit} allowed"
    if len(regressed) > limit:
        word, reasons = Word.BLOCK, (sentence, *gaps)
    elif gaps:
        word, reasons = Word.INCONCLUSIVE, (*gaps, sentence)
    else:
        word, reasons = Word.ALLOW, (sentence,)
    return Verdict(
        word=word,
        reasons=reasons,
        regressed=tuple(regressed),
        expected=sum(c.expected for c in listed),
        judged=sum(c.judged for c in listed),
        counts={
            name: sum(getattr(c, name) for c in listed)
            for name in ("errored", "missing", "truncated", "unpriced", "fallbacks")
        },
        false_blocks=_false_blocks(listed, policy),
        policy=policy,
    )


def _regressed_tasks(cases: Sequence[CaseEvidence]) -> list[tuple[str, str]]:
    lost: dict[tuple[str, str], float] = {}
    for case in cases:
        # What a fallback answered says nothing about the deployment asked first.
        if case.status is Status.REGRESSED and not case.fallbacks:
            before = (case.baseline_passes or 0) / (case.baseline_epochs or 1)
            key = (case.provider, case.task)
            lost[key] = lost.get(key, 0.0) + before - case.passes / case.judged
    return sorted(lost, key=lambda key: (-lost[key], key))


def _gaps(cases: Sequence[CaseEvidence], without_baseline: Sequence[str]) -> list[str]:
    """Return why the evidence is not what was asked for, in sentences."""
    errored = sum(c.errored for c in cases)
    missing = sum(c.missing for c in cases)
    fallbacks = sum(c.fallbacks for c in cases)
    new = sum(c.baseline_epochs is None and c.provider not in without_baseline for c in cases)
    gaps = [f"there is no baseline for {name}" for name in without_baseline]
    if cases and not any(c.judged for c in cases):
        gaps.append("nothing was judged")
    if errored:
        gaps.append(f"{counted(errored, 'sample')} errored: nobody can tell how they would have ended")
    if missing:
        gaps.append(f"{counted(missing, 'sample')} never asked")
    if fallbacks:
        gaps.append(
            f"{counted(fallbacks, 'sample')} answered by a fallback, not by the deployment asked first"
        )
    if new:
        gaps.append(f"{counted(new, 'case')} new or edited since the baseline: nothing to compare with")
    return gaps


def _false_blocks(cases: Sequence[CaseEvidence], policy: Policy) -> FalseBlocks | None:
    known = [c for c in cases if c.baseline_epochs]
    if not known:
        return None
    tasks = [
        stats.task_false_regression(
            stats.case_false_regression(c.baseline_passes or 0, c.baseline_epochs or 0, c.expected)
            for c in group
        )
        for _, group in groupby(known, key=lambda c: (c.provider, c.task))
    ]
    return FalseBlocks(
        rate=stats.poisson_binomial_tail(tasks, policy.max_regressions),
        threshold=stats.smallest_threshold(tasks, policy.alpha),
        alpha=policy.alpha,
        baseline_epochs=min(c.baseline_epochs or 0 for c in known),
    )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The content of a `verdict.json`: all that is needed to decide again, and where it comes from."""

    cases: tuple[CaseEvidence, ...]
    policy: Policy
    without_baseline: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def decide(self) -> Verdict:
        """Return the verdict this evidence gives."""
        return decide(self.cases, self.policy, without_baseline=self.without_baseline)


def to_json(evidence: Evidence) -> str:
    """Return a `verdict.json`."""
    verdict = evidence.decide()
    document = {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict.word,
        "reasons": verdict.reasons,
        "regressed": verdict.regressed,
        "counts": {"expected": verdict.expected, "judged": verdict.judged, **verdict.counts},
        "false_blocks": asdict(verdict.false_blocks) if verdict.false_blocks else None,
        "policy": asdict(evidence.policy),
        "without_baseline": evidence.without_baseline,
        "provenance": dict(evidence.provenance),
        "cases": [asdict(case) for case in evidence.cases],
    }
    return json.dumps(document, indent=2, sort_keys=False) + "\n"


def from_json(text: str) -> tuple[Evidence, str]:
    """Return the evidence in a `verdict.json`, and the word written there.

    Raises EvidenceError if it cannot be read or its counts cannot be true.
    """
    from pydantic import TypeAdapter  # only reading needs it

    try:
        raw = json.loads(text)
        if raw["schema_version"] != SCHEMA_VERSION:
            raise EvidenceError(f"schema_version is {raw['schema_version']}, expected {SCHEMA_VERSION}")
        evidence = Evidence(
            cases=TypeAdapter(tuple[CaseEvidence, ...]).validate_json(json.dumps(raw["cases"]), strict=True),
            policy=TypeAdapter(Policy).validate_json(json.dumps(raw["policy"]), strict=True),
            without_baseline=tuple(raw["without_baseline"]),
            provenance=raw["provenance"],
        )
        _refuse_impossible(evidence.cases)
        return evidence, str(raw["verdict"])
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise EvidenceError(f"not a verdict file ({type(exc).__name__}: {exc})") from exc


def _refuse_impossible(cases: Iterable[CaseEvidence]) -> None:
    for case in cases:
        counts = (case.passes, case.failures, case.errored, case.missing)
        if min(counts) < 0:
            raise EvidenceError(
                f"{case.task}[{case.case}] counts more results than the {case.expected} expected"
            )
