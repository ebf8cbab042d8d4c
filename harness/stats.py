"""What a suite's own flakiness does to a rule that counts regressions. Pure, standard library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def binomial_cdf(k: float, n: int, p: float) -> float:
    """Return P(X ≤ k) for X ~ Bin(n, p).

    >>> binomial_cdf(1, 2, 0.5)
    0.75
    """
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(math.floor(k) + 1))


def poisson_binomial_tail(probabilities: Iterable[float], more_than: int) -> float:
    """Return P(sum > `more_than`) of independent events with these probabilities.

    Exact, by convolution (Hong 2013, Computational Statistics & Data Analysis 59, eq. 4).

    >>> poisson_binomial_tail([0.5, 0.5], more_than=1)
    0.25
    """
    mass = [1.0]
    for p in probabilities:
        kept = [m * (1 - p) for m in mass] + [0.0]
        moved = [0.0] + [m * p for m in mass]
        mass = [a + b for a, b in zip(kept, moved, strict=True)]
    return math.fsum(mass[more_than + 1 :])


def case_false_regression(passes: int, runs: int, epochs: int) -> float:
    """Return how often an unchanged route makes a case look regressed.

    A case passes when more than half of its epochs do. One that passed in the baseline regresses by
    chance with P(Bin(epochs, passes / runs) ≤ epochs / 2); one that failed there cannot.
    """
    if not runs or passes * 2 <= runs:
        return 0.0
    return binomial_cdf(epochs / 2, epochs, passes / runs)


def task_false_regression(cases: Iterable[float]) -> float:
    """Return how often a task looks regressed by chance: when any of its cases does."""
    return 1 - math.prod(1 - p for p in cases)


def smallest_threshold(tasks: Sequence[float], alpha: float) -> int:
    """Return the smallest `max_regressions` whose false-block rate is at most alpha."""
    return next(r for r in range(len(tasks) + 1) if poisson_binomial_tail(tasks, r) <= alpha)
