"""The tests of added columns: likelihood ratio and score, against anova.glm, and under the null."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import (
    CohortBlock,
    DegenerateOutcomeError,
    InvalidBlockError,
    RankDeficientError,
    SeparationError,
    fit_pooled_logistic,
)
from heartify.stats.chi_square import chi_square_test
from heartify.stats.increment import added_columns_test
from heartify.stats.increment.nested import NestedLogistic
from heartify.stats.increment.tests import compare_fits


def _expect(found, expected):
    assert found.likelihood_ratio.statistic == pytest.approx(expected["lr"], rel=1e-9)
    assert found.likelihood_ratio.p == pytest.approx(expected["lr_p"], rel=1e-7)
    assert found.score.statistic == pytest.approx(expected["rao"], rel=1e-8)
    assert found.likelihood_ratio.df == found.score.df == expected["df"]
    np.testing.assert_allclose(found.coef, expected["coef"], rtol=1e-7)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), expected["se"], rtol=1e-7)
    assert found.loglik_base == pytest.approx(expected["loglik_base"], abs=1e-8)
    assert found.loglik_full == pytest.approx(expected["loglik_full"], abs=1e-8)


def test_added_columns_equal_anova_of_two_fits(blocks_of, referee):
    terms = ("chol", "age", "grade2", "male", "grade3")

    found = added_columns_test(blocks_of(*terms), terms, ["chol", "grade2", "grade3"])

    # anova(glm(y ~ hospital + age + male), glm(... + chol + grade2 + grade3), test = "LRT" and "Rao")
    _expect(found, referee["nested"]["columns"])


def test_a_score_as_one_base_column_equals_r(blocks_of, referee):
    terms = ("score", "chol", "smoker")

    found = added_columns_test(blocks_of(*terms), terms, ["chol", "smoker"])

    _expect(found, referee["nested"]["one_column"])  # anova(glm(y ~ hospital + score), glm(... + chol + smoker))


def test_a_score_as_offset_equals_r(blocks_of, referee):
    terms = ("chol", "smoker")
    offsets = [block.X[:, 0] for block in blocks_of("score")]

    found = added_columns_test(blocks_of(*terms), terms, terms, offsets)

    _expect(found, referee["nested"]["offset"])  # anova(glm(y ~ hospital + offset(score)), glm(... + chol + smoker))


def test_cardio_cholesterol_equals_the_published_likelihood_ratio(truth, cardio):
    expected = truth["cardio70k"]["increment_chol"]

    found = added_columns_test([CohortBlock("all", cardio.X, cardio.y)], cardio.terms, ["chol2", "chol3"])

    assert found.likelihood_ratio.statistic == pytest.approx(expected["LR_chisq_clean_all"], abs=1e-6)
    assert found.likelihood_ratio.p == pytest.approx(expected["LR_p"], rel=1e-6)
    assert found.likelihood_ratio.log10_p == pytest.approx(np.log10(expected["LR_p"]), abs=1e-8)


def test_far_tails_equal_r(referee):
    expected = referee["chi_square"]  # pchisq(statistic, df, lower.tail = FALSE, log.p = TRUE) / log(10)

    for df in (1, 2, 7):
        found = [chi_square_test(statistic, df).log10_p for statistic in expected["statistic"]]
        np.testing.assert_allclose(found, expected[f"df{df}"], rtol=1e-10, atol=1e-12)


@given(st.sampled_from([1e-6, 1e-2, 1e3, 1e7]), st.floats(-1e3, 1e3), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_units_and_row_order_do_not_change_the_tests(blocks_of, scale, shift, seed):
    terms = ("age", "chol")
    blocks = blocks_of(*terms)
    expected = added_columns_test(blocks, terms, ["chol"])
    generator = np.random.default_rng(seed)
    moved = []
    for block in blocks:
        order = generator.permutation(block.n)
        moved.append(CohortBlock(block.name, (block.X * [1.0, scale] + [shift, 0.0])[order], block.y[order]))

    found = added_columns_test(moved, terms, ["chol"])

    assert found.likelihood_ratio.statistic == pytest.approx(expected.likelihood_ratio.statistic, rel=1e-7)
    assert found.score.statistic == pytest.approx(expected.score.statistic, rel=1e-7)
    assert found.coef[0] * scale == pytest.approx(expected.coef[0], rel=1e-7)


def test_the_full_model_is_that_of_the_kernel(blocks_of):
    terms = ("age", "male", "chol")
    blocks = blocks_of(*terms)
    kernel = fit_pooled_logistic(blocks, terms)

    found = added_columns_test(blocks, terms, ["chol"])

    assert found.loglik_full == pytest.approx(kernel.loglik, abs=1e-9)
    assert found.coef[0] == pytest.approx(kernel.term_coef[2], rel=1e-9)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(kernel.term_se[2], rel=1e-9)


def test_type_one_error_is_nominal_for_both_tests():
    generator = np.random.default_rng(20261122)
    rejected = np.zeros(2)
    for _ in range(250):
        X = generator.normal(size=(240, 3))
        y = (generator.random(240) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
        blocks = [CohortBlock("a", X[:100], y[:100]), CohortBlock("b", X[100:], y[100:])]
        found = added_columns_test(blocks, ("x", "g", "h"), ("g", "h"))
        rejected += [found.likelihood_ratio.p < 0.05, found.score.p < 0.05]

    assert (np.abs(rejected / 250 - 0.05) < 0.035).all()


def test_a_combination_of_base_columns_is_refused(blocks_of):
    blocks = [CohortBlock(b.name, np.column_stack([b.X, b.X @ [1.0, 2.0]]), b.y) for b in blocks_of("age", "sbp")]

    with pytest.raises(RankDeficientError):
        added_columns_test(blocks, ("age", "sbp", "mix"), ["mix"])


def test_a_hospital_without_events_is_refused(blocks_of):
    blocks = blocks_of("age", "chol")
    blocks[1] = CohortBlock("b", blocks[1].X, np.zeros(blocks[1].n))

    with pytest.raises(SeparationError):
        added_columns_test(blocks, ("age", "chol"), ["chol"])


def test_an_outcome_that_does_not_vary_is_refused():
    with pytest.raises(DegenerateOutcomeError):
        added_columns_test([CohortBlock("a", np.arange(8.0).reshape(4, 2) ** 2, np.zeros(4))], ("x", "g"), ["g"])


@pytest.mark.parametrize("added", [[], ["chol", "chol"], ["weight"]])
def test_unknown_or_repeated_added_terms_are_refused(added, blocks_of):
    with pytest.raises(InvalidBlockError):
        added_columns_test(blocks_of("age", "chol"), ("age", "chol"), added)


def test_offsets_that_do_not_fit_are_refused(blocks_of):
    blocks = blocks_of("age", "chol")
    good = [np.zeros(block.n) for block in blocks]

    for offsets in (good[:1], [*good[:-1], np.zeros(3)], [*good[:-1], np.full(blocks[-1].n, np.nan)]):
        with pytest.raises(InvalidBlockError, match="offset"):
            added_columns_test(blocks, ("age", "chol"), ["chol"], offsets)


def test_added_columns_without_information_of_their_own_are_refused_by_the_score_test():
    X = np.column_stack([np.tile([-1.0, 1.0], 32)] * 2)
    y = (np.arange(64) % 3 == 0).astype(float)
    model = NestedLogistic([CohortBlock("a", X, y)], ("x", "twin"), ["twin"], None)
    base = model.fit_base()

    with pytest.raises(RankDeficientError, match="of their own"):
        compare_fits(model, ["twin"], base, base)
