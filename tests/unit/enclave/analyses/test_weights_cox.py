"""[weights] of a Cox model: shares of O'Quigley, Xu and Stare's R2, attributable fractions, and replicates by rows."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from heartify.disclosure.rounding import round_chi_square
from heartify.enclave.analyses.refits import CoxRefits
from heartify.enclave.analyses.shapley_shares import ShapleyShares
from heartify.stats.importance import draw_weights, single_column_terms
from heartify.stats.survival import Ties, fit_cox

PLAN = """
title = "Weights of a hazard"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry", competing = { column = "status", equals = "2" } }
factors = [
  { name = "age", column = "age" }, { name = "chol", column = "chol" }, { name = "smoker", column = "smoker" },
]
analysis = { model = "cox", strata = ["male"] }
"""
NAMES = ("age", "chol", "smoker")


def fit(blocks, columns):
    part = [dataclasses.replace(block, X=block.X[:, list(columns)]) for block in blocks]
    return fit_cox(part, [NAMES[j] for j in columns], ties=Ties.EFRON)


def shapley(blocks):
    """Average gains in 1 - exp(-2 (l - l0) / events) over the six orders of the terms."""
    events = sum(block.events for block in blocks)
    empty = fit(blocks, (0,)).null_loglik
    fits = {(): 0.0}
    for size in (1, 2, 3):
        for chosen in itertools.combinations(range(3), size):
            fits[chosen] = -math.expm1(-2.0 * (fit(blocks, chosen).loglik - empty) / events)
    gains = np.zeros(3)
    for order in itertools.permutations(range(3)):
        for place, term in enumerate(order):
            gains[term] += (fits[tuple(sorted(order[: place + 1]))] - fits[tuple(sorted(order[:place]))]) / 6.0
    return gains


def test_shares_are_averages_over_orders_of_separate_fits(study, tables):
    gains = shapley(study(PLAN).survival)

    rows = tables(PLAN + "[weights]\nbootstrap = 0\n")["dominance"]

    assert [row["term"] for row in rows] == list(NAMES)
    assert [row["r2"] for row in rows] == [round(float(gain), 3) for gain in gains]
    assert [row["share"] for row in rows] == [round(float(gain), 2) for gain in gains / gains.sum()]
    assert {row["measure"] for row in rows} == {"o'quigley-xu-stare"}


def test_a_replicates_shares_by_one_fit_are_close_to_those_of_refitting_every_subset(study):
    blocks = study(PLAN).survival
    refits = CoxRefits(blocks, NAMES, "efron")
    shares = ShapleyShares(refits, single_column_terms(NAMES), lambda: np.random.default_rng(1))
    rng = np.random.default_rng(11)

    for _ in range(3):
        drawn = draw_weights(refits.rows, rng)
        rows = [np.repeat(np.arange(block.n), case.astype(int)) for block, case in zip(blocks, drawn, strict=True)]
        again = [
            dataclasses.replace(
                block,
                X=block.X[own],
                time=block.time[own],
                event=block.event[own],
                entry=block.entry[own],
                stratum=block.stratum[own],
            )
            for block, own in zip(blocks, rows, strict=True)
        ]
        gains = shapley(again)
        assert shares.of_replicate(0, refits.fit(drawn), drawn) == pytest.approx(gains / gains.sum(), abs=0.006)


def test_partial_chi2_and_fractions_are_those_of_the_fit(study, tables):
    data = study(PLAN)
    z = data.fit.term_coef / data.fit.term_se
    ratios = [math.exp(-float(data.fit.term_coef[2]) * row[2]) for block in data.survival
              for row, event in zip(block.X, block.event, strict=True) if event == 1]  # fmt: skip

    released = tables(PLAN + "[weights]\nbootstrap = 0\n")

    assert [row["chi2"] for row in released["partial_chi2"]] == [round_chi_square(float(value) ** 2) for value in z]
    fraction = next(row for row in released["attributable_fraction"] if row["term"] == "smoker")
    assert fraction["method"] == "hazard-ratio"
    assert fraction["fraction"] == round(1.0 - float(np.mean(ratios)), 2)


def test_a_cox_models_weights_have_intervals_and_equal_questions_equal_ones(tables):
    plan = PLAN + "[weights]\nbootstrap = 45\n"

    once, again = tables(plan), tables(plan)

    assert once == again
    assert {row["measure"]: row["value"] for row in once["bootstrap"]}["replicates used"] == 45
    for name, figure in (("partial_chi2", "chi2_minus_df"), ("dominance", "share"), ("weights_per_sd", "estimate")):
        assert all(row["ci_low"] <= row[figure] <= row["ci_high"] for row in once[name])
    assert all(row["ci_low"] <= row["fraction"] <= row["ci_high"] for row in once["attributable_fraction"])
