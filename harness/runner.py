"""From a plan to samples: every cell fired at once in one event loop, a bounded number in flight.

The loop runs in a thread of its own, so that whoever reports the results (pytest's items, one after
the other) waits for each without holding the others up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from harness.client.base import Client
from harness.client.chain import AllHopsFailed
from harness.client.limits import Limits
from harness.errors import HarnessError, NotAsked
from harness.golden import TaskCase
from harness.records import Attempt, Outcome, Reply, Sample, Usage

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One question of a plan: a task case, asked under a label, for the n-th time."""

    provider: str
    case: TaskCase
    epoch: int


async def sample(cell: Cell, client: Client) -> Sample:
    """Ask one cell and judge the answer. Whatever goes wrong becomes an errored sample.

    Raises NotAsked alone: a cell that was never asked is no sample.
    """
    try:
        reply = await client.complete(cell.case.request(cell.epoch))
    except NotAsked:
        raise
    except AllHopsFailed as exc:
        return _errored(cell, str(exc), exc.attempts)
    except HarnessError as exc:
        return _errored(cell, str(exc), ())
    except Exception as exc:  # noqa: BLE001 - one broken cell must not take the paid ones with it
        return _errored(cell, f"{type(exc).__name__}: {exc}", ())
    # A slow check (a pattern, a query) must not hold up the loop: it would lengthen others' latency.
    return await asyncio.to_thread(judged, cell, reply)


def judged(cell: Cell, reply: Reply) -> Sample:
    """Return the sample that a reply is. A refusal by the provider's filter is a failure of the route."""
    result = cell.case.judge(reply.text)
    outcome, reason = result.outcome, result.reason
    if reply.finish_reason == "content_filter":
        outcome, reason = Outcome.FAILED, "the provider's content filter refused it"
    elif reply.truncated and outcome is Outcome.FAILED:
        reason += " (cut off at its token limit)"
    return sample_of(cell, outcome, reason, [reply])


def _errored(cell: Cell, reason: str, attempts: Sequence[Attempt]) -> Sample:
    return sample_of(cell, Outcome.ERRORED, reason, [], attempts)


def sample_of(
    cell: Cell, outcome: Outcome, reason: str, replies: Sequence[Reply], failed: Sequence[Attempt] = ()
) -> Sample:
    """Return the sample of an outcome: usage and cost of all its replies, the text of the last."""
    case = cell.case
    attempts = [*(attempt for reply in replies for attempt in reply.attempts), *failed]
    called = [attempt for attempt in attempts if attempt.called]
    reply = replies[-1] if replies else None
    served = reply.served if reply else None
    return Sample(
        task=case.task,
        case=case.id,
        tier=case.tier,
        category=case.category,
        provider=cell.provider,
        epoch=cell.epoch,
        outcome=outcome,
        reason=reason,
        case_hash=case.hash,
        answer=reply.text if reply else "",
        finish_reason=reply.finish_reason if reply else "",
        deployment=served.deployment if served else "",
        served_model=served.served_model if served else "",
        fallback_used=any(reply.fallback_used for reply in replies),
        calls=len(called),
        retries=sum(1 for attempt in called if not attempt.answered),
        recorded=bool(replies) and not called,
        usage=_total_usage([reply.served.usage for reply in replies]),
        latency_ms=served.latency_ms if served else 0.0,
        row_id=served.row_id if served else None,
    )


def _total_usage(usages: Sequence[Usage | None]) -> Usage | None:
    """Return the sum, or None if any of them is not known."""
    known = [usage for usage in usages if usage]
    if not known or len(known) < len(usages):
        return None
    return Usage(**{f.name: sum(getattr(usage, f.name) for usage in known) for f in fields(Usage)})


class Runner:
    """Runs coroutines in its own loop and thread. Start it, submit, wait, stop."""

    def __init__(self, limits: Limits, at_close: Callable[[], Awaitable[None]]) -> None:
        self.limits = limits
        self._at_close = at_close
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="harness", daemon=True)
        self._running: set[Future[Any]] = set()
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine; its result is waited for with `.result()`."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return self.limits.in_flight

    def finish(self) -> None:
        """Start nothing new, and wait for what is in flight; its answers are kept."""
        self.limits.stopping = True
        for future in list(self._running):
            future.exception() if not future.cancelled() else None

    def close(self) -> None:
        """Drop what still runs, and end the loop and its thread."""
        if self._loop.is_closed():
            return
        self.limits.stopping = True
        asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _wind_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._at_close()
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
