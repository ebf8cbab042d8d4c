"""The records every layer shares: what is asked, what came back, what it was worth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

TIERS = ("T1", "T2", "T3", "T4", "T5")
CHAIN = "chain"
"""The label of what runs when no `--provider` is named: the tier's whole chain."""


class Outcome(StrEnum):
    """What one sample (or one check) says about the model. The three are never merged."""

    PASSED = "passed"
    FAILED = "failed"
    """The model was wrong."""
    ERRORED = "errored"
    """Nobody can tell: no usable reply, or a check that crashed."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One chat message; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a route: messages, parameters, and which repeat this is."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters, as LiteLLM names them."""
    epoch: int = 0
    task: str = ""
    case: str = ""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one call, as four counters that do not overlap.

    Prompt tokens are `uncached_input + cache_read + cache_write`. `reasoning` is a part of `output`.
    """

    uncached_input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All prompt tokens."""
        return self.uncached_input + self.cache_read + self.cache_write


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One hop of a chain: which deployment was asked, and how it ended.

    `outcome` is `answered`, `skipped` (not asked at all) or the name of the error. `latency_ms` is
    wall time of this try alone. `usage` is None where the provider sent none that can be believed.
    """

    deployment: str
    provider: str
    outcome: str
    detail: str = ""
    latency_ms: float = 0.0
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    text: str = ""
    finish_reason: str = ""
    served_model: str = ""
    fingerprint: str = ""
    recorded: bool = False
    """True when the ledger answered and nothing was asked."""
    row_id: int | None = None
    """The ledger row that holds this attempt."""

    @property
    def answered(self) -> bool:
        """Whether this hop gave the reply."""
        return self.outcome == "answered"

    @property
    def called(self) -> bool:
        """Whether a request left this machine now."""
        return not self.recorded and self.outcome != "skipped"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a route answered, and every attempt it took; the last attempt is the one that answered."""

    text: str
    finish_reason: str
    attempts: tuple[Attempt, ...]

    @property
    def served(self) -> Attempt:
        """The attempt that answered."""
        return self.attempts[-1]

    @property
    def fallback_used(self) -> bool:
        """Whether another deployment than the first of the chain answered."""
        return self.served.deployment != self.attempts[0].deployment

    @property
    def truncated(self) -> bool:
        """Whether the answer ran into its token limit."""
        return self.finish_reason == "length"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one check says of one answer, with a reason a person understands."""

    check: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One task case asked once: its outcome, why, and what it took."""

    task: str
    case: str
    tier: str
    category: str
    provider: str
    """The label of what was run: a provider's name, or `chain`."""
    epoch: int
    outcome: Outcome
    reason: str
    case_hash: str = ""
    answer: str = ""
    finish_reason: str = ""
    deployment: str = ""
    served_model: str = ""
    fallback_used: bool = False
    calls: int = 0
    retries: int = 0
    recorded: bool = False
    usage: Usage | None = None
    latency_ms: float = 0.0
    row_id: int | None = None

    @property
    def truncated(self) -> bool:
        """Whether the answer ran into its token limit."""
        return self.finish_reason == "length"

    @property
    def judged(self) -> bool:
        """Whether this sample is evidence."""
        return self.outcome is not Outcome.ERRORED


@dataclass(frozen=True, kw_only=True)
class Run:
    """One start of the harness, with what is needed to know later what it was."""

    id: str
    started: str
    """UTC, ISO 8601."""
    providers: tuple[str, ...]
    epochs: int
    git_sha: str
    suite_hash: str
    config_hash: str
    cases_in_suite: int
    cases_selected: int
    versions: Mapping[str, str] = field(default_factory=dict)
    max_cost_usd: Decimal | None = None


def digest(value: object, length: int = 16) -> str:
    """Return a stable hash of plain data: SHA-256 of its canonical JSON, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def plain(record: Any) -> dict[str, Any]:
    """Return a record as plain data."""
    return asdict(record)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of a non-empty sequence; `share` is within 0 to 1.

    >>> percentile([10, 20, 30, 40], 0.5)
    20
    """
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]
