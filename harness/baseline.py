"""Baselines: promoted on purpose, committed, and compared case by case.

`golden/baselines/NAME.json` says how often each case passed, over how many epochs, when and on what.
"""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.errors import BaselineError
from harness.records import Outcome, Run, Sample

SCHEMA_VERSION = 1
MAX_ANSWER_CHARS = 1_000
STALE_AFTER_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One case of a baseline."""

    hash: str
    passes: int
    epochs: int
    tokens_in: float
    """Prompt tokens, mean over the epochs."""
    tokens_out: float
    latency_ms: float
    """Median over the epochs."""
    answer: str
    """Of the first epoch."""

    @property
    def passed(self) -> bool:
        """Whether more than half of the epochs passed."""
        return self.passes * 2 > self.epochs


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A baseline file."""

    name: str
    promoted: str
    """The day, YYYY-MM-DD."""
    epochs: int
    deterministic: bool
    """True when every answer came from the embedded model at temperature 0: epochs are one sample."""
    git_sha: str
    suite_hash: str
    config_hash: str
    deployments: tuple[str, ...]
    served_models: tuple[str, ...]
    versions: Mapping[str, str]
    tasks: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)

    def entry(self, task: str, case: str, case_hash: str) -> Entry | None:
        """Return a case's entry, unless the case was edited since: then it says nothing about it."""
        found = self.tasks.get(task, {}).get(case)
        return found if found and found.hash == case_hash else None

    def age_days(self, today: date) -> int:
        """Return how old the baseline is."""
        return (today - date.fromisoformat(self.promoted)).days


def build(
    name: str, run: Run, samples: Iterable[Sample], *, deterministic: bool, today: date | None = None
) -> Baseline:
    """Return the baseline a run's samples make. Raises BaselineError if any of them is errored."""
    listed = sorted(samples, key=lambda s: (s.task, s.case, s.epoch))
    errored = [s for s in listed if not s.judged]
    if errored:
        first = errored[0]
        raise BaselineError(
            f"{len(errored)} samples of the last run are errored, the first is "
            f"{first.task}[{first.case}]: {first.reason}; run it again, only what is missing is asked"
        )
    tasks: dict[str, dict[str, Entry]] = {}
    for (task, case), group in groupby(listed, key=lambda s: (s.task, s.case)):
        tasks.setdefault(task, {})[case] = _entry(list(group))
    return Baseline(
        name=name,
        promoted=(today or datetime.now(UTC).date()).isoformat(),
        epochs=run.epochs,
        deterministic=deterministic,
        git_sha=run.git_sha,
        suite_hash=run.suite_hash,
        config_hash=run.config_hash,
        deployments=tuple(sorted({s.deployment for s in listed})),
        served_models=tuple(sorted({s.served_model for s in listed if s.served_model})),
        versions=dict(run.versions) | {"machine": platform.machine()},
        tasks=tasks,
    )


def merged(old: Baseline, new: Baseline, *, known: AbstractSet[str]) -> Baseline:
    """Return `new` with the cases of `old` that it lacks, if their tasks are still known."""
    names = sorted({*old.tasks} & known | {*new.tasks})
    return replace(
        new,
        epochs=min(old.epochs, new.epochs),
        deterministic=old.deterministic and new.deterministic,
        deployments=tuple(sorted({*old.deployments, *new.deployments})),
        served_models=tuple(sorted({*old.served_models, *new.served_models})),
        tasks={name: {**old.tasks.get(name, {}), **new.tasks.get(name, {})} for name in names},
    )


def path_of(folder: Path, name: str) -> Path:
    """Return where a baseline is kept."""
    return folder / "baselines" / f"{name}.json"


def write(baseline: Baseline, path: Path) -> None:
    """Write a baseline as text that diffs well: one line a case, sorted."""
    head = {
        "schema_version": SCHEMA_VERSION,
        **{key: value for key, value in vars(baseline).items() if key != "tasks"},
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value, sort_keys=True)}," for key, value in head.items()]
    tasks = []
    for task, cases in sorted(baseline.tasks.items()):
        rows = [
            f"      {json.dumps(case)}: {json.dumps(vars(entry), sort_keys=True)}"
            for case, entry in sorted(cases.items())
        ]
        tasks.append(f"    {json.dumps(task)}: {{\n" + ",\n".join(rows) + "\n    }")
    text = "{\n" + "\n".join(lines) + '\n  "tasks": {\n' + ",\n".join(tasks) + "\n  }\n}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def read(path: Path) -> Baseline:
    """Read a baseline. Raises BaselineError if it is missing or unreadable, which are not the same."""
    if not path.exists():
        raise BaselineError(
            f"no baseline at {path.name}; run the suite, then `harness baseline promote {path.stem}`"
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise BaselineError(f"{path}: schema_version is {version}, expected {SCHEMA_VERSION}")
        return _from_plain(raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise BaselineError(
            f"{path}: not a baseline ({type(exc).__name__}: {exc}); restore it from git"
        ) from exc


def _from_plain(raw: dict[str, Any]) -> Baseline:
    tasks = {
        task: {case: Entry(**entry) for case, entry in cases.items()}
        for task, cases in raw.pop("tasks").items()
    }
    for name in ("deployments", "served_models"):
        raw[name] = tuple(raw[name])
    return Baseline(**raw, tasks=tasks)


def _entry(samples: Sequence[Sample]) -> Entry:
    usages = [s.usage for s in samples if s.usage]
    return Entry(
        hash=samples[0].case_hash,
        passes=sum(s.outcome is Outcome.PASSED for s in samples),
        epochs=len(samples),
        tokens_in=round(statistics.fmean(u.input for u in usages), 1) if usages else 0.0,
        tokens_out=round(statistics.fmean(u.output for u in usages), 1) if usages else 0.0,
        latency_ms=round(statistics.median(s.latency_ms for s in samples), 1),
        answer=samples[0].answer[:MAX_ANSWER_CHARS],
    )
