"""Which deployments a task is asked of: agent before category before tier, or one named provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.config import Config, Deployment, Params
from harness.errors import UsageError
from harness.records import CHAIN, TIERS, Message, Request
from harness.yaml_source import did_you_mean

# Providers whose API takes a seed; elsewhere a seed would be an error or be dropped in silence.
_SEEDED = ("openai/", "groq/", "ollama/", "ollama_chat/", "azure/", "hosted_vllm/", "mistral/")


@dataclass(frozen=True, kw_only=True)
class Route:
    """An ordered chain of deployments, with the parameters that hold on it."""

    chain: tuple[Deployment, ...]
    params: Params
    system: str
    via: str
    """What decided it: `agent planner`, `category postmortem`, `tier T3`, or `provider groq`."""


def resolve(config: Config, *, tier: str, agent: str | None, category: str, provider: str = CHAIN) -> Route:
    """Return the route of a task.

    With a provider, the chain is one deployment: the provider's first in the task's own chain, else
    its first in `model_list`. Raises UsageError if there is nothing to ask.
    """
    chain, effective, via = _chain(config, tier, agent, category)
    declared = config.harness.tiers.get(effective)  # type: ignore[call-overload]
    if provider != CHAIN:
        chain, via = (_of_provider(config, chain, provider),), f"provider {provider}"
    if not chain:
        raise UsageError(
            f"{config.path.name}: nothing says where {tier} goes; "
            f"add `harness: {{tiers: {{{tier}: {{chain: […]}}}}}}`"
        )
    return Route(
        chain=chain,
        params=declared.params if declared else Params(),
        system=declared.system if declared else "",
        via=via,
    )


def prepare(route: Route, deployment: Deployment, request: Request) -> Request:
    """Return the request as this deployment is asked: limits, parameters and system prompt applied.

    Of all token limits the smallest holds. A temperature of the route goes before the deployment's,
    that before the task's, that before 0.
    """
    params = dict(deployment.params)
    limits = [request.max_tokens, params.pop("max_tokens", None), route.params.max_tokens]
    own = params.pop("temperature", None)
    temperatures = [route.params.temperature, own, request.temperature, 0.0]
    if route.params.top_p is not None:
        params["top_p"] = route.params.top_p
    if deployment.model.startswith(_SEEDED):
        params.setdefault("seed", request.epoch)
    return replace(
        request,
        messages=_with_system(route.system, request.messages),
        max_tokens=min(limit for limit in limits if limit is not None),
        temperature=next(t for t in temperatures if t is not None),
        params=params,
    )


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the resolved route table."""

    kind: str
    """`tier`, `agent` or `category`."""
    name: str
    chain: tuple[Deployment, ...]
    note: str


def table(config: Config) -> list[Row]:
    """Return where every tier, agent and category goes."""
    rows = [
        Row(kind="tier", name=tier, chain=_groups(config, config.tier_chain(tier)), note="")
        for tier in TIERS
        if config.tier_chain(tier)
    ]
    for name in config.harness.agents:
        chain, effective, _ = _chain(config, "T1", name, "")
        rows.append(Row(kind="agent", name=name, chain=chain, note=_agent_note(config, name, effective)))
    for name in config.harness.categories:
        chain, effective, _ = _chain(config, "T1", None, name)
        rows.append(Row(kind="category", name=name, chain=chain, note=f"as {effective}"))
    return rows


def floor_breaches(config: Config) -> Iterator[tuple[str, Deployment]]:
    """Yield each critical agent with a deployment of its chain that ranks below its floor.

    Every deployment of every group counts, not only the one asked first: LiteLLM may pick any.
    """
    for name, agent in config.harness.agents.items():
        if not agent.critical or agent.floor is None:
            continue
        floor = max((d.rank or 0 for d in config.group(agent.floor)), default=0)
        tiers = TIERS if agent.tier is None and agent.chain is None else TIERS[:1]
        names = dict.fromkeys(group for tier in tiers for group in _group_names(config, tier, name, ""))
        for deployment in (d for group in names for d in config.group(group)):
            if deployment.rank is None or deployment.rank < floor:
                yield name, deployment


def _agent_note(config: Config, name: str, tier: str) -> str:
    agent = config.harness.agents[name]
    notes = [f"as {tier}"] if agent.chain is None else []
    if agent.critical:
        notes.append(f"critical, floor {agent.floor}" if agent.floor else "critical")
    below = [d.id for who, d in floor_breaches(config) if who == name]
    if below:
        notes.append(f"BELOW ITS FLOOR: {', '.join(below)}")
    return "; ".join(notes)


def _chain(
    config: Config, tier: str, agent: str | None, category: str
) -> tuple[tuple[Deployment, ...], str, str]:
    """Return the chain, the tier whose parameters hold, and what decided."""
    via, spec = _decider(config, tier, agent, category)
    effective = str(spec.tier or tier) if spec else tier
    return _groups(config, _group_names(config, tier, agent, category)), effective, via


def _group_names(config: Config, tier: str, agent: str | None, category: str) -> list[str]:
    _, spec = _decider(config, tier, agent, category)
    if spec and spec.chain:
        return list(spec.chain)
    return list(config.tier_chain(str(spec.tier or tier) if spec else tier))


def _decider(config: Config, tier: str, agent: str | None, category: str) -> tuple[str, Any]:
    if agent is not None and agent in config.harness.agents:
        return f"agent {agent}", config.harness.agents[agent]
    if category in config.harness.categories:
        return f"category {category}", config.harness.categories[category]
    return f"tier {tier}", None


def _groups(config: Config, names: list[str] | Any) -> tuple[Deployment, ...]:
    return tuple(config.group(name)[0] for name in names)


def _of_provider(config: Config, chain: tuple[Deployment, ...], provider: str) -> Deployment:
    for deployment in (*chain, *config.deployments):
        if deployment.provider == provider:
            return deployment
    help = did_you_mean(provider, config.providers)
    raise UsageError(f"--provider {provider}: no deployment of {config.path.name} is hosted there; {help}")


def _with_system(prefix: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if not prefix:
        return messages
    if messages and messages[0].role == "system":
        first = replace(messages[0], content=f"{prefix}\n\n{messages[0].content}")
        return (first, *messages[1:])
    return (Message(role="system", content=prefix), *messages)


def identity(deployment: Deployment, endpoint: str | None, request: Request) -> Mapping[str, Any]:
    """Return what makes two prepared requests the same question to the same model.

    A deployment's name and id are not part of it; the endpoint, every parameter and message are.
    """
    return {
        "model": deployment.model,
        "endpoint": endpoint,
        "messages": [[m.role, m.content] for m in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "params": dict(request.params),
    }
