from __future__ import annotations

import math

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError
from heartify.stats.penalised import (
    choose_q,
    expected_false_selections,
    select_stable,
    unimodal_false_selections,
)

SUPPORT = 4
P = 40
NAMES = [f"x{j}" for j in range(P)]


def simulate(seed: int, strength: float = 0.9) -> list[CohortBlock]:
    """Two hospitals of different prevalence; the first four of forty columns matter."""
    rng = np.random.default_rng(seed)
    blocks = []
    for name, base, n in (("a", -0.5, 220), ("b", 0.7, 180)):
        X = rng.normal(size=(n, P))
        eta = base + strength * X[:, :SUPPORT].sum(axis=1)
        blocks.append(CohortBlock(name, X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)))
    return blocks


def test_true_support_is_recovered_and_false_selections_stay_within_the_bound() -> None:
    found, false = 0, 0
    for seed in range(3):
        result = select_stable(simulate(seed), NAMES, 6, 0.8, np.random.default_rng(seed), pairs=10)
        found += sum(name in NAMES[:SUPPORT] for name in result.selected)
        false += sum(name in NAMES[SUPPORT:] for name in result.selected)

    assert found == 3 * SUPPORT
    assert false / 3 <= result.expected_false


def test_noise_alone_is_hardly_ever_stable() -> None:
    false = sum(
        len(select_stable(simulate(s, 0.0), NAMES, 4, 0.8, np.random.default_rng(s), pairs=10).selected)
        for s in range(6)
    )

    # E(V) <= 16 / (0.6 * 40) = 0.67 a cohort
    assert false / 6 <= 4**2 / (0.6 * P)


def test_each_half_chooses_exactly_q_terms() -> None:
    result = select_stable(simulate(1), NAMES, 5, 0.7, np.random.default_rng(1), pairs=6)

    assert result.frequency.sum() == pytest.approx(5)
    assert (result.both_frequency <= result.frequency + 1e-12).all()


def test_same_seed_gives_the_same_frequencies() -> None:
    blocks = simulate(2)

    first, again = (select_stable(blocks, NAMES, 5, 0.7, np.random.default_rng(9), pairs=4) for _ in range(2))

    np.testing.assert_array_equal(first.frequency, again.frequency)


def test_terms_without_a_penalty_are_not_counted() -> None:
    factors = np.ones(P)
    factors[0] = 0.0

    result = select_stable(simulate(3), NAMES, 5, 0.7, np.random.default_rng(3), pairs=4, factors=factors)

    assert math.isnan(result.frequency[0])
    assert "x0" not in result.selected
    assert result.expected_false == expected_false_selections(5, P - 1, 0.7)


def test_a_column_constant_in_one_half_does_not_stop_the_selection() -> None:
    blocks = [CohortBlock(b.name, np.column_stack([b.X[:, :6], np.eye(b.n)[0]]), b.y) for b in simulate(4)]

    result = select_stable(blocks, NAMES[:7], 3, 0.7, np.random.default_rng(4), pairs=4)

    assert np.isfinite(result.frequency).all()


def test_bounds_are_those_of_the_papers() -> None:
    # Meinshausen & Buehlmann 2010, Theorem 1: 10^2 / (0.8 * 100)
    assert expected_false_selections(10, 100, 0.9) == pytest.approx(1.25)
    # Shah & Samworth 2013, Theorem 2 with B = 50: 4 (1 - 0.9 + 0.01) / 1.02 and 1 / (2 (0.2 - 0.01)), times q^2 / p
    assert unimodal_false_selections(10, 100, 0.9, 50) == pytest.approx(0.44 / 1.02)
    assert unimodal_false_selections(10, 100, 0.6, 50) == pytest.approx(1 / 0.38)
    assert unimodal_false_selections(10, 100, 0.502, 50) == math.inf


def test_q_is_the_largest_within_the_wanted_error() -> None:
    q = choose_q(100, 0.9, 1.25)

    assert q == 10
    assert expected_false_selections(q + 1, 100, 0.9) > 1.25


def test_an_error_too_small_for_any_q_is_refused() -> None:
    with pytest.raises(InvalidBlockError):
        choose_q(10, 0.6, 0.01)


@pytest.mark.parametrize(
    ("q", "threshold", "pairs", "alpha"),
    [(0, 0.7, 5, 1.0), (P + 1, 0.7, 5, 1.0), (3, 0.5, 5, 1.0), (3, 1.1, 5, 1.0), (3, 0.7, 0, 1.0), (3, 0.7, 5, 0.0)],
)
def test_plans_out_of_range_are_refused(q: int, threshold: float, pairs: int, alpha: float) -> None:
    with pytest.raises(InvalidBlockError):
        select_stable(simulate(1), NAMES, q, threshold, np.random.default_rng(0), pairs=pairs, alpha=alpha)


def test_hospital_with_one_case_is_refused() -> None:
    rng = np.random.default_rng(0)
    block = CohortBlock("a", rng.normal(size=(20, 3)), np.eye(20)[0])

    with pytest.raises(InvalidBlockError):
        select_stable([block], NAMES[:3], 1, 0.7, rng)


def test_terms_that_hardly_vary_leave_a_half_without_a_choice() -> None:
    block = CohortBlock("a", np.eye(12)[:, :1], np.tile([0.0, 1.0], 6))

    result = select_stable([block], NAMES[:1], 1, 0.7, np.random.default_rng(0), pairs=5)

    # The one row that differs is in exactly one half of each pair.
    assert result.frequency[0] == 0.5
    assert result.both_frequency[0] == 0.0
