"""The differencing attack on two releases whose cohorts differ by one patient, and the defence of rule 7.

theta_with - theta_without = C x (y - mu): with the covariance C the missing patient's row x is read off, the intercept
giving its scale. The attacker here is even given the exact covariance, which rule 8 withholds.
"""

from __future__ import annotations

import numpy as np
import pytest

from heartify.disclosure import build_cohort_facts, release_fit
from heartify.stats import CohortBlock, fit_pooled_logistic

TERMS = ("age", "sbp", "chol", "male", "smoker", "diabetes", "treated", "family")
N, TRIALS = 500, 15


def _cohort(seed):
    rng = np.random.default_rng(seed)
    flags = rng.random((N, 5)) < [0.5, 0.3, 0.25, 0.4, 0.35]
    X = np.column_stack(
        [rng.normal(55, 9, N).round(), rng.normal(135, 18, N).round(), rng.normal(52, 9, N).round(), flags]
    )
    eta = (X - X.mean(axis=0)) / X.std(axis=0) @ [0.5, 0.4, 0.2, 0.3, 0.3, 0.2, 0.1, 0.2] - 0.3
    return X, (rng.random(N) < 1 / (1 + np.exp(-eta))).astype(float)


def _publish(X, y):
    block = CohortBlock("only", X, y)
    fit = fit_pooled_logistic([block], TERMS)
    document = release_fit(fit, build_cohort_facts([block], TERMS)).to_dict()
    shown = [document["intercept"]["beta"], *(weight["beta"] for weight in document["weights"])]
    return fit, np.array(shown)


def _read_off(difference, covariance):
    direction = np.linalg.solve(covariance, difference)
    return None if direction[0] == 0.0 else (direction[1:] / direction[0]).round()


@pytest.fixture(scope="module")
def trials():
    """Per trial: the removed row, what is read off exact coefficients, off released ones, and how many moved."""
    found = []
    for seed in range(TRIALS):
        X, y = _cohort(seed)
        (whole, shown_whole), (less, shown_less) = _publish(X, y), _publish(X[1:], y[1:])
        covariance = (whole.covariance + less.covariance) / 2
        exact = _read_off(whole.coef - less.coef, covariance)
        rounded = _read_off(shown_whole - shown_less, covariance)
        found.append((X[0], exact, rounded, int((shown_whole != shown_less).sum())))
    return found


def _recovered(row, guess):
    return guess is not None and bool((guess == row).all())


def test_exact_coefficients_and_covariance_give_the_removed_patient_away(trials):
    assert sum(_recovered(row, exact) for row, exact, _, _ in trials) >= TRIALS - 2


def test_released_coefficients_never_give_the_removed_patient_away(trials):
    assert sum(_recovered(row, rounded) for row, _, rounded, _ in trials) == 0


def test_one_patient_leaves_most_released_coefficients_unchanged(trials):
    moved = sum(count for *_, count in trials)

    assert 0 < moved < 0.5 * TRIALS * (len(TERMS) + 1)
