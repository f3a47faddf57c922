"""Published data against R (truth.json): many dummies, heavy tails, and a fit on which R itself fails."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, fit_logistic, pooled_sd, weights


def _expect_equal(fit, expected, *, loglik_abs=1e-6):
    assert fit.names == tuple(expected["coef"])
    coef, se = np.array(list(expected["coef"].values())), np.array(list(expected["se"].values()))
    assert np.max(np.abs(fit.coef - coef) / se) < 1e-6
    np.testing.assert_allclose(fit.se, se, rtol=1e-5)
    assert fit.loglik == pytest.approx(expected["loglik"], abs=loglik_abs)
    assert fit.auc == pytest.approx(expected["auc"], abs=1e-9)


def _dummies(data, column, levels, prefix):
    return {f"{prefix}{level}": (data[column] == level).astype(float) for level in levels}


@pytest.fixture(scope="module")
def cardio(read_columns):
    data = read_columns("cardio_train.csv", ";")
    columns = {
        "age_y": data["age"] / 365.25,
        "male": (data["gender"] == 2).astype(float),
        "bmi": data["weight"] / (data["height"] / 100) ** 2,
        **{name: data[name] for name in ("height", "weight", "ap_hi", "ap_lo", "smoke", "alco", "active")},
        **_dummies(data, "cholesterol", (2, 3), "chol"),
        **_dummies(data, "gluc", (2, 3), "gluc"),
    }
    return columns, data["cardio"]


def _clean_rows(columns):
    height, weight, high, low = (columns[name] for name in ("height", "weight", "ap_hi", "ap_lo"))
    size = (height >= 140) & (height <= 210) & (weight >= 40) & (weight <= 200)
    return size & (high >= 80) & (high <= 240) & (low >= 40) & (low <= 160) & (low < high)


def test_cleveland_with_eighteen_parameters_equals_r(truth, read_columns):
    data = read_columns("uci_heart_cleveland.csv")
    expected = truth["cleveland"]["mle"]
    complete = ~np.isnan(np.column_stack(list(data.values()))).any(axis=1)
    data = {name: column[complete] for name, column in data.items()}
    columns = {
        **data,
        **_dummies(data, "cp", (2, 3, 4), "cp"),
        **_dummies(data, "restecg", (1, 2), "recg"),
        **_dummies(data, "slope", (2, 3), "slope"),
        **_dummies(data, "thal", (6, 7), "thal"),
    }
    terms = list(expected["coef"])[1:]

    fit = fit_logistic(np.column_stack([columns[term] for term in terms]), (data["num"] > 0).astype(float), terms)

    _expect_equal(fit, expected)


def test_framingham_equals_r(truth, read_columns):
    data = read_columns("framingham_4240.csv")
    expected = truth["framingham4240"]["logit"]
    complete = ~np.isnan(np.column_stack(list(data.values()))).any(axis=1)
    terms = list(expected["coef"])[1:]

    fit = fit_logistic(np.column_stack([data[t] for t in terms])[complete], data["TenYearCHD"][complete], terms)

    _expect_equal(fit, expected)


def test_cardio_clean_equals_r_on_both_scales(truth, cardio):
    columns, y = cardio
    expected = truth["cardio70k"]["clean_bmi"]
    keep = _clean_rows(columns)
    terms = list(expected["coef"])[1:]
    block = CohortBlock("all", np.column_stack([columns[term] for term in terms])[keep], y[keep])

    fit = fit_logistic(block.X, block.y, terms)
    sd = pooled_sd([block])
    found = weights(fit, sd)

    assert fit.n == expected["n"]
    _expect_equal(fit, expected)
    np.testing.assert_allclose(sd, list(expected["sd"].values()), rtol=1e-12)
    for weight in found:
        assert weight.per_sd.beta == pytest.approx(expected["beta_per_sd"][weight.factor], abs=1e-6 * weight.per_sd.se)
        assert weight.z == pytest.approx(expected["z"][weight.factor], rel=1e-5)


def test_uncleaned_blood_pressures_reach_the_true_maximum_where_r_does_not(truth, cardio):
    columns, y = cardio
    expected = truth["cardio70k"]["raw_hw"]
    terms = list(expected["coef"])[1:]

    fit = fit_logistic(np.column_stack([columns[term] for term in terms]), y, terms)

    assert -2 * fit.loglik == pytest.approx(82842.926, abs=1e-3)
    _expect_equal(fit, expected)
