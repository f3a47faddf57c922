"""Summaries of numbers, counts of levels, units by their looks; against R (tests/vectors/statistics/describe.json)."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from heartify.stats.description import (
    count_levels,
    count_outside,
    is_concentrated,
    summarise,
    summarise_counts,
    suspected_unit,
)
from heartify.stats.errors import InvalidBlockError

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"


@pytest.fixture(scope="module")
def rows():
    with (VECTORS / "inputs" / "cohort.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def expected():
    return json.loads((VECTORS / "describe.json").read_text())


@pytest.mark.parametrize("name", ["age", "sbp", "chol"])
@pytest.mark.parametrize(("group", "y"), [("event", "1"), ("no event", "0")])
def test_numbers_are_summarised_as_by_r(rows, expected, name, group, y):
    values = np.array([float(row[name]) for row in rows if row["y"] == y])
    truth = expected["numbers"][name]["all hospitals"][group]

    found = summarise(values)

    assert found.n == truth["n"]
    for figure in ("mean", "sd", "median", "p05", "p95"):
        assert getattr(found, figure) == pytest.approx(truth[figure], rel=1e-12)


def test_a_summary_does_not_depend_on_the_order_of_rows():
    values = np.random.default_rng(1).normal(120, 17, 501)

    assert summarise(values) == summarise(values[::-1].copy())


def test_a_percentile_needs_ten_patients_strictly_beyond_it():
    nine_beyond, ten_beyond = summarise(np.arange(181.0)), summarise(np.arange(182.0))

    assert (nine_beyond.p05, nine_beyond.p95) == (None, None)
    assert (ten_beyond.p05, ten_beyond.p95) == (pytest.approx(9.05), pytest.approx(171.95))


def test_a_percentile_that_is_the_smallest_value_is_not_given():
    values = np.concatenate([np.zeros(100), np.arange(1.0, 301.0)])

    assert summarise(values).p05 is None
    assert summarise(values).p95 is not None


def test_a_median_needs_twenty_values():
    assert summarise(np.arange(19.0)).median is None
    assert summarise(np.arange(20.0)).median == 9.5


def test_counts_of_values_summarise_as_the_values_do():
    assert summarise_counts((0.0, 1.0, 3.0), (50, 30, 20)) == summarise(np.repeat([0.0, 1.0, 3.0], (50, 30, 20)))


@pytest.mark.parametrize("values", [np.array([1.0]), np.array([1.0, np.nan]), np.ones((2, 2))])
def test_a_summary_refuses_gaps_and_single_values(values):
    with pytest.raises(InvalidBlockError):
        summarise(values)


@pytest.mark.parametrize("counts", [(1,), (3, -1), (1, 0)])
def test_counts_that_fit_no_values_are_refused(counts):
    with pytest.raises(InvalidBlockError):
        summarise_counts((0.0, 1.0), counts)


def test_values_are_concentrated_when_fewer_than_ten_differ_from_the_commonest():
    assert is_concentrated(np.concatenate([np.zeros(90), np.arange(1.0, 10.0)]))
    assert not is_concentrated(np.concatenate([np.zeros(90), np.arange(1.0, 11.0)]))


def test_levels_are_counted_as_by_r(rows, expected):
    y = np.array([int(row["y"]) for row in rows])
    grade = np.array([int(row["grade"]) - 1 for row in rows])
    truth = expected["levels"]["grade"]["all hospitals"]

    counts = count_levels(y, grade, (2, 3))

    assert counts[1].tolist() == list(truth["event"].values())
    assert counts[0].tolist() == list(truth["no event"].values())


@pytest.mark.parametrize(
    ("groups", "levels"),
    [([0, 1], [0]), ([0, 2], [0, 1]), ([0, 1], [0, 3]), ([0, -1], [0, 1]), ([[0]], [[0]])],
)
def test_codes_outside_of_the_table_are_refused(groups, levels):
    with pytest.raises(InvalidBlockError):
        count_levels(np.array(groups), np.array(levels), (2, 3))


def test_values_outside_of_limits_are_counted_and_missing_ones_are_not():
    assert count_outside(np.array([-1.0, 0.0, 5.0, 10.0, 11.0, np.nan]), 0.0, 10.0) == 2
    with pytest.raises(InvalidBlockError):
        count_outside(np.array([1.0]), 2.0, 1.0)


def test_a_median_like_that_of_another_unit_is_suspected():
    in_other_units = {"mg/dL": 5.2 * 38.67}

    assert suspected_unit(205.0, 5.2, in_other_units) == "mg/dL"
    assert suspected_unit(5.9, 5.2, in_other_units) is None
    assert suspected_unit(40.0, 5.2, in_other_units) is None
    assert suspected_unit(0.0, 5.2, in_other_units) is None
    assert suspected_unit(205.0, 5.2, {}) is None
