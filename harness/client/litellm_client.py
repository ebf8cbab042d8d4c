"""One call to one deployment through LiteLLM, which serves as transport only.

What LiteLLM would do on its own is switched off or done again here, because a measurement cannot
afford it: its retries (they would hide attempts), its per-read timeout (a slow body passes it),
its empty successes, its zero usage where the provider sent none. This is the one module that
imports it, on the first call.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from types import ModuleType
from typing import Any

from harness import errors
from harness.config import ENV_PREFIX, Deployment, resolve_env
from harness.errors import BadReply, ProviderError, QuotaExhausted, TimedOut
from harness.records import Attempt, Reply, Request, Usage
from harness.sanitize import one_line, redact

MAX_TOKENS_BELIEVED = 1_000_000_000  # usage beyond this is a provider's fault, not a bill
FINISH_REASONS = {"stop", "length", "tool_calls", "function_call", "content_filter"}

# Every exception class of litellm.exceptions, by name; a test lists them and fails on a new one.
ERRORS: Mapping[str, type[ProviderError]] = {
    "AuthenticationError": errors.AuthFailed,
    "PermissionDeniedError": errors.AuthFailed,
    "PaymentRequiredError": errors.QuotaExhausted,
    "BudgetExceededError": errors.QuotaExhausted,
    "RateLimitError": errors.RateLimited,
    "Timeout": errors.TimedOut,
    "APIConnectionError": errors.Unreachable,
    "ServiceUnavailableError": errors.Overloaded,
    "BadGatewayError": errors.Overloaded,
    "InternalServerError": errors.Overloaded,
    "APIError": errors.Overloaded,
    "OpenAIError": errors.Overloaded,
    "MidStreamFallbackError": errors.Overloaded,
    "MockException": errors.Overloaded,
    "APIResponseValidationError": errors.BadReply,
    "JSONSchemaValidationError": errors.BadReply,
    "BadRequestError": errors.BadRequest,
    "InvalidRequestError": errors.BadRequest,
    "NotFoundError": errors.BadRequest,
    "UnprocessableEntityError": errors.BadRequest,
    "UnsupportedParamsError": errors.BadRequest,
    "ContextWindowExceededError": errors.BadRequest,
    "ImageFetchError": errors.BadRequest,
    "VectorStoreSearchError": errors.BadRequest,
    "ModelNotMappedError": errors.BadRequest,
    "LiteLLMUnknownProvider": errors.BadRequest,
    "RejectedRequestError": errors.BadRequest,
    "GuardrailRaisedException": errors.BadRequest,
    "BlockedPiiEntityError": errors.BadRequest,
    "ModifyResponseException": errors.BadRequest,
    "SensitiveDataRouteException": errors.BadRequest,
}
# LiteLLM repeats its class names in front: "litellm.RateLimitError: RateLimitError: GroqException - …"
_LITELLM_PREFIX = re.compile(r"\A(?:(?:litellm\.)?\w+(?:Error|Exception|Timeout)\b(?:: | - ))+")
# Where the status says more than LiteLLM's class: a 403 comes as a plain APIError.
_BY_STATUS: Mapping[object, type[ProviderError]] = {
    401: errors.AuthFailed,
    402: errors.QuotaExhausted,
    403: errors.AuthFailed,
    429: errors.RateLimited,
}
REFUSED = "ContentPolicyViolationError"
"""The provider's filter spoke: an answer about the model's behaviour, so a reply and not an error."""


class LiteLLMClient:
    """Asks one deployment, once, within its deadline."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    async def complete(self, request: Request) -> Reply:
        """Return the deployment's reply. Raises a ProviderError if there is none to be scored."""
        litellm = load_litellm()
        started = time.monotonic()
        try:
            # LiteLLM's own timeout counts from one read to the next; this one is a deadline.
            async with asyncio.timeout(self.deployment.timeout_s):
                response = await litellm.acompletion(**self._arguments(request))
        except TimeoutError:
            raise TimedOut(f"no reply within {self.deployment.timeout_s:g} s") from None
        except Exception as exc:
            if type(exc).__name__ != REFUSED:
                raise translated(exc, self._secrets()) from exc
            return self._reply(started, text="", finish_reason="content_filter")
        text, finish_reason = _content(response)
        return self._reply(
            started,
            text=redact(text, known=self._secrets()),  # a provider may echo our own headers
            finish_reason=finish_reason,
            usage=usage_of(getattr(response, "usage", None)),
            served_model=one_line(str(getattr(response, "model", "") or ""), 80),
            fingerprint=one_line(str(getattr(response, "system_fingerprint", "") or ""), 80),
        )

    def _secrets(self) -> list[str]:
        """Return every value this deployment takes from the environment, and its key."""
        deployment = self.deployment
        taken = [v for v in deployment.params.values() if isinstance(v, str) and v.startswith(ENV_PREFIX)]
        return [str(resolve_env(value)) for value in (deployment.api_key, *taken) if value]

    def _arguments(self, request: Request) -> dict[str, Any]:
        deployment = self.deployment
        params = {key: resolve_env(value) for key, value in request.params.items()}
        return params | {
            "model": deployment.model,
            "messages": [asdict(message) for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "api_base": resolve_env(deployment.api_base),
            "api_key": resolve_env(deployment.api_key),
            "timeout": deployment.timeout_s,
            "num_retries": 0,
            "max_retries": 0,
            "stream": False,
        }

    def _reply(self, started: float, *, text: str, finish_reason: str, **facts: Any) -> Reply:
        attempt = Attempt(
            deployment=self.deployment.id,
            provider=self.deployment.provider,
            outcome="answered",
            latency_ms=(time.monotonic() - started) * 1000,
            text=text,
            finish_reason=finish_reason,
            **facts,
        )
        return Reply(text=text, finish_reason=finish_reason, attempts=(attempt,))


async def close_connections() -> None:
    """Close LiteLLM's open connections in this event loop, if it was imported at all."""
    if load_litellm.cache_info().currsize:
        await load_litellm().close_litellm_async_clients()
        # It keeps the closed ones, by a loop's address, which the next loop of the process may have.
        load_litellm().in_memory_llm_clients_cache.flush_cache()


def translated(exc: Exception, secrets: Iterable[str] = ()) -> ProviderError:
    """Return one of our errors for one of LiteLLM's, its text redacted: providers repeat keys in it."""
    message = _LITELLM_PREFIX.sub("", redact(str(exc), known=secrets).strip().split("\n")[0])[:500]
    status = getattr(exc, "status_code", None)
    kind = _BY_STATUS.get(status) or ERRORS.get(type(exc).__name__, ProviderError)
    if kind is errors.Overloaded and _body_is_broken(exc):
        kind = BadReply
    if kind is errors.RateLimited and _quota_is_gone(exc):
        kind = QuotaExhausted
    return kind(message, status=status if isinstance(status, int) else None, retry_after_s=_retry_after(exc))


def usage_of(raw: Any) -> Usage | None:
    """Return a provider's usage as four counters that do not overlap, or None if it can't be believed.

    LiteLLM counts prompt tokens with cached ones included; where a provider did not (fewer prompt
    tokens than cached ones), the prompt is what was not cached. Zero prompt tokens means that the
    provider sent no usage.
    """
    prompt, output = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    if not prompt or output is None:
        return None
    details = getattr(raw, "prompt_tokens_details", None)
    read = _count(details, "cached_tokens") or 0
    write = _count(details, "cache_creation_tokens") or _count(raw, "cache_creation_input_tokens") or 0
    reasoning = _count(getattr(raw, "completion_tokens_details", None), "reasoning_tokens") or 0
    inclusive = prompt >= read + write
    return Usage(
        uncached_input=prompt - read - write if inclusive else prompt,
        cache_read=read,
        cache_write=write,
        output=output,
        reasoning=min(reasoning, output),
    )


@cache
def load_litellm() -> ModuleType:
    """Import LiteLLM, once, without its network fetch and at half its usual cost."""
    # The price map is read from the package; without this LiteLLM fetches it over the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    gc.disable()  # 3.4 s to import with the collector on, 1.8 s without
    try:
        import litellm
    finally:
        gc.enable()
        gc.freeze()
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    module: ModuleType = litellm
    return module


def _content(response: Any) -> tuple[str, str]:
    choices = getattr(response, "choices", None) or []
    if len(choices) != 1:
        raise BadReply(f"expected one choice, got {len(choices)}")
    message, finish_reason = choices[0].message, choices[0].finish_reason
    if finish_reason not in FINISH_REASONS:
        raise BadReply(f"finish_reason {finish_reason!r} is none of the known ones")
    content = getattr(message, "content", None)
    if content is None and finish_reason not in ("content_filter", "tool_calls", "length"):
        raise BadReply("the message has no content")
    return content or "", str(finish_reason)


def _count(raw: Any, name: str) -> int | None:
    value = getattr(raw, name, None)
    believable = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_TOKENS_BELIEVED
    return value if believable else None


def _body_is_broken(exc: BaseException) -> bool:
    """Whether a reply came that is no JSON; LiteLLM calls that a server error, but it may have been paid."""
    return any(
        sign in str(exc) for sign in ("Expecting value", "Expecting ',' delimiter", "Unterminated string")
    )


def _quota_is_gone(exc: Exception) -> bool:
    return "insufficient_quota" in f"{getattr(exc, 'body', '')} {exc}"


def _retry_after(exc: Exception) -> float | None:
    headers = getattr(exc, "litellm_response_headers", None) or {}
    value = headers.get("retry-after")
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None
