"""The main model of a plan on the generated cohort: design, names, estimation, and the seeds of its randomness."""

from __future__ import annotations

import numpy as np
import pytest

PLAN = """
title = "Generated"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male" },
  { name = "sbp", column = "sbp", spline = 4 },
  { name = "grade", column = "grade", reference = "2" },
]
interactions = [{ first = "age", second = "male" }]
"""


def test_columns_of_the_model_are_named_as_people_read_them(study):
    data = study(PLAN)

    assert data.names == ("age", "male", "sbp", "sbp'", "sbp''", "grade=1", "grade=3", "age:male")
    assert data.model.term_of == ("age", "male", "sbp", "sbp", "sbp", "grade", "grade", "age:male")


def test_robust_errors_change_the_errors_and_not_the_weights(study):
    plain, robust = study(PLAN), study(PLAN + '[analysis]\nstandard_errors = "robust"\n')

    assert np.array_equal(plain.fit.term_coef, robust.fit.term_coef)
    assert not np.allclose(plain.fit.term_se, robust.fit.term_se, rtol=1e-4)


def test_firth_is_taken_when_the_plan_says_so_and_only_then(study):
    assert study(PLAN).fit.firth is None
    assert study(PLAN + '[analysis]\nestimation = "firth"\n').fit.firth is not None


@pytest.mark.parametrize("purpose", ["bootstrap", "imputation"])
def test_equal_questions_draw_equal_numbers_and_other_questions_others(study, purpose):
    first = study(PLAN).random(purpose).random(3)

    assert np.array_equal(first, study(PLAN).random(purpose).random(3))
    assert not np.array_equal(first, study(PLAN).random("else").random(3))
    assert not np.array_equal(first, study(PLAN.replace("Generated", "Another")).random(purpose).random(3))


def test_a_cox_model_has_no_intercepts_and_a_hazard_for_each_factor(study):
    data = study(
        """
title = "Survival"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry", competing = { column = "status", equals = "2" } }
factors = [{ name = "age", column = "age" }, { name = "smoker", column = "smoker" }]
analysis = { model = "cox", strata = ["male"] }
"""
    )

    assert data.fit.hospital_intercepts == ()
    assert data.fit.term_coef.shape == (2,)
    assert data.fit.cox.strata == 8
    assert set(np.concatenate([block.event for block in data.survival]).tolist()) == {0, 1, 2}
