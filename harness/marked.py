"""Plain test functions as golden tasks: their assertions are the checks.

@pytest.mark.golden(tier="T4", category="planner")
def test_orders_the_rollout(llm):
    assert llm("…").text.splitlines()[0] == "database"
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.golden import TaskCase
from harness.records import TIERS, Message, Outcome, Reply, Request, Sample, digest
from harness.runner import Cell, sample_of
from harness.session import Session
from harness.yaml_source import did_you_mean

_KEYWORDS = {"tier", "category", "agent"}


def marked_case(
    function: Callable[..., Any],
    *,
    place: str,
    parameters: str,
    keywords: Mapping[str, Any],
    path: Path,
    line: int,
) -> TaskCase:
    """Return the case that a marked function is; `place` (file, class, function) names its task.

    Raises UsageError if its mark does not fit, or it cannot be called plainly.
    """
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"{path.name}:{line}: a golden test cannot be async; llm itself waits")
    for keyword in keywords:
        if keyword not in _KEYWORDS:
            raise UsageError(f"{path.name}:{line}: golden({keyword}=…): {did_you_mean(keyword, _KEYWORDS)}")
    if keywords.get("tier") not in TIERS:
        raise UsageError(f"{path.name}:{line}: golden(tier=…) has to be one of {', '.join(TIERS)}")
    return TaskCase(
        task=_slug(place),
        id=_slug(parameters) or "call",
        tier=keywords["tier"],
        category=str(keywords.get("category", "uncategorized")),
        agent=keywords.get("agent"),
        critical=False,
        messages=(),
        max_tokens=256,
        temperature=None,
        checks=(),
        oracle=None,
        wrong=(),
        hash=digest([place, parameters, inspect.getsource(function)]),
        path=path,
        line=line,
    )


class Llm:
    """The `llm` fixture: call it with a prompt, get the reply of the route."""

    def __init__(self, session: Session, label: str, case: TaskCase) -> None:
        self.session = session
        self.label = label
        self.case = case
        self.epoch = 0
        self.replies: list[Reply] = []

    def __call__(self, prompt: str, *, system: str = "", max_tokens: int = 256) -> Reply:
        """Ask, and wait for the reply. Raises a HarnessError if nobody answers."""
        messages = [Message(role="system", content=system)] if system else []
        request = Request(
            messages=(*messages, Message(role="user", content=prompt)),
            max_tokens=max_tokens,
            epoch=self.epoch,
            task=self.case.task,
            case=self.case.id,
        )
        reply = self.session.complete(self.label, self.case, request)
        self.replies.append(reply)
        return reply


def run_epochs(
    llm: Llm, call: Callable[[], None], failures: tuple[type[BaseException], ...]
) -> tuple[list[Sample], BaseException | None]:
    """Call the function once for each epoch; return the samples and the last failure.

    A failed assertion is the model's; an exception of any other kind leaves the outcome open.
    """
    samples: list[Sample] = []
    failure: BaseException | None = None
    for epoch in range(llm.session.options.epochs):
        llm.epoch, llm.replies = epoch, []
        outcome, reason = Outcome.PASSED, ""
        try:
            call()
            if not llm.replies:
                outcome, reason = Outcome.ERRORED, "it asked nothing, so nothing was judged"
        except failures as exc:
            outcome, reason, failure = Outcome.FAILED, str(exc).split("\n")[0] or "an assertion failed", exc
        except HarnessError as exc:
            outcome, reason, failure = Outcome.ERRORED, str(exc), exc
        except Exception as exc:  # noqa: BLE001 - a broken test says nothing about the model
            outcome, reason, failure = Outcome.ERRORED, f"{type(exc).__name__}: {exc}", exc
        sample = _total(llm, sample_of(Cell(llm.label, llm.case, epoch), outcome, reason, llm.replies))
        llm.session.add_sample(sample)
        samples.append(sample)
    return samples, failure


def _total(llm: Llm, sample: Sample) -> Sample:
    """Return the sample with the latency of all its calls together."""
    return replace(sample, latency_ms=sum(reply.served.latency_ms for reply in llm.replies))


def _slug(text: str) -> str:
    """Return the text as a slug; what that would make alike is told apart by a hash."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    plain = re.fullmatch(r"[a-z0-9_./:-]*", text)
    return slug if plain else f"{slug}-{digest(text, 6)}".strip("-")
