"""Sample-size criteria: the published examples of pmsampsize, and R's search (tests/vectors/statistics/design.json)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heartify.stats import InvalidBlockError
from heartify.stats.adequacy import (
    binary_sample_size,
    cautious_r2,
    events_per_parameter,
    expected_shrinkage,
    max_r2_binary,
    max_r2_survival,
    survival_sample_size,
)

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "statistics"


@pytest.fixture(scope="module")
def expected():
    return json.loads((VECTORS / "design.json").read_text())["adequacy"]


def test_the_published_binary_example_is_reproduced():
    # R: pmsampsize(type = "b", csrsquared = 0.288, parameters = 24, prevalence = 0.174), from its documentation
    found = binary_sample_size(24, 0.174, 0.288)

    assert (found.n_shrinkage, found.n_optimism, found.n_overall_risk, found.n) == (623, 662, 221, 662)
    assert found.max_r2 == pytest.approx(0.603, abs=5e-4)
    assert found.r2 / found.max_r2 == pytest.approx(0.477, abs=5e-4)
    assert found.shrinkage_at_optimism == pytest.approx(0.905, abs=5e-4)
    assert found.events_per_parameter == pytest.approx(4.80, abs=5e-3)


def test_the_published_survival_example_is_reproduced():
    # The documentation of pmsampsize, type "s": R2 0.051, 30 parameters, rate 0.065, 2 years, mean follow-up 2.07.
    found = survival_sample_size(30, 0.065, 2.07, 2, 0.051)

    assert (found.n_shrinkage, found.n_optimism, found.n) == (5143, 1039, 5143)
    assert found.max_r2 == pytest.approx(0.555, abs=5e-4)
    assert found.events_per_parameter == pytest.approx(23.07, abs=5e-3)


@pytest.mark.parametrize(
    ("key", "arguments"),
    [("binary_24", (24, 0.174, 0.288)), ("binary_10", (10, 0.05, 0.04)), ("binary_half", (30, 0.5, 0.1))],
)
def test_binary_criteria_equal_a_search_by_r(expected, key, arguments):
    found = binary_sample_size(*arguments)

    _expect_equal(found, expected[key])


@pytest.mark.parametrize(
    ("key", "arguments"), [("survival_30", (30, 0.065, 2.07, 2, 0.051)), ("survival_8", (8, 0.02, 5, 10, 0.03))]
)
def test_survival_criteria_equal_a_search_by_r(expected, key, arguments):
    found = survival_sample_size(*arguments)

    _expect_equal(found, expected[key])


def _expect_equal(found, wanted):
    assert found.n_shrinkage == wanted["shrinkage"]
    assert found.n_optimism == wanted["optimism"]
    assert found.n_overall_risk == wanted["overall"]
    assert found.max_r2 == pytest.approx(wanted["max_r2"], rel=1e-12)
    assert found.n == max(wanted["shrinkage"], wanted["optimism"], wanted["overall"])


def test_the_expected_shrinkage_inverts_the_first_criterion():
    assert expected_shrinkage(623, 24, 0.288) == pytest.approx(0.9, abs=2e-4)
    assert expected_shrinkage(622, 24, 0.288) < 0.9 < expected_shrinkage(623, 24, 0.288)
    assert expected_shrinkage(1, 1000, 0.288) == pytest.approx(0.288)
    assert expected_shrinkage(10**30, 24, 0.288) == pytest.approx(1.0)


def test_largest_and_cautious_r2():
    assert max_r2_binary(0.5) == pytest.approx(0.75)
    assert max_r2_binary(0.1) == pytest.approx(max_r2_binary(0.9))
    assert cautious_r2(0.48) == pytest.approx(0.072)


def test_events_per_parameter_count_the_rarer_outcome():
    assert events_per_parameter(1000, 900, 10) == 10.0
    assert events_per_parameter(1000, 0, 10) == 0.0


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 0.2, 0.1),
        (5, 0.0, 0.1),
        (5, 1.0, 0.1),
        (5, 0.2, 0.0),
        (5, 0.2, 0.7),
        (5, 0.2, 0.1, 1.0),
        (5, 0.2, float("nan")),
    ],
)
def test_impossible_binary_plans_are_refused(arguments):
    with pytest.raises(InvalidBlockError):
        binary_sample_size(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [(5, 0.0, 2, 2, 0.1), (5, 0.1, -1, 2, 0.1), (5, 0.1, 2, 0, 0.1), (5, 0.6, 2, 2, 0.1), (5, 0.1, 2, 2, 0.9)],
)
def test_impossible_survival_plans_are_refused(arguments):
    with pytest.raises(InvalidBlockError):
        survival_sample_size(*arguments)


def test_impossible_counts_are_refused():
    with pytest.raises(InvalidBlockError):
        expected_shrinkage(0, 5, 0.1)
    with pytest.raises(InvalidBlockError):
        events_per_parameter(10, 11, 5)
    with pytest.raises(InvalidBlockError):
        max_r2_survival(float("inf"), 1.0)
