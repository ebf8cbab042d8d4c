"""The one thing every client does."""

from __future__ import annotations

from typing import Protocol

from harness.records import Reply, Request


class Client(Protocol):
    """Something that answers requests."""

    async def complete(self, request: Request) -> Reply:
        """Answer a request, or raise a ProviderError."""
