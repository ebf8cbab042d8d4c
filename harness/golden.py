"""Golden tasks: `golden/**/*.yaml` → `Task`, every case filled in, every check built.

A file is one task. Loading it does all the work that can fail, for every case, so that what is
wrong with a suite is known before anything is asked, and all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from harness.checks import CHECKS, COMBINATORS, judge
from harness.errors import InputError, Problem
from harness.records import CheckResult, Message, Outcome, Request, digest
from harness.templates import TemplateFault, fill, fill_text
from harness.validation import Strict, validated
from harness.yaml_source import Document, Loc, did_you_mean, read_yaml

Tier = Literal["T1", "T2", "T3", "T4", "T5"]
# Ids become parts of pytest node ids, JUnit names and file names, hence slugs.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=80)]
_BODY = ("prompt", "system", "cases", "checks", "oracle", "wrong")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty")
    return text


class CaseSpec(BaseModel):
    """One row of a task's inputs; keys other than these are the inputs of its templates."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, title="Case")

    id: Slug = Field(description="Unique within the task.")
    oracle: str | None = Field(default=None, description="An answer that passes; overrides the task's.")
    wrong: list[str] | None = Field(default=None, description="Answers that fail; override the task's.")


class TaskSpec(Strict):
    """One golden task, as written."""

    model_config = ConfigDict(title="Golden task")

    task: Slug = Field(description="The task's id, unique in the suite.")
    tier: Tier = Field(description="T1 (mechanical) to T5 (hardest).")
    category: Slug = Field(description="What kind of work it is; may choose the route.")
    agent: Slug | None = Field(default=None, description="Whose work it is; may choose the route.")
    critical: bool = Field(default=False, description="A task that may not be lost.")
    description: str = Field(default="", description="What it shows, for people.")
    system: str = Field(default="", description="Template of the system message.")
    prompt: Annotated[str, AfterValidator(_not_blank)] = Field(description="Template of the user message.")
    max_tokens: int = Field(default=256, ge=1, le=32_000, description="Output tokens, at most.")
    temperature: float | None = Field(default=None, ge=0, le=2, description="Default: 0.")
    cases: list[CaseSpec] = Field(min_length=1)
    checks: list[Any] = Field(min_length=1, description="All of them have to pass.")
    oracle: str | None = Field(default=None, description="Template of an answer that passes.")
    wrong: list[str] = Field(default_factory=list, description="Templates of answers that must fail.")


@dataclass(frozen=True, kw_only=True)
class TaskCase:
    """One case of a task, ready to be asked and judged."""

    task: str
    id: str
    tier: str
    category: str
    agent: str | None
    critical: bool
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None
    checks: tuple[Callable[[str], CheckResult], ...]
    oracle: str | None
    wrong: tuple[str, ...]
    hash: str
    """Of prompt, checks and parameters: a baseline entry is comparable while this stays the same."""
    path: Path
    line: int

    def judge(self, answer: str) -> CheckResult:
        """Return what the checks say of an answer."""
        return judge(self.checks, answer)

    def request(self, epoch: int = 0) -> Request:
        """Return what is asked of a route."""
        return Request(
            messages=self.messages,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            epoch=epoch,
            task=self.task,
            case=self.id,
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """A golden task: what all its cases share, and the cases."""

    id: str
    tier: str
    category: str
    agent: str | None
    critical: bool
    cases: tuple[TaskCase, ...]
    path: Path


@dataclass(frozen=True)
class Suite:
    """All golden tasks of a project, in the order of their files."""

    tasks: tuple[Task, ...]

    def cases(self) -> Iterator[TaskCase]:
        """Yield every case of every task."""
        for task in self.tasks:
            yield from task.cases

    @property
    def hash(self) -> str:
        """One hash for the whole suite; the order of files does not count."""
        return digest(sorted((case.task, case.id, case.hash) for case in self.cases()))

    def task(self, task_id: str) -> Task | None:
        """Return the task with this id."""
        return next((task for task in self.tasks if task.id == task_id), None)


def golden_files(folder: Path) -> list[Path]:
    """Return the task files below a folder, sorted."""
    return sorted(p for pattern in ("*.yaml", "*.yml") for p in folder.rglob(pattern))


def load_suite(paths: Iterable[Path]) -> Suite:
    """Read all task files. Raises InputError with every problem of every file."""
    tasks: list[Task] = []
    places: dict[str, Document] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            document = read_yaml(path)
        except InputError as exc:
            problems += exc.problems
            continue
        task, found = _load_task(document)
        problems += found
        if task is None:
            continue
        if task.id in places:
            first = places[task.id]
            message = (
                f"task `{task.id}` is defined twice; first in {first.path.name}:{first.line_of(('task',))}"
            )
            problems.append(document.problem(("task",), "duplicate-task", message, help="rename one"))
        places.setdefault(task.id, document)
        tasks.append(task)
    if problems:
        raise InputError(problems)
    return Suite(tuple(tasks))


def self_test(task: Task) -> list[str]:
    """Run a task's checks on its own oracle and wrong answers; return what does not hold.

    No model is asked. This is what finds a broken check before it judges anybody.
    """
    faults = []
    for case in task.cases:
        place = f"case `{case.id}`"
        if case.oracle is None:
            faults.append(f"{place} has no oracle: nothing shows that a right answer passes")
        elif (result := case.judge(case.oracle)).outcome is not Outcome.PASSED:
            verb = "crashes on" if result.outcome is Outcome.ERRORED else "rejects"
            faults.append(f"{place}: `{result.check}` {verb} the oracle: {result.reason}")
        if len(case.wrong) < 2 or not any(not answer.strip() for answer in case.wrong):
            faults.append(f"{place} needs at least two wrong answers, one of them empty")
        faults += [f"{place}: {fault}" for fault in _accepted_wrongs(case)]
    return faults


def _accepted_wrongs(case: TaskCase) -> Iterator[str]:
    for answer in case.wrong:
        result = case.judge(answer)
        if result.outcome is Outcome.PASSED:
            yield f"the checks accept the wrong answer {answer[:60]!r}"
        elif result.outcome is Outcome.ERRORED:
            yield f"`{result.check}` crashes on the wrong answer {answer[:60]!r}: {result.reason}"


def _load_task(document: Document) -> tuple[Task | None, list[Problem]]:
    if not isinstance(document.data, dict):
        message = "a golden task is a mapping with `task`, `tier`, `prompt`, …"
        return None, [document.problem((), "not-a-task", message)]
    spec, problems = validated(TaskSpec, document.data, document)
    problems += document.problems
    if spec is None:
        return None, problems + _problems_of_the_rest(document)
    task, found = _build_task(spec, document)
    return task, problems + found


def _problems_of_the_rest(document: Document) -> list[Problem]:
    """Return what is wrong with cases and checks where the file's head alone is already wrong."""
    head = {"task": "x", "tier": "T1", "category": "x", "prompt": "x"}
    body = {key: document.data[key] for key in _BODY if key in document.data}
    spec, _ = validated(TaskSpec, head | body, document)
    return _build_task(spec, document)[1] if spec else []


def _build_task(spec: TaskSpec, document: Document) -> tuple[Task, list[Problem]]:
    problems = list(_duplicate_cases(spec, document))
    cases = []
    for index, case in enumerate(spec.cases):
        built, found = _Builder(spec, case, ("cases", index), document).build()
        problems += found
        cases.append(built)
    task = Task(
        id=spec.task,
        tier=spec.tier,
        category=spec.category,
        agent=spec.agent,
        critical=spec.critical,
        cases=tuple(cases),
        path=document.path,
    )
    return task, problems


def _duplicate_cases(spec: TaskSpec, document: Document) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, case in enumerate(spec.cases):
        if case.id in seen:
            message = f"case `{case.id}` stands twice"
            yield document.problem(("cases", index, "id"), "duplicate-case", message, help="rename one")
        seen.add(case.id)


class _Builder:
    """Fills in one case and builds its checks, collecting problems instead of stopping at the first."""

    def __init__(self, spec: TaskSpec, case: CaseSpec, loc: Loc, document: Document) -> None:
        self.spec = spec
        self.case = case
        self.loc = loc
        self.document = document
        self.inputs: Mapping[str, Any] = case.model_extra or {}
        self.problems: list[Problem] = []
        self._missing: set[str] = set()

    def build(self) -> tuple[TaskCase, list[Problem]]:
        spec, case = self.spec, self.case
        messages = []
        if spec.system:
            messages.append(Message(role="system", content=self._text(spec.system, ("system",)).strip()))
        messages.append(Message(role="user", content=self._text(spec.prompt, ("prompt",)).strip()))
        checks = [self._check(raw, ("checks", i)) for i, raw in enumerate(spec.checks)]
        built = TaskCase(
            task=spec.task,
            id=case.id,
            tier=spec.tier,
            category=spec.category,
            agent=spec.agent,
            critical=spec.critical,
            messages=tuple(messages),
            max_tokens=spec.max_tokens,
            temperature=spec.temperature,
            checks=tuple(check for check in checks if check),
            oracle=self._oracle(),
            wrong=self._wrong(),
            hash=self._hash(messages),
            path=self.document.path,
            line=self.document.line_of((*self.loc, "id")),
        )
        return built, self.problems

    def _hash(self, messages: Sequence[Message]) -> str:
        if self.problems:
            return ""  # the suite will not load
        asked = [(message.role, message.content) for message in messages]
        checks = [fill(raw, self.inputs) for raw in self.spec.checks]
        return digest([asked, checks, self.spec.max_tokens, self.spec.temperature])

    def _oracle(self) -> str | None:
        if self.case.oracle is not None:
            return self._text(self.case.oracle, (*self.loc, "oracle"))
        return None if self.spec.oracle is None else self._text(self.spec.oracle, ("oracle",))

    def _wrong(self) -> tuple[str, ...]:
        own = self.case.wrong is not None
        answers: Sequence[str] = (self.case.wrong if own else self.spec.wrong) or ()
        loc: Loc = (*self.loc, "wrong") if own else ("wrong",)
        return tuple(self._text(answer, (*loc, i)) for i, answer in enumerate(answers))

    def _text(self, template: str, loc: Loc) -> str:
        try:
            return fill_text(template, self.inputs)
        except TemplateFault as fault:
            self._say_template(fault, loc)
            return ""

    def _say_template(self, fault: TemplateFault, loc: Loc) -> None:
        if not fault.missing:
            self._say(loc, "bad-template", str(fault))
            return
        if fault.missing in self._missing:
            return  # one mistake, however many templates use it
        self._missing.add(fault.missing)
        user = ".".join(str(part) for part in loc if isinstance(part, str))
        message = f"case `{self.case.id}` has no `{fault.missing}`, which `{user}` uses"
        help = did_you_mean(fault.missing, self.inputs) or f"add `{fault.missing}:` to the case"
        self._say(self.loc, "missing-input", message, help=help)

    def _check(self, raw: Any, loc: Loc) -> Callable[[str], CheckResult] | None:
        if not isinstance(raw, dict) or len(raw) != 1:
            message = "a check is one name and its arguments, such as `equals: yes`"
            self._say(loc, "bad-check", message)
            return None
        ((name, arguments),) = raw.items()
        if name in COMBINATORS:
            return self._combined(name, arguments, (*loc, name))
        if name not in CHECKS:
            help = did_you_mean(name, [*CHECKS, *COMBINATORS])
            self._say((*loc, name), "unknown-check", f"unknown check `{name}`", help=help, key=True)
            return None
        kind = CHECKS[name]
        try:
            filled = fill(arguments, self.inputs)
        except TemplateFault as fault:
            self._say_template(fault, (*loc, name))
            return None
        check, problems = validated(kind, kind.arguments(filled), self.document, (*loc, name))
        self.problems += problems
        return check

    def _combined(self, name: str, raw: Any, loc: Loc) -> Callable[[str], CheckResult] | None:
        parts = [raw] if name == "not" else raw
        if not isinstance(parts, list) or not parts:
            self._say(loc, "bad-check", f"`{name}` needs a list of checks")
            return None
        checks = [
            self._check(part, loc if name == "not" else (*loc, index)) for index, part in enumerate(parts)
        ]
        return COMBINATORS[name](checks) if all(checks) else None

    def _say(self, loc: Loc, code: str, message: str, *, help: str = "", key: bool = False) -> None:
        self.problems.append(self.document.problem(loc, code, message, help=help, key=key))
