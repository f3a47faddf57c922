"""Heterogeneity per candidate against metafor; hits refitted in full against glm, with a fallback where separated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, SeparationError, fit_pooled_logistic
from heartify.stats.screening import CandidateBlock, fit_null, heterogeneity, refit_hits, screen

BASE = ["age", "male"]


@dataclass(frozen=True)
class GivenFit:
    term_coef: np.ndarray
    term_se: np.ndarray


def test_heterogeneity_equals_metafor(r):
    cases = [r["heterogeneity"][name] for name in ("varied", "alike")]  # rma(beta, v, method = "DL" / "REML")
    beta = np.column_stack([case["beta"] for case in cases])
    precision = 1 / np.column_stack([case["v"] for case in cases])

    found = heterogeneity(beta, precision)

    for name in ("Q", "p", "I2", "tau2_dl"):
        np.testing.assert_allclose(getattr(found, name), [case[name] for case in cases], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.tau2_reml, [case["tau2_reml"] for case in cases], rtol=1e-6, atol=1e-9)


def test_hospitals_without_information_are_left_out_and_one_alone_has_no_heterogeneity():
    beta = np.array([[0.5, 0.5], [0.1, np.nan], [np.nan, np.nan]])
    precision = np.array([[9.0, 9.0], [4.0, 0.0], [0.0, np.nan]])

    found = heterogeneity(beta, precision)

    assert list(found.hospitals) == [2, 1]
    assert found.Q[0] == pytest.approx(0.4**2 * 36 / 13)
    assert np.isnan([found.Q[1], found.p[1], found.I2[1], found.tau2_dl[1], found.tau2_reml[1]]).all()


def test_each_hospitals_one_step_is_its_own_screen_to_first_order(null, candidates):
    block = candidates(["chol"])

    found = screen(null, [block])

    for h, base in enumerate(null.blocks):
        alone = screen(fit_null([base], BASE), [CandidateBlock(("chol",), (block.parts[h],))])
        assert found.hospital_beta[h, 0] == pytest.approx(alone.beta[0], abs=0.3 * alone.se[0])
        assert found.hospital_precision[h, 0] == pytest.approx(alone.V[0], rel=0.2)


def test_leaving_a_hospital_out_is_near_the_screen_without_it(null, candidates):
    block = candidates(["sbp", "chol"])

    found = screen(null, [block])

    for h in range(4):
        rest = [k for k in range(4) if k != h]
        without = screen(
            fit_null([null.blocks[k] for k in rest], BASE),
            [CandidateBlock(block.names, tuple(block.parts[k] for k in rest))],
        )
        np.testing.assert_allclose(found.leave_one_out_z[h], without.z, atol=0.05)


def test_a_refit_equals_the_full_model_of_r(r, null, candidates):
    expected = r["refit"]  # glm(y ~ age + male + sbp + hospital, binomial)

    (hit,) = refit_hits(null.blocks, BASE, candidates(["sbp"]))

    assert hit.method == "ml"
    assert hit.per_unit.beta == pytest.approx(expected["beta"], rel=1e-8)
    assert hit.per_unit.se == pytest.approx(expected["se"], rel=1e-7)
    assert hit.sd == pytest.approx(expected["sd"], rel=1e-12)
    assert hit.per_sd.beta == pytest.approx(expected["beta"] * expected["sd"], rel=1e-8)
    assert (hit.n, hit.hospitals_left_out) == (1200, ())


def test_a_refit_uses_own_rows_and_leaves_out_hospitals_of_one_outcome(null, candidates, cohort):
    unknown = (cohort["hospital"] == "d") & (cohort["y"] == 1) | (np.arange(1200) < 50)
    block = candidates(["chol"], unknown=unknown)

    (hit,) = refit_hits(null.blocks, BASE, block)

    assert hit.hospitals_left_out == ("d",)
    assert hit.n == np.count_nonzero(~unknown & (cohort["hospital"] != "d"))
    nobody = candidates(["chol"], unknown=np.ones(1200, dtype=bool))
    (none,) = refit_hits(null.blocks, BASE, nobody)
    assert (none.method, none.reason, none.n) == ("none", "DegenerateOutcomeError", 0)


def test_a_separated_hit_goes_to_the_fallback(null, candidates, cohort):
    y = [block.y for block in null.blocks]
    separated = CandidateBlock(("marker",), tuple(part[:, None] for part in y))
    seen = []

    def firth(blocks, names):
        seen.append((len(blocks), tuple(names)))
        return GivenFit(np.array([0.0, 0.0, 5.0]), np.array([1.0, 1.0, 2.0]))

    (without,) = refit_hits(null.blocks, BASE, separated)
    (hit,) = refit_hits(null.blocks, BASE, separated, fallback=firth)

    assert (without.method, without.reason, without.per_unit) == ("none", "SeparationError", None)
    assert (hit.method, hit.z, hit.per_unit.beta) == ("fallback", 2.5, 5.0)
    assert seen == [(4, ("age", "male", "marker"))]


def test_a_fallback_may_be_preferred_and_may_fail(null, candidates):
    block = candidates(["sbp", "chol"])

    def fails(blocks, names):
        raise SeparationError("still")

    hits = refit_hits(null.blocks, BASE, block, fallback=fit_pooled_logistic, prefer_fallback=["chol"])
    (failed,) = refit_hits(null.blocks, BASE, candidates(["sbp"]), fallback=fails, prefer_fallback=["sbp"])

    assert [hit.method for hit in hits] == ["ml", "fallback"]
    assert (failed.method, failed.reason) == ("none", "SeparationError")
    with pytest.raises(InvalidBlockError, match="none is given"):
        refit_hits(null.blocks, BASE, block, prefer_fallback=["chol"])


def test_a_fallback_that_fails_too_leaves_no_estimate(null):
    separated = CandidateBlock(("marker",), tuple(block.y[:, None] for block in null.blocks))

    def fails(blocks, names):
        raise SeparationError("still")

    (hit,) = refit_hits(null.blocks, BASE, separated, fallback=fails)

    assert (hit.method, hit.reason) == ("none", "SeparationError")


def test_a_constant_hit_has_no_estimate(null):
    flat = CandidateBlock(("flat",), tuple(np.ones((block.n, 1)) for block in null.blocks))

    (hit,) = refit_hits(null.blocks, BASE, flat)

    assert (hit.method, hit.reason) == ("none", "RankDeficientError")


def test_blocks_without_their_candidates_are_refused():
    block = CohortBlock("a", np.arange(4.0)[:, None], np.array([0.0, 1.0, 0.0, 1.0]))

    with pytest.raises(InvalidBlockError, match="differ in hospitals or rows"):
        refit_hits([block], ["x"], CandidateBlock(("g",), (np.ones((3, 1)),)))
