"""What can't be estimated, pooled or shown leaves a gap in its row, and sinks neither its table nor its neighbours."""

from __future__ import annotations

import math

import numpy as np
import pytest

from heartify.enclave.analyses.effect_cells import effect_cells
from heartify.enclave.analyses.heterogeneity import meta_row, meta_rows
from heartify.enclave.analyses.hospital_fits import HospitalFits
from heartify.enclave.analyses.hospital_interactions import can_afford, interaction_rows
from heartify.enclave.analyses.left_out import summary_rows
from heartify.enclave.analyses.refits import CoxRefits, Estimates, LogisticRefits
from heartify.enclave.analyses.shapley_shares import ShapleyShares
from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import RankDeficientError
from heartify.stats.heterogeneity import HospitalEstimate, LeftOutHospital, Measure, random_effects
from heartify.stats.importance import logistic_dominance, single_column_terms

PLAN = """
title = "Edges"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "male", column = "male" }]
"""
COX = """
title = "Edges of a hazard"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time" }
factors = [{ name = "age", column = "age" }, { name = "male", column = "male" }]
analysis = { model = "cox" }
"""


def estimate_of(hospital, coef, se):
    return HospitalEstimate(
        hospital, 100, 50, ("x",), np.array([coef]), np.array([se]), np.array([[se**2]]), (None,)
    )  # fmt: skip


def judged(hospital, slope, log_oe):
    return LeftOutHospital(
        hospital, 100, 50, 50.0, Measure(0.7, 0.05), Measure(0.85, 0.2), slope, None, log_oe, None
    )  # fmt: skip


def test_effects_of_absurd_size_are_not_shown():
    assert effect_cells(0.5, 0.1)["estimate"] == 0.5
    assert set(effect_cells(0.5, 0.0).values()) == {None}
    assert set(effect_cells(math.nan, 1.0, name="slope", prefix="slope_")) == {
        "slope_se", "slope", "slope_ci_low", "slope_ci_high",
    }  # fmt: skip


def test_estimates_that_do_not_pool_leave_no_row():
    fine = HospitalFits({h: estimate_of(f"h{h}", 0.1 * h, 0.2) for h in range(3)})
    broken = HospitalFits({h: estimate_of(f"h{h}", 0.1 * h, 0.0) for h in range(3)})

    assert [row["model"] for row in meta_rows(fine)] == ["fixed effect", "random effects"]
    assert meta_rows(broken) == []


def test_pooled_estimates_of_absurd_size_show_no_interval_either():
    row = meta_row("x", "random effects", random_effects([1e13, 2e13, 4e13], [1.0, 1.0, 1.0]))

    assert row["estimate"] is row["ci_low"] is row["prediction_high"] is None
    assert row["hospitals"] == 3


def test_a_column_that_varies_in_one_shown_hospital_only_is_not_pooled(cohort, tables):
    men = {name: {**own, "male": own["male"] if name == "a" else np.ones_like(own["male"])}
           for name, own in cohort.items()}  # fmt: skip

    released = tables(PLAN + "[heterogeneity]\n", men)

    assert {row["factor"] for row in released["meta_analysis"]} == {"age"}
    tests = {row["term"]: row for row in released["hospital_interactions"]}
    assert (tests["male"]["df"], tests["male"]["chi2"]) == (0, None)


def test_no_test_between_hospitals_whose_common_model_has_no_estimates(cohort, study):
    men = {name: {**own, "male": np.ones_like(own["male"]) if name in "ab" else own["male"]}
           for name, own in cohort.items()}  # fmt: skip

    assert interaction_rows(study(PLAN, men), (0, 1)) == []
    assert len(interaction_rows(study(PLAN, men), (1, 2, 3))) == 2


def test_a_term_with_an_infinite_slope_in_one_hospital_has_no_likelihood_ratio(cohort, study):
    own = cohort["d"]
    early = np.where(own["status"] == 1, own["age"] + 2000.0 - own["time"] / 100.0, 0.0)
    data = study(COX, {**cohort, "d": {**own, "male": (early > 0).astype(float)}})

    rows = {row["term"]: row for row in interaction_rows(data, range(4))}

    assert (rows["male"]["df"], rows["male"]["chi2"]) == (0, None)
    assert rows["age"]["df"] == 3


def test_tests_between_hospitals_are_bounded_work():
    assert can_afford(70_000, 15, 12)
    assert not can_afford(10_000_000, 60, 12)


def test_summaries_need_three_hospitals_and_finite_numbers():
    fine = [judged(name, Measure(1.0, 0.2), Measure(0.1, 0.1)) for name in "abc"]
    broken = [judged(name, Measure(math.inf, 0.2), None) for name in "abc"]

    assert [row["measure"] for row in summary_rows(fine)] == ["c", "slope", "o/e"]
    assert [row["measure"] for row in summary_rows(broken)] == ["c"]
    assert summary_rows(fine[:2]) == []


def test_bounds_beyond_any_ratio_are_left_open():
    far = [judged(name, None, Measure(value, 0.1)) for name, value in zip("abc", (-300.0, 0.0, 300.0), strict=True)]

    row = next(row for row in summary_rows(far) if row["measure"] == "o/e")

    assert row["estimate"] == pytest.approx(1.0)
    assert row["ci_high"] is row["prediction_high"] is None


def test_a_hospital_whose_outcome_does_not_vary_changes_no_share():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(200, 2))
    y = (rng.random(200) < 1.0 / (1.0 + np.exp(-X[:, 0]))).astype(float)
    blocks = [CohortBlock("a", X, y), CohortBlock("b", rng.normal(size=(30, 2)), np.ones(30))]
    names, drawn = ["x", "z"], [np.ones(200, np.uint8), np.ones(30, np.uint8)]
    refits = LogisticRefits(blocks, names)
    shares = ShapleyShares(refits, single_column_terms(names), lambda: np.random.default_rng(1))

    shares.prepare([drawn])

    alone = logistic_dominance(blocks[:1], names, single_column_terms(names)).share
    assert shares.share == pytest.approx(alone, abs=1e-6)
    assert shares.of_replicate(0, refits.fit(), [case.astype(float) for case in drawn]) == pytest.approx(alone)


def test_a_replicate_with_singular_estimates_is_a_failed_one(study):
    blocks = study(COX).survival
    shares = ShapleyShares(
        CoxRefits(blocks, ["age", "male"], "efron"),
        single_column_terms(["age", "male"]),
        lambda: np.random.default_rng(1),
    )

    with pytest.raises(RankDeficientError):
        shares.of_replicate(0, Estimates(np.ones(2), np.ones((2, 2)), np.zeros(0)), [np.ones(b.n) for b in blocks])
