"""Adjusted p-values against p.adjust and Bioconductor's qvalue; lambda GC and QQ band against R."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import InvalidBlockError
from heartify.stats.screening import (
    adjust_bh,
    adjust_bonferroni,
    adjust_by,
    candidate_correlation,
    effective_tests,
    lambda_gc,
    qq_points,
    storey,
)


def test_adjusted_p_values_equal_p_adjust(r):
    expected = r["multiplicity"]  # p.adjust(p, "bonferroni" / "BH" / "BY")
    p = np.array(expected["p"])

    np.testing.assert_allclose(adjust_bonferroni(p), expected["bonferroni"], rtol=1e-13)
    np.testing.assert_allclose(adjust_bh(p), expected["bh"], rtol=1e-13)
    np.testing.assert_allclose(adjust_by(p), expected["by"], rtol=1e-13)


def test_storeys_q_values_equal_qvalue(r):
    expected = r["multiplicity"]
    p = np.array(expected["p"])

    half, smooth = storey(p), storey(p, "smoother")

    assert half.pi0 == pytest.approx(expected["pi0_half"], rel=1e-13)  # qvalue(p, lambda = 0.5)$pi0
    np.testing.assert_allclose(half.q, expected["q_half"], rtol=1e-12)
    # qvalue(p)$pi0; smooth.spline stops at 3.0003 degrees of freedom, ours has 3
    assert smooth.pi0 == pytest.approx(expected["pi0_smoother"], abs=2e-4)
    np.testing.assert_allclose(smooth.q, expected["q_smoother"], rtol=5e-4)


def test_a_candidate_without_p_value_is_not_counted():
    p = np.array([0.01, np.nan, 0.04, 0.9])

    np.testing.assert_allclose(adjust_bh(p), [0.03, np.nan, 0.06, 0.9])
    np.testing.assert_allclose(adjust_bonferroni(p), [0.03, np.nan, 0.12, 1.0])
    assert np.isnan(storey(p).q[1])


def test_what_is_no_p_value_is_refused():
    for adjust in (adjust_bh, adjust_by, adjust_bonferroni, storey):
        with pytest.raises(InvalidBlockError, match="between 0 and 1"):
            adjust(np.array([0.5, 1.5]))
    with pytest.raises(InvalidBlockError, match="need p-values"):
        storey(np.array([np.nan]))
    with pytest.raises(InvalidBlockError, match="not positive"):
        storey(np.array([0.01, 0.02]))


def test_lambda_gc_and_band_equal_r(r):
    expected = r["calibration"]  # median(chi2) / qchisq(0.5, 1); qbeta(c(.025, .975), i, m + 1 - i)
    z = np.array(expected["z"])

    points = qq_points(np.linspace(-3, -0.01, 101))

    assert lambda_gc(np.append(z, np.nan)) == pytest.approx(expected["lambda_gc"], rel=1e-12)
    assert points.m == 101
    np.testing.assert_allclose(points.low, expected["low"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(points.high, expected["high"], rtol=1e-9)
    np.testing.assert_allclose(points.expected, -np.log10(np.arange(1, 102) / 102))


def test_a_qq_plot_has_at_most_200_points_and_keeps_both_ends():
    log10_p = -np.random.default_rng(0).exponential(size=50_000)

    points = qq_points(log10_p)

    assert points.rank.size <= 200
    assert (points.rank[0], points.rank[-1]) == (1, 50_000)
    assert points.observed[0] == -log10_p.min()
    assert (np.diff(points.observed) <= 0).all()


def test_nothing_tested_has_no_calibration():
    with pytest.raises(InvalidBlockError, match="at least one"):
        lambda_gc(np.array([np.nan]))
    with pytest.raises(InvalidBlockError, match="at least one"):
        qq_points(np.array([np.nan]))


def test_effective_tests_of_independent_and_of_identical_candidates():
    independent, identical = effective_tests(np.eye(12)), effective_tests(np.ones((12, 12)))

    assert (independent.li_ji, independent.galwey) == (12.0, pytest.approx(12.0))
    assert (identical.li_ji, identical.galwey) == (1.0, pytest.approx(1.0, abs=1e-5))


def test_effective_tests_of_a_correlated_pair():
    # eigenvalues 1.6, 0.4: Li and Ji 1 + 0.6 + 0.4; Galwey (sqrt 1.6 + sqrt 0.4)^2 / 2
    found = effective_tests(np.array([[1.0, 0.6], [0.6, 1.0]]))

    assert found.li_ji == pytest.approx(2.0)
    assert found.galwey == pytest.approx(1.8)


def test_correlations_are_within_hospitals_and_without_constants():
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(n, 3)) + n for n in (50, 80)]
    for part in parts:
        part[:, 2] = 0.3
        part[3, 0] = np.nan

    correlation, varies = candidate_correlation(parts)

    assert list(varies) == [True, True, False]
    known = [np.where(np.isnan(p), np.nanmean(p, axis=0), p)[:, :2] - np.nanmean(p, axis=0)[:2] for p in parts]
    np.testing.assert_allclose(correlation, np.corrcoef(np.vstack(known).T), rtol=1e-12, atol=1e-12)


def test_what_is_no_correlation_matrix_is_refused():
    for matrix in (np.ones((2, 3)), np.array([[1.0, 0.2], [0.3, 1.0]]), np.diag([1.0, 2.0]), np.full((2, 2), np.nan)):
        with pytest.raises(InvalidBlockError, match="correlation"):
            effective_tests(matrix)
