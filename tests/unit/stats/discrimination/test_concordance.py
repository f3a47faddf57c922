"""Harrell's and Uno's C against survival::concordance, brute force and the jackknife."""

from __future__ import annotations

import csv
import json
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, auc
from heartify.stats.competing import FollowUp
from heartify.stats.discrimination import ConcordanceSums, concordance, concordance_sums, harrell_c, uno_c
from heartify.stats.discrimination.pair_counts import weighted_below

SHARED = Path(__file__).resolve().parents[4] / ".." / "shared"


def _random(seed, n, *, delayed):
    rng = np.random.default_rng(seed)
    entry = rng.integers(0, 5, n).astype(float) if delayed else np.zeros(n)
    rows = FollowUp(entry + rng.integers(1, 10, n), rng.integers(0, 2, n), entry if delayed else None)
    return rng.integers(0, 6, n).astype(float), rows


def _brute_pairs(score, rows):
    entry = np.full(rows.n, -np.inf) if rows.entry is None else rows.entry
    won = tied = lost = 0
    for i in np.flatnonzero(rows.event == 1):
        later = (rows.time > rows.time[i]) | ((rows.time == rows.time[i]) & (rows.event == 0))
        other = score[later & (entry < rows.time[i])]
        won, tied, lost = (
            won + (other < score[i]).sum(),
            tied + (other == score[i]).sum(),
            lost + (other > score[i]).sum(),
        )
    return won, lost, tied


# R: concordance(Surv([entry,] time, one) ~ score or coarse [+ strata(hospital)], d, reverse = TRUE)
@pytest.mark.parametrize(
    ("block", "score", "delayed", "strata"),
    [
        ("harrell", "score", False, False),
        ("harrell_ties", "coarse", False, False),
        ("harrell_strata", "coarse", False, True),
        ("harrell_entry", "coarse", True, False),
        ("harrell_entry_strata", "score", True, True),
    ],
)
def test_harrells_c_equals_concordance(cohort, r, block, score, delayed, strata):
    rows = FollowUp(cohort["time"], cohort["status"], cohort["entry"] if delayed else None)

    found = harrell_c(getattr(cohort, score), rows, stratum=cohort["hospital"] if strata else None)

    assert found.c == pytest.approx(r[block]["c"], abs=1e-13)
    assert found.se == pytest.approx(r[block]["se"], rel=1e-10)
    counts = r[block]["count"]
    assert [found.concordant, found.discordant, found.tied_score] == counts[:3]
    assert found.tied_time == counts[3] + counts[4]


# R: coxph(Surv(lenfol, fstat) ~ age + ... + afb, ties = efron)$concordance
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_harrells_c_of_whas500_equals_coxph(ties):
    data, truth = SHARED / "data" / "whas500.csv", SHARED / "vectors" / "statistics" / "truth.json"
    if not data.exists() or not truth.exists():
        pytest.skip("third-party data ../shared/data/whas500.csv or truth.json are absent")
    with data.open(newline="") as lines:
        table = list(csv.DictReader(lines))
    expected = json.loads(truth.read_text())["whas500"][ties]
    score = sum(value * np.array([float(row[name]) for row in table]) for name, value in expected["coef"].items())
    rows = FollowUp([float(row["lenfol"]) for row in table], [float(row["fstat"]) for row in table])

    found = harrell_c(score, rows)

    assert found.c == pytest.approx(expected["concordance"], abs=1e-12)
    assert found.se == pytest.approx(expected["concordance_se"], rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 50), delayed=st.booleans())
def test_pairs_are_those_counted_one_by_one(seed, n, delayed):
    score, rows = _random(seed, n, delayed=delayed)

    sums = concordance_sums(score, rows)

    assert (sums.concordant, sums.discordant, sums.tied_score) == _brute_pairs(score, rows)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
def test_weighted_counts_below_a_rank_are_those_of_a_loop(seed, n):
    rng = np.random.default_rng(seed)
    rank, weight = rng.integers(0, 9, n), rng.random(n)
    first = rng.integers(0, n + 1, 20)
    last, value = np.maximum(first, rng.integers(0, n + 1, 20)), rng.integers(0, 10, 20)

    found = weighted_below(rank, weight, first, last, value)

    loop = [weight[a:b][rank[a:b] < v].sum() for a, b, v in zip(first, last, value, strict=True)]
    np.testing.assert_allclose(found, loop, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_row_order_and_a_monotone_change_of_the_score_do_not_matter(seed):
    score, rows = _random(seed, 200, delayed=True)
    order = np.random.default_rng(seed).permutation(200)

    moved = harrell_c(np.exp(score[order]) * 1e5, rows.take(order))

    plain = harrell_c(score, rows)
    assert (moved.c, moved.concordant) == (plain.c, plain.concordant)
    assert moved.se == pytest.approx(plain.se, rel=1e-12)


def test_sums_of_hospitals_add_to_the_stratified_result(cohort):
    rows, codes = FollowUp(cohort["time"], cohort["status"]), cohort["hospital"]
    parts = [concordance_sums(cohort.score[codes == k], rows.take(codes == k)) for k in (3, 1, 0, 2)]

    added = concordance(reduce(ConcordanceSums.__add__, parts))

    whole = harrell_c(cohort.score, rows, stratum=codes)
    assert added.c == whole.c
    assert added.se == pytest.approx(whole.se, rel=1e-12)
    assert added.n == 1200


def test_a_hospital_without_events_adds_no_pairs(cohort):
    quiet = np.where(cohort["hospital"] == 1, 0, cohort["status"])
    kept = cohort["hospital"] != 1

    found = harrell_c(cohort.score, FollowUp(cohort["time"], quiet), stratum=cohort["hospital"])

    alone = harrell_c(cohort.score[kept], FollowUp(cohort["time"], quiet).take(kept), stratum=cohort["hospital"][kept])
    assert (found.c, found.se) == pytest.approx((alone.c, alone.se), rel=1e-12)


def test_harrells_c_of_a_fixed_horizon_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(2)
    score, y = np.round(rng.normal(size=300), 1), rng.integers(0, 2, 300).astype(float)

    found = harrell_c(score, FollowUp(np.where(y == 1, 1.0, 2.0), y))

    assert found.c == pytest.approx(auc(score, y), abs=1e-14)


def test_a_perfect_score_has_c_one_and_a_constant_one_half():
    rows = FollowUp([1.0, 2.0, 3.0], [1, 1, 0])

    assert harrell_c([3.0, 2.0, 1.0], rows).c == 1.0
    assert harrell_c([1.0, 1.0, 1.0], rows).c == 0.5


# R: concordance(Surv(time, one) ~ score, d, timewt = "n/G2"[, ymax = 1400], reverse = TRUE)
@pytest.mark.parametrize(("block", "score", "tau"), [("uno", "score", None), ("uno_tau", "coarse", 1400.0)])
def test_unos_c_equals_concordance(cohort, r, block, score, tau):
    rows = FollowUp(cohort["time"], cohort["status"])

    found = uno_c(getattr(cohort, score), rows, tau=tau)

    assert found.c == pytest.approx(r[block]["c"], abs=1e-12)
    assert found.known_weights_se == pytest.approx(r[block]["se"], rel=1e-9)
    np.testing.assert_allclose(
        [found.pairs.concordant, found.pairs.discordant, found.pairs.tied_score], r[block]["count"][:3], rtol=1e-11
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_unos_standard_error_is_the_jackknife_with_the_weights_estimated_again(cohort, grouped):
    keep = np.arange(0, 1200, 4)
    rows, score = FollowUp(cohort["time"], cohort["status"]).take(keep), cohort.score[keep]
    group = cohort["male"][keep] if grouped else np.zeros(keep.size)
    found = uno_c(score, rows, tau=1400.0, censoring_group=group)

    others = [np.arange(keep.size) != i for i in range(keep.size)]
    left_out = [uno_c(score[o], rows.take(o), tau=1400.0, censoring_group=group[o]).c for o in others]

    jackknife = np.sqrt(((np.array(left_out) - found.c) ** 2).sum())
    assert found.se == pytest.approx(jackknife, rel=0.01)


def test_unos_c_does_not_drift_with_the_censoring_where_harrells_does():
    rng = np.random.default_rng(8)
    score = rng.normal(size=20_000)
    death = rng.exponential(1.0, 20_000) ** (1 / np.where(score > 0, 3.0, 1.0)) * np.exp(-0.5 * score)
    light, heavy = (
        FollowUp(np.minimum(death, c), death <= c) for c in (rng.uniform(2, 9, 20_000), rng.uniform(0, 2.2, 20_000))
    )

    uno = [uno_c(score, rows, tau=1.5).c for rows in (light, heavy)]
    harrell = [harrell_c(score, rows).c for rows in (light, heavy)]

    assert abs(uno[0] - uno[1]) < 0.01
    assert abs(harrell[0] - harrell[1]) > 0.015


def test_without_censoring_unos_c_is_harrells():
    rng = np.random.default_rng(1)
    score, rows = rng.normal(size=80), FollowUp(rng.integers(1, 30, 80), np.ones(80))

    found = uno_c(score, rows)

    expected = harrell_c(score, rows)
    assert (found.c, found.se) == pytest.approx((expected.c, expected.se), rel=1e-12)


def test_questions_without_an_answer_are_refused():
    rows = FollowUp([1.0, 2.0, 3.0], [1, 0, 0])

    for ask in (lambda: harrell_c([1.0], rows), lambda: harrell_c([1.0, np.nan, 2.0], rows)):
        with pytest.raises(InvalidBlockError):
            ask()
    with pytest.raises(InvalidBlockError, match="delayed"):
        uno_c([1.0, 2.0, 3.0], FollowUp([1.0, 2.0, 3.0], [1, 0, 0], [0.0, 0.0, 0.0]))
    with pytest.raises(DegenerateOutcomeError):
        harrell_c([1.0, 2.0, 3.0], FollowUp([1.0, 2.0, 3.0], [0, 0, 1]))
    with pytest.raises(DegenerateOutcomeError):
        harrell_c([1.0, 2.0, 3.0], FollowUp([1.0, 2.0, 3.0], [0, 0, 0]))
    with pytest.raises(DegenerateOutcomeError):
        uno_c([1.0, 2.0, 3.0], FollowUp([1.0, 2.0, 3.0], [0, 0, 0]))
    with pytest.raises(DegenerateOutcomeError):
        uno_c([1.0, 2.0, 3.0], rows, tau=0.5)
