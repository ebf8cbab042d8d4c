"""The decision: three words, and what each of them rests on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import EvidenceError
from harness.verdict import CaseEvidence, Evidence, Policy, Status, Word, decide, from_json, to_json


def case(task="t", passes=1, failures=0, *, before=5, runs=5, **more):
    fields = {"errored": 0, "truncated": 0, "unpriced": 0, "fallbacks": 0, "expected": passes + failures}
    return CaseEvidence(
        provider="local",
        task=task,
        case=more.pop("case", "c"),
        tier="T1",
        category="x",
        passes=passes,
        failures=failures,
        baseline_passes=before,
        baseline_epochs=runs,
        **(fields | more),
    )


def regressed(number):
    return [case(f"lost{i}", 0, 1) for i in range(number)]


GOOD = [case(f"good{i}") for i in range(5)]


@pytest.mark.parametrize(
    ("cases", "word", "headline", "exit_code"),
    [
        (GOOD, Word.ALLOW, "0 tasks regressed, at most 3 allowed", 0),
        (GOOD + regressed(3), Word.ALLOW, "3 tasks regressed, at most 3 allowed", 0),
        (GOOD + regressed(4), Word.BLOCK, "4 tasks regressed, at most 3 allowed", 1),
        ([], Word.ALLOW, "0 tasks regressed, at most 3 allowed", 0),
        ([*GOOD, case(passes=0, errored=1, expected=1)], Word.INCONCLUSIVE, "1 sample errored", 3),
        ([*GOOD, case(passes=0, expected=1)], Word.INCONCLUSIVE, "1 sample never asked", 3),
        ([*GOOD, case(fallbacks=1)], Word.INCONCLUSIVE, "1 sample answered by a fallback", 3),
        ([*GOOD, case(before=None, runs=None)], Word.INCONCLUSIVE, "1 case new or edited", 3),
        (
            [case(f"down{i}", 0, 1, fallbacks=1) for i in range(5)],
            Word.INCONCLUSIVE,
            "5 samples answered by a fallback",
            3,
        ),
        ([case(passes=0, errored=2, expected=2)], Word.INCONCLUSIVE, "nothing was judged", 4),
        ([*regressed(4), case(passes=0, errored=1, expected=1)], Word.BLOCK, "4 tasks regressed", 1),
        ([*GOOD, case(truncated=1, unpriced=1)], Word.ALLOW, "0 tasks regressed", 0),
    ],
)
def test_word_reason_and_exit_code(cases, word, headline, exit_code):
    verdict = decide(cases, Policy())

    assert (verdict.word, verdict.exit_code) == (word, exit_code)
    assert verdict.reasons[0].startswith(headline)


def test_tasks_are_counted_not_cases():
    cases = [case("one", 0, 1, case=f"c{i}") for i in range(10)]

    assert decide(cases, Policy()).regressed == (("local", "one"),)
    assert decide(cases, Policy()).word is Word.ALLOW


def test_without_a_baseline_nothing_can_be_allowed():
    verdict = decide([case(before=None, runs=None)], Policy(), without_baseline=["local"])

    assert verdict.word is Word.INCONCLUSIVE
    assert verdict.reasons[0] == "there is no baseline for local"


@pytest.mark.parametrize(
    ("passes", "failures", "before", "runs", "status"),
    [
        (3, 2, 5, 5, Status.PASSED),
        (3, 2, None, None, Status.PASSED),
        (2, 3, 5, 5, Status.REGRESSED),
        (2, 2, 5, 5, Status.REGRESSED),
        (0, 1, None, None, Status.NEW),
        (0, 1, 2, 5, Status.KNOWN),
        (1, 0, 2, 5, Status.IMPROVED),
        (1, 0, 2, 4, Status.IMPROVED),
    ],
)
def test_a_case_passes_when_more_than_half_of_its_epochs_do_now_and_before(
    passes, failures, before, runs, status
):
    assert case("t", passes, failures, before=before, runs=runs).status is status


def test_the_worst_regressed_task_comes_first():
    flaky = case("flaky", 1, 2, before=3, runs=5)
    dead = case("dead", 0, 3)

    assert [task for _, task in decide([flaky, dead], Policy()).regressed] == ["dead", "flaky"]


def test_the_rules_own_false_block_rate_is_printed_beside_it():
    cases = [case(f"t{i}", before=4, runs=5) for i in range(25)]
    rate = decide(cases, Policy()).false_blocks

    # P(Bin(25, 0.2) > 3), scipy.stats.binom.sf(3, 25, 0.2).
    assert rate.rate == pytest.approx(0.7660, abs=5e-5)
    assert (rate.baseline_epochs, rate.threshold) == (5, 8)


def counts(draw):
    passes, failures, errored = draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(st.integers(0, 1))
    runs = draw(st.integers(1, 5))
    return {
        "passes": passes,
        "failures": failures,
        "errored": errored,
        "expected": passes + failures + errored + draw(st.integers(0, 1)),
        "before": draw(st.integers(0, runs)),
        "runs": runs,
        "fallbacks": draw(st.integers(0, 1)),
    }


@st.composite
def evidence(draw):
    cases = tuple(
        case(f"t{draw(st.integers(0, 6))}", case=f"c{i}", **counts(draw))
        for i in range(draw(st.integers(0, 8)))
    )
    return Evidence(cases=cases, policy=Policy(max_regressions=draw(st.integers(0, 4))))


@given(evidence(), st.randoms(use_true_random=False))
def test_the_verdict_does_not_depend_on_the_order_of_cases(given_evidence, random):
    shuffled = list(given_evidence.cases)
    random.shuffle(shuffled)

    assert decide(shuffled, given_evidence.policy) == given_evidence.decide()


@given(evidence())
def test_incomplete_evidence_is_never_allowed(given_evidence):
    verdict = given_evidence.decide()

    complete = verdict.judged == verdict.expected and not verdict.counts["fallbacks"]
    assert complete or verdict.word is not Word.ALLOW


@given(evidence())
def test_a_verdict_file_gives_the_same_verdict_again(given_evidence):
    again, word = from_json(to_json(given_evidence))

    assert again == given_evidence
    assert again.decide().word == word


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"schema_version": 2}',
        to_json(Evidence(cases=(case(passes=3, expected=1),), policy=Policy())),
    ],
)
def test_evidence_that_cannot_be_true_is_refused(text):
    with pytest.raises(EvidenceError):
        from_json(text)


def test_a_file_whose_word_was_changed_is_caught():
    document = json.loads(to_json(Evidence(cases=tuple(regressed(4)), policy=Policy())))
    tampered, word = from_json(json.dumps(document | {"verdict": "ALLOW"}))

    assert tampered.decide().word != word


def test_policy_can_be_changed_afterwards_without_asking_again():
    found = Evidence(cases=tuple(regressed(4)), policy=Policy())

    assert replace(found, policy=Policy(max_regressions=4)).decide().word is Word.ALLOW
