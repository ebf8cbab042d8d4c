"""A run in plain numbers and sentences, computed once; every format shows the same."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby

from harness.baseline import STALE_AFTER_DAYS, Baseline, Entry
from harness.errors import counted
from harness.project import versions
from harness.records import TIERS, Attempt, Outcome, Sample, Usage, percentile
from harness.sanitize import one_line
from harness.session import Planned, Session
from harness.verdict import CaseEvidence, Evidence, Status, Verdict


@dataclass(frozen=True, kw_only=True)
class TierCell:
    """One tier under one label."""

    passed: int
    cases: int
    regressed: int
    """Tasks."""
    new: int
    """Cases that fail and are not in the baseline."""
    unclear: int
    """Cases that are errored or were never asked."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One quantity in the baseline and now, over the cases that both have."""

    name: str
    unit: str
    before: float
    now: float


@dataclass(frozen=True, kw_only=True)
class Regression:
    """One regressed task, shown by its worst case."""

    planned: Planned
    evidence: CaseEvidence
    cases: int
    """How many of its cases regressed."""
    answer_before: str
    answer_now: str


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What the run asked and what it cost."""

    calls: int
    recorded: int
    """Samples the ledger answered."""
    retries: int
    asked_again: int
    """Calls that a killed run had in flight."""
    spent_usd: Decimal
    saved_usd: Decimal
    """What the recorded answers would have cost."""
    budget_usd: Decimal | None
    tokens_in: int
    tokens_out: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything the formats show."""

    verdict: Verdict
    evidence: Evidence
    labels: tuple[str, ...]
    tasks: int
    cases: int
    epochs: int
    matrix: Mapping[str, Mapping[str, TierCell]]
    """By tier, then label."""
    changes: Mapping[str, Sequence[Change]]
    """By label."""
    regressions: Sequence[Regression]
    statuses: Mapping[Status, int]
    bill: Bill
    notes: Sequence[str]
    provider_errors: Sequence[str]


def summarize(session: Session, seconds: float) -> Summary:
    """Return the summary of a session that is over. Reads the database; changes nothing."""
    store = session.project.store
    samples = store.samples(session.run_id)
    evidence = session.evidence(samples)
    return Summary(
        verdict=evidence.decide(),
        evidence=evidence,
        labels=session.options.labels,
        tasks=len({c.task for c in evidence.cases}),
        cases=len({(c.task, c.case) for c in evidence.cases}),
        epochs=session.options.epochs,
        matrix=_matrix(evidence.cases),
        changes={label: _changes(label, session, samples) for label in session.options.labels},
        regressions=_regressions(session, evidence, samples),
        statuses=_tally(case.status for case in evidence.cases),
        bill=_bill(session, samples, store.attempts(session.run_id), seconds),
        notes=_notes(session, samples),
        provider_errors=_provider_errors(samples),
    )


def _matrix(cases: Sequence[CaseEvidence]) -> dict[str, dict[str, TierCell]]:
    matrix: dict[str, dict[str, TierCell]] = {}
    for tier in TIERS:
        for label in dict.fromkeys(c.provider for c in cases if c.tier == tier):
            here = [c for c in cases if c.tier == tier and c.provider == label]
            matrix.setdefault(tier, {})[label] = TierCell(
                passed=sum(c.status in (Status.PASSED, Status.IMPROVED) for c in here),
                cases=len(here),
                regressed=len({c.task for c in here if c.status is Status.REGRESSED}),
                new=sum(c.status is Status.NEW for c in here),
                unclear=sum(c.status is Status.ERRORED for c in here),
            )
    return matrix


def _changes(label: str, session: Session, samples: Sequence[Sample]) -> list[Change]:
    baseline = session.baselines[label]
    if baseline is None:
        return []
    pairs = [
        (entry, sample)
        for sample in samples
        if sample.provider == label
        and sample.judged
        and (entry := baseline.entry(sample.task, sample.case, sample.case_hash))
    ]
    if not pairs:
        return []
    used = [(entry, sample.usage) for entry, sample in pairs if sample.usage]
    changes = [
        Change(
            name="samples passed",
            unit="%",
            before=100 * statistics.fmean(entry.passes / entry.epochs for entry, _ in pairs),
            now=100 * statistics.fmean(sample.outcome is Outcome.PASSED for _, sample in pairs),
        )
    ]
    if used:
        changes.append(
            Change(
                name="tokens / sample",
                unit="",
                before=statistics.fmean(entry.tokens_in + entry.tokens_out for entry, _ in used),
                now=statistics.fmean(usage.input + usage.output for _, usage in used),
            )
        )
    changes += _cost_change(session, pairs)
    # The baseline holds a median for each case, so medians it is.
    latencies = [
        statistics.median(s.latency_ms for _, s in group)
        for _, group in groupby(pairs, key=lambda pair: (pair[1].task, pair[1].case))
    ]
    return changes + [
        Change(
            name=f"latency p{share * 100:.0f}",
            unit="s",
            before=percentile([entry.latency_ms for entry, _ in pairs], share) / 1000,
            now=percentile(latencies, share) / 1000,
        )
        for share in (0.5, 0.95)
    ]


def _cost_change(session: Session, pairs: Sequence[tuple[Entry, Sample]]) -> list[Change]:
    """Return the cost of 1,000 samples before and now, both by today's price book, if they cost anything."""
    found = [
        (
            deployment.price.of(Usage(uncached_input=round(entry.tokens_in), output=round(entry.tokens_out))),
            cost,
        )
        for entry, sample in pairs
        if (deployment := session.project.config.deployment(sample.deployment))
        and deployment.price
        and (cost := session.cost(sample)) is not None
    ]
    if not any(before or now for before, now in found):
        return []
    before, now = (1000 * float(statistics.mean(side)) for side in zip(*found, strict=True))
    return [Change(name="cost / 1,000 samples", unit="$", before=before, now=now)]


def _regressions(session: Session, evidence: Evidence, samples: Sequence[Sample]) -> list[Regression]:
    places = {(p.provider, p.task, p.case): p for p in session.planned}
    failed = [s for s in samples if s.outcome is Outcome.FAILED]
    answers = {(s.provider, s.task, s.case): s.answer for s in reversed(failed)}
    found = []
    for label, task in evidence.decide().regressed:
        lost = [
            c
            for c in evidence.cases
            if (c.provider, c.task) == (label, task) and c.status is Status.REGRESSED
        ]
        worst = min(lost, key=lambda c: (c.passes / c.judged, c.case))
        key = (label, task, worst.case)
        baseline = session.baselines[label]
        before = baseline.tasks[task][worst.case].answer if baseline else ""
        found.append(
            Regression(
                planned=places[key],
                evidence=worst,
                cases=len(lost),
                answer_before=before,
                answer_now=answers.get(key, ""),
            )
        )
    return found


def _tally(statuses: Iterable[Status]) -> dict[Status, int]:
    tally = dict.fromkeys(Status, 0)
    for status in statuses:
        tally[status] += 1
    return tally


def _bill(session: Session, samples: Sequence[Sample], attempts: Sequence[Attempt], seconds: float) -> Bill:
    recorded = [s for s in samples if s.recorded]
    usages = [s.usage for s in samples if s.usage]
    return Bill(
        calls=len(attempts),
        recorded=len(recorded),
        retries=sum(s.retries for s in samples),
        asked_again=session.recording.asked_again,
        spent_usd=session.project.store.spent(session.run_id),
        saved_usd=sum((session.cost(s) or Decimal(0) for s in recorded), Decimal(0)),
        budget_usd=session.options.max_cost_usd,
        tokens_in=sum(u.input for u in usages),
        tokens_out=sum(u.output for u in usages),
        seconds=seconds,
    )


def _notes(session: Session, samples: Sequence[Sample]) -> list[str]:
    """Return what a reader has to know to read the numbers right."""
    notes = []
    for label, baseline in session.baselines.items():
        if baseline is None:
            continue
        served = {s.served_model for s in samples if s.provider == label and s.served_model}
        notes += _baseline_notes(session, baseline, served)
    embedded = [d.id for d in session.project.config.deployments if d.embedded]
    if session.options.epochs > 1 and any(s.deployment in embedded for s in samples):
        notes.append(
            f"{embedded[0]} is deterministic: its epochs are one sample, not {session.options.epochs}"
        )
    return notes


def _baseline_notes(session: Session, baseline: Baseline, served: set[str]) -> list[str]:
    notes = []
    age = baseline.age_days(datetime.now(UTC).date())
    if age > STALE_AFTER_DAYS:
        notes.append(f"baseline {baseline.name} is {age} days old; refresh it when main is green")
    if baseline.suite_hash != session.project.suite.hash:
        notes.append(f"the suite has changed since baseline {baseline.name}; edited cases count as new")
    if baseline.config_hash != session.project.config.hash:
        notes.append(f"{session.project.config.path.name} has changed since baseline {baseline.name}")
    if baseline.deterministic:
        here = versions() | {"machine": platform.machine()}
        for name in ("xllamacpp", "machine"):
            if name in here and here[name] != baseline.versions.get(name):
                before = baseline.versions.get(name, "unknown")
                notes.append(
                    f"{name} is {here[name]}, was {before} in baseline {baseline.name}: bits may differ"
                )
    if served and not served <= set(baseline.served_models):
        names = ", ".join(one_line(name) for name in sorted(served - set(baseline.served_models)))
        notes.append(f"model drift: {names} answered; the baseline knows {', '.join(baseline.served_models)}")
    return notes


def _provider_errors(samples: Sequence[Sample]) -> list[str]:
    """Return the distinct reasons of errored samples, the most frequent first."""
    reasons: dict[str, int] = {}
    for sample in samples:
        if not sample.judged:
            reasons[sample.reason] = reasons.get(sample.reason, 0) + 1
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    return [f"{counted(n, 'sample')}: {reason}" for reason, n in ordered]
