"""What must not change the estimates, and the linear-programming referee of separation."""

from __future__ import annotations

import numpy as np
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from heartify.stats import CohortBlock, SeparationError, fit_pooled_logistic
from heartify.stats.blocks import block_moments
from heartify.stats.errors import DegenerateOutcomeError, RankDeficientError
from heartify.stats.likelihood import logistic_sums

TERMS = ("u", "v")
seeds = st.integers(0, 2**32 - 1)


def _cohort(number, hospitals=3):
    rng = np.random.default_rng(number)
    blocks = []
    for h in range(hospitals):
        n = int(rng.integers(80, 200))
        X = np.column_stack([rng.normal(60, 9, n), rng.integers(0, 2, n)])
        eta = 0.06 * (X[:, 0] - 60) + 0.5 * X[:, 1] + rng.normal(-0.5, 0.5)
        blocks.append(CohortBlock(f"h{h}", X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)))
    return blocks


def _close(a, b, se):
    return np.max(np.abs(a - b) / se) < 1e-7


@seed(2026)
@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_order_of_rows_does_not_matter(number):
    blocks = _cohort(number)
    rng = np.random.default_rng(number + 1)
    shuffled = []
    for block in blocks:
        order = rng.permutation(block.n)
        shuffled.append(CohortBlock(block.name, block.X[order], block.y[order]))

    fit, again = fit_pooled_logistic(blocks, TERMS), fit_pooled_logistic(shuffled, TERMS)

    assert _close(fit.coef, again.coef, fit.se)
    assert again.auc == fit.auc


@seed(2026)
@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_a_factor_in_other_units_gives_the_same_model(number, scale, shift):
    blocks = _cohort(number)
    other = [CohortBlock(b.name, np.column_stack([(b.X[:, 0] + shift) * scale, b.X[:, 1]]), b.y) for b in blocks]

    fit, rescaled = fit_pooled_logistic(blocks, TERMS), fit_pooled_logistic(other, TERMS)

    assert abs(rescaled.term_coef[0] * scale - fit.term_coef[0]) < 1e-6 * fit.term_se[0]
    assert abs(rescaled.term_coef[1] - fit.term_coef[1]) < 1e-6 * fit.term_se[1]
    assert abs(rescaled.loglik - fit.loglik) < 1e-8
    np.testing.assert_allclose(rescaled.term_se * [scale, 1.0], fit.term_se, rtol=1e-6)


@seed(2026)
@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_order_of_hospitals_only_changes_the_reference(number):
    blocks = _cohort(number)

    fit, turned = fit_pooled_logistic(blocks, TERMS), fit_pooled_logistic(blocks[::-1], TERMS)

    assert _close(fit.term_coef, turned.term_coef, fit.term_se)
    own = {found.hospital: found for found in fit.hospital_intercepts}
    for found in turned.hospital_intercepts:
        assert abs(found.value - own[found.hospital].value) < 1e-7 * found.se
        assert abs(found.se / own[found.hospital].se - 1) < 1e-7


@seed(2026)
@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 79))
def test_sums_of_two_parts_of_a_block_are_the_sums_of_the_block(number, cut):
    block = _cohort(number, hospitals=1)[0]
    slopes = np.array([0.05, -0.4])

    whole = logistic_sums(block.X, block.y, -3.0, slopes)
    parts = [logistic_sums(block.X[rows], block.y[rows], -3.0, slopes) for rows in (slice(cut), slice(cut, None))]
    added = parts[0] + parts[1]

    np.testing.assert_allclose(added.loglik, whole.loglik, rtol=1e-12)
    np.testing.assert_allclose(added.gradient, whole.gradient, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(added.information, whole.information, rtol=1e-12)
    moments = block_moments(block.X[:cut]) + block_moments(block.X[cut:])
    np.testing.assert_allclose(moments.sd, block_moments(block.X).sd, rtol=1e-12)


def _is_separated(X, y):
    """Independent referee: is there d with (2y-1) x'd >= 0 everywhere and positive somewhere? (a linear programme)."""
    margins = (2 * y - 1)[:, None] * np.column_stack([np.ones(y.size), X])
    answer = linprog(-margins.sum(axis=0), A_ub=-margins, b_ub=np.zeros(y.size), bounds=[(-1, 1)] * margins.shape[1])
    assert answer.status == 0
    return -answer.fun > 1e-7


@seed(2026)
@settings(max_examples=150, deadline=None)
@given(st.integers(6, 25), st.integers(1, 3), seeds)
def test_a_fit_is_refused_for_separation_exactly_when_the_linear_programme_finds_it(n, p, number):
    rng = np.random.default_rng(number)
    X, y = rng.integers(-3, 4, (n, p)).astype(float), rng.integers(0, 2, n).astype(float)

    try:
        fit_pooled_logistic([CohortBlock("a", X, y)], [f"x{j}" for j in range(p)])
        refused = False
    except SeparationError:
        refused = True
    except (DegenerateOutcomeError, RankDeficientError):
        return

    assert refused == _is_separated(X, y)
