"""Tests of hospital x term against R: anova(common, update(common, . ~ . + hospital:TERM), test = "Rao" | "LRT")."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, SeparationError
from heartify.stats.heterogeneity import likelihood_ratio_interaction, score_test_interactions
from heartify.stats.importance import Term

COLUMNS = ("age", "male", "sbp", "chol", "smoker", "g2", "g3", "noise")
TERMS = (Term("age", (0,)), Term("smoker", (4,)), Term("grade", (5, 6)), Term("noise", (7,)))


def test_score_tests_equal_r(blocks, referee):
    found = score_test_interactions(blocks, COLUMNS, TERMS)

    # anova's Rao is a sum of squares of glm's last working residuals, exact to 1e-6; `score` is U' I^-1 U by hand in R.
    for test in found:
        expected = referee["interaction"][test.term]
        assert test.df == expected["df"]
        assert test.chi2 == pytest.approx(expected["score"], rel=1e-8)
        assert test.chi2 == pytest.approx(expected["rao"], rel=2e-6)
        assert test.p == pytest.approx(expected["rao_p"], rel=1e-5)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_likelihood_ratio_tests_equal_r(blocks, referee, term):
    expected = referee["interaction"][term.name]

    found = likelihood_ratio_interaction(blocks, COLUMNS, term)

    assert found.df == expected["df"]
    assert found.chi2 == pytest.approx(expected["lr"], rel=1e-7)
    assert found.p == pytest.approx(expected["lr_p"], rel=1e-7)


def test_a_hospital_of_men_only_takes_no_part_in_the_test_of_sex(blocks, referee):
    # d$male[d$hospital == "d"] <- 1; glm(y ~ hospital + age + male + sbp)
    changed = [CohortBlock(b.name, b.X[:, :3], b.y) for b in blocks]
    men = changed[3].X.copy()
    men[:, 1] = 1.0
    changed[3] = CohortBlock("d", men, changed[3].y)
    expected = referee["interaction"]["only_men_in_d"]["male"]
    male = Term("male", (1,))

    (score,) = score_test_interactions(changed, COLUMNS[:3], [male])
    ratio = likelihood_ratio_interaction(changed, COLUMNS[:3], male)

    assert score.df == ratio.df == expected["df"] == 2
    assert score.chi2 == pytest.approx(expected["score"], rel=1e-6)  # glm with its default epsilon, for the rank's sake
    assert ratio.chi2 == pytest.approx(expected["lr"], rel=1e-7)


def test_a_term_that_varies_in_one_hospital_only_cannot_be_compared(blocks):
    male = [b.X[:, :2].copy() for b in blocks[:2]]
    male[1][:, 1] = 1.0
    two = [CohortBlock(b.name, X, b.y) for b, X in zip(blocks[:2], male, strict=True)]
    term = Term("male", (1,))

    (score,) = score_test_interactions(two, COLUMNS[:2], [term])
    ratio = likelihood_ratio_interaction(two, COLUMNS[:2], term)

    assert (score.df, score.chi2, score.p) == (ratio.df, ratio.chi2, ratio.p) == (0, 0.0, 1.0)


def test_where_one_hospital_separates_the_score_test_stands_and_the_refit_is_refused(uci_blocks):
    terms = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")
    sex = Term("sex", (1,))

    (score,) = score_test_interactions(uci_blocks, terms, [sex])

    assert score.df == 3
    assert 0.0 < score.p < 1.0
    with pytest.raises(SeparationError):
        likelihood_ratio_interaction(uci_blocks, terms, sex)


def test_row_order_hospital_order_and_units_do_not_matter(blocks):
    rng = np.random.default_rng(1)
    unit = np.array([1e3, 1, 1e-2, 1, 1, 1, 1, 50.0])
    other = []
    for block in reversed(blocks):
        order = rng.permutation(block.n)
        other.append(CohortBlock(block.name, block.X[order] * unit, block.y[order]))

    found, again = score_test_interactions(blocks, COLUMNS, TERMS), score_test_interactions(other, COLUMNS, TERMS)

    for one, two in zip(found, again, strict=True):
        assert two.chi2 == pytest.approx(one.chi2, rel=1e-7)


@pytest.mark.parametrize("terms", [[], [Term("u", (8,))], [Term("u", ())], [Term("u", (0,)), Term("v", (0,))]])
def test_terms_that_do_not_fit_are_refused(blocks, terms):
    with pytest.raises(InvalidBlockError):
        score_test_interactions(blocks, COLUMNS, terms)


def test_one_hospital_cannot_be_compared(blocks):
    with pytest.raises(InvalidBlockError):
        score_test_interactions(blocks[:1], COLUMNS, TERMS)
    with pytest.raises(InvalidBlockError):
        likelihood_ratio_interaction(blocks[:1], COLUMNS, TERMS[0])


def test_the_score_test_holds_its_level_where_hospitals_do_not_differ():
    rng = np.random.default_rng(3)
    p = []
    for _ in range(200):
        X = [rng.normal(size=(n, 1)) for n in (80, 120, 150)]
        draw = [CohortBlock(str(h), x, (rng.random(len(x)) < 1 / (1 + np.exp(-x[:, 0] - h / 2))).astype(float))
                for h, x in enumerate(X)]  # fmt: skip
        p.append(score_test_interactions(draw, ["x"], [Term("x", (0,))])[0].p)

    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.04)
