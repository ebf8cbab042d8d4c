"""One run of golden tasks: what is selected, what it may cost, the answers, the evidence.

The pytest plugin drives it; nothing here knows pytest.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property

from harness.baseline import Baseline
from harness.client import (
    ChainClient,
    LimitedClient,
    Limits,
    LiteLLMClient,
    Mode,
    RecordedClient,
    Recording,
    embedded,
)
from harness.client.base import Client
from harness.client.chain import Hop
from harness.client.embedded import EmbeddedClient
from harness.client.litellm_client import close_connections
from harness.client.recorded import expected_cost, question_key, worst_case
from harness.config import Deployment
from harness.errors import UsageError, counted
from harness.golden import TaskCase
from harness.project import Project, git_sha, versions
from harness.records import CHAIN, TIERS, Outcome, Reply, Request, Run, Sample
from harness.routes import Route, prepare, resolve
from harness.runner import Cell, Runner, sample
from harness.verdict import CaseEvidence, Evidence, Policy
from harness.yaml_source import did_you_mean


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a run was asked to be."""

    tiers: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    epochs: int = 1
    baseline: str | None = None
    gate: bool = False
    max_cost_usd: Decimal | None = None
    mode: Mode = Mode.REUSE

    @property
    def labels(self) -> tuple[str, ...]:
        """What is run: each provider named, or the tiers' chains."""
        return self.providers or (CHAIN,)

    def selects(self, *, tier: str, category: str, agent: str | None) -> bool:
        """Whether a task is asked for."""
        return (
            (not self.tiers or tier in self.tiers)
            and (not self.categories or category in self.categories)
            and (not self.agents or agent in self.agents)
        )


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One case that a run is expected to judge, under one label."""

    provider: str
    task: str
    case: str
    tier: str
    category: str
    hash: str
    place: str
    """`file:line`, as the user would open it."""


@dataclass(kw_only=True)
class Estimate:
    """What a run will ask of one deployment."""

    calls: int = 0
    expected_usd: Decimal = Decimal(0)
    worst_usd: Decimal = Decimal(0)
    unpriced: bool = False


@dataclass
class Session:
    """A run in the making. `run_id` is given to the workers of a run that several processes share."""

    project: Project
    options: Options
    run_id: str = ""
    workers: int = 1
    """How many processes share the run, and so the places for calls in flight."""
    planned: list[Planned] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._shares_run = bool(self.run_id)
        self.run_id = self.run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.started = datetime.now(UTC)
        self._futures: dict[tuple[str, str, str], list[Future[Sample]]] = {}
        self._clients: dict[tuple[str, str, str | None, str], Client] = {}

    # Before anything is asked

    def check_names(self) -> None:
        """Raise UsageError for tiers and providers that do not exist, or baselines that are needed."""
        _check_known("--tier", self.options.tiers, TIERS)
        for provider in self.options.providers:
            resolve(self.project.config, tier="T1", agent=None, category="", provider=provider)
        missing = [label for label in self.options.labels if self.baselines[label] is None]
        if missing and self.options.baseline:
            raise UsageError(f"--baseline {self.options.baseline}: there is no such file in golden/baselines")
        if missing and self.options.gate:
            self._need_baseline(missing[0])

    def check_selection(self, *, categories: AbstractSet[str], agents: AbstractSet[str]) -> None:
        """Raise UsageError for a category or agent that no task has, nor a test's mark (given here)."""
        tasks = self.project.suite.tasks
        _check_known("--category", self.options.categories, {t.category for t in tasks} | categories)
        _check_known("--agent", self.options.agents, {t.agent for t in tasks if t.agent} | agents)

    def _need_baseline(self, label: str) -> None:
        provider = "" if label == CHAIN else f" --provider {label}"
        raise UsageError(
            f"--gate: no baseline `{label}` to compare with; make it first: "
            f"pytest{provider} --epochs 5, then harness baseline promote {label}"
        )

    def check_planned(self) -> None:
        """Raise UsageError if two planned cases have one name: their results could not be told apart."""
        seen: dict[tuple[str, str, str], Planned] = {}
        for plan in self.planned:
            first = seen.setdefault((plan.provider, plan.task, plan.case), plan)
            if first is not plan:
                raise UsageError(
                    f"{first.place} and {plan.place} are both {plan.task}[{plan.case}]; rename one"
                )

    def route(self, label: str, *, tier: str, agent: str | None, category: str) -> Route:
        """Return where a task goes under a label."""
        return resolve(self.project.config, tier=tier, agent=agent, category=category, provider=label)

    def first_asked(self, route: Route) -> Deployment | None:
        """Return the deployment of a chain that would be asked first: the first with all its keys."""
        return next((d for d in route.chain if not d.missing_keys()), None)

    def check_ready(self, cells: Sequence[Cell]) -> None:
        """Raise UsageError if a named provider lacks its key, or the embedded model is not installed."""
        if self.options.mode is Mode.REPLAY_ONLY:
            return
        for label, route in self._routes(cells):
            first = self.first_asked(route)
            if label != CHAIN and first is None:
                deployment = route.chain[0]
                raise UsageError(
                    f"--provider {label}: {deployment.id} needs "
                    f"{' and '.join(deployment.missing_keys())}, which is not set; nothing was run "
                    "(recorded answers: --replay-only)"
                )
            if first and first.embedded and not embedded.is_installed():
                raise UsageError(f"{first.id}: the embedded model is not installed; {embedded.INSTALL}")

    def skipped_hops(self, cells: Sequence[Cell]) -> list[str]:
        """Return, in words, which hops of the selected chains cannot be asked for want of a key."""
        notes: dict[str, None] = {}
        for label, route in self._routes(cells):
            for deployment in route.chain if label == CHAIN else ():
                missing = deployment.missing_keys()
                if not missing:
                    break
                notes[f"{deployment.id} skipped: {', '.join(missing)} is not set"] = None
        return list(notes)

    def estimate(self, cells: Sequence[Cell]) -> dict[str, Estimate]:
        """Return what the cells would newly ask, by deployment, if every first hop answers."""
        estimates: dict[str, Estimate] = {}
        for cell in cells if self.options.mode is not Mode.REPLAY_ONLY else ():
            route = self._route_of(cell)
            deployment = self.first_asked(route)
            if deployment is None or self._is_recorded(deployment, route, cell):
                continue
            request = prepare(route, deployment, cell.case.request(cell.epoch))
            entry = estimates.setdefault(deployment.id, Estimate())
            entry.calls += 1
            entry.unpriced |= deployment.price is None
            entry.expected_usd += expected_cost(deployment, request) or Decimal(0)
            entry.worst_usd += worst_case(deployment, request) or Decimal(0)
        return estimates

    def check_budget(self, estimates: Mapping[str, Estimate]) -> None:
        """Raise UsageError if something that costs money would be asked without `--max-cost`."""
        paid = {name: e for name, e in estimates.items() if e.worst_usd or e.unpriced}
        if paid and self.options.max_cost_usd is None:
            lines = "\n".join(estimate_lines(paid))
            raise UsageError(
                f"this run would ask priced deployments:\n{lines}\nadd --max-cost USD to allow it"
            )

    def _is_recorded(self, deployment: Deployment, route: Route, cell: Cell) -> bool:
        if self.options.mode is Mode.FRESH:
            return False
        request = prepare(route, deployment, cell.case.request(cell.epoch))
        key, _ = question_key(deployment, request, self.recording.series, embedded.version())
        return self.project.store.look_up(key, self.run_id).answered is not None

    def _routes(self, cells: Sequence[Cell]) -> Iterable[tuple[str, Route]]:
        seen = {(c.provider, c.case.tier, c.case.agent, c.case.category): c for c in cells}
        return [(cell.provider, self._route_of(cell)) for cell in seen.values()]

    def _route_of(self, cell: Cell) -> Route:
        case = cell.case
        return self.route(cell.provider, tier=case.tier, agent=case.agent, category=case.category)

    # Asking

    @cached_property
    def limits(self) -> Limits:
        """The places for calls in flight."""
        return Limits(lambda provider: max(1, self.project.config.concurrency(provider) // self.workers))

    @cached_property
    def runner(self) -> Runner:
        """The event loop, started on first use."""
        return Runner(self.limits, close_connections)

    @cached_property
    def recording(self) -> Recording:
        """How this run uses the ledger."""
        return Recording(
            ledger=self.project.store,
            run_id=self.run_id,
            mode=self.options.mode,
            budget_usd=self.options.max_cost_usd,
        )

    def cells(self, label: str, case: TaskCase) -> list[Cell]:
        """Return the cells of one case: its epochs."""
        return [Cell(label, case, epoch) for epoch in range(self.options.epochs)]

    def open_run(self, cases_selected: int) -> None:
        """Commit the run to the database before its first call."""
        if self._shares_run:
            return
        self.project.store.add_run(
            Run(
                id=self.run_id,
                started=self.started.isoformat(timespec="seconds"),
                providers=self.options.labels,
                epochs=self.options.epochs,
                git_sha=git_sha(self.project.root),
                suite_hash=self.project.suite.hash,
                config_hash=self.project.config.hash,
                cases_in_suite=sum(1 for _ in self.project.suite.cases()),
                cases_selected=cases_selected,
                versions=versions(),
                max_cost_usd=self.options.max_cost_usd,
            )
        )

    def start(self, cells: Iterable[Cell]) -> None:
        """Fire all cells at once; the limits let through what may be in flight."""
        for cell in cells:
            key = (cell.provider, cell.case.task, cell.case.id)
            self._futures.setdefault(key, []).append(self.runner.submit(self._sample(cell)))

    def samples(self, label: str, case: TaskCase) -> list[Sample]:
        """Return the samples of a case, waiting for them; start it if that has not happened.

        Raises NotAsked if the run was stopped before all of them were asked.
        """
        key = (label, case.task, case.id)
        if key not in self._futures:
            self.start(self.cells(label, case))
        return [future.result() for future in self._futures[key]]

    def complete(self, label: str, case: TaskCase, request: Request) -> Reply:
        """Answer one request along the route of a case, waiting for the reply."""
        return self.runner.submit(self.client(label, case).complete(request)).result()

    def add_sample(self, sample: Sample) -> None:
        """Keep a sample that was judged elsewhere, by a test function."""
        self.project.store.add_sample(self.run_id, sample)

    def client(self, label: str, case: TaskCase) -> Client:
        """Return the client of a case's route; cases on one route share it."""
        key = (label, case.tier, case.agent, case.category)
        if key not in self._clients:
            route = self.route(label, tier=case.tier, agent=case.agent, category=case.category)
            hops = [Hop(deployment, self._hop(deployment)) for deployment in route.chain]
            need_keys = self.options.mode is not Mode.REPLAY_ONLY
            self._clients[key] = ChainClient(route, hops, need_keys=need_keys)
        return self._clients[key]

    def _hop(self, deployment: Deployment) -> Client:
        transport: Client = LiteLLMClient(deployment)
        if deployment.embedded:
            transport = EmbeddedClient(transport)
        recorded = RecordedClient(transport, deployment, self.recording, embedded.version())
        return LimitedClient(recorded, deployment.provider, self.limits)

    async def _sample(self, cell: Cell) -> Sample:
        result = await sample(cell, self.client(cell.provider, cell.case))
        self.project.store.add_sample(self.run_id, result)
        return result

    # Afterwards

    @cached_property
    def baselines(self) -> dict[str, Baseline | None]:
        """Each label's baseline, if there is one. Raises BaselineError if one cannot be read."""
        return {label: self.project.baseline(self.options.baseline or label) for label in self.options.labels}

    def evidence_of(self, planned: Planned, samples: Sequence[Sample]) -> CaseEvidence:
        """Return what was seen of one case, beside its baseline."""
        baseline = self.baselines.get(planned.provider)
        entry = baseline.entry(planned.task, planned.case, planned.hash) if baseline else None
        bad = next((s.reason for s in samples if s.outcome is not Outcome.PASSED), "")
        return CaseEvidence(
            provider=planned.provider,
            task=planned.task,
            case=planned.case,
            tier=planned.tier,
            category=planned.category,
            expected=self.options.epochs,
            passes=sum(s.outcome is Outcome.PASSED for s in samples),
            failures=sum(s.outcome is Outcome.FAILED for s in samples),
            errored=sum(s.outcome is Outcome.ERRORED for s in samples),
            truncated=sum(s.truncated for s in samples),
            unpriced=sum(s.judged and self.cost(s) is None for s in samples),
            fallbacks=sum(s.fallback_used for s in samples),
            baseline_passes=entry.passes if entry else None,
            baseline_epochs=entry.epochs if entry else None,
            reason=bad,
        )

    def evidence(self, samples: Sequence[Sample]) -> Evidence:
        """Return the evidence of the whole run: every planned case, asked or not."""
        policy = self.project.config.harness.policy
        by_case: dict[tuple[str, str, str], list[Sample]] = {}
        for one in samples:
            by_case.setdefault((one.provider, one.task, one.case), []).append(one)
        return Evidence(
            cases=tuple(
                self.evidence_of(p, by_case.get((p.provider, p.task, p.case), [])) for p in self.planned
            ),
            policy=Policy(max_regressions=policy.max_regressions, alpha=policy.alpha),
            without_baseline=tuple(label for label, found in self.baselines.items() if found is None),
            provenance=self._provenance(),
        )

    def cost(self, sample: Sample) -> Decimal | None:
        """Return what a sample's answer costs by today's price book, or None if that is not known."""
        deployment = self.project.config.deployment(sample.deployment)
        if deployment is None or deployment.price is None or sample.usage is None:
            return None
        return deployment.price.of(sample.usage)

    def close(self) -> None:
        """End the runner and let go of the database."""
        if "runner" in vars(self):
            self.runner.close()
        if "store" in vars(self.project):
            self.project.store.close()

    def _provenance(self) -> dict[str, object]:
        return {
            "run": self.run_id,
            "started": self.started.isoformat(timespec="seconds"),
            "git_sha": git_sha(self.project.root),
            "suite_hash": self.project.suite.hash,
            "config_hash": self.project.config.hash,
            "epochs": self.options.epochs,
            "versions": versions(),
            "baselines": {
                label: {
                    key: getattr(found, key) for key in ("promoted", "git_sha", "suite_hash", "config_hash")
                }
                for label, found in self.baselines.items()
                if found
            },
        }


def _check_known(option: str, given: Sequence[str], names: Iterable[str]) -> None:
    for name in given:
        if name not in names:
            raise UsageError(f"{option} {name}: there is none; {did_you_mean(name, names)}")


def planned(label: str, case: TaskCase, place: str) -> Planned:
    """Return the plan for one case."""
    return Planned(
        provider=label,
        task=case.task,
        case=case.id,
        tier=case.tier,
        category=case.category,
        hash=case.hash,
        place=place,
    )


def estimate_lines(estimates: Mapping[str, Estimate]) -> list[str]:
    """Return a table of what a run will ask and cost."""
    lines = []
    for name, entry in sorted(estimates.items()):
        cost = (
            "price unknown"
            if entry.unpriced
            else f"about ${entry.expected_usd:.4f} (at most ${entry.worst_usd:.4f})"
        )
        lines.append(f"  {name:<24} {counted(entry.calls, 'call'):>11}   {cost}")
    return lines
