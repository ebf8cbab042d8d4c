"""A route's chain, walked by ourselves, so that every attempt is seen, timed and priced."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from harness.client.base import Client
from harness.client.recorded import failed_attempt
from harness.config import Deployment
from harness.errors import BadReply, BudgetExceeded, NotRecorded, ProviderError, SetupError
from harness.records import Attempt, Reply, Request
from harness.routes import Route, prepare

TRIES = 4  # of one hop, the first included
BAD_REPLY_TRIES = 2  # it may have been paid; a second bad one is a pattern
BASE_DELAY_S = 0.5
LONGEST_WAIT_S = 60.0  # a provider that asks for more has no capacity for this run


class AllHopsFailed(ProviderError):
    """No hop of the chain gave a reply; `attempts` says what each one did."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self.attempts = tuple(attempts)
        ends = Counter(f"{a.deployment}: {a.outcome}, {a.detail}" for a in attempts)
        listed = [f"{end} ({n} times)" if n > 1 else end for end, n in ends.items()]
        super().__init__("; ".join(listed) or "the chain is empty")


@dataclass(frozen=True)
class Hop:
    """A deployment and the client that asks it."""

    deployment: Deployment
    client: Client


class ChainClient:
    """Asks the hops in order: retries what may pass, moves on from what will not."""

    def __init__(
        self,
        route: Route,
        hops: Sequence[Hop],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        need_keys: bool = True,
    ) -> None:
        self.route = route
        self.hops = hops
        self.sleep = sleep
        self.need_keys = need_keys
        """False where the record alone answers."""

    async def complete(self, request: Request) -> Reply:
        """Return the first reply a hop gives. Raises AllHopsFailed if none does."""
        attempts: list[Attempt] = []
        for hop in self.hops:
            missing = hop.deployment.missing_keys()
            if missing and self.need_keys:
                attempts.append(_skipped(hop.deployment, f"{', '.join(missing)} is not set"))
                continue
            reply = await self._ask(hop, prepare(self.route, hop.deployment, request), attempts)
            if reply:
                return replace(reply, attempts=(*attempts, *reply.attempts))
        raise AllHopsFailed(attempts)

    async def _ask(self, hop: Hop, request: Request, attempts: list[Attempt]) -> Reply | None:
        for number in range(1, TRIES + 1):
            try:
                return await hop.client.complete(request)
            except ProviderError as exc:
                attempts.append(failed_attempt(hop.deployment, exc))
                wait_s = _wait(exc, number)
                if wait_s is None:
                    return None
                await self.sleep(wait_s)
            except (NotRecorded, BudgetExceeded, SetupError) as exc:
                if hop is self.hops[-1]:
                    raise
                attempts.append(_skipped(hop.deployment, str(exc)))
                return None
        return None


def _wait(exc: ProviderError, tries: int) -> float | None:
    """Return how long to wait before asking again, in seconds, or None to give the hop up."""
    limit = BAD_REPLY_TRIES if isinstance(exc, BadReply) else TRIES
    if not exc.retryable or tries >= limit:
        return None
    if exc.retry_after_s is not None:
        return exc.retry_after_s if exc.retry_after_s <= LONGEST_WAIT_S else None
    # Full jitter: callers that failed together do not come back together.
    return random.uniform(0, BASE_DELAY_S * 2**tries)  # noqa: S311 - timing, not secrecy


def _skipped(deployment: Deployment, why: str) -> Attempt:
    return Attempt(deployment=deployment.id, provider=deployment.provider, outcome="skipped", detail=why)
