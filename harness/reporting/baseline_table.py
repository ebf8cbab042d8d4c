"""What a baseline holds."""

from __future__ import annotations

from datetime import UTC, datetime

from tabulate import tabulate

from harness.baseline import Baseline
from harness.errors import counted
from harness.golden import Suite
from harness.sanitize import one_line


def render(baseline: Baseline, suite: Suite) -> str:
    """Return a baseline as text: where it comes from, and each task's passes."""
    age = baseline.age_days(datetime.now(UTC).date())
    repeat = " (deterministic: one sample)" if baseline.deterministic else ""
    commit = baseline.git_sha or "no commit"
    served = ", ".join(map(one_line, baseline.served_models)) or "unknown"
    asked = f"{counted(baseline.epochs, 'epoch')}{repeat} on {', '.join(baseline.deployments)}"
    head = [
        f"{baseline.name}: promoted {baseline.promoted} ({counted(age, 'day')} ago) at {commit}",
        f"{asked}; served by {served}",
        f"versions: {', '.join(f'{name} {version}' for name, version in sorted(baseline.versions.items()))}",
    ]
    if baseline.suite_hash != suite.hash:
        head.append("the suite has changed since: edited cases count as new")
    rows = [
        [
            task,
            _tier(suite, task),
            f"{sum(e.passed for e in entries.values())}/{len(entries)}",
            _cases(entries),
        ]
        for task, entries in baseline.tasks.items()
    ]
    rows.sort(key=lambda row: (row[1], row[0]))
    text = tabulate(
        rows, ["task", "tier", "cases", "passes of epochs"], tablefmt="simple", disable_numparse=True
    )
    return "\n".join([*head, "", *(line.rstrip() for line in text.splitlines())])


def _tier(suite: Suite, task_id: str) -> str:
    task = suite.task(task_id)
    return task.tier if task else "gone"


def _cases(entries: object) -> str:
    assert isinstance(entries, dict)
    return "  ".join(f"{case} {entry.passes}/{entry.epochs}" for case, entry in entries.items())
