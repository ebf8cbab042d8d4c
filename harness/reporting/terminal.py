"""The summary as text of at most 80 columns, and the verdict as its last lines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from tabulate import tabulate

from harness.errors import counted
from harness.reporting.summary import Change, Regression, Summary, TierCell
from harness.sanitize import one_line, printable
from harness.verdict import Status, Verdict, Word

WIDTH = 80
MAX_REGRESSIONS = 10
MAX_ERRORS = 3
_COLOURS = {Word.ALLOW: "green", Word.BLOCK: "red", Word.INCONCLUSIVE: "yellow"}


@dataclass(frozen=True)
class Symbols:
    """Never alone: a word stands beside each."""

    ok: str = "✓"
    bad: str = "✗"
    known: str = "="
    unclear: str = "–"
    down: str = "▼"
    arrow: str = "→"


ASCII = Symbols(ok="ok", bad="FAIL", unclear="-", down="v", arrow="->")


def symbols(encoding: str | None) -> Symbols:
    """Return the symbols a terminal of this encoding can show."""
    return Symbols() if (encoding or "").lower().replace("-", "") == "utf8" else ASCII


def summary_lines(summary: Summary, marks: Symbols) -> Iterator[str]:
    """Yield the summary's lines, without colour."""
    yield from _head(summary)
    yield ""
    yield from _matrix(summary, marks)
    yield from _changes(summary)
    yield from _regressions(summary, marks)
    yield from _errors(summary)
    yield ""
    yield from _evidence(summary)
    yield from _bill(summary)
    for note in summary.notes:
        yield from _wrapped(f"Note: {note}.", indent=6)


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return the verdict's lines: the word at column 0, and why."""
    return _wrapped(f"{verdict.word}  {'; '.join(verdict.reasons)}.", indent=len(verdict.word) + 2)


def next_lines(summary: Summary) -> list[str]:
    """Return what to do next."""
    steps = _next_steps(summary)
    width = max((len(command) for command, _ in steps), default=0)
    lead = "Next"
    return [
        f"{lead if i == 0 else '':<6}{command:<{width}}   {why}" for i, (command, why) in enumerate(steps)
    ]


def colour(word: Word) -> str:
    """Return the verdict's colour, as pytest names it."""
    return _COLOURS[word]


def _head(summary: Summary) -> Iterator[str]:
    cases = f"{counted(summary.cases, 'case')} x {counted(summary.epochs, 'epoch')}"
    yield f"{counted(summary.tasks, 'task')}, {cases} on {', '.join(summary.labels)}"
    baselines = summary.evidence.provenance.get("baselines", {})
    for label in summary.labels:
        found = baselines.get(label)
        if found:
            commit = found["git_sha"] or "no commit"
            yield f"against the baseline of {label}, promoted {found['promoted']} at {commit}"
        else:
            yield f"without a baseline for {label}"


def _matrix(summary: Summary, marks: Symbols) -> Iterator[str]:
    yield (
        f"Cases passed   {marks.ok} all   {marks.known} known failures   "
        f"{marks.bad} regressed or new   {marks.unclear} unclear"
    )
    rows = [
        [tier, *(_tier_cell(by_label.get(label), marks) for label in summary.labels)]
        for tier, by_label in summary.matrix.items()
    ]
    yield from _table(rows, ["", *summary.labels])


def _tier_cell(cell: TierCell | None, marks: Symbols) -> str:
    if cell is None:
        return "-"
    mark = marks.ok if cell.passed == cell.cases else marks.known
    mark = marks.unclear if cell.unclear else mark
    mark = marks.bad if cell.regressed or cell.new else mark
    new = f" ({cell.new} new)" if cell.new else ""
    lost = f" {marks.down}{counted(cell.regressed, 'task')}" if cell.regressed else ""
    unclear = f" ({cell.unclear} unclear)" if cell.unclear else ""
    return f"{mark} {cell.passed}/{cell.cases}{lost}{new}{unclear}"


def _changes(summary: Summary) -> Iterator[str]:
    for label, changes in summary.changes.items():
        if changes:
            yield ""
            yield from _table(
                [[c.name, _value(c, c.before), _value(c, c.now), _difference(c)] for c in changes],
                [f"Against the baseline: {label}", "before", "now", "change"],
                right=True,
            )


def _value(change: Change, value: float) -> str:
    shown = {"%": f"{value:.1f}%", "s": f"{value:.2f} s", "$": f"${value:,.4f}", "": f"{value:,.1f}"}
    return shown[change.unit]


def _difference(change: Change) -> str:
    if change.unit == "%":
        return f"{change.now - change.before:+.1f} pp"
    return f"{100 * (change.now / change.before - 1):+.1f}%" if change.before else "-"


def _regressions(summary: Summary, marks: Symbols) -> Iterator[str]:
    if not summary.regressions:
        return
    yield ""
    yield f"Regressed tasks ({len(summary.regressions)}), worst first"
    for found in summary.regressions[:MAX_REGRESSIONS]:
        yield from _regression(found, marks)
    more = len(summary.regressions) - MAX_REGRESSIONS
    if more > 0:
        yield f"  and {more} more: see .harness/verdict.json"


def _regression(found: Regression, marks: Symbols) -> Iterator[str]:
    seen, plan = found.evidence, found.planned
    before = f"{seen.baseline_passes}/{seen.baseline_epochs}"
    others = f", {found.cases - 1} more" if found.cases > 1 else ""
    now = f"{seen.passes}/{seen.judged}"
    yield f"  {marks.bad} {plan.task}  {plan.tier} {plan.provider}  {before} {marks.arrow} {now}"
    yield f"      {plan.place} (case {plan.case}{others})"
    yield f"      {one_line(seen.reason, WIDTH - 8)}"
    yield f"      before | {one_line(found.answer_before, WIDTH - 16) or '(empty)'}"
    yield f"      now    | {one_line(found.answer_now, WIDTH - 16) or '(empty)'}"


def _errors(summary: Summary) -> Iterator[str]:
    if not summary.provider_errors:
        return
    yield ""
    yield "Errored: nobody can tell how these would have ended"
    for line in summary.provider_errors[:MAX_ERRORS]:
        yield from _wrapped(f"  {printable(line)}", indent=4)
    more = len(summary.provider_errors) - MAX_ERRORS
    if more > 0:
        yield f"  and {more} more reasons"


def _evidence(summary: Summary) -> Iterator[str]:
    verdict, counts = summary.verdict, summary.verdict.counts
    yield from _wrapped(
        f"Evidence: {verdict.judged} of {verdict.expected} samples judged; {counts['errored']} errored, "
        f"{counts['missing']} never asked, {counts['truncated']} truncated, {counts['unpriced']} unpriced, "
        f"{counts['fallbacks']} by a fallback.",
        indent=10,
    )
    tally = summary.statuses
    listed = ", ".join(f"{tally[s]} {s}" for s in Status if tally[s])
    yield from _wrapped(f"Cases: {listed}.", indent=7)
    rate = verdict.false_blocks
    if rate:
        yield from _wrapped(
            f"Rule: more than {verdict.policy.max_regressions} regressed tasks block. On this suite that "
            f"blocks {rate.rate:.1%} of changes that change nothing (from {rate.baseline_epochs} baseline "
            f"epochs a case); the smallest limit that keeps to {rate.alpha:.0%} is {rate.threshold}.",
            indent=6,
        )


def _bill(summary: Summary) -> Iterator[str]:
    bill = summary.bill
    budget = f" of ${bill.budget_usd}" if bill.budget_usd is not None else ""
    minutes, seconds = divmod(round(bill.seconds), 60)
    took = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    yield from _wrapped(
        f"Spent ${bill.spent_usd:.4f}{budget}, saved ${bill.saved_usd:.4f}. "
        f"{counted(bill.calls, 'call')} made, {counted(bill.recorded, 'answer')} from the ledger, "
        f"{bill.retries} retried. Tokens {bill.tokens_in:,} in, {bill.tokens_out:,} out. {took}.",
        indent=6,
    )
    if bill.asked_again:
        yield f"A run that was killed had {counted(bill.asked_again, 'call')} in flight; asked again."


def _next_steps(summary: Summary) -> list[tuple[str, str]]:
    verdict = summary.verdict
    if verdict.regressed:
        return [(f"harness show {verdict.regressed[0][1]}", "read the answers side by side")]
    if verdict.counts["errored"] or verdict.counts["missing"]:
        return [("run the same command again", "only what is missing is asked")]
    if summary.evidence.without_baseline:
        name = summary.evidence.without_baseline[0]
        return [(f"harness baseline promote {name}", "make this run the baseline")]
    if verdict.word is Word.INCONCLUSIVE:
        return [("harness routes", "see who answers, and which keys are missing")]
    return [("harness verify .harness/verdict.json", "recompute the verdict offline")]


def _table(rows: list[list[str]], head: list[str], *, right: bool = False) -> Iterator[str]:
    align = ["left", *(["right" if right else "left"] * (len(head) - 1))]
    # Without these two switches tabulate turns 1e5 into 100000 and eats indents.
    text = tabulate(
        [head, *rows], tablefmt="plain", disable_numparse=True, preserve_whitespace=True, colalign=align
    )
    yield from (line.rstrip() for line in text.splitlines())


def _wrapped(text: str, *, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    ) or [""]
