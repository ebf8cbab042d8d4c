"""`providers.yaml` → `Config`: a LiteLLM proxy config, plus what LiteLLM has no word for.

Everything outside `harness:` is LiteLLM's and read as it stands; any LiteLLM `config.yaml` is valid.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness import prices
from harness.errors import InputError, Problem
from harness.golden import Tier
from harness.prices import FREE, Price
from harness.records import digest
from harness.validation import Strict, validated
from harness.yaml_source import Document, Loc, did_you_mean, read_yaml, yaml_11_value

ENV_PREFIX = "os.environ/"
DEFAULT_CONCURRENCY = 10  # beyond 10 to 20 in flight LiteLLM distorts the latency it reports
DEFAULT_TIMEOUT_S = 60.0

# Where LiteLLM looks for a key when the config names none; other providers are asked without a check.
_DEFAULT_KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "cohere": "COHERE_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
    "xai": "XAI_API_KEY",
}
_LITELLM_KEYS = (
    "model_list",
    "router_settings",
    "litellm_settings",
    "general_settings",
    "environment_variables",
    "include",
)
# Parameters of an entry that say where and how LiteLLM connects, not what is asked of the model.
_NOT_ASKED = {
    *("model", "api_base", "api_key", "order", "weight", "timeout", "stream", "tags"),
    *("max_retries", "num_retries", "retry_policy", "rpm", "tpm", "max_parallel_requests", "cooldown_time"),
    *("max_budget", "budget_duration"),
    # With these LiteLLM would walk a chain of its own, unseen and unpriced.
    *("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "mock_response"),
}


class LitellmParams(BaseModel):
    """What LiteLLM is called with; keys that are not listed are passed on as they are."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    model: str = Field(min_length=1, description="LiteLLM's model name, such as `groq/openai/gpt-oss-120b`.")
    api_base: str | None = None
    api_key: str | None = Field(default=None, description="Write `os.environ/NAME`, never the key itself.")
    order: int | None = Field(default=None, description="The lowest is asked first.")
    weight: int | None = Field(default=None, description="Among equal orders, the highest is asked.")
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    timeout: float | None = Field(default=None, gt=0, description="Deadline of one call, in seconds.")


class ModelInfo(BaseModel):
    """Facts about a deployment."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    id: str | None = Field(default=None, description="Names the deployment in every result.")
    provider: str | None = Field(default=None, description="Who hosts it; default: LiteLLM's prefix.")
    embedded: bool = Field(default=False, description="Served by the harness itself, on loopback.")


class ModelEntry(BaseModel):
    """One deployment: a real model at a real endpoint."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, protected_namespaces=())

    model_name: str = Field(min_length=1, description="The model group it belongs to.")
    litellm_params: LitellmParams
    model_info: ModelInfo = ModelInfo()


class Params(Strict):
    """Parameters of a route; they go before those of its tasks."""

    max_tokens: int | None = Field(default=None, ge=1, description="The smallest of all limits holds.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)


class TierSpec(Strict):
    """Where the tasks of a tier go."""

    chain: list[str] = Field(min_length=1, description="Model groups, asked in this order.")
    params: Params = Params()
    system: str = Field(default="", description="System prompt put before the task's own.")


class AgentSpec(Strict):
    """Where the work of an agent goes, before its category and tier are looked at."""

    tier: Tier | None = None
    chain: list[str] | None = Field(default=None, min_length=1)
    critical: bool = Field(default=False, description="May never go below its floor, on any path.")
    floor: str | None = Field(default=None, description="The lowest-ranked model group it may get.")


class CategorySpec(Strict):
    """Where a category of work goes, before its tier is looked at."""

    tier: Tier | None = None
    chain: list[str] | None = Field(default=None, min_length=1)


class ModelFacts(Strict):
    """What LiteLLM has no field for."""

    rank: int | None = Field(default=None, description="Higher is better; none is below every floor.")


class PolicySpec(Strict):
    """When a change is blocked."""

    max_regressions: int = Field(default=3, ge=0, description="More regressed tasks than this block.")
    alpha: float = Field(default=0.05, gt=0, lt=1, description="False-block rate that is tolerable.")


class PriceSpec(Strict):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)


def _iso_date(text: str) -> str:
    from datetime import date

    date.fromisoformat(text)
    return text


class PricesSpec(Strict):
    """Prices that go before LiteLLM's map."""

    as_of: Annotated[str, AfterValidator(_iso_date)] = Field(description="YYYY-MM-DD")
    models: dict[str, PriceSpec] = Field(description="By LiteLLM model name.")


class HarnessSpec(Strict):
    """The `harness:` key."""

    tiers: dict[Tier, TierSpec] = Field(default_factory=dict)
    agents: dict[str, AgentSpec] = Field(default_factory=dict)
    categories: dict[str, CategorySpec] = Field(default_factory=dict)
    models: dict[str, ModelFacts] = Field(default_factory=dict, description="By model group.")
    policy: PolicySpec = PolicySpec()
    prices: PricesSpec | None = None
    concurrency: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="Calls in flight, by provider."
    )


class RouterSettings(BaseModel):
    """LiteLLM's own; what is read of it here is checked."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    fallbacks: list[dict[str, list[Any]]] = Field(default_factory=list)


class ConfigSpec(BaseModel):
    """A providers.yaml as written."""

    model_config = ConfigDict(
        extra="allow", strict=True, frozen=True, title="providers.yaml", protected_namespaces=()
    )

    model_list: list[ModelEntry] = Field(min_length=1)
    router_settings: RouterSettings = RouterSettings()
    litellm_settings: RouterSettings = RouterSettings()
    harness: HarnessSpec = HarnessSpec()


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A real model at a real endpoint. Keys stay symbolic until the moment of the call."""

    id: str
    group: str
    model: str
    provider: str
    api_base: str | None
    api_key: str | None
    params: Mapping[str, Any]
    """What is asked of the model beyond the messages."""
    timeout_s: float
    embedded: bool
    price: Price | None
    """None is `unpriced`, which is not free."""
    rank: int | None
    order: int
    weight: int

    def missing_keys(self, environ: Mapping[str, str] | None = None) -> list[str]:
        """Return the environment variables this deployment needs and has not got."""
        env = os.environ if environ is None else environ
        return [] if self.embedded else [name for name in self._needed() if not env.get(name)]

    def _needed(self) -> Iterator[str]:
        values = (self.api_base, self.api_key, *self.params.values())
        for value in values:
            if isinstance(value, str) and value.startswith(ENV_PREFIX):
                yield value.removeprefix(ENV_PREFIX)
        if self.api_key is None and self.provider in _DEFAULT_KEYS:
            yield _DEFAULT_KEYS[self.provider]

    @property
    def priced(self) -> bool:
        """Whether asking it can cost money, as far as is known."""
        return self.price is None or not self.price.free


@dataclass(frozen=True, kw_only=True)
class Config:
    """One providers.yaml, validated and resolved as far as possible without a call."""

    path: Path
    deployments: tuple[Deployment, ...]
    spec: ConfigSpec
    hash: str

    @property
    def harness(self) -> HarnessSpec:
        """The `harness:` section."""
        return self.spec.harness

    @property
    def providers(self) -> tuple[str, ...]:
        """Every provider, in the order of `model_list`."""
        return tuple(dict.fromkeys(d.provider for d in self.deployments))

    def group(self, name: str) -> list[Deployment]:
        """Return a group's deployments, the one to ask first in front."""
        members = [d for d in self.deployments if d.group == name]
        return sorted(members, key=lambda d: (d.order, -d.weight))

    def deployment(self, deployment_id: str) -> Deployment | None:
        """Return the deployment with this id."""
        return next((d for d in self.deployments if d.id == deployment_id), None)

    def concurrency(self, provider: str) -> int:
        """Return how many calls to a provider may be in flight."""
        embedded = any(d.embedded for d in self.deployments if d.provider == provider)
        # The embedded server has one slot: a second call would only wait there and look slow.
        return self.harness.concurrency.get(provider, 1 if embedded else DEFAULT_CONCURRENCY)

    def tier_chain(self, tier: str) -> Sequence[str]:
        """Return a tier's chain: declared, or the model group named like it and its fallbacks."""
        declared = self.harness.tiers.get(tier)  # type: ignore[call-overload]
        if declared:
            return list(declared.chain)
        group = next((d.group for d in self.deployments if d.group.lower() == tier.lower()), None)
        return [group, *self._fallbacks(group)] if group else []

    def _fallbacks(self, group: str) -> list[str]:
        listed = self.spec.router_settings.fallbacks or self.spec.litellm_settings.fallbacks
        known = {d.group for d in self.deployments}
        return [name for rule in listed if group in rule for name in rule[group] if name in known]


def load_config(path: Path) -> Config:
    """Read a providers.yaml. Raises InputError with every problem of the file."""
    if not path.exists():
        message = "no such file"
        raise InputError(
            [Problem(code="no-config", message=message, path=path, help="go to your project's folder")]
        )
    document = read_yaml(path, aliases=True)
    problems = [*document.problems, *_ambiguous_scalars(document)]
    if not isinstance(document.data, dict):
        raise InputError(
            [*problems, document.problem((), "not-a-config", "expected a mapping with `model_list`")]
        )
    problems += _misspelt_sections(document)
    spec, found = validated(ConfigSpec, document.data, document)
    problems += found
    problems += _dangling_names(document)
    if spec is None or problems:
        raise InputError(problems)
    return Config(
        path=path,
        deployments=tuple(_deployments(spec)),
        spec=spec,
        hash=digest(document.data),
    )


def resolve_env(value: Any, environ: Mapping[str, str] | None = None) -> Any:
    """Return a value with `os.environ/NAME` replaced by the variable, or None where it is not set."""
    if isinstance(value, str) and value.startswith(ENV_PREFIX):
        return (os.environ if environ is None else environ).get(value.removeprefix(ENV_PREFIX))
    return value


def _ambiguous_scalars(document: Document) -> Iterator[Problem]:
    """LiteLLM reads its sections as YAML 1.1: what the two versions read differently has to be quoted."""
    for loc, node in document.scalars.items():
        if node.style in ("'", '"', "|", ">") or (loc and loc[0] == "harness"):
            continue
        ours, theirs = _value_at(document.data, loc), yaml_11_value(node)
        if (type(ours), ours) != (type(theirs), theirs):
            message = f"`{node.value[:40]}` is {theirs!r} for LiteLLM (YAML 1.1) and {ours!r} in YAML 1.2"
            yield document.problem(loc, "ambiguous-scalar", message, help="quote it, or write it out")


def _value_at(data: Any, loc: Sequence[Any]) -> Any:
    for part in loc:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return None
    return data


def _misspelt_sections(document: Document) -> Iterator[Problem]:
    """Yield the top-level keys that look like a slip of the pen; others are LiteLLM's business."""
    known = {*_LITELLM_KEYS, "harness"}
    for key in set(document.data) - known:
        help = did_you_mean(key, known)
        if help.startswith("did you mean"):
            yield document.problem((key,), "unknown-key", f"unknown key `{key}`", help=help, key=True)


def _dangling_names(document: Document) -> Iterator[Problem]:
    """Names of model groups that no entry has; read from plain data, so that a broken file tells all."""
    entries = [entry for entry in _at(document.data, "model_list", default=[]) if isinstance(entry, dict)]
    groups = {str(entry.get("model_name")) for entry in entries}
    harness = _at(document.data, "harness", default={})
    models = _at(harness, "models", default={})
    for section in ("tiers", "agents", "categories"):
        for name, entry in _at(harness, section, default={}).items():
            for index, group in enumerate(_at(entry, "chain", default=[])):
                if str(group) not in groups:
                    yield _unknown_group(document, ("harness", section, name, "chain", index), group, groups)
            floor = _at(entry, "floor", default="")
            place = ("harness", section, name, "floor")
            if floor and floor not in groups:
                yield _unknown_group(document, place, floor, groups)
            elif floor and not _at(
                _at(_at(harness, "models", default={}), floor, default={}), "rank", default=0
            ):
                message = f"`{floor}` has no rank, so nothing is below it"
                help = f"add `harness: {{models: {{{floor}: {{rank: …}}}}}}`"
                yield document.problem(place, "unranked-floor", message, help=help)
    for group in models:
        if group not in groups:
            yield _unknown_group(document, ("harness", "models", group), group, groups)
    yield from _duplicate_ids(entries, document)


def _at(data: Any, key: str, *, default: Any) -> Any:
    """Return a value of a mapping if it is of its default's type, else the default."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, type(default)) else default


def _unknown_group(document: Document, loc: Loc, group: object, groups: set[str]) -> Problem:
    message = f"no entry of `model_list` has the model_name `{group}`"
    return document.problem(loc, "unknown-model", message, help=did_you_mean(str(group), groups))


def _duplicate_ids(entries: Sequence[Mapping[str, Any]], document: Document) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        name = _at(_at(entry, "model_info", default={}), "id", default="")
        if name and name in seen:
            loc = ("model_list", index, "model_info", "id")
            message = f"deployment id `{name}` stands twice; results could not tell them apart"
            yield document.problem(loc, "duplicate-id", message, help="rename one")
        seen.add(name)


def _deployments(spec: ConfigSpec) -> Iterator[Deployment]:
    taken = {entry.model_info.id for entry in spec.model_list}
    for index, entry in enumerate(spec.model_list):
        params, info = entry.litellm_params, entry.model_info
        row = prices.map_row(params.model)
        asked = {
            key: value
            for key, value in params.model_dump(exclude_none=True).items()
            if key not in _NOT_ASKED and "cost_per" not in key
        }
        name = entry.model_name if entry.model_name not in taken else f"{entry.model_name}-{index}"
        taken.add(info.id or name)
        facts = spec.harness.models.get(entry.model_name, ModelFacts())
        yield Deployment(
            id=info.id or name,
            group=entry.model_name,
            model=params.model,
            provider=info.provider or _provider(params.model, row),
            api_base=params.api_base,
            api_key=params.api_key,
            params=asked,
            timeout_s=params.timeout or DEFAULT_TIMEOUT_S,
            embedded=info.embedded,
            price=_price(spec, entry, row),
            rank=facts.rank,
            order=params.order if params.order is not None else 1,
            weight=params.weight if params.weight is not None else 1,
        )


def _provider(model: str, row: Mapping[str, Any] | None) -> str:
    prefix, slash, _ = model.partition("/")
    name = prefix if slash else str((row or {}).get("litellm_provider", "openai"))
    return "ollama" if name == "ollama_chat" else name


def _price(spec: ConfigSpec, entry: ModelEntry, row: Mapping[str, Any] | None) -> Price | None:
    own = spec.harness.prices.models.get(entry.litellm_params.model) if spec.harness.prices else None
    if own:
        return prices.per_million(own.input, own.output, own.cache_read, own.cache_write)
    for source in (entry.litellm_params.model_extra, entry.model_info.model_extra):
        declared = prices.from_litellm(source or {})
        if declared:
            return declared
    if entry.model_info.embedded:
        return FREE
    return prices.from_litellm(row) if row else None
