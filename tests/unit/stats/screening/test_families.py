"""Families tested jointly against R anova(test = "Rao"), also when their members depend on each other."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import InvalidBlockError
from heartify.stats.screening import CandidateBlock, ScreenOptions, cox_null, score_test_family, screen


@pytest.mark.parametrize(("family", "members"), [("grade", ["g2", "g3"]), ("panel", ["sbp", "chol", "noise"])])
def test_a_family_equals_raos_test_in_r(r, null, candidates, family, members):
    expected = r["families"][family]  # anova(base, update(base, . ~ . + members), test = 'Rao')

    found = score_test_family(null, family, candidates(members))

    assert found.chi2 == pytest.approx(expected["chi2"], rel=1e-9)
    assert found.df == expected["df"]
    assert found.p == pytest.approx(expected["p"], rel=1e-8)
    assert (found.n, found.events) == (1200, int(sum(block.events for block in null.blocks)))


def test_a_family_of_one_is_the_single_test(null, candidates, cohort):
    block = candidates(["chol"], unknown=cohort["unknown"])

    for missing in ("refit", "one-step"):
        found = score_test_family(null, "one", block, missing=missing)

        single = screen(null, [block], ScreenOptions(missing=missing))
        assert found.chi2 == pytest.approx(single.z[0] ** 2, rel=1e-10)
        assert found.n == np.count_nonzero(~cohort["unknown"])


def test_dependent_members_are_tested_on_their_rank(r, null, strata, candidates):
    block = candidates(["g2", "g3", "chol"])
    parts = tuple(
        np.column_stack([part, 3 * part[:, 0] - part[:, 1], np.full(part.shape[0], 7.7), base.X[:, 0]])
        for part, base in zip(block.parts, null.blocks, strict=True)
    )
    wide = CandidateBlock((*block.names, "sum", "flat", "age"), parts)
    cox = cox_null(strata, np.array(r["cox"]["efron"]["coef"]))

    for model in (null, cox):
        found, expected = score_test_family(model, "wide", wide), score_test_family(model, "narrow", block)

        assert found.df == expected.df == 3
        assert found.chi2 == pytest.approx(expected.chi2, rel=1e-7)


def test_a_family_without_information_has_no_degrees_of_freedom(null):
    parts = tuple(np.column_stack([np.full(n, 1.1), np.full(n, 2.2)]) for n in null.rows)

    found = score_test_family(null, "flat", CandidateBlock(("x", "y"), parts))

    assert (found.chi2, found.df, found.p) == (0.0, 0, 1.0)


def test_rows_count_where_all_members_are_known(r, null, strata, candidates):
    block = candidates(["sbp", "chol"])
    parts = tuple(part.copy() for part in block.parts)
    parts[0][:50, 0] = np.nan
    parts[0][40:60, 1] = np.nan
    rows = np.arange(parts[0].shape[0]) >= 60

    for model in (null, cox_null(strata, np.array(r["cox"]["efron"]["coef"]))):
        found = score_test_family(model, "pressure", CandidateBlock(block.names, parts))

        assert found.n == 1200 - 60
        masked = tuple(np.where(rows[:, None] if h == 0 else True, part, np.nan) for h, part in enumerate(block.parts))
        same = score_test_family(model, "pressure", CandidateBlock(block.names, masked))
        assert found.chi2 == pytest.approx(same.chi2, rel=1e-12)


def test_a_family_that_nobody_knows_is_not_tested(r, null, strata):
    parts = tuple(np.full((n, 2), np.nan) for n in null.rows)

    for model in (null, cox_null(strata, np.array(r["cox"]["efron"]["coef"]))):
        found = score_test_family(model, "unknown", CandidateBlock(("x", "y"), parts))

        assert (found.n, found.chi2, found.df, found.p) == (0, 0.0, 0, 1.0)


def test_a_family_whose_known_rows_have_no_null_is_not_tested(null, candidates, cohort):
    older = cohort["age"] > np.median(cohort["age"])
    block = candidates(["g2", "g3"], unknown=older != (cohort["y"] == 1))  # age separates the outcome on what is left

    found = score_test_family(null, "grade", block)

    assert (found.n, found.df) == (0, 0)


def test_a_family_that_does_not_fit_is_refused(null, candidates):
    with pytest.raises(InvalidBlockError, match="differ in hospitals or rows"):
        score_test_family(null, "few", CandidateBlock(("g2",), candidates(["g2"]).parts[:2]))


def test_families_come_with_the_screen(null, candidates):
    found = screen(null, [candidates(["sbp"])], families=[("grade", candidates(["g2", "g3"]))])

    assert [family.name for family in found.families] == ["grade"]
    assert found.families[0].members == ("g2", "g3")
