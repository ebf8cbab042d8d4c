"""providers.yaml: any LiteLLM config is valid, and what is wrong is said at its line."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from pathlib import Path

import pytest

from harness.config import load_config
from harness.errors import InputError, UsageError
from harness.records import Message, Request, Usage
from harness.routes import floor_breaches, prepare, resolve, table

ROOT = Path(__file__).parents[1]

PLAIN_LITELLM = """
model_list:
  - model_name: t3
    litellm_params: {model: anthropic/claude-haiku-4-5, api_key: os.environ/ANTHROPIC_API_KEY, order: 2}
    model_info: {id: claude-api}
  - model_name: t3
    litellm_params: {model: groq/openai/gpt-oss-120b, order: 1}
  - model_name: t3-fallback
    litellm_params: {model: ollama_chat/llama3.1, api_base: "http://127.0.0.1:11434"}
router_settings: {num_retries: 1, fallbacks: [{t3: [t3-fallback]}]}
litellm_settings: {drop_params: true}
general_settings: {master_key: os.environ/MASTER_KEY}
guardrails: [{guardrail_name: x}]
"""

OURS = """
model_list:
  - {model_name: small, litellm_params: {model: openai/small, api_key: none, max_tokens: 40, temperature: 0.3}}
  - {model_name: big, litellm_params: {model: openai/big, api_key: none}}
harness:
  tiers:
    T1: {chain: [small, big], params: {max_tokens: 20}, system: Be brief.}
    T5: {chain: [big]}
  agents: {auditor: {tier: T5, critical: true, floor: big}}
  categories: {postmortem: {chain: [big]}}
  models: {small: {rank: 1}, big: {rank: 4}}
  prices: {as_of: 2026-11-01, models: {openai/big: {input: 2, output: 8}}}
"""


@pytest.fixture
def config_of(tmp_path):
    def load(text):
        path = tmp_path / "providers.yaml"
        path.write_text(textwrap.dedent(text))
        return load_config(path)

    return load


def test_a_plain_litellm_config_is_valid_and_its_groups_are_tiers(config_of):
    config = config_of(PLAIN_LITELLM)

    assert [d.provider for d in config.deployments] == ["anthropic", "groq", "ollama"]
    assert [d.id for d in resolve(config, tier="T3", agent=None, category="x").chain] == ["t3", "t3-fallback"]
    assert [row.name for row in table(config)] == ["T3"]


def test_the_shipped_config_is_valid_and_prices_what_it_names():
    config = load_config(ROOT / "providers.yaml")

    assert set(config.providers) == {"local", "ollama", "groq", "anthropic", "openai"}
    assert [d.id for d in config.deployments if d.price is None] == []
    assert list(floor_breaches(config)) == []
    assert {row.name for row in table(config)} >= {"T1", "T2", "T3", "T4", "T5"}


@pytest.mark.parametrize(
    ("change", "to", "errors"),
    [
        ("harness:", "harnes:", [("unknown-key", 5), ("ambiguous-scalar", 12)]),
        ("tiers:", "teirs:", [("unknown-key", 6)]),
        ("chain: [small, big]", "chain: [smal, big]", [("unknown-model", 7)]),
        ("chain: [small, big]", "chain: small", [("bad-value", 7)]),
        ("floor: big", "floor: bog", [("unknown-model", 9)]),
        ("big: {rank: 4}", "big: {}", [("unranked-floor", 9)]),
        ("harness:", "router_settings: {fallbacks: [small]}\nharness:", [("bad-value", 5)]),
        ("model: openai/big", "modle: openai/big", [("missing-key", 4)]),
        ("as_of: 2026-11-01", "as_of: 2026-13-01", [("bad-value", 12)]),
        ("temperature: 0.3", "temperature: 0.3, timeout: 1:30", [("ambiguous-scalar", 3), ("bad-value", 3)]),
        ("temperature: 0.3", "temperature: 0.3, stream: off", [("ambiguous-scalar", 3)]),
        ("chain: [small, big]", "chain: [[small]]", [("bad-value", 7), ("unknown-model", 7)]),
        ("models: {small", "models: {tiny: {rank: 1}, small", [("unknown-model", 11)]),
    ],
)
def test_each_mistake_has_its_error_at_its_line(config_of, change, to, errors):
    with pytest.raises(InputError) as caught:
        config_of(OURS.replace(change, to))

    assert [(p.code, p.line) for p in caught.value.problems] == errors


def test_one_deployment_id_cannot_name_two(config_of):
    text = OURS.replace("model_name: small", "model_info: {id: x}, model_name: small")
    text = text.replace("model_name: big", "model_info: {id: x}, model_name: big")

    with pytest.raises(InputError, match="deployment id `x` stands twice"):
        config_of(text)


def test_anchors_may_be_used_and_bombs_are_refused(config_of):
    shared = OURS.replace("{model: openai/big, api_key: none}", "&p {model: openai/big, api_key: none}")
    shared = shared.replace("harness:", "  - {model_name: twin, litellm_params: *p}\nharness:")

    assert config_of(shared).group("twin")[0].model == "openai/big"
    with pytest.raises(InputError, match="alias-bomb"):
        config_of("model_list: &a [*a]")


@pytest.mark.parametrize(
    ("agent", "category", "chain", "via"),
    [
        (None, "x", ["small", "big"], "tier T1"),
        (None, "postmortem", ["big"], "category postmortem"),
        ("auditor", "postmortem", ["big"], "agent auditor"),
        ("unknown", "x", ["small", "big"], "tier T1"),
    ],
)
def test_agent_goes_before_category_before_tier(config_of, agent, category, chain, via):
    route = resolve(config_of(OURS), tier="T1", agent=agent, category=category)

    assert ([d.group for d in route.chain], route.via) == (chain, via)


def test_a_named_provider_is_a_chain_of_one_and_an_unknown_one_an_error(config_of):
    config = config_of(PLAIN_LITELLM)

    assert [d.id for d in resolve(config, tier="T3", agent=None, category="", provider="ollama").chain] == [
        "t3-fallback"
    ]
    with pytest.raises(UsageError, match="did you mean `groq`"):
        resolve(config, tier="T3", agent=None, category="", provider="grok")


def test_the_smallest_token_limit_holds_and_the_route_goes_before_the_task(config_of):
    route = resolve(config_of(OURS), tier="T1", agent=None, category="x")
    asked = Request(messages=(Message(role="user", content="hi"),), max_tokens=100, epoch=3)

    prepared = prepare(route, route.chain[0], asked)

    assert (prepared.max_tokens, prepared.temperature, prepared.params["seed"]) == (20, 0.3, 3)
    assert prepared.messages[0] == Message(role="system", content="Be brief.")
    assert prepare(route, route.chain[1], asked).temperature == 0.0


def test_a_critical_agent_below_its_floor_on_any_path_is_named(config_of):
    text = OURS.replace("T5: {chain: [big]}", "T5: {chain: [big, small]}")

    assert [(agent, d.id) for agent, d in floor_breaches(config_of(text))] == [("auditor", "small")]


def test_an_agent_that_follows_its_tasks_tiers_is_held_to_its_floor_on_all_of_them(config_of):
    text = OURS.replace("{tier: T5, critical: true", "{critical: true")

    assert [(agent, d.id) for agent, d in floor_breaches(config_of(text))] == [("auditor", "small")]


def test_prices_are_exact_and_unknown_ones_are_not_zero(config_of):
    config = config_of(OURS)
    big, small = config.deployment("big"), config.deployment("small")
    usage = Usage(uncached_input=1000, cache_read=500, cache_write=10, output=100)

    assert big.price.of(usage) == Decimal("0.00382")
    assert small.price is None
    assert small.priced


def test_prices_of_litellms_map_include_the_cache():
    config = load_config(ROOT / "providers.yaml")
    haiku = config.deployment("anthropic-haiku-45").price

    # LiteLLM 1.106.2's map: 1 / 5 USD per million, cache reads 0.10, writes 1.25.
    assert haiku.of(Usage(uncached_input=10**6)) == 1
    assert haiku.of(Usage(cache_read=10**6)) == Decimal("0.1")
    assert haiku.of(Usage(cache_write=10**6)) == Decimal("1.25")
    assert haiku.of(Usage(output=10**6)) == 5


def test_keys_are_found_missing_before_a_call_and_never_kept(config_of):
    config = config_of(PLAIN_LITELLM)

    assert config.deployment("claude-api").missing_keys({}) == ["ANTHROPIC_API_KEY"]
    assert config.deployment("t3").missing_keys({}) == ["GROQ_API_KEY"]
    assert config.deployment("t3-fallback").missing_keys({}) == []
    assert config.deployment("claude-api").missing_keys({"ANTHROPIC_API_KEY": "x"}) == []


def test_comments_and_key_order_do_not_change_the_config_hash(config_of):
    shuffled = OURS.replace("T1:", "# a comment\n    T1:").replace(
        "input: 2, output: 8", "output: 8, input: 2"
    )

    assert config_of(OURS).hash == config_of(shuffled).hash
    assert config_of(OURS).hash != config_of(OURS.replace("max_tokens: 20", "max_tokens: 21")).hash
