"""Attributable fractions against R: glm, estfun and the formulas in referee/weights.R."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, fit_pooled_logistic
from heartify.stats.importance import (
    Exposure,
    Term,
    bootstrap_fractions,
    fraction_by_g_computation,
    fraction_from_odds_ratios,
)

EXPOSURES = (
    Exposure(Term("smoker", (5,)), (0.0,)),
    Exposure(Term("grade", (6, 7)), (0.0, 0.0)),
    Exposure(Term("sbp", (2, 3)), (115.0, 100.0)),
    Exposure(Term("noise", (8,)), (0.0,)),
)


@pytest.fixture(scope="module")
def fit(blocks, names):
    return fit_pooled_logistic(blocks, names)


@pytest.mark.parametrize("exposure", EXPOSURES, ids=lambda exposure: exposure.term.name)
def test_both_estimators_equal_r(blocks, fit, referee, exposure):
    expected = referee["attributable"][exposure.term.name]

    by_or, by_g = (f(blocks, fit, exposure) for f in (fraction_from_odds_ratios, fraction_by_g_computation))

    assert by_or.fraction == pytest.approx(expected["odds_ratio"], abs=1e-9)
    assert by_g.fraction == pytest.approx(expected["g_computation"], abs=1e-9)
    assert by_or.se == pytest.approx(expected["odds_ratio_se"], rel=1e-6)
    assert by_g.se == pytest.approx(expected["g_computation_se"], rel=1e-6)
    for found in (by_or, by_g):
        assert found.ci_low < found.fraction < found.ci_high < 1.0
        half = 1.959964 * found.se / (1 - found.fraction)
        assert found.ci_low == pytest.approx(1 - (1 - found.fraction) * np.exp(half), rel=1e-6)


def test_a_binary_exposure_alone_gives_miettinens_fraction():
    # Miettinen 1974: share of cases exposed x (OR - 1) / OR; g-computation: 1 - risk of the unexposed / risk of all.
    a, b, c, d = 60, 140, 40, 260  # exposed cases, exposed controls, unexposed cases, unexposed controls
    X = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])[:, None]
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])
    block, exposure = CohortBlock("a", X, y), Exposure(Term("x", (0,)), (0.0,))
    fit = fit_pooled_logistic([block], ["x"])
    odds_ratio = a * d / (b * c)

    by_or, by_g = (f([block], fit, exposure) for f in (fraction_from_odds_ratios, fraction_by_g_computation))

    assert by_or.fraction == pytest.approx(a / (a + c) * (1 - 1 / odds_ratio), rel=1e-9)
    assert by_g.fraction == pytest.approx(1 - (c / (c + d)) / ((a + c) / 500), rel=1e-9)


def test_bootstrap_agrees_with_the_sandwich(blocks, names, fit):
    found = bootstrap_fractions(blocks, names, EXPOSURES[:2], replicates=150, rng=np.random.default_rng(0))

    by_or = [fraction_from_odds_ratios(blocks, fit, exposure) for exposure in EXPOSURES[:2]]
    by_g = [fraction_by_g_computation(blocks, fit, exposure) for exposure in EXPOSURES[:2]]
    np.testing.assert_allclose(found.adjusted_odds_ratio.estimate, [own.fraction for own in by_or], atol=1e-8)
    np.testing.assert_allclose(found.g_computation.estimate, [own.fraction for own in by_g], atol=1e-8)
    np.testing.assert_allclose(found.adjusted_odds_ratio.se, [own.se for own in by_or], rtol=0.25)
    np.testing.assert_allclose(found.g_computation.se, [own.se for own in by_g], rtol=0.25)
    assert found.terms == ("smoker", "grade")


def test_row_order_and_units_do_not_matter(blocks, names, fit):
    rng = np.random.default_rng(1)
    unit = np.array([1, 1, 1, 1, 1, 10.0, 1, 1, 1])
    other = []
    for block in blocks:
        order = rng.permutation(block.n)
        other.append(CohortBlock(block.name, block.X[order] * unit, block.y[order]))

    found = fraction_by_g_computation(other, fit_pooled_logistic(other, names), EXPOSURES[0])

    expected = fraction_by_g_computation(blocks, fit, EXPOSURES[0])
    assert found.fraction == pytest.approx(expected.fraction, abs=1e-10)
    assert found.se == pytest.approx(expected.se, rel=1e-8)


@pytest.mark.parametrize(
    "exposure",
    [
        Exposure(Term("smoker", (9,)), (0.0,)),
        Exposure(Term("smoker", (5,)), ()),
        Exposure(Term("smoker", (5,)), (np.nan,)),
        Exposure(Term("smoker", ()), ()),
    ],
)
def test_an_exposure_that_does_not_fit_is_refused(blocks, names, fit, exposure):
    with pytest.raises(InvalidBlockError):
        fraction_from_odds_ratios(blocks, fit, exposure)
    with pytest.raises(InvalidBlockError):
        bootstrap_fractions(blocks, names, [exposure], replicates=5, rng=np.random.default_rng(0))


def test_blocks_of_another_fit_are_refused(blocks, fit):
    narrow = [CohortBlock(b.name, b.X[:, :6], b.y) for b in blocks]

    with pytest.raises(InvalidBlockError):
        fraction_by_g_computation(blocks[:3], fit, EXPOSURES[0])
    with pytest.raises(InvalidBlockError):
        fraction_by_g_computation(narrow, fit, EXPOSURES[0])
    with pytest.raises(InvalidBlockError):
        fraction_by_g_computation(list(reversed(blocks)), fit, EXPOSURES[0])


def test_a_wrong_level_and_no_exposures_are_refused(blocks, names, fit):
    with pytest.raises(InvalidBlockError):
        fraction_by_g_computation(blocks, fit, EXPOSURES[0], level=95.0)
    with pytest.raises(InvalidBlockError):
        bootstrap_fractions(blocks, names, [], replicates=5, rng=np.random.default_rng(0))
