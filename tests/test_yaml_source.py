"""Reading YAML: strict where PyYAML is silent, and exact about places."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.yaml_source import parse_yaml, read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("012", "012"),
        ("12:30", "12:30"),
        ("2026-11-22", "2026-11-22"),
        ("12", 12),
        ("-3", -3),
        ("0x1f", 31),
        ("1e3", 1000.0),
        ("1.50", 1.5),
        ("~", None),
        ("", None),
        ("'12'", "12"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text, value):
    data = parse_yaml(f"key: {text}", Path("f.yaml")).data

    assert data == {"key": value}
    assert type(data["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "aliases", "code", "line"),
    [
        ("a: 1\nb: 2\na: 3", False, "duplicate-key", 3),
        ("a: &x [1]\nb: *x", False, "alias", 2),
        ("a: !!python/object:os.system x", False, "tag", 1),
        ("a: .inf", False, "not-finite", 1),
        ("a: 12345678901234567890", False, "number-too-long", 1),
        ("[1]: 2", False, "bad-key", 1),
        ("a: {<<: 3}", True, "bad-merge", 1),
    ],
)
def test_what_pyyaml_passes_in_silence_is_a_problem_with_its_line(text, aliases, code, line):
    problems = parse_yaml(text, Path("f.yaml"), aliases=aliases).problems

    assert [(p.code, p.line) for p in problems] == [(code, line)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (BOMB, "alias-bomb"),
        ("&a [*a]", "alias-bomb"),
        ("[" * 50 + "]" * 50, "too-complex"),
        ("a: [1", "not-yaml"),
        ("a: *missing", "not-yaml"),
    ],
)
def test_what_cannot_be_read_within_bounds_is_refused_at_once(text, code):
    with pytest.raises(InputError) as caught:
        parse_yaml(text, Path("f.yaml"), aliases=True)

    assert code in {p.code for p in caught.value.problems}


def test_a_file_of_nothing_but_problems_is_given_up_early():
    with pytest.raises(InputError) as caught:
        parse_yaml("x: [" + "{a: 1, a: 2}," * 20_000 + "]", Path("f.yaml"))

    assert len(caught.value.problems) < 200
    assert max(map(len, str(caught.value).splitlines())) < 300


def test_a_problem_cannot_carry_control_characters_to_the_terminal():
    document = parse_yaml('a: "x\\n::error::y\\e]0;z\\a"', Path("f.yaml"))

    shown = document.problem(("a",), "bad", f"found {document.data['a']}").render()
    assert "\n::error" not in shown
    assert "\x1b" not in shown


def test_merge_keys_are_expanded_and_own_keys_win():
    text = "base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}"

    assert parse_yaml(text, Path("f.yaml"), aliases=True).data["more"] == {"x": 1, "y": 3}


def test_a_problem_shows_place_caret_and_help(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\nlist:\n  - name: x\n")
    document = read_yaml(path)

    shown = document.problem(("list", 0, "name"), "bad", "no such thing", help="try y").render()

    assert shown.splitlines()[0] == "error[bad]: no such thing"
    assert "f.yaml:3:11  (list[0].name)" in shown
    assert shown.splitlines()[-2:] == ["   |           ^", "   = help: try y"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xff\xfe\x00", "not-utf-8"),
        (b"a: " + b"x" * 5_000_001, "file-too-large"),
        (None, "unreadable-file"),
    ],
)
def test_files_that_are_not_text_of_a_sane_size_are_refused(tmp_path, content, code):
    path = tmp_path / "f.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError) as caught:
        read_yaml(path)

    assert caught.value.problems[0].code == code
