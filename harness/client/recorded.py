"""The ledger around one deployment: what was answered is not asked again."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from harness.client.base import Client
from harness.config import Deployment, resolve_env
from harness.errors import (
    AuthFailed,
    BadRequest,
    BudgetExceeded,
    NotRecorded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    SetupError,
)
from harness.records import Attempt, Reply, Request, digest
from harness.routes import identity
from harness.store.base import Ledger, Lookup

# Refused before a token was made; of any other failed call the reservation stands as spent.
_UNPAID = (AuthFailed, BadRequest, QuotaExhausted, RateLimited, SetupError)
PLAIN_SERIES = "run"
"""The series of plain runs; a gate has its own, since a recording is never a new trial."""


class Mode(StrEnum):
    """What to do with recorded answers."""

    REUSE = "reuse"
    FRESH = "fresh"
    REPLAY_ONLY = "replay-only"


@dataclass(kw_only=True)
class Recording:
    """What the calls of one run share about the ledger."""

    ledger: Ledger
    run_id: str
    mode: Mode = Mode.REUSE
    series: str = PLAIN_SERIES
    budget_usd: Decimal | None = None
    asked_again: int = 0
    """Questions that a killed run had in flight: they may have been paid for twice."""
    turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """By key: of two cells with one question, the second waits for the first one's answer."""


class RecordedClient:
    """Answers from the ledger, or asks and writes down: before the call, and after it."""

    def __init__(self, inner: Client, deployment: Deployment, recording: Recording, version: str) -> None:
        self.inner = inner
        self.deployment = deployment
        self.recording = recording
        self.version = version
        """Of what serves an embedded model; elsewhere the endpoint says who answers."""

    async def complete(self, request: Request) -> Reply:
        """Answer a prepared request.

        Raises NotRecorded under `--replay-only` without a recording, BudgetExceeded if the call
        might pass `--max-cost`, and what the inner client raises; all but the last make no call.
        """
        key, question = question_key(self.deployment, request, self.recording.series, self.version)
        async with self.recording.turns[key]:
            return await self._answer(key, question, request)

    async def _answer(self, key: str, question: dict[str, object], request: Request) -> Reply:
        known = self._known(key)
        if known.answered:
            return _replayed(known.answered, self.deployment)
        if self.recording.mode is Mode.REPLAY_ONLY:
            raise NotRecorded(
                f"{request.task}[{request.case}] epoch {request.epoch} on {self.deployment.id} "
                "is not recorded; run it once without --replay-only"
            )
        self.recording.asked_again += min(known.in_flight, 1)
        row_id = self._begin(key, question, request)
        return await self._ask(row_id, request)

    def _known(self, key: str) -> Lookup:
        if self.recording.mode is Mode.FRESH:
            return Lookup(answered=None, in_flight=0)
        return self.recording.ledger.look_up(key, self.recording.run_id)

    def _begin(self, key: str, question: dict[str, object], request: Request) -> int:
        if self.deployment.priced and self.recording.budget_usd is None:
            raise BudgetExceeded(f"{self.deployment.id} costs money, or nobody knows; give --max-cost")
        reserve = worst_case(self.deployment, request)
        return self.recording.ledger.begin(
            run_id=self.recording.run_id,
            key=key,
            question=question,
            task=request.task,
            case=request.case,
            epoch=request.epoch,
            deployment=self.deployment.id,
            provider=self.deployment.provider,
            reserve_usd=reserve or Decimal(0),
            budget_usd=self.recording.budget_usd,
        )

    async def _ask(self, row_id: int, request: Request) -> Reply:
        ledger = self.recording.ledger
        started = time.monotonic()
        try:
            reply = await self.inner.complete(request)
        except Exception as exc:
            latency_ms = (time.monotonic() - started) * 1000
            cost = Decimal(0) if isinstance(exc, _UNPAID) else None
            ledger.complete(row_id, failed_attempt(self.deployment, exc, latency_ms), cost)
            raise
        price, usage = self.deployment.price, reply.served.usage
        cost = price.of(usage) if price and usage else None
        attempt = replace(reply.served, cost_usd=cost, row_id=row_id)
        ledger.complete(row_id, attempt, cost)
        return replace(reply, attempts=(attempt,))


def question_key(
    deployment: Deployment, request: Request, series: str, version: str
) -> tuple[str, dict[str, object]]:
    """Return the ledger's key of a prepared request, and what it is the key of.

    `version` stands for the endpoint of an embedded deployment, whose port says nothing. The key is of
    the address itself, the question holds it as it is configured: it may carry a secret.
    """
    endpoint = version if deployment.embedded else resolve_env(deployment.api_base)
    question = dict(identity(deployment, endpoint, request))
    key = digest(question | {"epoch": request.epoch, "series": series}, length=64)
    return key, question | {"endpoint": version if deployment.embedded else deployment.api_base}


def worst_case(deployment: Deployment, request: Request) -> Decimal | None:
    """Return the most a call can cost, in USD, or None if its price is not known.

    A token is at least one byte of UTF-8, so bytes bound the prompt from above; the chat template
    around each message is allowed 16 tokens.
    """
    if deployment.price is None:
        return None
    prompt = sum(len(m.content.encode()) + 16 for m in request.messages)
    return deployment.price.at_most(prompt, request.max_tokens)


def expected_cost(deployment: Deployment, request: Request) -> Decimal | None:
    """Return a guess of what a call costs, in USD: four bytes a token, and half the output used."""
    if deployment.price is None:
        return None
    prompt = sum(len(m.content.encode()) // 4 + 8 for m in request.messages)
    return deployment.price.at_most(prompt, request.max_tokens // 2)


def failed_attempt(deployment: Deployment, exc: Exception, latency_ms: float = 0.0) -> Attempt:
    """Return the attempt that a call which raised has been."""
    status = f" (HTTP {exc.status})" if isinstance(exc, ProviderError) and exc.status else ""
    return Attempt(
        latency_ms=latency_ms,
        deployment=deployment.id,
        provider=deployment.provider,
        outcome=type(exc).__name__,
        detail=f"{exc}{status}",
    )


def _replayed(recorded: Attempt, deployment: Deployment) -> Reply:
    # The same question may have been asked under another name: who is asked now has the say.
    attempt = replace(recorded, deployment=deployment.id, provider=deployment.provider)
    return Reply(text=attempt.text, finish_reason=attempt.finish_reason, attempts=(attempt,))
