"""The pytest plugin: hooks only.

Every pytest start in the environment imports it, so it imports the standard library and pytest, and
the rest when golden tasks are really collected.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.golden import TaskCase
    from harness.session import Options, Planned, Session
    from harness.verdict import CaseEvidence

CONFIG_NAME = "providers.yaml"
TIERS = ("T1", "T2", "T3", "T4", "T5")
EVALUATION = pytest.StashKey["Evaluation"]()
SUMMARY = pytest.StashKey[Any]()
_LIST = {"action": "append", "default": []}

OPTIONS: dict[str, dict[str, Any]] = {
    "tier": {**_LIST, "metavar": "T1..T5", "help": "only tasks of this tier (repeatable)"},
    "provider": {**_LIST, "metavar": "P", "help": "ask this provider alone (repeatable: a matrix)"},
    "category": {**_LIST, "metavar": "C", "help": "only tasks of this category (repeatable)"},
    "agent": {**_LIST, "metavar": "A", "help": "only tasks of this agent (repeatable)"},
    "epochs": {"type": int, "default": 1, "metavar": "N", "help": "ask each case N times (default 1)"},
    "baseline": {"default": None, "metavar": "NAME", "help": "compare with golden/baselines/NAME.json"},
    "gate": {"action": "store_true", "help": "the exit code is the verdict's: 0 ALLOW, else 1"},
    "max-cost": {"default": None, "metavar": "USD", "help": "the most this run may spend"},
    "fresh": {"action": "store_true", "help": "ask again, also what is recorded"},
    "replay-only": {"action": "store_true", "help": "answer from the record alone; never call"},
}


# Options and markers


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options.

    Outside of a project they are `--harness-NAME`, to stay out of others' way; so is, in a project, one
    whose short name another plugin owns already.
    """
    group = parser.getgroup("harness", "routing evaluation (golden tasks)")
    # pytest looks for conflicts within a group only; across groups argparse fails later, for every run.
    taken = {name for g in (parser._anonymous, *parser._groups) for o in g.options for name in o.names()}
    here = Path.cwd()
    at_home = any((folder / CONFIG_NAME).exists() for folder in (here, *here.parents))
    for name, settings in OPTIONS.items():
        option = f"--{name}" if at_home and f"--{name}" not in taken else f"--harness-{name}"
        group.addoption(option, dest=_dest(name), **settings)
    parser.addini("harness_golden", "folder of golden tasks (default: golden)", default="")


def _dest(name: str) -> str:
    return f"harness_{name.replace('-', '_')}"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line(
        "markers",
        "golden(tier, category, agent): a test that takes part in the evaluation; see the llm fixture",
    )
    for tier in TIERS:
        config.addinivalue_line("markers", f"{tier}: golden tasks of this tier")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name the options that had to be renamed."""
    if _golden_folder(config) is None:
        return []
    ours = [name for option in config._parser.getgroup("harness").options for name in option.names()]
    renamed = [name.removeprefix("--harness-") for name in ours if name.startswith("--harness-")]
    return [f"harness: --{name} belongs to another plugin; use --harness-{name}" for name in renamed]


# A session


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Load config and golden tasks before anything is collected, so that all their errors show at once."""
    config = session.config
    folder = _golden_folder(config)
    if folder is not None and _reaches(config, folder):
        _activate(config, folder)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take part as well where only test functions marked `golden` were named on the command line."""
    folder = _golden_folder(config)
    if folder is None or EVALUATION in config.stash or hasattr(config, "workerinput"):
        return  # under xdist it is too late: the controller has collected nothing, and knows of no run
    if any(_golden_mark(item) for item in items):
        _activate(config, folder)


def _activate(config: pytest.Config, folder: Path) -> None:
    evaluation = Evaluation(config, folder)
    evaluation.open()
    config.stash[EVALUATION] = evaluation
    config.pluginmanager.register(evaluation, "harness-evaluation")


def _golden_folder(config: pytest.Config) -> Path | None:
    """Return the folder of golden tasks, if this project has any: only then is the plugin active."""
    declared = config.getini("harness_golden")
    if declared:
        return (config.rootpath / str(declared)).resolve()
    return (config.rootpath / "golden").resolve() if (config.rootpath / CONFIG_NAME).exists() else None


def _reaches(config: pytest.Config, folder: Path) -> bool:
    """Whether the command line asks for golden tasks, or for tests that may ask models."""
    asked = any(config.getoption(_dest(name)) for name in OPTIONS if name not in ("epochs", "baseline"))
    for argument in config.args:
        path = _argument_path(config, argument)
        if path == folder or folder in path.parents or path in folder.parents:
            return True
    return asked


def _argument_path(config: pytest.Config, argument: str) -> Path:
    return (config.invocation_params.dir / argument.split("::", maxsplit=1)[0]).resolve()


class Evaluation:
    """One pytest session that evaluates golden tasks; registered only where there are some."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.worker: dict[str, Any] = getattr(config, "workerinput", {})
        self.is_controller = bool(getattr(config.option, "dist", "no") != "no" and not self.worker)
        self.started = time.monotonic()
        self.server: Any = None
        self.ready = False
        """Whether what was selected may be asked; until then there is nothing to sum up."""
        self.other_failures = 0
        """Of tests that are not golden: an ALLOW does not excuse them."""
        self.run: Session

    # Opening and closing

    def open(self) -> None:
        """Load the project, or end the session with every error there is (exit code 4)."""
        from harness.errors import HarnessError
        from harness.project import Project
        from harness.session import Session

        try:
            options = _options(self.config)
            project = Project.load(self.config.rootpath, golden=self.folder)
            worker = self.worker
            shared = {"run_id": worker["harness_run"], "workers": worker["workercount"]} if worker else {}
            self.run = Session(project, options, **shared)
            if not self.config.option.collectonly:
                self.run.check_names()
            if self.is_controller and not self.config.option.collectonly:
                self._prepare(list(self._named_cells()))
        except HarnessError as exc:
            raise pytest.UsageError(_for_pytest(exc)) from None
        for category in sorted({task.category for task in project.suite.tasks}):
            self.config.addinivalue_line("markers", f"{category}: golden tasks of this category")

    def _named_cells(self) -> Iterator[Any]:
        """Yield what the command line names, for xdist's controller, which collects nothing itself."""
        named = [_argument_path(self.config, argument) for argument in self.config.args]
        for task in self.run.project.suite.tasks:
            path = task.path.resolve()
            if not any(argument in (path, *path.parents) for argument in named):
                continue
            if self.run.options.selects(tier=task.tier, category=task.category, agent=task.agent):
                for label in self.run.options.labels:
                    for case in task.cases:
                        yield from self.run.cells(label, case)

    def _prepare(self, cells: list[Any]) -> None:
        """Announce what will be asked, and stop before it if it must not be."""
        from harness.session import estimate_lines

        self.run.check_ready(cells)
        estimates = self.run.estimate(cells)
        self.run.check_budget(estimates)
        self.run.open_run(len(cells) // max(1, self.run.options.epochs))
        self._start_server()
        self.ready = True
        for note in self.run.skipped_hops(cells):
            self._say(f"harness: {note}")
        priced = {name: e for name, e in estimates.items() if e.worst_usd or e.unpriced}
        for line in estimate_lines(priced):
            self._say(line)

    def _start_server(self) -> None:
        from harness.client.embedded import EmbeddedServer

        self.server = EmbeddedServer()

    def _say(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter and self.config.get_verbosity() >= 0:
            reporter.write_line(line)

    # Collection

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what --tier, --category and --agent ask for."""
        from harness.errors import HarnessError

        if self.worker:
            return self._keep_selected(config, items)  # a usage error here would crash the worker
        marks = [mark.kwargs for item in items if (mark := _golden_mark(item))]
        try:
            self.run.check_selection(
                categories={str(kwargs.get("category")) for kwargs in marks},
                agents={str(kwargs.get("agent")) for kwargs in marks},
            )
        except HarnessError as exc:
            raise pytest.UsageError(_for_pytest(exc)) from None
        return self._keep_selected(config, items)

    def _keep_selected(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        options = self.run.options
        if not (options.tiers or options.categories or options.agents):
            return
        kept = [item for item in items if _selected(item, options)]
        dropped = [item for item in items if not _selected(item, options)]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
            items[:] = kept

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Plan what was selected; where calls are made by this process, announce and check it."""
        from harness.errors import HarnessError

        golden = [item for item in session.items if isinstance(item, GoldenItem)]
        marked = [item for item in session.items if _golden_mark(item)]
        if self.config.option.collectonly or self.is_controller:
            return
        self.run.planned = [item.plan for item in golden] + [_marked_plan(item) for item in marked]
        if self.worker:
            output: dict[str, Any] = self.config.workeroutput  # type: ignore[attr-defined]
            output["harness_planned"] = [dataclasses.asdict(plan) for plan in self.run.planned]
            return
        try:
            self.run.check_planned()
            asked = [cell for item in marked for cell in self.run.cells(_label(item), _marked_case(item))]
            self._prepare([cell for item in golden for cell in item.cells()] + asked)
        except HarnessError as exc:
            raise pytest.UsageError(_for_pytest(exc)) from None

    # Running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Hand all selected items to the runner at once; each then reports its own result."""
        if self.config.option.collectonly or self.is_controller or session.testsfailed:
            return
        share = session.items
        if self.worker:
            number, count = int(self.worker["workerid"].removeprefix("gw")), self.worker["workercount"]
            # A worker that replaces a crashed one has a number beyond the count, and no share up front.
            share = session.items[number::count] if number < count and self.worker["harness_static"] else []
        self.run.start(cell for item in share if isinstance(item, GoldenItem) for cell in item.cells())

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker which run it is part of."""
        node.workerinput["harness_run"] = self.run.run_id
        node.workerinput["harness_static"] = _is_static(self.config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Learn from a worker what was planned; all of them collect the same."""
        from harness.session import Planned

        plans = getattr(node, "workeroutput", {}).get("harness_planned", [])
        self.run.planned = self.run.planned or [Planned(**plan) for plan in plans]
        self.run.recording.asked_again += getattr(node, "workeroutput", {}).get("harness_asked_again", 0)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Give item i to worker i mod n, all at once, so that each worker can fire its whole share."""
        if not _is_static(config):
            return None
        from harness.xdist_scheduler import StaticScheduling

        return StaticScheduling(config, log)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a test marked `golden` once for each epoch, and judge it like any golden task."""
        if not _golden_mark(pyfuncitem):
            return None
        _run_marked(pyfuncitem)
        return True

    # Ending

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what else fails in the session."""
        self.other_failures += report.failed and not getattr(report, "harness_golden", False)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count what could not even be collected."""
        self.other_failures += report.failed

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Let calls in flight finish, sum up, and set the exit code if the verdict is asked for."""
        self._finish_calls()
        if self.worker:
            self.config.workeroutput["harness_asked_again"] = self.run.recording.asked_again  # type: ignore[attr-defined]
        if self.worker or not self.ready or not self.run.planned:
            self._close()
            return (yield)
        from harness.project import VERDICT
        from harness.reporting.summary import summarize
        from harness.verdict import Word, to_json

        summary = summarize(self.run, time.monotonic() - self.started)
        if summary.verdict.expected and not summary.verdict.counts["missing"]:
            self.run.project.store.finish_run(self.run.run_id)
        (self.run.project.root / VERDICT).write_text(to_json(summary.evidence), encoding="utf-8")
        if self.run.options.gate and session.exitstatus in (0, 1):
            allowed = summary.verdict.word is Word.ALLOW and not self.other_failures
            session.exitstatus = 0 if allowed else 1
        self.config.stash[SUMMARY] = summary
        self._close()
        result = yield
        self._print_verdict(summary)
        return result

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the tables; the verdict itself stands below pytest's own last line."""
        summary = self.config.stash.get(SUMMARY, None)
        if summary is None or self.config.get_verbosity() < 0 or terminalreporter.no_summary:
            return
        from harness.reporting.terminal import summary_lines, symbols

        marks = symbols(getattr(terminalreporter._tw._file, "encoding", "utf-8"))
        terminalreporter.section("routing evaluation", sep="=", bold=True)
        for line in summary_lines(summary, marks):
            bad = line.lstrip().startswith((f"{marks.bad} ", "Errored"))
            terminalreporter.write_line(line, red=bad) if bad else terminalreporter.write_line(line)
        terminalreporter.write_line("Data: .harness/verdict.json")

    def _print_verdict(self, summary: Any) -> None:
        from harness.reporting.terminal import colour, next_lines, verdict_lines

        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        first, *rest = verdict_lines(summary.verdict)
        word = summary.verdict.word
        reporter.write(word, bold=True, **{colour(word): True})
        reporter.write_line(first.removeprefix(word))
        for line in (*rest, *next_lines(summary)):
            reporter.write_line(line)

    def _finish_calls(self) -> None:
        if "runner" not in vars(self.run):
            return
        if self.run.runner.in_flight and not self.worker:
            self._say(f"\nstopping: waiting for {self.run.runner.in_flight} in flight, Ctrl-C to drop them")
        try:
            self.run.runner.finish()
        except KeyboardInterrupt:
            self._say("dropped")

    def _close(self) -> None:
        self.run.close()
        if self.server:
            self.server.close()


# Golden files as items


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect task files below the golden folder."""
    evaluation = parent.config.stash.get(EVALUATION, None)
    if evaluation is None or file_path.suffix not in (".yaml", ".yml"):
        return None
    if evaluation.folder not in file_path.resolve().parents:
        return None
    return GoldenFile.from_parent(parent, path=file_path)


class GoldenFile(pytest.File):
    """One task: an item for each case under each label."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the items of this file's task."""
        run = self.config.stash[EVALUATION].run
        task = next(t for t in run.project.suite.tasks if t.path.resolve() == self.path.resolve())
        for label in run.options.labels:
            for case in task.cases:
                name = f"{task.id}[{case.id}{'' if label == 'chain' else f'-{label}'}]"
                # In full, so that pytest reads the bracket as parameters: --lf compares parsed ids.
                nodeid = f"{self.nodeid}::{name}"
                yield GoldenItem.from_parent(self, name=name, nodeid=nodeid, case=case, label=label)


class GoldenItem(pytest.Item):
    """One case under one label. It only reads its result; the runner asked for it."""

    def __init__(self, *, case: TaskCase, label: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case
        self.label = label
        self.evidence: CaseEvidence | None = None
        for name in ("golden", case.tier, case.category):
            self.add_marker(name)

    @property
    def run(self) -> Session:
        """The run this item is part of."""
        return self.config.stash[EVALUATION].run

    @property
    def plan(self) -> Planned:
        """What the run expects of this item."""
        from harness.session import planned

        return planned(self.label, self.case, f"{_relative(self)}:{self.case.line}")

    def cells(self) -> list[Any]:
        """Return what has to be asked for this item."""
        return self.run.cells(self.label, self.case)

    def setup(self) -> None:
        """Wait for the samples. What nobody can judge is an error, not a failure."""
        self.samples = self.run.samples(self.label, self.case)
        self.evidence = self.run.evidence_of(self.plan, self.samples)
        if self.evidence.errored:
            raise Unjudged(self.evidence.reason)

    def runtest(self) -> None:
        """Report the case beside its baseline."""
        assert self.evidence is not None
        shown = next((s for s in self.samples if s.reason == self.evidence.reason), self.samples[0])
        _report(self.evidence, shown.answer)

    def _repr_failure_py(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        # Our own endings in words: a traceback takes 0.2 s a case and shows only our own code. Private,
        # because pytest calls the public `repr_failure` for the call alone, not for setup.
        if isinstance(excinfo.value, Unjudged | CaseFailed | pytest.xfail.Exception):
            return str(excinfo.value)
        return super()._repr_failure_py(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the case stands."""
        return self.path, self.case.line - 1, self.name


class Unjudged(Exception):
    """Nobody can tell how a case would have ended."""


class CaseFailed(Exception):
    """A case failed that did not fail in the baseline."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put a case's end in pytest's terms: our own failures in words, what nobody can judge as an error.

    An improvement becomes an xpass through the report, not the mark: strict xfail must not fail it.
    """
    report = yield
    golden = isinstance(item, GoldenItem) or _golden_mark(item) is not None
    setattr(report, "harness_golden", golden)  # noqa: B010 - an attribute of ours; xdist sends it along
    if golden and report.failed:
        from harness.sanitize import printable

        report.longrepr = printable(str(report.longrepr))  # assertions show what the model wrote
    if call.excinfo and isinstance(call.excinfo.value, Unjudged | CaseFailed):
        report.longrepr = printable(str(call.excinfo.value))  # a traceback would show only our own code
        if isinstance(call.excinfo.value, Unjudged):
            report.when = "setup"  # where pytest counts a failure as an error
    evidence = getattr(item, "evidence", None)
    if evidence is not None and call.when == "call" and report.passed and evidence.status == "improved":
        report.wasxfail = "improved: it failed in the baseline"
    return report


def _report(evidence: CaseEvidence, answer: str) -> None:
    from harness.sanitize import one_line, quoted

    before = f"{evidence.baseline_passes}/{evidence.baseline_epochs} in the baseline"
    now = f"{evidence.passes}/{evidence.judged} now"
    if evidence.status == "known":
        pytest.xfail(f"known: {before}, {now}: {one_line(evidence.reason, 100)}")
    if evidence.status in ("regressed", "new"):
        history = f"{before}, {now}" if evidence.baseline_epochs else f"not in the baseline, {now}"
        raise CaseFailed(
            f"{evidence.status}: {evidence.task}[{evidence.case}] on {evidence.provider}: {history}\n"
            f"{evidence.reason}\nanswer:\n{quoted(answer)}\n"
            f"next: harness show {evidence.task}"
        )


# Plain test functions


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test marked `golden` under each `--provider`."""
    evaluation = metafunc.config.stash.get(EVALUATION, None)
    mark = metafunc.definition.get_closest_marker("golden")
    if evaluation and mark and "llm" in metafunc.fixturenames and evaluation.run.options.providers:
        metafunc.parametrize("llm", evaluation.run.options.providers, indirect=True)


@pytest.fixture
def llm(request: pytest.FixtureRequest) -> Any:
    """Give a test the model of its tier: call it with a prompt, then assert on the reply's text."""
    evaluation = request.config.stash.get(EVALUATION, None)
    if evaluation is None or _golden_mark(request.node) is None:
        message = "llm needs @pytest.mark.golden(tier=…, category=…) and a providers.yaml"
        pytest.fail(f"{message}; under xdist also an option such as --tier", pytrace=False)
    from harness.marked import Llm

    return Llm(evaluation.run, _label(request.node), _marked_case(request.node))


def _run_marked(item: pytest.Function) -> None:
    """Call the function once for each epoch; its assertions are the checks."""
    from harness.marked import run_epochs
    from harness.sanitize import one_line

    ask: Any = item.funcargs.get("llm")
    if ask is None:
        pytest.fail("a golden test asks through the llm fixture; add `llm` to its arguments", pytrace=False)
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    samples, failure = run_epochs(ask, lambda: item.obj(**arguments), (AssertionError, pytest.fail.Exception))
    evidence = ask.session.evidence_of(_marked_plan(item), samples)
    item.evidence = evidence  # type: ignore[attr-defined]
    if evidence.status == "known":
        pytest.xfail(f"known: {one_line(evidence.reason, 100)}")
    if evidence.errored:
        raise Unjudged(evidence.reason) from failure
    if evidence.status in ("regressed", "new") and failure is not None:
        raise failure


def _golden_mark(item: object) -> pytest.Mark | None:
    return item.get_closest_marker("golden") if isinstance(item, pytest.Function) else None


def _label(item: pytest.Item) -> str:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return str(parameters.get("llm", "chain"))


def _marked_case(item: Any) -> TaskCase:
    from harness.errors import HarnessError
    from harness.marked import marked_case

    mark = _golden_mark(item)
    assert mark is not None
    path, line, _ = item.reportinfo()
    place, _, parameters = item.nodeid.partition("[")
    label = _label(item)
    parts = [part for part in parameters.removesuffix("]").split("-") if part != label]
    try:
        return marked_case(
            item.obj,
            place=place,
            parameters="-".join(parts),
            keywords=mark.kwargs,
            path=Path(path),
            line=(line or 0) + 1,
        )
    except HarnessError as exc:
        raise pytest.UsageError(str(exc)) from None


def _marked_plan(item: pytest.Item) -> Planned:
    from harness.session import planned

    case = _marked_case(item)
    return planned(_label(item), case, f"{_relative(item)}:{case.line}")


# Small things


def _options(config: pytest.Config) -> Options:
    from harness.client import Mode
    from harness.session import Options

    def given(name: str) -> Any:
        return config.getoption(_dest(name))

    if given("fresh") and given("replay-only"):
        raise pytest.UsageError("--fresh asks everything again and --replay-only nothing; choose one")
    if given("epochs") < 1:
        raise pytest.UsageError(f"--epochs {given('epochs')}: at least 1")
    mode = Mode.FRESH if given("fresh") else Mode.REPLAY_ONLY if given("replay-only") else Mode.REUSE
    return Options(
        tiers=tuple(given("tier")),
        providers=tuple(dict.fromkeys(given("provider"))),
        categories=tuple(given("category")),
        agents=tuple(given("agent")),
        epochs=given("epochs"),
        baseline=given("baseline"),
        gate=given("gate"),
        max_cost_usd=_dollars(given("max-cost")),
        mode=mode,
    )


def _dollars(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise pytest.UsageError(f"--max-cost {text}: not an amount in USD, such as 0.50")
    return amount


def _selected(item: pytest.Item, options: Options) -> bool:
    if isinstance(item, GoldenItem):
        case = item.case
    elif _golden_mark(item):
        case = _marked_case(item)
    else:
        return False
    return options.selects(tier=case.tier, category=case.category, agent=case.agent)


def _is_static(config: pytest.Config) -> bool:
    return bool(config.option.dist == "load")


def _relative(item: pytest.Item) -> str:
    return item.nodeid.split("::")[0]


def _for_pytest(exc: Exception) -> str:
    """Return an error's text; pytest puts `ERROR: ` before the first line."""
    from harness.errors import InputError

    return f"harness: {'' if not isinstance(exc, InputError) else chr(10)}{exc}"
