"""Which candidates the rules let be tested, and what a screen must not tell of a few patients."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.enclave.analyses.screen_candidates import judge_candidate, judge_rows
from heartify.protocol.dictionary import Column, DataDictionary

PLAN = """
title = "Screen"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "male", column = "male" }]
[screen]
candidates = ["marker"]
fdr = 0.999
"""
N = 400
Y = (np.arange(N) % 2).astype(np.float64)


@pytest.fixture(scope="module")
def with_marker(study, cohort):
    """Build a study with one more column: make(hospital, number of rows) gives its values."""
    plain = study(PLAN.replace("marker", "sbp")).dictionary
    marker = Column(name="marker", title="Marker", datatype="number", role="factor", unit="1")
    dictionary = DataDictionary(title="With a marker", description="", columns=(*plain.columns, marker))

    def build(make):
        hospitals = {name: {**columns, "marker": make(name, columns)} for name, columns in cohort.items()}
        return PLAN, hospitals, dictionary

    return build


def flag(ones: int, events: int) -> np.ndarray:
    """Ones among N patients, so many of them with the outcome."""
    values = np.zeros(N)
    values[np.flatnonzero(Y == 1.0)[:events]] = 1.0
    values[np.flatnonzero(Y == 0.0)[: ones - events]] = 1.0
    return values


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (flag(20, 10), None),
        (flag(19, 10), "small cell"),
        (flag(9, 4), "small cell"),
        (flag(20, 0), None),
        (flag(20, 9), "small cell"),
        (np.zeros(N), "constant"),
        (np.where(np.arange(N) < 10, np.arange(N) + 1.0, 0.0), None),
        (np.where(np.arange(N) < 9, np.arange(N) + 1.0, 0.0), "small cell"),
        (np.where(np.arange(N) >= N - 9, np.arange(N) + 1.0, 0.0), "small cell"),
        (np.where(np.arange(N) < 50, np.arange(N), np.nan), None),
        (np.where(np.arange(N) < 49, np.arange(N), np.nan), "too few patients"),
        (np.where((Y == 0.0) | (np.arange(N) < 20), np.arange(N), np.nan), None),
        (np.where((Y == 0.0) | (np.arange(N) < 18), np.arange(N), np.nan), "too few outcomes"),
        (np.where(np.arange(N) == 7, np.inf, np.arange(N)), "not estimable"),
    ],
)
def test_rules_1_to_4_hold_for_each_candidate_on_its_own_rows(values, reason):
    refused, _ = judge_rows([values], [Y], 3, [True])

    assert refused == reason


def test_more_parameters_than_a_third_of_the_patients_are_refused():
    values = np.arange(N, dtype=np.float64)

    assert judge_rows([values], [Y], 130, [True])[0] is None
    assert judge_rows([values], [Y], 131, [True])[0] == "too few patients"


def test_only_hospitals_that_pass_alone_with_the_candidate_are_compared():
    everywhere, seldom = flag(40, 20), flag(12, 6)

    refused, alone = judge_rows([everywhere, seldom, everywhere], [Y, Y, Y], 3, [True, True, False])

    assert refused is None
    assert alone.tolist() == [True, False, False]


def test_hospital_that_knows_a_candidate_in_fewer_than_20_patients_is_left_out_of_it(with_marker, study):
    def make(known):
        def values(name, columns):
            drawn = np.random.default_rng(ord(name)).normal(size=columns["y"].size)
            return np.where((name != "c") | (np.arange(drawn.size) < known), drawn, np.nan)

        return study(*with_marker(values))

    few, enough = (judge_candidate(make(known), "marker", [True] * 4) for known in (19, 20))

    assert enough.n - few.n == 20
    assert not few.alone[2]


@pytest.mark.parametrize(("gaps", "difference"), [(0, 0), (1, 0), (9, 0), (10, 10), (30, 30)])
def test_shown_patients_do_not_count_fewer_than_ten_with_a_gap(with_marker, study, tables, gaps, difference):
    def values(name, columns):
        drawn = np.random.default_rng(ord(name)).normal(size=columns["y"].size)
        return np.where((name != "a") | (np.arange(drawn.size) >= gaps), drawn, np.nan)

    found = tables(*with_marker(values))["screen_hits"][0]

    everyone = sum(5 * ((block.n + 2) // 5) for block in study(PLAN.replace("marker", "sbp")).blocks)
    assert everyone - found["n"] == difference


def test_refused_candidates_are_counted_and_not_named(with_marker, tables):
    def values(name, columns):
        return (np.arange(columns["y"].size) == 0).astype(np.float64)

    plan, hospitals, dictionary = with_marker(values)
    found = tables(plan.replace('["marker"]', '["marker", "sbp"]'), hospitals, dictionary)

    summary = {row["measure"]: row["number"] for row in found["screen_summary"]}
    assert (summary["candidates"], summary["tested"], summary["not tested: small cell"]) == (2, 1, 1)
    assert [row["candidate"] for row in found["screen_hits"]] == ["sbp"]


def test_screen_without_an_allowed_candidate_is_skipped(with_marker, tables):
    found = tables(*with_marker(lambda _, columns: np.zeros(columns["y"].size)))

    assert found["skipped"] == {"screen": "too_few_patients"}


def test_screen_of_a_model_without_a_maximum_is_skipped(with_marker, tables):
    def separating(_, columns):
        return np.where(columns["y"] == 1.0, 1.0, np.arange(columns["y"].size) % 2)

    plan, hospitals, dictionary = with_marker(separating)
    plan = plan.replace('["marker"]', '["sbp"]').replace('column = "male"', 'column = "marker"')

    assert tables(plan, hospitals, dictionary)["skipped"]["screen"] == "not_estimable"


def test_candidate_that_the_model_determines_is_refused(with_marker, tables):
    plan, hospitals, dictionary = with_marker(lambda _, columns: 3.0 * columns["age"] - columns["male"])
    found = tables(plan.replace('["marker"]', '["marker", "sbp"]'), hospitals, dictionary)

    summary = {row["measure"]: row["number"] for row in found["screen_summary"]}
    assert summary["not tested: collinear with the model"] == 1


def test_candidate_may_bear_the_name_of_a_factor(with_marker, tables):
    plan, hospitals, dictionary = with_marker(lambda _, columns: columns["sbp"])

    found = tables(plan.replace('name = "age"', 'name = "marker"'), hospitals, dictionary)

    assert found["screen_hits"][0]["refit"] == "maximum-likelihood"


def test_separated_hit_is_refitted_by_firth(with_marker, tables):
    def values(_, columns):
        marked = np.zeros(columns["y"].size)
        marked[np.flatnonzero(columns["y"] == 1.0)[:6]] = 1.0
        return marked

    found = tables(*with_marker(values))["screen_hits"][0]

    assert found["refit"] == "firth"
    assert found["refit_estimate"] > 1.0


def test_family_whose_members_share_too_few_patients_has_no_figures(with_marker, tables):
    plan, hospitals, dictionary = with_marker(lambda _, columns: columns["chol"])
    for columns in hospitals.values():
        known = np.arange(columns["y"].size) % 2 == 0
        columns["sbp"] = np.where(known, columns["sbp"], np.nan)
        columns["marker"] = np.where(known, np.nan, columns["marker"])
    plan = plan.replace('["marker"]', '["marker", "sbp"]\nfamilies = { pair = ["marker", "sbp"], one = ["sbp"] }')

    families = {row["family"]: row for row in tables(plan, hospitals, dictionary)["screen_families"]}

    assert (families["pair"]["candidates"], families["pair"]["chi2"], families["pair"]["q"]) == (0, None, None)
    assert families["one"]["chi2"] is not None
