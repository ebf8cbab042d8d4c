"""The command line: argument parsing only. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from harness.errors import EvidenceError, HarnessError, InputError, counted, relative

if TYPE_CHECKING:
    from harness.project import Project

EXIT_USAGE = 2
EXIT_NO_EVIDENCE = 4


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package_name="routing-harness", prog_name="harness")
def main() -> None:
    r"""Tell whether a change to how LLM calls are routed may be merged.

    \b
    pytest --tier T1 --provider local   run golden tasks
    harness check                       validate config and tasks, without a call
    harness show TASK                   read answers beside the baseline's
    """


@main.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(paths: tuple[Path, ...], as_json: bool) -> None:
    """Validate providers.yaml and the golden tasks. No model is asked.

    Every task's checks are run on its own oracle and wrong answers. With PATHS, only those task
    files are looked at.
    """
    from harness.checking import check_project, render

    with _explained(as_json=as_json):
        report = check_project(Path.cwd(), list(paths))
    click.echo(json.dumps(report.as_plain(), indent=2) if as_json else render(report))
    if report.problems:
        raise SystemExit(EXIT_USAGE)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def routes(as_json: bool) -> None:
    """Show where every tier, agent and category goes, at what price, and which keys are missing."""
    from harness.reporting.route_table import as_plain, render

    with _explained(as_json=as_json):
        project = _project()
    click.echo(json.dumps(as_plain(project.config), indent=2) if as_json else render(project.config))


@main.group()
def baseline() -> None:
    """Promote and show baselines."""


@baseline.command("promote")
@click.argument("name")
@click.option("--provider", help="Whose last run to take; default: NAME.")
@click.option("--merge", is_flag=True, help="Take a partial run, and keep the other cases as they are.")
def promote(name: str, provider: str | None, merge: bool) -> None:
    """Make the last finished run the baseline NAME (golden/baselines/NAME.json).

    NAME is a provider, or `chain` for a run without --provider.
    """
    with _explained():
        made, path = _project().promote(name, provider or name, merge=merge)
    cases = sum(len(entries) for entries in made.tasks.values())
    passing = sum(entry.passed for entries in made.tasks.values() for entry in entries.values())
    click.echo(
        f"{relative(path)}: {counted(len(made.tasks), 'task')}, {counted(cases, 'case')} x "
        f"{counted(made.epochs, 'epoch')}, {passing} cases pass. Review and commit it."
    )


@baseline.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the file.")
def show_baseline(name: str, as_json: bool) -> None:
    """Show what the baseline NAME holds and where it comes from."""
    from harness import baseline as baselines
    from harness.reporting.baseline_table import render

    with _explained(as_json=as_json):
        project = _project()
        path = baselines.path_of(project.golden, name)
        found = baselines.read(path)
    click.echo(path.read_text(encoding="utf-8") if as_json else render(found, project.suite), nl=not as_json)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-q", "quiet", is_flag=True, help="Print the verdict's word alone.")
def verify(path: Path, as_json: bool, quiet: bool) -> None:
    """Decide again from a verdict.json, offline, and exit with the verdict's code.

    Exit code 4 means that the file is unreadable, contradicts itself, or holds no evidence.
    """
    from harness.reporting.terminal import verdict_lines
    from harness.verdict import from_json

    try:
        evidence, written = from_json(path.read_text(encoding="utf-8"))
        verdict = evidence.decide()
    except (OSError, UnicodeDecodeError, EvidenceError) as exc:
        _fail(f"{relative(path)}: {exc}", EXIT_NO_EVIDENCE, as_json)
    if verdict.word != written:
        message = f"{relative(path)}: it says {written}, but its evidence gives {verdict.word}"
        _fail(message, EXIT_NO_EVIDENCE, as_json)
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "verdict": verdict.word, "reasons": verdict.reasons}))
    else:
        click.echo(verdict.word if quiet else "\n".join(verdict_lines(verdict)))
    raise SystemExit(verdict.exit_code)


@main.command()
@click.argument("task")
@click.option("--case", "case_id", help="Only this case.")
@click.option("--provider", default=None, help="Whose last run to show; default: the last run.")
def show(task: str, case_id: str | None, provider: str | None) -> None:
    """Show a task's prompts, and the last run's answers beside the baseline's."""
    from harness.reporting.answers import render

    with _explained():
        click.echo(render(_project(), task, case_id, provider))


@main.command()
@click.argument("kind", type=click.Choice(["providers", "golden"]))
def schema(kind: str) -> None:
    """Print the JSON schema of providers.yaml or of golden task files, for editors."""
    from harness.schemas import schema_text

    click.echo(schema_text(kind), nl=False)


def _project() -> Project:
    from harness.project import Project, find_root

    return Project.load(find_root(Path.cwd()))


@contextmanager
def _explained(*, as_json: bool = False) -> Iterator[None]:
    """Turn our errors into a message and exit code 2; a traceback would only show our own code."""
    try:
        yield
    except HarnessError as exc:
        _fail(str(exc), EXIT_USAGE, as_json, bare=isinstance(exc, InputError))


def _fail(message: str, code: int, as_json: bool, *, bare: bool = False) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "error": message}))
    else:
        click.echo(message if bare else f"error: {message}", err=True)
    raise SystemExit(code)
