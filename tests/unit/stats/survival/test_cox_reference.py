"""Cox fits against survival::coxph of R: ties, strata, delayed entry, competing events (calls in cox.json)."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats.survival import SurvivalBlock, Ties, fit_cox

FITS = (
    "plain_efron",
    "plain_breslow",
    "strata_efron",
    "delayed_efron",
    "delayed_breslow",
    "delayed_strata_efron",
    "delayed_strata_breslow",
    "delayed_two_strata_efron",
    "competing_efron",
)


@pytest.mark.parametrize("name", FITS)
def test_fit_equals_coxph(name, cox_r, fit_arguments):
    # R: coxph(Surv(entry, time, status == 1) ~ age + male + sbp + chol + smoker + noise + strata(hospital)), and others
    expected = cox_r["fits"][name]
    blocks, options = fit_arguments(name)

    fit = fit_cox(blocks, options["term_names"], ties=Ties(options["ties"]))

    se = np.array(expected["se"])
    assert fit.term_names == tuple(expected["coef"])
    assert np.max(np.abs(fit.coef - np.array(list(expected["coef"].values()))) / se) < 1e-8
    np.testing.assert_allclose(fit.se, se, rtol=1e-8)
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-8)
    assert fit.null_loglik == pytest.approx(expected["loglik_null"], abs=1e-8)
    assert fit.score_test.statistic == pytest.approx(expected["score"], rel=1e-9)
    assert fit.likelihood_ratio_test.statistic == pytest.approx(2 * (expected["loglik"] - expected["loglik_null"]))
    assert (fit.n, fit.events) == (expected["n"], expected["events"])


@pytest.mark.parametrize("ties", Ties)
def test_whas500_with_thirteen_parameters_equals_coxph(ties, whas500):
    # R: coxph(Surv(lenfol, fstat) ~ age + gender + bmi + hr + sysbp + diasbp + chf + sho + av3 + miord + mitype +
    # cvd + afb, ties = ties)
    truth, data = whas500
    expected = truth[ties.value]
    terms = tuple(expected["coef"])
    block = SurvivalBlock("w", np.column_stack([data[t] for t in terms]), data["lenfol"], data["fstat"].astype(int))

    fit = fit_cox([block], terms, ties=ties)

    se = np.array(list(expected["se"].values()))
    assert np.max(np.abs(fit.coef - np.array(list(expected["coef"].values()))) / se) < 1e-6
    np.testing.assert_allclose(fit.se, se, rtol=1e-6)
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-6)
    assert fit.null_loglik == pytest.approx(expected["loglik_null"], abs=1e-6)
    assert fit.score_test.statistic == pytest.approx(expected["score_test"], rel=1e-6)
    assert fit.wald_test.statistic == pytest.approx(expected["wald"], rel=1e-6)


def test_a_fit_says_how_many_rows_events_and_strata_it_had(make_blocks):
    blocks = make_blocks(("age",), stratum="male")

    fit = fit_cox(blocks, ("age",))

    assert fit.strata == 8
    assert fit.n_by_block == {block.name: block.n for block in blocks}
    assert sum(fit.events_by_block.values()) == fit.events
    assert fit.likelihood_ratio_test.df == 1
