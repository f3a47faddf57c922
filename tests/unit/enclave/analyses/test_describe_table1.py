"""Table 1 through the release: R's values on the grid, and no hidden count by subtraction."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure.rounding import round_count, round_significant
from heartify.enclave.analyses import table1 as table1_module
from heartify.enclave.analyses.describe import describe
from heartify.enclave.analyses.table1_parts import choose_parts

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"
HOSPITALS = ("a", "b", "c", "d")
PLAN = """
title = "Described"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male" },
  { name = "sbp", column = "sbp", spline = 4 },
  { name = "chol", column = "chol" },
  { name = "grade", column = "grade", reference = "2" },
]
describe = {}
"""
SURVIVAL = """
title = "Described"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry", competing = { column = "status", equals = "2" } }
factors = [{ name = "age", column = "age" }, { name = "smoker", column = "smoker" }]
analysis = { model = "cox" }
describe = {}
"""


@pytest.fixture(scope="module")
def expected():
    return json.loads((VECTORS / "describe.json").read_text())


@pytest.fixture(scope="module")
def described(tables):
    return tables(PLAN)


def on_grid(exact):
    """Return a figure to 3 digits; two where R's last bit decides a tie."""
    return {round_significant(exact * (1 + side * 1e-14), 3) for side in (-1, 1)}


def changed(cohort, **columns):
    """Copy the cohort; columns are hospital__column = values."""
    copy = {name: dict(values) for name, values in cohort.items()}
    for key, values in columns.items():
        hospital, column = key.split("__")
        copy[hospital][column] = values
    return copy


def with_females(cohort, hospital, females):
    """Return the hospital's `male` with so many zeros, spread over both outcomes."""
    male = np.ones(cohort[hospital]["y"].size)
    male[np.linspace(0, male.size - 1, females).astype(int)] = 0.0
    return male


def rows_of(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def cell(rows, **wanted):
    (row,) = rows_of(rows, **wanted)
    return row


@pytest.mark.parametrize("factor", ["age", "sbp", "chol"])
@pytest.mark.parametrize("hospital", ["all hospitals", *HOSPITALS])
@pytest.mark.parametrize("group", ["all", "event", "no event"])
def test_numbers_are_rs_to_three_digits(described, expected, factor, hospital, group):
    truth = expected["numbers"][factor][hospital][group]

    row = cell(described["table1_numbers"], hospital=hospital, group=group, factor=factor)

    for figure in ("mean", "sd", "median"):
        assert row[figure] in on_grid(truth[figure])
    assert row["p05"] in (on_grid(truth["p05"]) if truth["below_p05"] >= 10 else {None})
    assert row["p95"] in (on_grid(truth["p95"]) if truth["above_p95"] >= 10 else {None})


@pytest.mark.parametrize(("factor", "labels"), [("male", ("no", "yes")), ("grade", ("grade 1", "grade 2", "grade 3"))])
def test_levels_are_rs_counts_to_the_nearest_five_and_totals_are_sums_of_them(described, expected, factor, labels):
    shown = described["table1_levels"]

    for group in ("event", "no event"):
        for label, code in zip(labels, expected["levels"][factor]["a"][group], strict=True):
            own = {name: expected["levels"][factor][name][group][code] for name in HOSPITALS}
            for name, count in own.items():
                assert cell(shown, hospital=name, group=group, factor=factor, level=label)["n"] == round_count(count)
            total = cell(shown, hospital="all hospitals", group=group, factor=factor, level=label)["n"]
            assert total == sum(round_count(count) for count in own.values())


def test_numbers_of_patients_are_those_that_the_result_shows(described, cohort):
    shown = described["table1_numbers"]

    for name in HOSPITALS:
        n, events = cohort[name]["y"].size, int(cohort[name]["y"].sum())
        counts = {group: cell(shown, hospital=name, group=group, factor="age")["n"] for group in ("all", "event")}
        assert counts == {"all": round_count(n), "event": round_count(events)}
        rest = cell(shown, hospital=name, group="no event", factor="age")["n"]
        assert rest == round_count(n) - round_count(events)


def test_survival_is_grouped_by_event_code(tables, expected, cohort):
    shown = tables(SURVIVAL)["table1_numbers"]

    groups = {row["group"]: row["n"] for row in rows_of(shown, hospital="all hospitals", factor="age")}
    codes = np.concatenate([cohort[name]["status"] for name in HOSPITALS])
    assert list(groups) == ["all", "event", "competing event", "no event"]
    assert sum(expected["status"]["all hospitals"].values()) == codes.size
    assert abs(groups["competing event"] - expected["status"]["all hospitals"]["2"]) <= 2 * len(HOSPITALS)


def test_a_hospital_with_few_at_a_level_is_shown_together_with_the_smallest_other(tables, cohort):
    hospitals = changed(cohort, c__male=with_females(cohort, "c", 7))

    shown = rows_of(tables(PLAN, hospitals)["table1_levels"], factor="male", group="all")

    assert {row["hospital"] for row in shown} == {"all hospitals", "a", "b", "other hospitals"}
    for level, value in (("no", 0.0), ("yes", 1.0)):
        merged = sum(int((hospitals[name]["male"] == value).sum()) for name in ("c", "d"))
        assert cell(shown, hospital="other hospitals", level=level)["n"] == round_count(merged)
        parts = [cell(shown, hospital=name, level=level)["n"] for name in ("a", "b", "other hospitals")]
        assert cell(shown, hospital="all hospitals", level=level)["n"] == sum(parts)


def test_a_hidden_count_can_be_changed_without_changing_a_digit(tables, cohort):
    """The attack: total less what is shown. It finds the same whatever the hidden hospital has."""
    seen = []

    for females in (0, 3, 9):
        male = with_females(cohort, "c", females)
        # d has the others, so that both together have 40 in every run, with the same outcomes.
        other = np.ones(cohort["d"]["y"].size)
        wanted = {1.0: 20 - int((cohort["c"]["y"][male == 0] == 1).sum())}
        wanted[0.0] = 40 - females - wanted[1.0]
        for outcome, zeros in wanted.items():
            other[np.flatnonzero(cohort["d"]["y"] == outcome)[:zeros]] = 0.0
        shown = tables(PLAN, changed(cohort, c__male=male, d__male=other))
        seen.append(rows_of(shown["table1_levels"], factor="male"))

    assert rows_of(seen[0], hospital="other hospitals")
    assert seen[0] == seen[1] == seen[2]


def test_a_single_hospital_of_hidden_outcomes_is_in_no_split_and_no_total_of_one(tables, cohort):
    y = np.ones(cohort["d"]["y"].size)
    y[::25] = 0.0
    shown = tables(PLAN, changed(cohort, d__y=y))

    numbers = shown["table1_numbers"]

    assert {row["group"] for row in rows_of(numbers, hospital="d")} == {"all"}
    assert not rows_of(numbers, hospital="all hospitals", group="event")
    total = cell(numbers, hospital="hospitals shown", group="event", factor="age")["n"]
    assert total == sum(cell(numbers, hospital=name, group="event", factor="age")["n"] for name in "abc")


def test_two_hospitals_of_hidden_outcomes_that_hide_one_another_are_split_together(tables, cohort):
    few = {}
    for name in ("c", "d"):
        few[f"{name}__y"] = np.ones(cohort[name]["y"].size)
        few[f"{name}__y"][:8] = 0.0
    shown = tables(PLAN, changed(cohort, **few))["table1_numbers"]

    together = cell(shown, hospital="other hospitals", group="no event", factor="age")

    assert together["n"] == 15
    assert together["mean"] is not None
    assert not rows_of(shown, hospital="c", group="no event")
    assert rows_of(shown, hospital="c", group="all")


def test_a_number_of_two_values_is_counted_and_not_averaged(tables, cohort):
    hospitals = {
        name: dict(columns, noise=np.where(columns["noise"] > 0, 7.0, 2.0)) for name, columns in cohort.items()
    }
    plan = PLAN.replace('{ name = "chol", column = "chol" }', '{ name = "noise", column = "noise" }')

    shown = tables(plan, hospitals)

    assert not rows_of(shown["table1_numbers"], factor="noise")
    assert {row["level"] for row in rows_of(shown["table1_levels"], factor="noise")} == {"lower value", "higher value"}


def test_the_mean_of_a_number_of_few_values_is_that_of_rounded_counts(tables, study, cohort):
    hospitals = {
        name: dict(columns, noise=np.clip(np.round(columns["noise"]), -1.0, 1.0)) for name, columns in cohort.items()
    }
    plan = PLAN.replace('{ name = "chol", column = "chol" }', '{ name = "noise", column = "noise" }')

    row = cell(tables(plan, hospitals)["table1_numbers"], hospital="d", group="event", factor="noise")

    event = hospitals["d"]["noise"][hospitals["d"]["y"] == 1]
    counts = [round_count(int((event == value).sum())) for value in (-1.0, 0.0, 1.0)]
    assert row["mean"] == round_significant((counts[2] - counts[0]) / sum(counts), 3)


def test_a_number_with_a_rare_value_among_few_shows_its_patients_alone(tables, cohort):
    hospitals = {name: dict(columns, noise=(columns["noise"] > 0).astype(float)) for name, columns in cohort.items()}
    hospitals["a"]["noise"][:4] = 2.0
    plan = PLAN.replace('{ name = "chol", column = "chol" }', '{ name = "noise", column = "noise" }')

    (row,) = rows_of(tables(plan, hospitals)["table1_numbers"], factor="noise")

    assert (row["hospital"], row["group"], row["n"]) == ("all hospitals", "all", 1195)
    assert {row[figure] for figure in ("mean", "sd", "median", "p05", "p95")} == {None}


def test_flags_of_one_column_are_judged_with_their_remainder(tables, study, cohort):
    """Grades 1 and 2 as flags: hospital d's few of grade 3 are n less both, so d is shown only with another."""
    status = {name: np.asarray(columns["grade"]).copy() for name, columns in cohort.items()}
    rare = np.flatnonzero(status["d"] == 2)
    status["d"][rare[6:]] = 0
    hospitals = changed(cohort, d__grade=status["d"])
    plan = PLAN.replace(
        '{ name = "grade", column = "grade", reference = "2" }',
        '{ name = "g1", column = "grade", equals = "1" }, { name = "g2", column = "grade", equals = "2" }',
    )

    shown = tables(plan, hospitals)["table1_levels"]

    for flag in ("g1", "g2"):
        assert not rows_of(shown, factor=flag, hospital="d")
        assert rows_of(shown, factor=flag, hospital="other hospitals")


def test_a_table_that_would_be_too_long_shows_hospitals_together(study, monkeypatch):
    data = study(PLAN)
    limits = {}
    for limit in (600, 40, 12, 4):
        spec = {name: _Limited(limit) for name in ("table1_numbers", "table1_levels")}
        monkeypatch.setattr(table1_module, "TABLES", spec)
        limits[limit] = [table.rows for table in table1_module.table1(data)]

    assert {row["hospital"] for row in limits[600][1]} == {"all hospitals", *HOSPITALS}
    assert {row["hospital"] for row in limits[12][0]} == {"all hospitals"}
    assert all(len(rows) <= limit for limit, both in limits.items() for rows in both)


class _Limited:
    def __init__(self, max_rows):
        self.max_rows = max_rows


def test_the_exact_table_holds_no_exact_count(study):
    """Counts are rounded before the release adds or forgets anything."""
    for table in describe(study(PLAN)):
        for row in table.rows:
            assert row.get("n") is None or row["n"] % 5 == 0 or table.name == "plausibility"
            assert row.get("missing") is None or Decimal(row["missing"]) % 5 == 0


def test_no_three_margins_give_a_small_cell_of_a_hospital_whose_events_are_known():
    """Hospital 0 has 3 events at level 1: its levels stand alone neither by outcome nor overall, and no other's do."""
    cells = [np.array(table) for table in ([[40, 3], [50, 60]], [[30, 40], [50, 60]], [[20, 20], [20, 20]])]

    parts = choose_parts(cells, frozenset())

    assert parts.split.own == (1,)
    assert parts.overall.own == (1,)
    assert parts.overall.merged == parts.split.merged == (0, 2)
