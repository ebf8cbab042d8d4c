"""`harness check`: everything that can be known about a project without asking a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config import Config, load_config
from harness.errors import InputError, Problem, counted, relative
from harness.golden import Suite, Task, golden_files, load_suite, self_test
from harness.project import CONFIG_NAME, find_root, golden_folder
from harness.routes import floor_breaches


@dataclass(frozen=True)
class Report:
    """What was looked at, and what is wrong with it."""

    tasks: int
    cases: int
    problems: Sequence[Problem]

    def as_plain(self) -> dict[str, object]:
        """Return the report as plain data."""
        return {
            "schema_version": 1,
            "tasks": self.tasks,
            "cases": self.cases,
            "problems": [
                {
                    "code": p.code,
                    "path": relative(p.path),
                    "line": p.line,
                    "column": p.column,
                    "where": p.where,
                    "message": p.message,
                    "help": p.help,
                }
                for p in self.problems
            ],
        }


def check_project(start: Path, paths: Sequence[Path]) -> Report:
    """Load config and tasks and run every task's own oracle and wrong answers through its checks.

    With `paths`, only those task files are looked at. Raises UsageError where there is no project.
    """
    problems: list[Problem] = []
    suite = Suite(())
    if not paths:
        root = find_root(start)
        paths = golden_files(golden_folder(root))
        problems += _config_problems(root / CONFIG_NAME)
    paths = [file for path in paths for file in (golden_files(path) if path.is_dir() else [path])]
    try:
        suite = load_suite(paths)
    except InputError as exc:
        problems += exc.problems
    problems += [problem for task in suite.tasks for problem in _task_problems(task)]
    return Report(len(suite.tasks), sum(1 for _ in suite.cases()), InputError(problems).problems)


def render(report: Report) -> str:
    """Return the report as text."""
    if report.problems:
        return str(InputError(report.problems))
    looked_at = f"{counted(report.tasks, 'task')}, {counted(report.cases, 'case')}"
    return f"ok: {looked_at}; every oracle passes, every wrong answer fails"


def _config_problems(path: Path) -> list[Problem]:
    try:
        config = load_config(path)
    except InputError as exc:
        return list(exc.problems)
    return _breaches(config)


def _breaches(config: Config) -> list[Problem]:
    return [
        Problem(
            code="below-floor",
            message=f"critical agent `{agent}` can reach `{deployment.id}`, which ranks below its floor",
            path=config.path,
            where=f"harness.agents.{agent}",
            help="take it out of the chain, or lower the floor on the record",
        )
        for agent, deployment in floor_breaches(config)
    ]


def _task_problems(task: Task) -> list[Problem]:
    return [
        Problem(
            code="self-test",
            message=f"task `{task.id}`, {fault}",
            path=task.path,
            line=task.cases[0].line,
            help="mend the checks, or the answer",
        )
        for fault in self_test(task)
    ]
