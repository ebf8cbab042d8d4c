"""Everything that can go wrong, as one tree.

HarnessError
├── UsageError          what was asked for does not fit; say it differently
├── InputError          one or more problems in files a person wrote; carries all of them
├── ProviderError       one call to a provider failed; nobody can tell what the model would have said
│   ├── AuthFailed          the key is missing, wrong or not allowed
│   ├── BadRequest          the provider will never accept this request
│   ├── RateLimited         too many requests now; later may work
│   ├── QuotaExhausted      the account has no quota left; later will not work
│   ├── Overloaded          the provider is failing (5xx)
│   ├── Unreachable         no connection, or one that broke
│   ├── TimedOut            no usable reply within the deadline; it may have been paid
│   └── BadReply            a reply came, but not a usable one; it may have been paid
├── BudgetExceeded      the next call could pass `--max-cost`; it was not made
├── NotRecorded         `--replay-only` found no recorded reply
├── NotAsked            the run was stopped before this call was made
├── CheckCrashed        a check could not decide; neither the model's fault nor its merit
├── BaselineError       a baseline is missing, unreadable or does not fit
├── EvidenceError       a verdict file is unreadable or contradicts itself
├── StoreError          the results database cannot be used
└── SetupError          a part that has to be installed is missing
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.sanitize import one_line

MAX_SOURCE_CHARS = 160
_CONTROLS = dict.fromkeys([*range(32), 127, *range(128, 160)], " ")  # one for one, so that carets stay right


class HarnessError(Exception):
    """The root of every error this package raises on purpose."""


class UsageError(HarnessError):
    """What was asked for does not exist or does not fit together."""


class ProviderError(HarnessError):
    """One call to a provider failed.

    Attributes: `status` the HTTP status if there was one, `retry_after_s` what the provider asked
    us to wait, in seconds.
    """

    retryable = False

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class AuthFailed(ProviderError):
    """The key is missing, wrong or not allowed."""


class BadRequest(ProviderError):
    """The provider will never accept this request."""


class RateLimited(ProviderError):
    """Too many requests for now."""

    retryable = True


class QuotaExhausted(ProviderError):
    """The account has no quota left; asking again cannot help."""


class Overloaded(ProviderError):
    """The provider answered with a server error."""

    retryable = True


class Unreachable(ProviderError):
    """No connection to the provider, or one that broke."""

    retryable = True


class TimedOut(ProviderError):
    """No usable reply within the deadline."""


class BadReply(ProviderError):
    """A reply came that cannot be scored."""

    retryable = True


class BudgetExceeded(HarnessError):
    """The next call could cost more than `--max-cost` still allows."""


class NotRecorded(HarnessError):
    """`--replay-only` found no recorded reply for a request."""


class NotAsked(HarnessError):
    """The run was stopped before this call was made."""


class CheckCrashed(HarnessError):
    """A check could not decide whether an answer is right."""


class BaselineError(HarnessError):
    """A baseline is missing, unreadable or does not fit what was run."""


class EvidenceError(HarnessError):
    """A verdict file is unreadable or contradicts itself."""


class StoreError(HarnessError):
    """The results database cannot be used."""


class SetupError(HarnessError):
    """A part that has to be installed is missing."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong in a file: where, what, and what to do."""

    code: str
    """A stable slug such as `unknown-key`."""
    message: str
    path: Path
    line: int = 1
    column: int = 1
    width: int = 1
    source: str = ""
    """The text of the line, for the caret."""
    where: str = ""
    """The key path, such as `harness.tiers.T3`."""
    help: str = ""

    def render(self) -> str:
        """Return the problem in the shape compilers use: place, source line, caret, help."""
        where = f"  ({one_line(self.where, 100)})" if self.where else ""
        lines = [
            f"error[{self.code}]: {one_line(self.message, 400)}",
            f"  --> {relative(self.path)}:{self.line}:{self.column}{where}",
        ]
        if self.source.strip():
            gutter = " " * len(str(self.line))
            start = max(0, self.column - MAX_SOURCE_CHARS // 2) if len(self.source) > MAX_SOURCE_CHARS else 0
            source = self.source[start : start + MAX_SOURCE_CHARS]
            width = max(1, min(self.width, start + len(source) - self.column + 1))
            lines += [
                f" {gutter} |",
                f" {self.line} | {source.translate(_CONTROLS)}",
                f" {gutter} | {' ' * (self.column - 1 - start)}{'^' * width}",
            ]
        if self.help:
            lines.append(f"   = help: {one_line(self.help, 400)}")
        return "\n".join(lines)


class InputError(HarnessError):
    """Files a person wrote have problems; all of them are here, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems: Sequence[Problem] = sorted(unique, key=lambda p: (str(p.path), p.line, p.column))
        super().__init__(f"{len(self.problems)} problems")

    def __str__(self) -> str:
        """Return every problem with its place, and their number."""
        files = len({p.path for p in self.problems})
        blocks = [p.render() for p in self.problems]
        blocks.append(f"Found {counted(len(blocks), 'error')} in {counted(files, 'file')}.")
        return "\n\n".join(blocks)


def counted(n: int, noun: str) -> str:
    """Return `1 error`, `2 errors`.

    >>> counted(1, "call"), counted(3, "call")
    ('1 call', '3 calls')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def relative(path: Path) -> str:
    """Return the path as the user would type it from here."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()
