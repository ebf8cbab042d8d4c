"""What a results database has to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from harness.records import Attempt, Run, Sample


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """What the ledger knows about a question."""

    answered: Attempt | None
    in_flight: int
    """Calls that were sent and never completed: a killed run may have paid for them."""


class Ledger(Protocol):
    """Every call has a row before it is sent, completed the moment its reply arrives."""

    def look_up(self, key: str, run_id: str) -> Lookup:
        """Return the latest recorded answer to a question, and what other runs than this left open."""

    def begin(
        self,
        *,
        run_id: str,
        key: str,
        question: Mapping[str, Any],
        task: str,
        case: str,
        epoch: int,
        deployment: str,
        provider: str,
        reserve_usd: Decimal,
        budget_usd: Decimal | None,
    ) -> int:
        """Commit a row for a call about to be sent, and return its id.

        In the same transaction the most the call can cost is reserved against the run's budget.
        Raises BudgetExceeded if it does not fit; then there is no row.
        """

    def complete(self, row_id: int, attempt: Attempt, cost_usd: Decimal | None) -> None:
        """Commit how a call ended."""


class Store(Ledger, Protocol):
    """The ledger, and the runs and samples that stand on it."""

    def add_run(self, run: Run) -> None:
        """Commit a run before its first call."""

    def finish_run(self, run_id: str) -> None:
        """Note that a run came to its end by itself."""

    def add_sample(self, run_id: str, sample: Sample) -> None:
        """Commit one sample; the same cell again replaces it."""

    def run(self, run_id: str) -> Run | None:
        """Return a run."""

    def latest_run(self, provider: str) -> Run | None:
        """Return the last finished run of a provider (or of `chain`)."""

    def samples(self, run_id: str) -> Sequence[Sample]:
        """Return a run's samples, in the order of task, case, provider and epoch."""

    def attempts(self, run_id: str) -> Sequence[Attempt]:
        """Return the calls a run sent, in the order they were sent."""

    def spent(self, run_id: str) -> Decimal:
        """Return what a run has spent or may still spend on calls in flight, in USD."""

    def close(self) -> None:
        """Let go of the database."""
