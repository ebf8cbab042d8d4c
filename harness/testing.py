"""Public fakes, to inject what reality will not do on demand.

`LoopbackProvider` is an OpenAI-compatible server on a free loopback port that answers as told, or
misbehaves; `FakeClient` answers requests in process. Neither stands in for a real model where one
could be asked: the embedded one is a command away.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from harness.records import Attempt, Reply, Request, Usage


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the loopback provider sends back. `body` replaces the whole JSON body, as it is."""

    text: str = "ok"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    finish_reason: str = "stop"
    model: str | None = None
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    )
    body: bytes | None = None
    drop: bool = False
    """Close the connection without a word."""


def error(
    status: int, message: str = "no", *, code: str = "", headers: dict[str, str] | None = None
) -> Answer:
    """Return an answer that is an error, in OpenAI's shape."""
    body = json.dumps({"error": {"message": message, "type": "error", "code": code}}).encode()
    return Answer(status=status, body=body, headers=headers or {})


class LoopbackProvider:
    """A provider on 127.0.0.1. `answer` is one answer, several in turn (the last repeats), or a function.

    Used as a context manager; `requests` holds the JSON body of every request, `keys` the
    authorization headers.
    """

    def __init__(self, answer: Answer | Sequence[Answer] | Callable[[dict[str, Any]], Answer]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self._answer = answer
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The address to give as `api_base`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_answer(self, request: dict[str, Any], key: str) -> Answer:
        """Note a request and return what to answer."""
        with self._lock:
            self.requests.append(request)
            self.keys.append(key)
            number = len(self.requests)
        if isinstance(self._answer, Answer):
            return self._answer
        if callable(self._answer):
            return self._answer(request)
        return self._answer[min(number, len(self._answer)) - 1]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                request = json.loads(raw)
                answer = provider.next_answer(request, self.headers.get("Authorization", ""))
                time.sleep(answer.delay_s)
                if answer.drop:
                    self.close_connection = True
                    return
                body = answer.body if answer.body is not None else _completion(answer, request)
                self.send_response(answer.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
                for name, value in (headers | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent; tests look at `requests`."""

        return Handler


def _completion(answer: Answer, request: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": answer.text}
    body: dict[str, Any] = {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": 0,
        "model": answer.model or request["model"],
        "service_tier": "default",  # LiteLLM's groq path fails without it
        "choices": [{"index": 0, "finish_reason": answer.finish_reason, "message": message}],
    }
    if answer.usage is not None:
        body["usage"] = answer.usage
    return json.dumps(body).encode()


class FakeClient:
    """Answers every request with what a function returns, or raises what it returns."""

    def __init__(self, handler: Callable[[Request], str | BaseException], deployment: str = "fake") -> None:
        self.handler = handler
        self.deployment = deployment
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        """Answer, noting the request."""
        self.requests.append(request)
        result = self.handler(request)
        if isinstance(result, BaseException):
            raise result
        attempt = Attempt(
            deployment=self.deployment,
            provider="fake",
            outcome="answered",
            text=result,
            finish_reason="stop",
            latency_ms=1.0,
            usage=Usage(uncached_input=10, output=2),
        )
        return Reply(text=result, finish_reason="stop", attempts=(attempt,))
