"""Loading golden tasks: every error at once, at its line; templates that cannot reach out."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.golden import self_test
from harness.records import Outcome

GOOD = """
task: sum
tier: T1
category: arithmetic
prompt: "{{ a }} + {{ b }} = ?"
cases:
  - {id: small, a: 1, b: 2, expect: 3}
checks:
  - number: "{{ expect }}"
oracle: "{{ expect }}"
wrong: ["", "{{ a }}{{ b }}"]
"""


def errors_of(suite_of, *texts):
    with pytest.raises(InputError) as caught:
        suite_of(*texts)
    return [(p.code, p.line) for p in caught.value.problems]


def test_a_case_is_filled_in_and_its_expectation_keeps_its_type(suite_of):
    (case,) = suite_of(GOOD).cases()

    assert case.messages[0].content == "1 + 2 = ?"
    assert case.judge("3").outcome is Outcome.PASSED
    assert case.judge("4").outcome is Outcome.FAILED
    assert case.line == 7


@pytest.mark.parametrize(
    ("change", "to", "errors"),
    [
        ("tier: T1", "teir: T1", [("unknown-key", 3)]),
        ("tier: T1", "tier: T9", [("bad-value", 3)]),
        ("prompt:", "promt:", [("unknown-key", 5)]),
        ("b: 2, ", "", [("missing-input", 7)]),
        (", expect: 3", "", [("missing-input", 7)]),
        ("number:", "nmber:", [("unknown-check", 9)]),
        ("expect: 3", "expect: three", [("bad-value", 9)]),
        ("category: arithmetic", "category: arithmetic\ncategory: x", [("duplicate-key", 5)]),
        ('- number: "{{ expect }}"', "- number", [("bad-check", 9)]),
        ('- number: "{{ expect }}"', '- matches: "("', [("bad-value", 9)]),
        ('- number: "{{ expect }}"', "- json: {schema: {type: 3}}", [("bad-value", 9)]),
        ("{{ a }} +", "{{ a +", [("bad-template", 5)]),
        ("{{ a }} +", "{{ ().__class__ }}", [("bad-template", 5)]),
        ("{{ a }} +", "{{ 'x' * 999999999 }}", [("bad-template", 5)]),
        ("{{ a }} +", "{{ '%999999999d' % 1 }}", [("bad-template", 5)]),
        ("{{ a }} +", "{{ 'x'.ljust(999999999) }}", [("bad-template", 5)]),
        ("{{ a }} +", "{{ 'x'|center(999999999) }}", [("bad-template", 5)]),
        ("{{ a }} +", "{{ a ~ a }}", [("bad-template", 5)]),
        ("{{ a }} +", "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", [("bad-template", 5)]),
        ("{{ a }} +", "{% for x in [1] %}{% for y in [1] %}{% endfor %}{% endfor %}", [("bad-template", 5)]),
        ("{{ a }} +", "{{ '%(x)s' % {} }}", [("bad-template", 5)]),
        ("{{ a }} +", "{{ " + "(" * 300 + " }}", [("bad-template", 5)]),
        ("id: small", "id: Not A Slug", [("bad-value", 7)]),
    ],
)
def test_each_mistake_has_one_error_at_its_line(suite_of, change, to, errors):
    text = GOOD.replace(change, to)

    assert errors_of(suite_of, text) == errors


def test_all_errors_of_all_files_come_at_once(suite_of):
    broken = GOOD.replace("tier: T1", "teir: T1").replace("number:", "nmber:").replace("b: 2, ", "")

    assert errors_of(suite_of, broken, GOOD.replace("a: 1", "c: 1")) == [
        ("unknown-key", 3),
        ("missing-input", 7),
        ("unknown-check", 9),
        ("missing-input", 7),
    ]


def test_two_tasks_or_cases_with_one_id_are_an_error(suite_of):
    assert errors_of(suite_of, GOOD, GOOD) == [("duplicate-task", 2)]
    twice = GOOD.replace("expect: 3}", "expect: 3}\n  - {id: small, a: 2, b: 2, expect: 4}")
    assert errors_of(suite_of, twice) == [("duplicate-case", 8)]


@pytest.mark.parametrize(
    ("change", "to", "fault"),
    [
        (
            'oracle: "{{ expect }}"',
            "oracle: '4'",
            "case `small`: `number` rejects the oracle: expected 3, got 4",
        ),
        (
            'oracle: "{{ expect }}"',
            "",
            "case `small` has no oracle: nothing shows that a right answer passes",
        ),
        (', "{{ a }}{{ b }}"', "", "case `small` needs at least two wrong answers, one of them empty"),
        ('"{{ a }}{{ b }}"', '"3"', "case `small`: the checks accept the wrong answer '3'"),
        (
            '- number: "{{ expect }}"',
            '- matches: {pattern: "3", group: 9}',
            "case `small`: `matches` crashes on the oracle: the pattern has no group 9",
        ),
    ],
)
def test_a_broken_checker_is_caught_without_a_model(suite_of, change, to, fault):
    (task,) = suite_of(GOOD.replace(change, to)).tasks

    assert fault in self_test(task)


def test_the_case_hash_follows_what_is_asked_and_judged_and_nothing_else(suite_of):
    (case,) = suite_of(GOOD).cases()

    def hash_with(change, to):
        return next(suite_of(GOOD.replace(change, to)).cases()).hash

    assert hash_with("category: arithmetic", "category: other") == case.hash
    assert hash_with("oracle:", "description: better\noracle:") == case.hash
    assert hash_with("a: 1", "a: 7") != case.hash
    assert hash_with("= ?", "= what?") != case.hash
    assert hash_with("cases:", "max_tokens: 9\ncases:") != case.hash
