"""Every check, as a table: arguments, answer, and whether it is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks import CHECKS, COMBINATORS, AllOf, AnyOf, Not
from harness.checks.number import numbers_in
from harness.records import CheckResult, Outcome

PASSED, FAILED, ERRORED = Outcome.PASSED, Outcome.FAILED, Outcome.ERRORED
SETUP = "CREATE TABLE t (a TEXT, n INTEGER); INSERT INTO t VALUES ('x', 1), ('y', 2);"


def result_of(name, arguments, answer):
    check = CHECKS[name]
    return check.model_validate(check.arguments(arguments))(answer)


@pytest.mark.parametrize(
    ("name", "arguments", "answer", "outcome"),
    [
        ("equals", "test_a", "test_a", PASSED),
        ("equals", "test_a", " `test_a`.\n", PASSED),
        ("equals", "test_a", '"test_a"', PASSED),
        ("equals", "test_a", "```\ntest_a\n```", PASSED),
        ("equals", "test_a", "```\ntest_a", PASSED),
        ("equals", "test_a", "**test_a**", PASSED),
        ("equals", "test_a", "**`test_a`**.", PASSED),
        ("equals", "It is done.", '"It is done."', PASSED),
        ("equals", "test_a", "The test is test_a", FAILED),
        ("equals", "test_a", "", FAILED),
        ("equals", "A", "a", FAILED),
        ("equals", {"value": "A", "ignore_case": True}, "a", PASSED),
        ("equals", {"value": "a", "exact": True}, "a\n", FAILED),
        ("one_of", ["yes", "ja"], "Ja", FAILED),
        ("one_of", ["yes", "ja"], "ja.", PASSED),
        ("one_of", ["yes", "ja"], "yes or ja", FAILED),
        ("contains", "abc", "xabcx", PASSED),
        ("contains", ["a", "b"], "only a", FAILED),
        ("contains", {"values": ["A"], "ignore_case": True}, "a", PASSED),
        ("matches", r"\d{3}", "code 404", PASSED),
        ("matches", r"\d{3}", "code", FAILED),
        ("matches", {"pattern": r"v(\d+)", "group": 1, "equals": "12"}, "v12", PASSED),
        ("matches", {"pattern": r"v(\d+)", "group": 1, "equals": "12"}, "v13", FAILED),
        ("matches", {"pattern": r"a|(b)", "group": 1}, "a", FAILED),
        ("matches", {"pattern": "a", "group": 3}, "a", ERRORED),
        ("matches", r"(.*?,){25}P", "1," * 40, ERRORED),
        ("number", 42, "42", PASSED),
        ("number", 42, "The answer is 42.", PASSED),
        ("number", 42, "- 42", PASSED),
        ("number", 42, "1. 42", FAILED),
        ("number", {"value": 42, "pick": "first"}, "1. 42\n2. 43", PASSED),
        ("number", 1240, "1240. This is the sum of the three bills.", PASSED),
        ("number", 42, "-42", FAILED),
        ("number", 42, "41 or 42", FAILED),
        ("number", 42, "no idea", FAILED),
        ("number", 42, "", FAILED),
        ("number", {"value": 42, "pick": "last"}, "40 + 2 = 42", PASSED),
        ("number", {"value": 40, "pick": "first"}, "40 + 2 = 42", PASSED),
        ("number", 1234.5, "$1,234.50", PASSED),
        ("number", {"value": 10, "tolerance": 0.5}, "10.5", PASSED),
        ("number", {"value": 10, "tolerance": 0.5}, "10.51", FAILED),
        ("number", {"value": 200, "relative": 0.01}, "198", PASSED),
        ("number", 0.3, "0.3", PASSED),
        ("number", 22, "22min", PASSED),
        ("json", {"a": 1}, '{"a": 1}', PASSED),
        ("json", {"a": 1}, 'Here:\n```json\n{"a": 1.0}\n```', PASSED),
        ("json", {"a": 1}, '{"a": true}', FAILED),
        ("json", {"a": 1}, '{"a": 1, "a": 1}', FAILED),
        ("json", {"a": 1}, "{'a': 1}", FAILED),
        ("json", {"a": 1}, "[" * 100_000, FAILED),
        ("json", {"a": 1}, '{"a": NaN}', FAILED),
        ("json", {"at": {"jobs[0].name": "x"}}, '{"jobs": [{"name": "x"}]}', PASSED),
        ("json", {"at": {"jobs[1].name": "x"}}, '{"jobs": [{"name": "x"}]}', FAILED),
        ("json", {"equals": [1, 2], "unordered": True}, "[2, 1]", PASSED),
        ("json", {"equals": [1, 2]}, "[2, 1]", FAILED),
        ("json", {"schema": {"required": ["a"]}}, '{"b": 1}', FAILED),
        ("json", {"schema": {"required": ["a"]}}, '{"a": 1}', PASSED),
        ("yaml", {"a": "no"}, "a: no", PASSED),
        ("yaml", {"a": 1}, "```yaml\na: 1\n```", PASSED),
        ("yaml", {"a": 1}, "a: 1\na: 1", FAILED),
        ("yaml", {"a": 1}, "just words", FAILED),
        ("lines", ["a", "b"], "1. a\n\n2. b", PASSED),
        ("lines", ["a", "b"], "b\na", FAILED),
        ("lines", ["a", "b"], "a", FAILED),
        ("set", ["a", "b"], "b, a", PASSED),
        ("set", ["a", "b"], "- a\n- b", PASSED),
        ("set", ["a", "b"], '["b", "a"]', PASSED),
        ("set", ["a", "b"], "**a, b**", PASSED),
        ("set", ["a", "b"], "a, b, c", FAILED),
        ("set", ["a.", "a-b"], "a., a-b", PASSED),
        ("set", ["a", "b"], "a, a, b", FAILED),
        ("set", {"values": ["A", "b"], "ignore_case": True}, "B, a", PASSED),
        ("length", {"max_words": 2}, "one two", PASSED),
        ("length", 2, "one two three", FAILED),
        ("length", 1, "```\n42\n```", PASSED),
        ("length", {"min_lines": 2}, "one\n\n", FAILED),
        ("refusal", True, "I'm sorry, I can't do that.", PASSED),
        ("refusal", True, "I\u2019m sorry, no.", PASSED),
        ("refusal", True, "Done.", FAILED),
        ("refusal", False, "I cannot help with this.", FAILED),
        ("refusal", False, "The job cannot start.", PASSED),
        ("sql", {"setup": SETUP, "rows": [["y"], ["x"]]}, "SELECT a FROM t", PASSED),
        ("sql", {"setup": SETUP, "rows": [["y"], ["x"]], "ordered": True}, "SELECT a FROM t", FAILED),
        ("sql", {"setup": SETUP, "rows": [[3]]}, "```sql\nSELECT sum(n) FROM t;\n```", PASSED),
        ("sql", {"setup": SETUP, "rows": [[3.0]]}, "SELECT sum(n) FROM t", PASSED),
        ("sql", {"setup": SETUP, "rows": [[3]]}, "SELECT sum(n) FROM u", FAILED),
        ("sql", {"setup": SETUP, "rows": []}, "DELETE FROM t", FAILED),
        ("sql", {"setup": SETUP, "rows": []}, "ATTACH 'x.db' AS y", FAILED),
        ("sql", {"setup": SETUP, "rows": []}, "PRAGMA user_version = 3", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, "SELECT random() > 0 OR 1", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, "SELECT 1 WHERE date('now') > '2000'", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, 'SELECT datetime("now") > 1', FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, "SELECT strftime('%s') > 1", FAILED),
        ("sql", {"setup": SETUP, "rows": [["2026"]]}, "SELECT strftime('%Y', '2026-11-22')", PASSED),
        ("sql", {"setup": SETUP, "rows": [["x"]]}, "SELECT a, n FROM t", FAILED),
        ("sql", {"setup": SETUP, "rows": [["x"]]}, "SELECT a FROM t", FAILED),
        ("sql", {"setup": SETUP, "rows": [["x"]]}, "SELECT printf('%.999000c', 'a')", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, "SELECT length(zeroblob(100000000))", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, "SELECT 1; SELECT 1", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, "", FAILED),
        ("sql", {"setup": "CREATE nonsense", "rows": []}, "SELECT 1", ERRORED),
        (
            "sql",
            {"setup": SETUP, "rows": [[1]]},
            "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r",
            FAILED,
        ),
    ],
)
def test_what_each_check_says(name, arguments, answer, outcome):
    result = result_of(name, arguments, answer)

    assert (result.outcome, result.reason) == (outcome, result.reason)
    assert bool(result.reason) == (outcome is not PASSED), "whatever is not a pass has a reason"


SLOW_SQL = (
    "with recursive c(x) as (select 1 union all select x+1 from c) "
    "select sum(instr(printf('%.*c',19000,'a')||x, printf('%.*c',9500,'a')||'b')) from c"
)
WIDE_SQL = "with a0 as (select 1 x)" + "".join(
    f", a{n} as (select * from a{n - 1} union all select * from a{n - 1})" for n in range(1, 25)
)
BIG_SORT = (
    "with recursive c(x) as (select 1 union all select x+1 from c limit 150000) "
    "select x from c order by printf('%.*c%d',19900,'a',x)"
)


@pytest.mark.parametrize(
    ("name", "arguments", "answer", "outcome"),
    [
        # Each of these took seconds to minutes, or gigabytes, before it was bounded.
        ("number", 1, "\n" * 150_000, FAILED),
        ("equals", "x", "```\n" + " " * 150_000 + "xy", FAILED),
        ("equals", "x", "a```\n" + " " * 150_000, FAILED),
        ("yaml", {"a": 1}, "&a [" + "!x 1, " * 16_000 + "*a]", FAILED),
        ("json", {"a": 1}, "[" * 500 + "]" * 500, FAILED),
        ("json", {"a": 1}, "{" + ",".join(f'"k{i}": 1' for i in range(14_000)) + "}", FAILED),
        ("json", {"a": 1}, '{"a":1}' + " " * 200_000 + 'No wait, {"a":2}', FAILED),
        ("contains", "x", "x" * 1_000_000, FAILED),
        ("number", 42, "42 or 7e99999", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, SLOW_SQL, FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, f"{WIDE_SQL} select count(*) from a24", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, BIG_SORT, FAILED),
        ("sql", {"setup": SETUP, "rows": [["a"], ["b"]]}, "select x'' union all select x'01'", FAILED),
        ("sql", {"setup": SETUP, "rows": [[1]]}, "select datetime('n'||'ow') > 1", FAILED),
        ("sql", {"setup": "ATTACH 'pwned.db' AS p", "rows": [[1]]}, "select 1", ERRORED),
    ],
)
def test_hostile_answers_are_judged_within_bounds(name, arguments, answer, outcome, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert result_of(name, arguments, answer).outcome is outcome
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        (
            "json",
            {"schema": {"additionalProperties": {"type": "integer"}}},
            '{"a\\n::error::X": "x\\u001b[31m"}',
        ),
        ("sql", {"setup": SETUP, "rows": [[1]]}, "select [a\n::error::pwned\x1b[31m]"),
        ("equals", "x", "a\n::error::X"),
    ],
)
def test_a_reason_is_one_short_line_of_visible_text(name, arguments, answer):
    reason = result_of(name, arguments, answer).reason

    assert len(reason) <= 300
    assert reason.isprintable()


def test_a_schema_that_would_be_fetched_is_refused():
    with pytest.raises(ValueError, match="nothing is fetched"):
        result_of("json", {"schema": {"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}}, "{}")


def test_every_check_is_in_the_table():
    table = next(mark for mark in test_what_each_check_says.pytestmark if mark.name == "parametrize")

    assert {row[0] for row in table.args[1]} == set(CHECKS)


@pytest.mark.parametrize(
    ("name", "arguments", "answer", "reason"),
    [
        ("number", 42, "41 or 42", "expected one number, got 2 ('41, 42')"),
        ("equals", "a", "b", "expected 'a', got 'b'"),
        ("set", ["a", "b"], "a", "missing 'b', got 'a'"),
        ("json", {"a": 1}, '{"a": 2}', "expected {'a': 1}, got {'a': 2}"),
        ("sql", {"setup": SETUP, "rows": []}, "DROP TABLE t", "the query does more than read"),
        ("matches", {"pattern": "a|(b)", "group": 1}, "a", "group 1 of 'a|(b)' took no part in the match"),
    ],
)
def test_reasons_are_in_words(name, arguments, answer, reason):
    assert result_of(name, arguments, answer).reason == reason


def always(outcome):
    def check(_answer):
        return CheckResult(check=outcome, outcome=outcome, reason="" if outcome is PASSED else "because")

    check.name = outcome
    return check


@pytest.mark.parametrize(
    ("combinator", "parts", "outcome"),
    [
        (AllOf, [PASSED, PASSED], PASSED),
        (AllOf, [PASSED, FAILED, ERRORED], FAILED),
        (AllOf, [PASSED, ERRORED], ERRORED),
        (AnyOf, [FAILED, PASSED, ERRORED], PASSED),
        (AnyOf, [FAILED, ERRORED], ERRORED),
        (AnyOf, [FAILED, FAILED], FAILED),
        (Not, [FAILED], PASSED),
        (Not, [PASSED], FAILED),
        (Not, [ERRORED], ERRORED),
    ],
)
def test_combinators_keep_the_three_outcomes_apart(combinator, parts, outcome):
    assert combinator([always(part) for part in parts])("x").outcome is outcome
    assert combinator in COMBINATORS.values()


def test_a_check_that_breaks_is_errored_not_wrong():
    class Broken(CHECKS["equals"]):
        def fault(self, answer):
            raise ZeroDivisionError("division by zero")

    result = Broken(value="x")("x")

    assert result.outcome is ERRORED
    assert "crashed: ZeroDivisionError" in result.reason


@given(st.integers(-(10**12), 10**12))
def test_every_integer_is_read_back_with_and_without_separators(number):
    assert numbers_in(f"{number}") == [number]
    assert numbers_in(f"about {number:,} USD") == [number]


@given(st.text(max_size=200))
def test_no_answer_whatsoever_makes_a_check_error(answer):
    for name, arguments in (
        ("equals", "x"),
        ("number", 1),
        ("json", {"a": 1}),
        ("yaml", {"a": 1}),
        ("set", ["a"]),
        ("lines", ["a"]),
        ("sql", {"setup": SETUP, "rows": [[1]]}),
        ("length", 3),
    ):
        assert result_of(name, arguments, answer).outcome is not ERRORED
