"""How many calls may be in flight, and whether new ones may still start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.client.base import Client
from harness.errors import NotAsked
from harness.records import Reply, Request


class Limits:
    """Shared by all calls of a run: a number of places for each provider, and a stop switch."""

    def __init__(self, places: Callable[[str], int]) -> None:
        self._places = places
        self._semaphores: dict[str, asyncio.Semaphore] = {}
        self.stopping = False
        self.in_flight = 0

    def of(self, provider: str) -> asyncio.Semaphore:
        """Return a provider's places."""
        if provider not in self._semaphores:
            self._semaphores[provider] = asyncio.Semaphore(self._places(provider))
        return self._semaphores[provider]


class LimitedClient:
    """Waits for a free place, and starts nothing once the run is stopping."""

    def __init__(self, inner: Client, provider: str, limits: Limits) -> None:
        self.inner = inner
        self.provider = provider
        self.limits = limits

    async def complete(self, request: Request) -> Reply:
        """Answer through the inner client. Raises NotAsked if the run was stopped before."""
        async with self.limits.of(self.provider):
            if self.limits.stopping:
                raise NotAsked("the run was stopped before this was asked")
            self.limits.in_flight += 1
            try:
                return await self.inner.complete(request)
            finally:
                self.limits.in_flight -= 1
