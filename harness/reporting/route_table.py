"""The resolved route table, and who can be asked at what price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tabulate import tabulate

from harness.config import Config, Deployment
from harness.prices import MILLION, map_version
from harness.routes import table


def render(config: Config) -> str:
    """Return both tables as text."""
    routes = [[row.kind, row.name, " > ".join(d.id for d in row.chain), row.note] for row in table(config)]
    deployments = [[d.id, d.provider, _price(d), _state(d)] for d in config.deployments]
    as_of = config.harness.prices.as_of if config.harness.prices else ""
    source = f"{map_version()}{f', own prices of {as_of}' if as_of else ''}"
    return "\n".join(
        [
            _text(routes, ["", "", "chain", ""]),
            "",
            _text(deployments, ["deployment", "provider", "USD per 1M in / out", ""]),
            "",
            f"Prices: {source}. An agent goes before its category, a category before its tier.",
        ]
    )


def as_plain(config: Config) -> dict[str, Any]:
    """Return both tables as plain data; prices are USD per million tokens."""
    return {
        "schema_version": 1,
        "prices": map_version(),
        "routes": [
            {"kind": row.kind, "name": row.name, "chain": [d.id for d in row.chain], "note": row.note}
            for row in table(config)
        ],
        "deployments": [
            {
                "id": d.id,
                "group": d.group,
                "model": d.model,
                "provider": d.provider,
                "input": float(d.price.input * MILLION) if d.price else None,
                "output": float(d.price.output * MILLION) if d.price else None,
                "missing_keys": d.missing_keys(),
            }
            for d in config.deployments
        ],
    }


def _price(deployment: Deployment) -> str:
    price = deployment.price
    if price is None:
        return "unpriced"
    return "free" if price.free else f"{_dollars(price.input)} / {_dollars(price.output)}"


def _dollars(per_token: Decimal) -> str:
    """Return USD per million tokens: two decimals, more where the price has more.

    >>> _dollars(Decimal("0.000000075")), _dollars(Decimal("0.000003"))
    ('0.075', '3.00')
    """
    exact = f"{(per_token * MILLION).normalize():f}"
    rounded = f"{per_token * MILLION:.2f}"
    return max(exact, rounded, key=len)


def _state(deployment: Deployment) -> str:
    missing = deployment.missing_keys()
    if missing:
        return f"needs {', '.join(missing)}"
    return "embedded" if deployment.embedded else "ready"


def _text(rows: list[list[str]], head: list[str]) -> str:
    text = tabulate(rows, head, tablefmt="simple", disable_numparse=True)
    return "\n".join(line.rstrip() for line in text.splitlines())
