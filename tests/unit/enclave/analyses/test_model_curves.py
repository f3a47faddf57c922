"""Knots and curves of splines: R's curve, round points, and what percentiles and many points must not tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.disclosure.tables import TABLES, release_table
from heartify.enclave.analyses.analysis import AnalysisSkippedError
from heartify.enclave.analyses.curves import CURVES, MAX_POINTS
from heartify.enclave.analyses.round_points import enough_beyond, round_points, round_reference, shown_range
from heartify.stats.design import spline_basis, spline_curve

DESIGN = json.loads((Path(__file__).resolve().parents[3] / "vectors" / "statistics" / "design.json").read_text())
SBP = '{ name = "sbp", column = "sbp", spline = 5 }'


def plan(*factors: str, more: str = "") -> str:
    forms = [f if f.startswith("{") else f'{{ name = "{f}", column = "{f}" }}' for f in factors]
    return (
        'title = "Curves"\npurpose = "health-research"\noutcome = { column = "y", equals = "1" }\n'
        f"factors = [{', '.join(forms)}]\n{more}"
    )


def exact(data: Any) -> dict[str, list[dict[str, Any]]]:
    return {table.name: [dict(row) for row in table.rows] for table in CURVES.run(data)}


def first_rows(cohort: Any, n: int) -> dict[str, dict[str, Any]]:
    return {"a": {column: values[:n] for column, values in cohort["a"].items()}}


def test_knots_are_harrell_s_and_the_curve_is_r_s_within_its_rounding(study):
    data = study(plan(SBP, "age"))

    found = exact(data)

    knots = [row["at"] for row in found["knots"]]
    assert knots == pytest.approx(DESIGN["knots"]["sbp"][2])
    assert {row["reference"] for row in found["curves"]} == {120.0}
    curve = {row["at"]: row for row in found["curves"]}
    expected = zip(DESIGN["basis"]["grid"], DESIGN["spline"]["curve"], DESIGN["spline"]["curve_se"], strict=True)
    shared = [(curve[x], estimate, se) for x, estimate, se in expected if x in curve]
    assert len(shared) == 2
    for row, estimate, se in shared:
        assert row["se"] == pytest.approx(se, rel=1e-6)
        assert abs(row["estimate"] - estimate) < 0.1 * se
        assert row["ci_high"] - row["ci_low"] == pytest.approx(2 * 1.959964 * se, rel=1e-5)


def test_a_whole_curve_tells_no_more_than_one_rounded_number_for_each_coefficient(study):
    data = study(plan(SBP, "age"))
    knots = np.array(DESIGN["knots"]["sbp"][2])

    rows = exact(data)["curves"]

    at = np.array([row["at"] for row in rows])
    difference = spline_basis(at, knots) - spline_basis(np.array([120.0]), knots)
    coef = np.linalg.lstsq(difference, np.array([row["estimate"] for row in rows]), rcond=None)[0]
    own = list(data.model.columns_of("sbp"))
    tenths = np.linalg.solve(np.linalg.cholesky(data.fit.term_covariance[np.ix_(own, own)]), coef) * 10
    assert tenths == pytest.approx(np.round(tenths), abs=1e-5)
    plain = spline_curve(
        data.model.design.terms[0], at, 120.0, data.fit.term_coef[own], data.fit.term_covariance[own][:, own]
    )
    off = (np.array([row["estimate"] for row in rows]) - plain.contrasts.estimate) / plain.contrasts.se
    assert np.abs(off).max() < 0.1


def test_points_are_round_within_the_range_and_on_their_grids_when_released(study, cohort):
    data = study(plan('{ name = "chol", column = "chol", spline = 3 }', "age"))
    values = np.sort(np.concatenate([columns["chol"] for columns in cohort.values()]))

    table = next(release_table(table, TABLES) for table in CURVES.run(data) if table.name == "curves")

    at = [dict(zip(table.columns, row, strict=True))["at"] for row in table.rows]
    assert 5 < len(at) <= MAX_POINTS
    assert np.round(np.array(at) * 5) == pytest.approx(np.array(at) * 5)  # multiples of 0.2
    assert np.quantile(values, 0.05) <= min(at)
    assert max(at) <= np.quantile(values, 0.95)


def test_knots_with_fewer_than_ten_patients_beyond_are_withheld_with_their_curve(study, cohort):
    spline = '{ name = "age", column = "age", spline = 3 }'
    given = '{ name = "age", column = "age", spline = 3, knots = [50, 60, 70] }'
    few = first_rows(cohort, 90)  # Harrell's outer knots are then the fifth smallest and largest values

    with pytest.raises(AnalysisSkippedError) as caught:
        CURVES.run(study(plan(spline), few))

    assert caught.value.reason == "small_cell"
    assert [row["at"] for row in exact(study(plan(given), few))["knots"]] == [50.0, 60.0, 70.0]
    assert len(exact(study(plan(spline), first_rows(cohort, 300)))["knots"]) == 3


def test_one_spline_that_is_withheld_takes_no_other_with_it(study, cohort):
    splines = (
        '{ name = "age", column = "age", spline = 3 }',
        '{ name = "sbp", column = "sbp", spline = 3, knots = [100, 120, 140] }',
    )

    found = exact(study(plan(*splines), first_rows(cohort, 90)))

    assert {row["factor"] for name in ("knots", "curves") for row in found[name]} == {"sbp"}


def test_a_spline_in_an_interaction_is_shown_with_the_other_factor_at_its_reference(study):
    data = study(plan(SBP, "male", more='interactions = [{ first = "sbp", second = "male" }]'))

    rows = exact(data)["curves"]

    own = list(data.model.columns_of("sbp"))
    at = np.array([row["at"] for row in rows])
    plain = spline_curve(
        data.model.design.terms[0], at, 120.0, data.fit.term_coef[own], data.fit.term_covariance[own][:, own]
    )
    assert [row["se"] for row in rows] == pytest.approx(plain.contrasts.se, rel=1e-9)


def test_a_cox_model_s_spline_has_a_curve_too(study):
    text = """
title = "Survival"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry" }
factors = [{ name = "age", column = "age", spline = 4 }, { name = "smoker", column = "smoker" }]
analysis = { model = "cox" }
"""

    data = study(text)
    rows = exact(data)["curves"]

    own = [0, 1, 2]
    at, reference = np.array([row["at"] for row in rows]), rows[0]["reference"]
    plain = spline_curve(
        data.model.design.terms[0], at, reference, data.fit.cox.coef[own], data.fit.cox.covariance[own][:, own]
    )
    assert reference == 59.0
    assert [row["se"] for row in rows] == pytest.approx(plain.contrasts.se, rel=1e-9)


def test_a_range_leaves_ten_patients_on_either_side_and_none_where_that_is_all():
    values = np.repeat(np.arange(100.0), 1)

    assert shown_range(values) == (10.0, 89.0)
    assert enough_beyond(values, 10.0, 89.0)
    assert not enough_beyond(values, 9.0, 89.0)
    assert shown_range(np.repeat([1.0, 2.0], 50)) is None
    assert shown_range(np.arange(15.0)) is None
    assert shown_range(np.append(np.zeros(80), np.arange(1.0, 12.0))) is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.34, 1.21, tuple(round(0.35 + 0.05 * i, 2) for i in range(18))),
        (1003.0, 1038.0, (1010.0, 1020.0, 1030.0)),
        (-1.5, 1.4, tuple(round(-1.4 + 0.2 * i, 1) for i in range(15))),
        (41.2, 41.9, (41.2, 41.3, 41.4, 41.5, 41.6, 41.7, 41.8, 41.9)),
        (1001.0, 1008.0, ()),
    ],
)
def test_points_are_multiples_of_a_round_step_that_three_digits_tell_apart(low, high, expected):
    assert round_points(low, high, 25) == expected


def test_there_are_never_more_points_than_asked_for():
    for most in (5, 9, 25):
        for high in np.geomspace(1.001, 1e6, 60):
            assert len(round_points(1.0, float(high), most)) <= most


def test_the_reference_is_a_round_median_inside_the_range():
    assert round_reference(np.array([121.0, 121.0, 150.0]), 100.0, 140.0) == 120.0
    assert round_reference(np.array([1013.0, 1013.0, 1020.0]), 1008.0, 1018.0) == 1010.0
    assert round_reference(np.array([1013.0, 1013.0, 1020.0]), 1011.0, 1018.0) is None
