"""The committed suite and its baseline keep what they promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import baseline
from harness.golden import golden_files, load_suite, self_test
from harness.records import TIERS

ROOT = Path(__file__).parents[1]
SUITE = load_suite(golden_files(ROOT / "golden"))
LOCAL = baseline.read(baseline.path_of(ROOT / "golden", "local"))


def tasks_of(tier):
    return [task for task in SUITE.tasks if task.tier == tier]


def test_there_are_25_tasks_five_a_tier_and_four_cases_each():
    assert [len(tasks_of(tier)) for tier in TIERS] == [5] * 5
    assert min(len(task.cases) for task in SUITE.tasks) >= 4


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.id)
def test_every_oracle_passes_and_every_wrong_answer_fails(task):
    assert self_test(task) == []


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.id)
def test_no_task_is_passed_by_saying_nothing_or_everything(task):
    for case in task.cases:
        for answer in ("I don't know.", "yes", "0", "[]", "{}", case.messages[-1].content):
            assert case.judge(answer).outcome != "passed"


def test_the_baseline_covers_the_suite_as_it_stands():
    assert LOCAL.suite_hash == SUITE.hash
    assert all(LOCAL.entry(case.task, case.id, case.hash) for case in SUITE.cases())
    assert LOCAL.epochs == 5
    assert LOCAL.deterministic


def passing(task):
    return [e for e in LOCAL.tasks[task.id].values() if e.passes == e.epochs]


def test_the_embedded_model_has_something_to_lose_and_much_to_fail():
    assert sum(bool(passing(task)) for task in SUITE.tasks) >= 8
    hard = [e for task in tasks_of("T4") + tasks_of("T5") for e in LOCAL.tasks[task.id].values()]
    assert sum(e.passed for e in hard) < len(hard) / 2


def test_its_epochs_are_one_sample():
    assert {e.passes for cases in LOCAL.tasks.values() for e in cases.values()} == {0, 5}


def test_prompts_of_the_easy_tiers_stay_short():
    easy = [e for task in tasks_of("T1") + tasks_of("T2") for e in LOCAL.tasks[task.id].values()]

    assert max(e.tokens_in for e in easy) < 200
