"""Sandwich and cluster-robust covariances against R's package sandwich, and against published data (truth.json)."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, RankDeficientError, fit_logistic, fit_pooled_logistic
from heartify.stats.inference import (
    cluster_covariance,
    hospital_cluster_covariance,
    sandwich_covariance,
    wald_test_of,
)

TERMS = ("age", "male", "sbp", "chol", "smoker", "noise")


def _as_vcov(found, wanted, se):
    return np.max(np.abs(found - np.array(wanted)) / np.outer(se, se))


def test_hc0_equals_r(blocks, fit, expected):
    # R: sandwich::vcovHC(full, type = "HC0")
    found = sandwich_covariance(blocks, fit)

    assert _as_vcov(found.covariance, expected["hc0"]["covariance"], fit.se) < 1e-9
    assert (found.clusters, found.small_sample) == (1200, False)


def test_clusters_of_rows_that_span_hospitals_equal_r(blocks, fit, row_clusters, expected):
    # R: sandwich::vcovCL(full, cluster = (row - 1) %/% 3, type = "HC0", cadjust = TRUE)
    found = cluster_covariance(blocks, fit, row_clusters)

    assert _as_vcov(found.covariance, expected["by_id"]["covariance"], fit.se) < 1e-9
    assert (found.clusters, found.small_sample) == (400, True)


@pytest.mark.parametrize(("key", "small_sample"), [("se_adjusted", True), ("se", False)])
def test_clusters_by_hospital_equal_r(blocks, fit, expected, key, small_sample):
    # R: sandwich::vcovCL(full, cluster = ~ hospital, type = "HC0", cadjust = TRUE or FALSE)
    found = hospital_cluster_covariance(blocks, fit, small_sample=small_sample)

    np.testing.assert_allclose(found.se, expected["by_hospital"][key], rtol=1e-7)
    assert found.clusters == 4


def test_seventy_thousand_persons_equal_r(read_columns, truth):
    # R: sandwich::vcovHC(glm(cardio ~ ..., binomial, clean rows), type = "HC0")
    data, wanted = read_columns("cardio_train.csv", ";"), truth["cardio70k"]["clean_bmi"]
    low, high, height, weight = data["ap_lo"], data["ap_hi"], data["height"], data["weight"]
    clean = (height >= 140) & (height <= 210) & (weight >= 40) & (weight <= 200)
    clean &= (high >= 80) & (high <= 240) & (low >= 40) & (low <= 160) & (low < high)
    columns = [data["age"] / 365.25, data["gender"] == 2, weight / (height / 100) ** 2, high, low]
    columns += [data["cholesterol"] == 2, data["cholesterol"] == 3, data["gluc"] == 2, data["gluc"] == 3]
    columns += [data["smoke"], data["alco"], data["active"]]
    block = CohortBlock("all", np.column_stack(columns)[clean], data["cardio"][clean])
    names = list(wanted["coef"])[1:]

    found = sandwich_covariance([block], fit_pooled_logistic([block], names))

    np.testing.assert_allclose(found.se, list(wanted["se_sandwich_HC0"].values()), rtol=1e-7)


def test_every_row_its_own_cluster_is_hc0(blocks, fit):
    ids = [np.array([f"{block.name}{i}" for i in range(block.n)]) for block in blocks]

    found = cluster_covariance(blocks, fit, ids, small_sample=False)

    np.testing.assert_allclose(found.covariance, sandwich_covariance(blocks, fit).covariance, rtol=1e-9)


@pytest.mark.parametrize("seed", [1, 2])
def test_row_order_and_names_of_clusters_do_not_matter(blocks, fit, row_clusters, seed):
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(block.n) for block in blocks]
    shuffled = [CohortBlock(b.name, b.X[o], b.y[o]) for b, o in zip(blocks, orders, strict=True)]
    ids = [1000 - part[order] for part, order in zip(row_clusters, orders, strict=True)]

    one, other = cluster_covariance(blocks, fit, row_clusters), cluster_covariance(shuffled, fit, ids)

    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-8, atol=1e-15)


def test_chunks_do_not_matter(blocks, fit, row_clusters, monkeypatch):
    whole = (sandwich_covariance(blocks, fit).se, cluster_covariance(blocks, fit, row_clusters).se)

    monkeypatch.setattr("heartify.stats.standardised_cohort.CHUNK_ROWS", 7)
    pieces = (sandwich_covariance(blocks, fit).se, cluster_covariance(blocks, fit, row_clusters).se)

    np.testing.assert_allclose(whole, pieces, rtol=1e-11)


def test_duplicated_persons_do_not_look_like_twice_the_information(blocks, fit):
    doubled = [CohortBlock(b.name, np.vstack([b.X, b.X]), np.concatenate([b.y, b.y])) for b in blocks]
    first = np.cumsum([0] + [block.n for block in blocks])
    ids = [np.tile(np.arange(block.n), 2) + first[h] for h, block in enumerate(blocks)]
    again = fit_pooled_logistic(doubled, TERMS)

    found = cluster_covariance(doubled, again, ids, small_sample=False)

    np.testing.assert_allclose(found.se, sandwich_covariance(blocks, fit).se, rtol=1e-6)


def test_more_contrasts_than_clusters_are_refused(blocks, fit):
    robust = hospital_cluster_covariance(blocks, fit)

    with pytest.raises(RankDeficientError, match="singular"):
        wald_test_of(fit, TERMS, robust.covariance)


def test_one_hospital_is_no_cluster_sample():
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(50, 1)), np.tile([0.0, 1.0], 25)

    with pytest.raises(InvalidBlockError, match="at least two clusters"):
        hospital_cluster_covariance([CohortBlock("all", X, y)], fit_logistic(X, y))


def test_ids_that_do_not_fit_are_refused(blocks, fit, row_clusters):
    with pytest.raises(InvalidBlockError, match="one array"):
        cluster_covariance(blocks, fit, row_clusters[:3])
    with pytest.raises(InvalidBlockError, match="one array"):
        cluster_covariance(blocks, fit, [part[:-1] for part in row_clusters])
    with pytest.raises(InvalidBlockError, match="integers"):
        cluster_covariance(blocks, fit, [part + 0.5 for part in row_clusters])


def test_a_fit_of_other_blocks_is_refused(blocks, fit, row_clusters):
    with pytest.raises(InvalidBlockError, match="other blocks"):
        sandwich_covariance(blocks[1:], fit)
    with pytest.raises(InvalidBlockError, match="other blocks"):
        cluster_covariance(blocks[1:], fit, row_clusters[1:])
