"""Candidates with missing values: own rows, exact by refit of the null, close by one step from the full null."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError
from heartify.stats.screening import CandidateBlock, CandidateState, ScreenOptions, fit_null, screen, storey

REFIT, ONE_STEP = ScreenOptions(missing="refit"), ScreenOptions(missing="one-step")


def test_own_rows_with_refit_null_equal_statmod(r, null, candidates, cohort):
    expected = r["missing"]  # glm.scoretest(glm(y ~ age + male + hospital, binomial, known rows), g[known])
    block = candidates(expected["names"], unknown=cohort["unknown"])

    found = screen(null, [block], REFIT)

    np.testing.assert_allclose(found.z, expected["z"], atol=1e-8)
    assert (found.n == np.count_nonzero(~cohort["unknown"])).all()


def test_one_step_is_close_to_the_refit_null(r, null, candidates, cohort):
    expected = r["missing"]
    block = candidates(expected["names"], unknown=cohort["unknown"])

    found = screen(null, [block], ONE_STEP)

    np.testing.assert_allclose(found.z, expected["z"], rtol=0.01)


def test_one_step_is_nearer_the_fewer_are_missing(null, candidates):
    error = []
    for share in (0.08, 0.02):
        unknown = np.random.default_rng(2).random(1200) < share
        block = candidates(["sbp", "chol", "smoker"], unknown=unknown)
        error.append(np.abs(screen(null, [block], ONE_STEP).z - screen(null, [block], REFIT).z).max())

    assert error[0] < 5e-3
    assert error[1] < error[0]


def test_values_missing_nowhere_give_the_complete_test(null, candidates):
    whole = candidates(["sbp", "chol"])
    unknown = np.zeros(1200, dtype=bool)
    unknown[700] = True
    holed = candidates(["sbp", "chol"], unknown=unknown)
    mixed = CandidateBlock(
        ("sbp", "x"), tuple(np.column_stack([w[:, 0], h[:, 1]]) for w, h in zip(whole.parts, holed.parts, strict=True))
    )

    found = screen(null, [mixed])

    assert found.z[0] == pytest.approx(screen(null, [whole]).z[0], rel=1e-13)
    assert list(found.n) == [1200, 1199]


def test_the_infarction_panel_equals_statmod_on_own_rows(r, panel):
    expected = r["mi_panel"]  # glm.scoretest(glm(LET_IS > 0 ~ AGE + SEX, binomial, known rows), g[known])
    null, block = panel

    found = screen(null, [block], REFIT)

    z = dict(zip(found.names, found.z, strict=True))
    np.testing.assert_allclose([z[name] for name in expected["names"]], expected["z"], atol=6e-7)
    state = dict(zip(found.names, found.state, strict=True))
    assert {name for name in found.names if state[name] == CandidateState.NO_NULL} == set(expected["separated"])


def test_the_infarction_panel_has_47_hits_at_a_false_discovery_rate_of_5_percent(r, panel):
    null, block = panel

    found = screen(null, [block], REFIT)

    assert found.tested == 107
    assert np.count_nonzero(found.bh < 0.05) == 47 == r["mi_panel"]["bh_hits"] == r["mi_panel"]["bh_hits_of_109"]
    assert r["mi_panel"]["pi0_of_109"] == pytest.approx(0.424, abs=5e-4)
    old_grid = np.arange(19) / 20.0  # qvalue(p, lambda = seq(0, 0.9, 0.05))
    assert storey(found.p, "smoother", grid=old_grid).pi0 == pytest.approx(r["mi_panel"]["pi0_old_grid"], abs=1e-4)
    assert storey(found.p, "smoother").pi0 == pytest.approx(r["mi_panel"]["pi0"], abs=1e-4)


def test_the_infarction_panel_by_one_step_needs_no_refit_and_finds_nearly_the_same(panel):
    null, block = panel

    one_step, exact = screen(null, [block], ONE_STEP), screen(null, [block], REFIT)

    both = ~np.isnan(exact.z)
    np.testing.assert_allclose(one_step.u[both], exact.u[both], rtol=0.01, atol=0.3)
    # V at the full null's weights: off where deaths are rarer among the known, as for drugs given on day three
    np.testing.assert_allclose(one_step.V[both], exact.V[both], rtol=0.6)
    np.testing.assert_allclose(one_step.z[both], exact.z[both], rtol=0.25, atol=0.1)
    assert abs(np.count_nonzero(one_step.bh < 0.05) - 47) <= 1


def test_robust_variance_on_own_rows_equals_the_direct_sum(null, candidates, cohort):
    unknown = cohort["unknown"]
    block = candidates(["chol"], unknown=unknown)

    found = screen(null, [block], ScreenOptions(robust=True, missing="refit"))

    keep = [~np.isnan(part[:, 0]) for part in block.parts]
    own = fit_null([CohortBlock(b.name, b.X[k], b.y[k]) for b, k in zip(null.blocks, keep, strict=True)], ["a", "m"])
    whole = CandidateBlock(("chol",), tuple(part[k] for part, k in zip(block.parts, keep, strict=True)))
    direct = screen(own, [whole], ScreenOptions(robust=True))
    assert found.z_robust[0] == pytest.approx(direct.z_robust[0], rel=1e-12)
    one_step = screen(null, [block], ScreenOptions(robust=True, missing="one-step"))
    assert one_step.z_robust[0] == pytest.approx(direct.z_robust[0], abs=0.02)


def test_a_hospital_that_never_measured_a_candidate_adds_nothing(null, candidates, cohort):
    unknown = cohort["hospital"] == "c"
    block = candidates(["chol"], unknown=unknown)
    others = [b for b in null.blocks if b.name != "c"]
    parts = tuple(p for p, b in zip(block.parts, null.blocks, strict=True) if b.name != "c")

    found = screen(null, [block], REFIT)

    expected = screen(fit_null(others, ["a", "m"]), [CandidateBlock(("chol",), parts)])
    assert found.z[0] == pytest.approx(expected.z[0], rel=1e-10)
    assert found.hospital_precision[2, 0] == 0.0
    assert found.heterogeneity.hospitals[0] == 3
    one_step = screen(null, [block], ONE_STEP)
    assert one_step.n[0] == expected.n[0]
    assert one_step.z[0] == pytest.approx(expected.z[0], abs=0.05)


def test_own_rows_without_cases_in_a_hospital_add_nothing(null, candidates, cohort):
    unknown = (cohort["hospital"] == "d") & (cohort["y"] == 1)
    block = candidates(["chol"], unknown=unknown)

    found, exact = screen(null, [block], ONE_STEP), screen(null, [block], REFIT)

    assert found.n[0] == exact.n[0] == 1200 - np.count_nonzero(cohort["hospital"] == "d")
    assert found.z[0] == pytest.approx(exact.z[0], abs=0.05)


def test_too_few_or_no_known_rows_are_said(null, candidates):
    unknown = np.ones(1200, dtype=bool)
    unknown[[0, 2, 9, 33]] = False

    few = screen(null, [candidates(["chol"], unknown=unknown)], ONE_STEP)
    none = screen(null, [candidates(["chol"], unknown=np.ones(1200, dtype=bool))], ONE_STEP)
    unfitted = screen(null, [candidates(["chol"], unknown=np.ones(1200, dtype=bool))], REFIT)

    assert CandidateState(few.state[0]) is CandidateState.TOO_FEW_ROWS
    assert CandidateState(none.state[0]) is CandidateState.TOO_FEW_ROWS
    assert CandidateState(unfitted.state[0]) is CandidateState.NO_NULL
    assert np.isnan([few.p[0], none.p[0]]).all()


def test_infinity_beside_missing_values_is_refused(null, candidates):
    block = candidates(["chol"], unknown=np.arange(1200) < 100)
    block.parts[2][5] = -np.inf

    for options in (ONE_STEP, REFIT):
        with pytest.raises(InvalidBlockError, match="infinite"):
            screen(null, [block], options)
