"""Numbers against named sources, and the laws they keep."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import stats

rates = st.lists(st.floats(0, 1), max_size=8)


@pytest.mark.parametrize(
    ("p", "percent", "threshold"),
    [
        # ../shared/statistics.md §3a: P(Bin(25, p(1-p)) > 3) for one run in each arm, and the smallest
        # threshold with a tail of at most 5 %; recomputed there with scipy.stats.binom.
        (0.99, 0.01, 1),
        (0.95, 2.90, 3),
        (0.90, 18.31, 5),
        (0.85, 39.73, 6),
        (0.80, 58.37, 7),
        (0.70, 80.13, 9),
    ],
)
def test_the_original_rules_false_block_rate_equals_the_published_table(p, percent, threshold):
    tasks = [p * (1 - p)] * 25

    assert 100 * stats.poisson_binomial_tail(tasks, 3) == pytest.approx(percent, abs=0.005)
    assert stats.smallest_threshold(tasks, 0.05) == threshold


def test_binomial_cdf_equals_the_textbook():
    # Abramowitz & Stegun 26.1.20: sum of C(10, i) 0.3^i 0.7^(10-i), i = 0..3.
    assert stats.binomial_cdf(3, 10, 0.3) == pytest.approx(0.6496107184, rel=1e-9)


@given(rates, st.integers(0, 8))
def test_the_tail_is_the_sum_over_all_outcomes(probabilities, more_than):
    expected = math.fsum(
        math.prod(p if hit else 1 - p for p, hit in zip(probabilities, outcome, strict=True))
        for outcome in product([0, 1], repeat=len(probabilities))
        if sum(outcome) > more_than
    )

    assert stats.poisson_binomial_tail(probabilities, more_than) == pytest.approx(expected, abs=1e-9)


@given(rates, st.permutations(range(8)), st.integers(0, 8))
def test_the_tail_does_not_depend_on_the_order_of_tasks(probabilities, order, more_than):
    shuffled = [probabilities[i] for i in order if i < len(probabilities)]

    assert stats.poisson_binomial_tail(shuffled, more_than) == pytest.approx(
        stats.poisson_binomial_tail(probabilities, more_than), abs=1e-12
    )


@pytest.mark.parametrize(
    ("passes", "runs", "epochs", "rate"),
    [
        (5, 5, 1, 0.0),  # never failed
        (2, 5, 1, 0.0),  # failed in the baseline: cannot regress
        (4, 5, 1, 0.2),
        (3, 5, 3, 0.4**3 + 3 * 0.4**2 * 0.6),
        (0, 0, 1, 0.0),
        (1, 2, 1, 0.0),  # exactly half is not a pass
    ],
)
def test_how_often_an_unchanged_case_looks_regressed(passes, runs, epochs, rate):
    assert stats.case_false_regression(passes, runs, epochs) == pytest.approx(rate)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_a_flakier_baseline_never_blocks_less(passes, more, epochs):
    runs = 2 * (passes + more) - 1
    low, high = passes + more, passes + more + 1

    assert stats.case_false_regression(low, runs, epochs) >= stats.case_false_regression(
        min(high, runs), runs, epochs
    )


def test_a_task_regresses_when_any_of_its_cases_does():
    assert stats.task_false_regression([0.5, 0.5]) == pytest.approx(0.75)
    assert stats.task_false_regression([]) == 0
