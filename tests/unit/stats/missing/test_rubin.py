from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from heartify.stats import InvalidBlockError, RankDeficientError
from heartify.stats.missing import pool_on_logit, pool_scalar, pool_vector, pool_wald, recommended_imputations
from heartify.stats.missing.rubin import barnard_rubin_df


@pytest.mark.parametrize("case", range(4))
def test_scalar_equals_mice(mice: dict[str, Any], case: int) -> None:
    expected = mice["pool_scalar"][case]  # mice::pool.scalar(Q, U, n, k)

    found = pool_scalar(expected["Q"], expected["U"], float(expected["complete_df"]))

    values = (found.estimate, found.within, found.between, found.total, found.df, found.r, found.fmi)
    reference = [expected[key] for key in ("qbar", "ubar", "b", "t", "df", "r", "fmi")]
    np.testing.assert_allclose(values, reference, rtol=1e-12)


def test_vector_equals_the_summary_of_mice_pool(mice: dict[str, Any]) -> None:
    expected = mice["pool"]  # summary(pool(as.mira(five)), conf.int=TRUE)

    found = pool_vector(np.array(expected["estimates"]), np.array(expected["covariances"]), expected["complete_df"])

    names = {"estimate": "qbar", "within": "ubar", "between": "b", "total": "t", "df": "df", "r": "riv"}
    names |= {"proportion": "lambda", "fmi": "fmi", "t": "statistic", "p": "p", "ci_low": "ci_low"}
    # mice takes a lambda below 1e-4 for 1e-4 in the degrees of freedom; none is so small here.
    for ours, theirs in {**names, "ci_high": "ci_high"}.items():
        reference = np.array(expected[theirs])
        np.testing.assert_allclose([getattr(s, ours) for s in found.parameters], reference, rtol=1e-8, err_msg=ours)
    np.testing.assert_allclose(np.diag(found.total), expected["t"], rtol=1e-12)


def test_wald_equals_the_d1_statistic(mice: dict[str, Any]) -> None:
    names = mice["pool"]["term"]
    estimates, covariances = np.array(mice["pool"]["estimates"]), np.array(mice["pool"]["covariances"])
    for case in mice["d1"]["cases"]:
        chosen, m = [names.index(term) for term in case["terms"]], case["m"]

        found = pool_wald(
            estimates[:m][:, chosen], covariances[:m][:, chosen][:, :, chosen], float(case["complete_df"])
        )

        values = (found.f, found.df1, found.df2, found.p, found.r)
        np.testing.assert_allclose(values, [case[key] for key in ("f", "df1", "df2", "p", "r")], rtol=1e-8)


def test_wald_of_one_parameter_is_the_squared_t() -> None:
    q, u = np.random.default_rng(1).normal(0.5, 0.2, (20, 1)), np.full((20, 1, 1), 0.03)

    found = pool_wald(q, u)

    single = pool_scalar(q[:, 0], u[:, 0, 0])
    assert found.f == pytest.approx(single.t**2)
    assert found.r == pytest.approx(single.r)


def test_small_sample_df_tend_to_those_of_a_large_complete_dataset() -> None:
    rng = np.random.default_rng(2)
    q, u = rng.normal(size=(10, 3)), np.stack([np.eye(3)] * 10)

    assert pool_wald(q, u, 1e9).df2 == pytest.approx(pool_wald(q, u).df2, rel=1e-6)


def test_wald_without_missing_values_is_chi_squared() -> None:
    q, u = np.tile([1.0, 2.0], (5, 1)), np.stack([np.eye(2)] * 5)

    found = pool_wald(q, u)

    # pchisq(5, 2, lower.tail = FALSE) = exp(-2.5)
    assert found.r == 0
    assert found.p == pytest.approx(math.exp(-2.5), rel=1e-6)


def test_type_one_error_of_the_wald_test_is_nominal() -> None:
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(2000):
        # Complete-data estimate N(0, 1) a parameter; imputations add between-variance 0.5 around it.
        q = rng.normal(size=2) + rng.normal(scale=math.sqrt(0.5), size=2) + rng.normal(0, math.sqrt(0.5), (10, 2))
        rejected += pool_wald(q, np.stack([np.eye(2)] * 10)).p < 0.05

    assert 0.035 < rejected / 2000 < 0.065


def test_equal_estimates_lose_nothing() -> None:
    found = pool_scalar([0.3, 0.3, 0.3], [0.04, 0.04, 0.04])

    assert found.df == math.inf
    assert found.fmi == found.r == 0.0
    # qnorm(0.975) * 0.2
    assert found.ci_high - found.estimate == pytest.approx(1.959963984540054 * 0.2)


def test_equal_estimates_of_a_small_dataset_keep_its_observed_df() -> None:
    assert barnard_rubin_df(5, 0.0, 20.0) == pytest.approx(21 / 23 * 20)


def test_auc_is_pooled_on_the_logit_scale() -> None:
    found = pool_on_logit([0.80, 0.82, 0.81], [0.02, 0.021, 0.019])

    by_hand = pool_scalar(
        [math.log(a / (1 - a)) for a in (0.80, 0.82, 0.81)],
        [(s / (a * (1 - a))) ** 2 for a, s in ((0.80, 0.02), (0.82, 0.021), (0.81, 0.019))],
    )
    assert found.on_logit == by_hand
    assert found.estimate == pytest.approx(1 / (1 + math.exp(-by_hand.estimate)))
    assert 0 < found.ci_low < found.estimate < found.ci_high < 1


def test_interval_near_one_stays_below_one() -> None:
    assert pool_on_logit([0.995, 0.998], [0.01, 0.01]).ci_high < 1


@pytest.mark.parametrize(("fmi", "m"), [(0.0, 5), (0.07, 7), (0.301, 31), (1.0, 100)])
def test_recommended_imputations_are_a_hundred_times_the_fmi(fmi: float, m: int) -> None:
    assert recommended_imputations(fmi) == m


@pytest.mark.parametrize(
    ("estimates", "variances", "df"),
    [
        ([1.0], [1.0], math.inf),
        ([1.0, 2.0], [1.0], math.inf),
        ([1.0, math.nan], [1.0, 1.0], math.inf),
        ([1.0, 2.0], [1.0, 0.0], math.inf),
        ([1.0, 2.0], [1.0, 1.0], 0.0),
    ],
)
def test_scalars_out_of_range_are_refused(estimates: list[float], variances: list[float], df: float) -> None:
    with pytest.raises(InvalidBlockError):
        pool_scalar(estimates, variances, df)


def test_fmi_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidBlockError):
        recommended_imputations(1.2)


def test_stacks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidBlockError):
        pool_vector(np.ones((3, 2)), np.ones((3, 2, 3)))


def test_estimates_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InvalidBlockError):
        pool_vector(np.full((3, 1), np.nan), np.ones((3, 1, 1)))


def test_auc_of_one_is_refused() -> None:
    with pytest.raises(InvalidBlockError):
        pool_on_logit([1.0, 0.9], [0.1, 0.1])


def test_singular_covariance_is_refused() -> None:
    with pytest.raises(RankDeficientError):
        pool_wald(np.ones((3, 2)), np.ones((3, 2, 2)))


def test_wald_with_too_few_complete_data_df_is_refused() -> None:
    q = np.random.default_rng(0).normal(size=(5, 3)) * 5

    with pytest.raises(InvalidBlockError):
        pool_wald(q, np.stack([np.eye(3)] * 5), 4.0)


def test_wald_without_complete_data_df_is_refused() -> None:
    with pytest.raises(InvalidBlockError):
        pool_wald(np.ones((3, 1)), np.ones((3, 1, 1)), 0.0)


def test_wald_of_few_imputations_of_a_small_dataset_uses_the_large_sample_df() -> None:
    q, u = np.array([[0.4, 0.1], [0.6, 0.3]]), np.stack([np.eye(2) * 0.04] * 2)

    assert pool_wald(q, u, 50.0) == pool_wald(q, u)


def test_wald_of_two_equal_imputations_keeps_the_complete_data_df() -> None:
    assert pool_wald(np.ones((2, 1)), np.ones((2, 1, 1)), 50.0).df2 == 50.0
