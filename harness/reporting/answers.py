"""Answers side by side: the last run's and the baseline's."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator

from harness.baseline import Baseline
from harness.errors import UsageError
from harness.golden import Task, TaskCase
from harness.project import Project
from harness.records import CHAIN, Run, Sample
from harness.sanitize import printable
from harness.yaml_source import did_you_mean


def render(project: Project, task_id: str, case_id: str | None, provider: str | None) -> str:
    """Return a task's prompts and answers as text. Raises UsageError for names that do not exist."""
    task = project.suite.task(task_id)
    if task is None:
        raise UsageError(f"no task `{task_id}`; {did_you_mean(task_id, [t.id for t in project.suite.tasks])}")
    cases = [case for case in task.cases if case_id in (None, case.id)]
    if not cases:
        raise UsageError(
            f"{task_id} has no case `{case_id}`; {did_you_mean(str(case_id), [c.id for c in task.cases])}"
        )
    run, label = _last_run(project, provider)
    samples = [s for s in project.store.samples(run.id) if s.provider == label] if run else []
    return "\n".join(_lines(task, cases, samples, project.baseline(label), label))


def _last_run(project: Project, provider: str | None) -> tuple[Run | None, str]:
    """Return the last run and the label to show: the one asked for, else the first of the last run."""
    labels = [provider] if provider else [*project.config.providers, CHAIN]
    runs = [(run, label) for label in labels if (run := project.store.latest_run(label))]
    return max(runs, key=lambda pair: pair[0].id) if runs else (None, labels[0])


def _lines(
    task: Task, cases: list[TaskCase], samples: list[Sample], baseline: Baseline | None, label: str
) -> Iterator[str]:
    yield f"{task.id}  {task.tier} {task.category}  on {label}"
    for case in cases:
        yield ""
        yield f"case {case.id}"
        for message in case.messages:
            yield from _block(f"{message.role}: ", message.content)
        entry = baseline.tasks.get(task.id, {}).get(case.id) if baseline else None
        mine = [s for s in samples if (s.task, s.case) == (task.id, case.id)]
        before = f"baseline {entry.passes}/{entry.epochs}" if entry else "no baseline"
        if entry and entry.hash != case.hash:
            before += ", edited since"
        now = f"now: {mine[0].outcome}" if mine else "not in the last run"
        yield from _columns(before, entry.answer if entry else "", now, mine[0].answer if mine else "")
        if mine and mine[0].reason:
            yield from _block("why: ", mine[0].reason)


def _block(lead: str, text: str) -> Iterator[str]:
    for index, line in enumerate(printable(text).splitlines() or [""]):
        yield f"  {lead if index == 0 else ' ' * (len(lead) - 2) + '| '}{line}"


def _columns(left_head: str, left: str, right_head: str, right: str) -> Iterator[str]:
    width = max(20, (min(shutil.get_terminal_size().columns, 160) - 7) // 2)
    columns = [_wrapped(left, width), _wrapped(right, width)]
    yield f"| {left_head:<{width}} | {right_head}"
    for index in range(max(map(len, columns))):
        a, b = (column[index] if index < len(column) else "" for column in columns)
        yield f"| {a:<{width}} | {b}".rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    lines = printable(text.strip()).splitlines() or ["(none)"]
    return [part for line in lines for part in textwrap.wrap(line, width) or [""]]
