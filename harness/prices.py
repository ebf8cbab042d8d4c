"""What tokens cost: the pinned LiteLLM's price map, with the project's own dated prices over it.

The map is read as JSON from LiteLLM's package, so LiteLLM itself is not imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from harness.records import Usage

_MAP_FILE = "model_prices_and_context_window_backup.json"
MILLION = Decimal(1_000_000)


@dataclass(frozen=True, kw_only=True)
class Price:
    """USD per token, one price for each of the four counters."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal

    def of(self, usage: Usage) -> Decimal:
        """Return what these tokens cost, in USD."""
        return (
            usage.uncached_input * self.input
            + usage.cache_read * self.cache_read
            + usage.cache_write * self.cache_write
            + usage.output * self.output
        )

    def at_most(self, prompt_tokens: int, max_tokens: int) -> Decimal:
        """Return the most a call can cost, in USD: every prompt token at the dearest input price."""
        return prompt_tokens * max(self.input, self.cache_write) + max_tokens * self.output

    @property
    def free(self) -> bool:
        """Whether tokens cost nothing."""
        return not (self.input or self.output or self.cache_read or self.cache_write)


FREE = Price(input=Decimal(0), output=Decimal(0), cache_read=Decimal(0), cache_write=Decimal(0))


def per_million(input: float, output: float, cache_read: float | None, cache_write: float | None) -> Price:
    """Return a price from USD per million tokens; without a cache price, cached input costs as input."""
    return Price(
        input=_decimal(input) / MILLION,
        output=_decimal(output) / MILLION,
        cache_read=_decimal(input if cache_read is None else cache_read) / MILLION,
        cache_write=_decimal(input if cache_write is None else cache_write) / MILLION,
    )


def from_litellm(row: Mapping[str, Any]) -> Price | None:
    """Return the price in a row of LiteLLM's map, or in a deployment's own `litellm_params`."""
    needed = (row.get("input_cost_per_token"), row.get("output_cost_per_token"))
    if not all(isinstance(value, int | float) for value in needed):
        return None  # unpriced, as is what nobody can read
    base = _decimal(row["input_cost_per_token"])
    read = row.get("cache_read_input_token_cost")
    write = row.get("cache_creation_input_token_cost")
    return Price(
        input=base,
        output=_decimal(row["output_cost_per_token"]),
        cache_read=base if read is None else _decimal(read),
        cache_write=base if write is None else _decimal(write),
    )


def map_row(model: str) -> Mapping[str, Any] | None:
    """Return LiteLLM's row for a model as configured, with or without its provider prefix."""
    rows = _litellm_map()
    _, _, bare = model.partition("/")
    candidates = [model, bare, model.replace("ollama_chat/", "ollama/", 1)]
    return next((rows[name] for name in candidates if name in rows), None)


def map_version() -> str:
    """Return which price map is in use."""
    try:
        return f"litellm {importlib.metadata.version('litellm')}"
    except importlib.metadata.PackageNotFoundError:
        return "none"


@cache
def _litellm_map() -> Mapping[str, Mapping[str, Any]]:
    spec = importlib.util.find_spec("litellm")  # finds the package without importing it
    if spec is None or spec.origin is None:
        return {}
    rows: dict[str, Mapping[str, Any]] = json.loads(
        Path(spec.origin).with_name(_MAP_FILE).read_text(encoding="utf-8")
    )
    return rows


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value))
