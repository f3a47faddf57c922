"""[weights] of a logistic model against R (rms, glm) and brute force, through the release, and what can't be read off.

R's values are referee/weights.R's: y ~ hospital + age + male + sbp + sbp^2 + chol + smoker + grade + noise.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from heartify.disclosure.rounding import round_chi_square, round_significant, two_valued_sd
from heartify.enclave.analyses.exposures import reference_levels
from heartify.enclave.analyses.refits import LogisticRefits
from heartify.enclave.analyses.shapley_shares import ShapleyShares
from heartify.enclave.analyses.weights import affordable_replicates, weigh
from heartify.stats.blocks import CohortBlock
from heartify.stats.importance import (
    R2Measure,
    Term,
    bootstrap_fractions,
    bootstrap_weights,
    draw_weights,
    logistic_dominance,
    single_column_terms,
)
from heartify.stats.logistic import fit_pooled_logistic

TRUTH = json.loads(
    (Path(__file__).resolve().parents[3] / "vectors" / "statistics" / "weights.json").read_text(encoding="utf-8")
)
HEAD = """
title = "Weights"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
"""
R_PLAN = (
    HEAD
    + """
factors = [
  { name = "age", column = "age" }, { name = "male", column = "male" },
  { name = "sbp", column = "sbp" }, { name = "sbp2", column = "sbp2" },
  { name = "chol", column = "chol" }, { name = "smoker", column = "smoker" },
  { name = "grade", column = "grade", reference = "1" }, { name = "noise", column = "noise" },
]
"""
)
SMALL = (
    HEAD
    + """
factors = [
  { name = "age", column = "age" }, { name = "grade", column = "grade", reference = "2" },
  { name = "smoker", column = "smoker" },
]
"""
)


@pytest.fixture(scope="module")
def squared(cohort, study):
    """The generated cohort with sbp2 = (sbp - 125)^2, and its dictionary."""
    plain = study(SMALL).dictionary
    column = msgspec.structs.replace(plain.column("noise"), name="sbp2")
    hospitals = {name: {**columns, "sbp2": (columns["sbp"] - 125.0) ** 2} for name, columns in cohort.items()}
    return hospitals, msgspec.structs.replace(plain, columns=(*plain.columns, column))


def by(rows, *keys):
    return {tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]]: row for row in rows}


def weights(**options) -> str:
    return "[weights]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items())


def test_partial_chi2_is_that_of_rms_on_the_grid_of_its_root(tables, squared):
    rows = by(tables(R_PLAN + weights(bootstrap=0), *squared)["partial_chi2"], "term")

    for term in ("age", "male", "chol", "smoker", "grade", "noise"):
        exact, df = TRUTH["partial"]["chi2"][term], TRUTH["partial"]["df"][term]
        assert rows[term]["chi2"] == round_chi_square(exact)
        assert rows[term]["df"] == df
        assert rows[term]["chi2_minus_df"] == round_significant(round_chi_square(exact) - df, 3)


def test_attributable_fractions_are_those_of_r_by_both_methods(tables, squared):
    rows = by(tables(R_PLAN + weights(bootstrap=0), *squared)["attributable_fraction"], "term", "method")

    for term, reference in (("smoker", "lower of two values"), ("grade", "1")):
        truth = TRUTH["attributable"][term]
        assert rows[term, "odds-ratio"]["fraction"] == round(truth["odds_ratio"], 2)
        assert rows[term, "g-computation"]["fraction"] == round(truth["g_computation"], 2)
        assert rows[term, "g-computation"]["reference"] == reference
        assert rows[term, "g-computation"]["ci_low"] is None


def test_dominance_is_that_of_glm_over_all_subsets(study, squared):
    blocks = study(R_PLAN, *squared).blocks
    names = list(TRUTH["dominance"]["measures"]["mcfadden"]["gain"])
    columns = {"age": (0,), "male": (1,), "sbp": (2, 3), "chol": (4,), "smoker": (5,), "grade": (6, 7), "noise": (8,)}
    terms = [Term(name, columns[name]) for name in names]

    shares = ShapleyShares(LogisticRefits(blocks, [f"x{j}" for j in range(9)]), terms, lambda: np.random.default_rng(1))

    truth = TRUTH["dominance"]["measures"]["mcfadden"]
    assert shares.gain == pytest.approx([truth["gain"][name] for name in names], abs=1e-8)
    assert shares.total == pytest.approx(truth["full"] - truth["base"], abs=1e-8)


def test_released_shares_are_averages_over_orders_of_separate_fits(study, tables):
    blocks = study(SMALL).blocks
    columns = {"age": [0], "grade": [1, 2], "smoker": [3]}

    def loglik(chosen):
        own = [column for name in columns if name in chosen for column in columns[name]]
        if not own:
            rates = [(block.events, block.n - block.events, block.n) for block in blocks]
            return sum(e * math.log(e / n) + c * math.log(c / n) for e, c, n in rates)
        parts = [CohortBlock(block.name, block.X[:, own], block.y) for block in blocks]
        return fit_pooled_logistic(parts, [str(j) for j in own]).loglik

    gains = dict.fromkeys(columns, 0.0)
    for order in itertools.permutations(columns):
        for place, name in enumerate(order):
            gains[name] += (loglik(order[: place + 1]) - loglik(order[:place])) / 6.0
    null = fit_pooled_logistic(blocks, list("abcd")).null_loglik

    rows = by(tables(SMALL + weights(bootstrap=0))["dominance"], "term")

    for name, gain in gains.items():
        assert rows[name]["r2"] == round(gain / -null, 3)
        assert rows[name]["share"] == round(gain / sum(gains.values()), 2)
        assert rows[name]["measure"] == "mcfadden"
    assert [rows[name]["rank"] for name in sorted(gains, key=gains.__getitem__, reverse=True)] == [1, 2, 3]


def test_a_replicates_shares_by_one_step_are_those_of_refitting_every_subset(study):
    blocks = study(R_PLAN.replace("sbp2", "entry")).blocks
    names = [f"x{j}" for j in range(blocks[0].X.shape[1])]
    terms = single_column_terms(names)[:7]
    blocks = [CohortBlock(block.name, block.X[:, :7], block.y) for block in blocks]
    refits = LogisticRefits(blocks, names[:7])
    shares = ShapleyShares(refits, terms, lambda: np.random.default_rng(1))
    rng = np.random.default_rng(7)

    draws = [draw_weights(refits.rows, rng) for _ in range(6)]
    shares.prepare([[case.astype(np.uint8) for case in drawn] for drawn in draws])
    for number, drawn in enumerate(draws):
        fast = shares.of_replicate(number, refits.fit(drawn), drawn)
        rows = [np.repeat(np.arange(n), case.astype(int)) for n, case in zip(refits.rows, drawn, strict=True)]
        again = [CohortBlock(b.name, b.X[own], b.y[own]) for b, own in zip(blocks, rows, strict=True)]
        slow = logistic_dominance(again, names[:7], terms, measure=R2Measure.MCFADDEN).share
        assert fast == pytest.approx(slow, abs=0.004)


def test_intervals_and_ranks_are_those_of_the_kernels_bootstrap_on_the_same_draws(study):
    data = study(SMALL + weights(bootstrap=60))
    terms = [Term("age", (0,)), Term("grade", (1, 2)), Term("smoker", (3,))]
    kernel = bootstrap_weights(data.blocks, data.names, terms, replicates=60, rng=data.random("weights"))

    exact = {table.name: table.rows for table in weigh(data)}

    for row, low, high in zip(
        exact["partial_chi2"], kernel.chi2_minus_df.values.ci_low, kernel.chi2_minus_df.values.ci_high, strict=True
    ):
        assert row["ci_low"] == pytest.approx(round_chi_square(low + row["df"]) - row["df"])
        assert row["ci_high"] == pytest.approx(round_chi_square(high + row["df"]) - row["df"])
    ranks = kernel.sd_effect.ranks
    assert [row["rank_low"] for row in exact["weights_per_sd"]] == ranks.low.tolist()
    assert [row["rank_high"] for row in exact["weights_per_sd"]] == ranks.high.tolist()
    assert [row["first"] for row in exact["weights_per_sd"]] == pytest.approx(ranks.first.tolist())
    assert by(exact["weights_per_sd"], "term")["age"]["ci_low"] == pytest.approx(kernel.per_sd.ci_low[0], rel=0.01)


def test_attributable_fractions_have_the_kernels_percentile_intervals(study):
    data = study(SMALL + weights(bootstrap=60))
    exposures = [level.exposure for level in reference_levels(data)]
    kernel = bootstrap_fractions(data.blocks, data.names, exposures, replicates=60, rng=data.random("weights"))

    rows = by(next(table.rows for table in weigh(data) if table.name == "attributable_fraction"), "term", "method")

    for e, exposure in enumerate(exposures):
        for method, found in (("odds-ratio", kernel.adjusted_odds_ratio), ("g-computation", kernel.g_computation)):
            row = rows[exposure.term.name, method]
            assert row["fraction"] == pytest.approx(found.estimate[e], abs=1e-9)
            assert (row["ci_low"], row["ci_high"]) == pytest.approx((found.ci_low[e], found.ci_high[e]), abs=1e-9)


def test_ranks_are_whole_and_first_places_share_out_one(tables):
    released = tables(SMALL + weights(bootstrap=60))

    for name in ("weights_per_sd", "partial_chi2", "dominance"):
        rows = released[name]
        assert sorted(row["rank"] for row in rows) == [1, 2, 3]
        assert all(row["rank_low"] <= row["rank"] <= row["rank_high"] for row in rows)
        assert sum(row["first"] for row in rows) == pytest.approx(1.0, abs=0.011)
    assert all(row["ci_low"] <= row["share"] <= row["ci_high"] for row in released["dominance"])


def test_equal_questions_get_equal_intervals_and_few_replicates_none(tables):
    once, again, few = (tables(SMALL + weights(bootstrap=count)) for count in (50, 50, 20))

    assert once == again
    assert all(row["ci_low"] is None and row["rank_low"] is None for row in few["partial_chi2"])
    assert all(row["first"] is None and row["ci_high"] is None for row in few["dominance"])
    values = {row["measure"]: row["value"] for row in few["bootstrap"]}
    assert (values["replicates asked for"], values["replicates used"]) == (20, 20)


@pytest.mark.parametrize("left_out", ["dominance", "attributable"])
def test_scales_that_were_not_asked_for_are_not_shown(tables, left_out):
    released = tables(SMALL + weights(bootstrap=0, **{left_out: False}))

    assert ("dominance" in released) == (left_out != "dominance")
    assert ("attributable_fraction" in released) == (left_out != "attributable")


def test_interactions_stay_out_of_dominance_and_attributable_fractions(tables):
    plan = SMALL + 'interactions = [{ first = "age", second = "smoker" }]\n' + weights(bootstrap=40)

    released, main = tables(plan), tables(SMALL + weights(bootstrap=0))

    assert [row["term"] for row in released["partial_chi2"]] == ["age", "grade", "smoker", "age:smoker"]
    shares = {row["term"]: row["share"] for row in released["dominance"]}
    assert shares == {row["term"]: row["share"] for row in main["dominance"]}
    assert {row["term"] for row in released["attributable_fraction"]} == {"grade"}


def test_a_plan_whose_factors_all_interact_has_no_attributable_fraction(tables):
    plan = HEAD + (
        'factors = [{ name = "age", column = "age" }, { name = "male", column = "male" }]\n'
        'interactions = [{ first = "age", second = "male" }]\n'
    )

    assert "attributable_fraction" not in tables(plan + weights(bootstrap=0))


def test_a_flags_weight_per_sd_gives_its_count_no_more_away_than_the_count_does(study, tables):
    data = study(SMALL)
    smokers = sum(int(block.X[:, 3].sum()) for block in data.blocks)
    n = sum(block.n for block in data.blocks)

    row = by(tables(SMALL + weights(bootstrap=0))["weights_per_sd"], "term")["smoker"]

    se = round_significant(float(data.fit.term_se[3]), 2)
    assert row["se"] == round_significant(se * two_valued_sd(1.0, n - smokers, smokers), 2)


def test_terms_of_several_columns_have_a_rank_and_no_weight_per_sd(tables):
    rows = by(tables(SMALL + weights(bootstrap=0))["weights_per_sd"], "term")

    assert rows["grade"]["estimate"] is None
    assert rows["grade"]["rank"] in {1, 2, 3}
    assert rows["age"]["estimate"] is not None


def test_firths_model_has_weights_without_refits(tables):
    plan = SMALL + '[analysis]\nestimation = "firth"\n' + weights(bootstrap=50)

    released = tables(plan)

    assert len(released["weights_per_sd"]) == len(released["partial_chi2"]) == 3
    assert "dominance" not in released
    assert "attributable_fraction" not in released
    assert {row["measure"]: row["value"] for row in released["bootstrap"]}["replicates used"] == 0


def test_replicates_without_an_estimate_are_counted(study):
    rng = np.random.default_rng(3)
    n = 60
    columns = {name: rng.normal(size=n) for name in ("age", "sbp", "chol", "noise")}
    y = np.zeros(n)
    y[np.argsort(columns["age"] + columns["sbp"] + 0.8 * rng.normal(size=n))[-12:]] = 1.0
    hospital = {**columns, "y": y}
    factors = ", ".join(f'{{ name = "{name}", column = "{name}" }}' for name in columns)
    data = study(HEAD + f"factors = [{factors}]\n" + weights(bootstrap=80), {"a": hospital})

    rows = next(table.rows for table in weigh(data) if table.name == "bootstrap")

    values = {row["measure"]: row["value"] for row in rows}
    assert values["replicates without estimate"] > 0
    assert values["replicates used"] + values["replicates without estimate"] == 80


@pytest.mark.parametrize(
    ("asked", "rows", "drawn"), [(200, 70_000, 200), (2000, 70_000, 571), (200, 1_000_000, 40), (200, 3_000_000, 0)]
)
def test_the_bootstraps_work_is_bounded(asked, rows, drawn):
    assert affordable_replicates(asked, SimpleNamespace(rows=(rows,), fit_cost=1)) == drawn


def test_more_than_ten_terms_are_ordered_at_random_in_bounded_work():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 11))
    y = (rng.random(300) < 1.0 / (1.0 + np.exp(-X @ np.linspace(0.0, 0.8, 11)))).astype(float)
    names = [f"x{j}" for j in range(11)]
    refits = LogisticRefits([CohortBlock("a", X, y)], names)

    shares = ShapleyShares(refits, single_column_terms(names), lambda: np.random.default_rng(1))
    shares.prepare([[np.ones(300, np.uint8)]])
    replicate = shares.of_replicate(0, refits.fit(), [np.ones(300)])

    assert not shares.is_exact
    assert shares.order_pairs == 200
    assert shares.share.sum() == pytest.approx(1.0)
    assert int(shares.share.argmax()) in {9, 10}
    assert replicate == pytest.approx(shares.share, abs=1e-9)


def test_references_of_quantities_are_rounded_and_within_reach(study, tables, cohort):
    moved = {name: {**columns, "age": columns["age"] + 1900.0} for name, columns in cohort.items()}
    plain, years = tables(SMALL + weights(bootstrap=0)), tables(SMALL + weights(bootstrap=0), moved)
    quartile = float(np.quantile(np.concatenate([columns["age"] for columns in cohort.values()]), 0.25))

    at, year = (by(found["attributable_fraction"], "term", "method")["age", "odds-ratio"] for found in (plain, years))

    assert at["at"] == round_significant(quartile, 2)
    assert year["at"] == round_significant(quartile + 1900.0, 3)
