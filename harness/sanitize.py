"""Model text is hostile and provider errors repeat keys: what may reach a screen, a file or a row."""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.parse
from collections.abc import Iterable, Mapping

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|(?:^|_)PAT$", re.IGNORECASE)
_SECRET_SHAPE = re.compile(
    r"\b(sk-[\w-]{8,}|sk_live_\w{8,}|gsk_\w{8,}|xai-[\w-]{8,}|ghp_\w{8,}|AIza[\w-]{10,}"
    r"|Bearer\s+[\w.~+/-]{8,}=*)"
)
_MIN_SECRET = 8  # shorter values occur in ordinary text
# C0 and C1 controls but tab and newline, bidi overrides, zero-width and other invisible characters.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_CI_COMMAND = re.compile(r"(##(?:vso)?)\[")  # read by CI systems anywhere in a line
_SURROGATE = re.compile("[\ud800-\udfff]")


def redact(text: str, environ: Mapping[str, str] | None = None, *, known: Iterable[str] = ()) -> str:
    """Replace secrets by `[secret]`: of the environment by their variables' names, and those that are known.

    Each is looked for in plain, JSON, URL-encoded and base64 form.
    """
    named = (os.environ if environ is None else environ).items()
    for form in _secret_forms([*named, *(("KEY", value) for value in known)]):
        text = text.replace(form, "[secret]")
    return _SECRET_SHAPE.sub("[secret]", text)


def _secret_forms(items: Iterable[tuple[str, str]]) -> list[str]:
    forms = set()
    for name, value in items:
        if _SECRET_NAME.search(name) and len(value) >= _MIN_SECRET:
            encoded = base64.b64encode(value.encode("utf-8", "replace")).decode()
            forms |= {value, json.dumps(value)[1:-1], urllib.parse.quote(value, safe=""), encoded}
    return sorted(forms, key=len, reverse=True)


def printable(text: str) -> str:
    r"""Return text safe for a terminal and for JUnit XML: what cannot be seen is written as an escape.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _CI_COMMAND.sub(r"\1\\x5b", _INVISIBLE.sub(_escape, storable(text)))


def storable(text: str) -> str:
    """Return text every database takes: no NUL, no lone surrogate."""
    return _SURROGATE.sub("\ufffd", text).replace("\x00", "\\x00")


def quoted(text: str, *, limit: int = 600) -> str:
    """Return model text for a terminal, each line behind `| ` so that it cannot pose as ours.

    A CI system reads commands such as `::error::` at the start of a line, blanks aside; none can stand there.
    """
    shown = printable(text.strip())
    if len(shown) > limit:
        shown = f"{shown[:limit]} … ({len(shown) - limit:,} more characters)"
    return "\n".join(f"| {line}" for line in shown.splitlines() or ["(empty)"])


def one_line(text: str, limit: int = 60) -> str:
    r"""Return model text as one short line.

    >>> one_line("two\nlines")
    'two⏎lines'
    """
    shown = printable(text.strip()).replace("\n", "⏎").replace("\t", " ")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
