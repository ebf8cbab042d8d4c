"""Hostile text and secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sanitize import one_line, printable, quoted, redact, storable

ENVIRON = {"MY_API_KEY": "p@ss/word-1234", "HOME": "/somewhere", "SHORT_TOKEN": "abc"}


@pytest.mark.parametrize(
    "text",
    [
        "plain p@ss/word-1234 here",
        "quoted p%40ss%2Fword-1234 here",
        "quoted xai-abcdefgh1234 here",
        "base64 cEBzcy93b3JkLTEyMzQ= here",
        "by shape sk-abcdefgh12345678 here",
        "header Bearer abcdefgh.ijkl here",
    ],
)
def test_secrets_are_taken_out_in_every_form(text):
    kind = text.split()[0]
    assert redact(text, ENVIRON) in (
        f"{kind} [secret] here",
        "by shape [secret] here",
        "header [secret] here",
    )


def test_values_that_are_known_are_taken_out_whatever_their_variable_is_called():
    assert redact("it is k9f8d7s6a5", {}, known=["k9f8d7s6a5"]) == "it is [secret]"


def test_ordinary_values_stay():
    assert redact("abc lives in /somewhere", ENVIRON) == "abc lives in /somewhere"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;x\x07", "\\x1b]52;c;x\\x07"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("\ud800", "\ufffd"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb", "a\\x0db"),
        ("##[add-mask]x", "##\\x5badd-mask]x"),
        ("##vso[task]x", "##vso\\x5btask]x"),
    ],
)
def test_what_cannot_be_seen_is_written_as_an_escape(text, shown):
    assert printable(text) == shown


def test_a_line_of_an_answer_cannot_pose_as_a_command_to_ci():
    shown = quoted("fine\n::error file=x::gotcha\n\u2028::stop")

    assert all(line.startswith("| ") for line in shown.splitlines())


@given(st.text())
def test_any_text_can_be_stored_and_shown_on_one_line(text):
    storable(text).encode("utf-8")
    shown = one_line(text)
    assert len(shown) <= 60
    assert "\n" not in shown
