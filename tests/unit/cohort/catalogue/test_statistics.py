"""Statistics of a version: what they show, what they hide, and the gate that refuses what they may not show."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import numpy as np
import pytest

from heartify.cohort.catalogue.build_statistics import build_statistics
from heartify.cohort.catalogue.coarse_steps import is_step, round_to_step, step_below
from heartify.cohort.catalogue.statistics import (
    ColumnStatistics,
    DatasetStatistics,
    LevelCount,
    encode_statistics,
    load_statistics,
)
from heartify.cohort.catalogue.statistics_rules import verify_statistics
from heartify.cohort.survey import Survey
from heartify.errors import DisclosureError, DocumentError, InputError
from heartify.protocol.dictionary import Column, DataDictionary

from .conftest import DATASET, boolean, category, dictionary_of, integer, number, survey_of, table_of


def statistics_of(column: Column, values: object, **options: Any) -> ColumnStatistics:
    dictionary = dictionary_of(column)
    survey = survey_of(table_of(dictionary, **{column.name: values}), dictionary)
    return build_statistics(survey, dictionary, dataset=DATASET, **options).columns[0]


def test_a_document_reads_back_as_it_was_written(demo_survey: Survey, demo_dictionary: DataDictionary) -> None:
    statistics = build_statistics(demo_survey, demo_dictionary, dataset=DATASET)

    assert load_statistics(encode_statistics(statistics)) == statistics


def test_the_same_cohort_in_another_order_has_the_same_statistics(
    demo_survey: Survey, demo_dictionary: DataDictionary
) -> None:
    order = np.random.default_rng(8).permutation(demo_survey.rows)
    other = survey_of(demo_survey.sample.take(order), demo_dictionary)

    first, second = (build_statistics(survey, demo_dictionary, dataset=DATASET) for survey in (demo_survey, other))

    assert encode_statistics(first) == encode_statistics(second)


def test_statistics_of_framingham_are_near_its_known_figures(
    framingham_survey: Survey, framingham_dictionary: DataDictionary
) -> None:
    statistics = build_statistics(framingham_survey, framingham_dictionary, dataset=DATASET)

    outcome, glucose, pressure = (statistics.column(name) for name in ("TenYearCHD", "glucose", "sysBP"))
    assert statistics.n == 4240
    assert outcome is not None
    assert [(level.code, level.n) for level in outcome.levels] == [("false", 3595), ("true", 645)]
    assert glucose is not None
    assert (glucose.missing, glucose.missing_percent) == (390, 9)
    assert pressure is not None
    assert (pressure.p05, pressure.median, pressure.p95) == (104, 128, 176)
    assert (pressure.mean, pressure.sd) == (132, 22)


def test_neither_minimum_nor_maximum_of_framingham_is_shown(
    framingham_survey: Survey, framingham_dictionary: DataDictionary
) -> None:
    statistics = build_statistics(framingham_survey, framingham_dictionary, dataset=DATASET)

    shown = {column.name: {column.p05, column.median, column.p95} for column in statistics.columns}
    for name in ("age", "totChol", "sysBP", "BMI", "heartRate", "glucose"):
        values = framingham_survey.sample.column(name).drop_null().to_numpy()
        assert not shown[name] & {values.min(), values.max()}


def test_percentiles_need_ten_patients_beyond() -> None:
    spread = np.linspace(100, 200, 199)

    small, large = statistics_of(number("x"), spread), statistics_of(number("x"), np.append(spread, 150.0))

    assert small.median == 150
    assert (small.p05, small.p95) == (None, None)
    assert (large.p05, large.median, large.p95) == (106, 150, 194)


def test_a_median_needs_ten_patients_on_either_side() -> None:
    assert statistics_of(number("x"), np.linspace(0, 1, 19)).median is None
    assert statistics_of(number("x"), np.linspace(0, 1, 20)).median is not None


def test_mean_and_sd_need_ten_patients() -> None:
    nine = statistics_of(number("x"), [*np.linspace(1, 2, 9), *[None] * 30])
    eleven = statistics_of(number("x"), [*np.linspace(1, 2, 11), *[None] * 30])

    assert (nine.mean, nine.sd) == (None, None)
    assert (eleven.mean, eleven.sd) == (1.5, 0.332)


def test_a_rare_value_does_not_move_the_mean_of_a_column_of_few_values() -> None:
    without = statistics_of(integer("x"), [0] * 1000 + [1] * 500)
    with_rare = statistics_of(integer("x"), [0] * 1000 + [1] * 500 + [900] * 3)

    assert (without.mean, without.sd) == (with_rare.mean, with_rare.sd)


def test_a_total_that_two_patients_dominate_has_no_mean() -> None:
    costs = [*np.linspace(1, 2, 40), 1e6, 2e6]

    assert statistics_of(number("x"), costs).mean is None


def test_a_constant_column_shows_nothing_but_its_name() -> None:
    assert statistics_of(number("x"), [7.0] * 500) == ColumnStatistics(name="x")


def test_a_column_without_any_value_shows_nothing_but_its_name() -> None:
    assert statistics_of(number("x"), [None] * 500) == ColumnStatistics(name="x")


def test_a_category_that_all_patients_share_shows_no_count() -> None:
    shown = statistics_of(category("x", "a", "b"), ["a"] * 500)

    assert shown.levels == (LevelCount(code="a"), LevelCount(code="b"))


def test_events_are_hidden_with_their_non_events() -> None:
    shown = statistics_of(boolean("x", role="outcome"), [True] * 9 + [False] * 300)

    assert [level.n for level in shown.levels] == [None, None]


def test_dates_show_years_with_ten_patients_beyond() -> None:
    column = Column(name="x", title="x", datatype="date", role="time")
    days = (
        [dt.date(1990, 1, 1)] * 9 + [dt.date(2000, 5, 5)] * 10 + [dt.date(2010, 3, 3)] * 20 + [dt.date(2021, 1, 1)] * 9
    )

    shown = statistics_of(column, days)

    assert (shown.first_year, shown.last_year) == (2000, 2010)


def test_a_cohort_under_ten_shows_nothing() -> None:
    dictionary = dictionary_of(number("x"), category("y", "a", "b"))
    survey = survey_of(table_of(dictionary, x=range(9), y=["a"] * 9), dictionary)

    statistics = build_statistics(survey, dictionary, dataset=DATASET)

    assert statistics.n == 0
    assert statistics.columns == (ColumnStatistics(name="x"), ColumnStatistics(name="y"))


def test_an_excluded_column_is_absent(demo_survey: Survey, demo_dictionary: DataDictionary) -> None:
    statistics = build_statistics(demo_survey, demo_dictionary, dataset=DATASET, exclude=("hba1c",))

    assert statistics.column("hba1c") is None
    assert statistics.column("age") is not None


def test_a_misspelt_exclusion_is_refused(demo_survey: Survey, demo_dictionary: DataDictionary) -> None:
    with pytest.raises(InputError, match="hba1x"):
        build_statistics(demo_survey, demo_dictionary, dataset=DATASET, exclude=("hba1x",))


GOOD = ColumnStatistics(
    name="x", missing=50, missing_percent=5, step=2.0, p05=100.0, median=120.0, p95=160.0, mean=122.0, sd=16.3
)
LEVELED = ColumnStatistics(name="x", levels=(LevelCount(code="a", n=400), LevelCount(code="b", n=600)))


@pytest.mark.parametrize(
    ("column", "change", "reason"),
    [
        (GOOD, {"step": 3.0}, "step"),
        (GOOD, {"median": 121.0}, "step"),
        (GOOD, {"median": 100.5}, "step"),
        (GOOD, {"p05": 130.0}, "order"),
        (GOOD, {"step": None}, "step"),
        (GOOD, {"p05": 120.0, "p95": 120.0}, "the same"),
        (GOOD, {"mean": 122.4}, "significant"),
        (GOOD, {"sd": None}, "together"),
        (GOOD, {"sd": 0.0}, "equal"),
        (GOOD, {"missing_percent": 6}, "percent"),
        (GOOD, {"missing": 850, "missing_percent": 85}, "fewer than 10"),
        (GOOD, {"missing": 995, "missing_percent": 100}, "follows"),
        (GOOD, {"missing": 52, "missing_percent": 5}, "rule 9"),
        (GOOD, {"first_year": 2000}, "year"),
        (GOOD, {"first_year": 2001, "last_year": 2000}, "order"),
        (GOOD, {"levels": (LevelCount(code="a", n=400), LevelCount(code="b", n=550))}, "at once"),
        (LEVELED, {"levels": (LevelCount(code="a", n=400), LevelCount(code="a", n=600))}, "twice"),
        (LEVELED, {"levels": (LevelCount(code="a", n=900), LevelCount(code="b", n=600))}, "more than"),
        (LEVELED, {"levels": (LevelCount(code="a", n=1000), LevelCount(code="b"))}, "follows"),
        (LEVELED, {"levels": (*LEVELED.levels[:1], LevelCount(code="b", n=585))}, "follows"),
    ],
)
def test_the_gate_refuses_what_the_rules_forbid(column: ColumnStatistics, change: dict[str, Any], reason: str) -> None:
    statistics = DatasetStatistics(dataset=DATASET, n=1000, columns=(msgspec.structs.replace(column, **change),))

    with pytest.raises(DisclosureError, match=reason):
        verify_statistics(statistics)


@pytest.mark.parametrize("column", [GOOD, LEVELED])
def test_the_gate_passes_what_the_rules_allow(column: ColumnStatistics) -> None:
    statistics = DatasetStatistics(dataset=DATASET, n=1000, columns=(column,))

    assert load_statistics(encode_statistics(statistics)) == statistics


def test_the_gate_refuses_a_column_listed_twice() -> None:
    with pytest.raises(DisclosureError, match="twice"):
        verify_statistics(DatasetStatistics(dataset=DATASET, n=1000, columns=(GOOD, GOOD)))


def test_the_gate_refuses_a_small_number_of_patients() -> None:
    with pytest.raises(DisclosureError, match="number of patients"):
        verify_statistics(DatasetStatistics(dataset=DATASET, n=5, columns=()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"columns":[],"dataset":"0x00","format":"heartify.statistics/1","n":1000}',
        b'{"columns":[{"maximum":1,"name":"x"}],"dataset":"'
        + DATASET.encode()
        + b'","format":"heartify.statistics/1","n":1000}',
        b'{"columns":[{"levels":[{"code":"a","n":7}],"name":"x"}],"dataset":"'
        + DATASET.encode()
        + b'","format":"heartify.statistics/1","n":1000}',
        b'{"n":1000,"columns":[],"dataset":"' + DATASET.encode() + b'","format":"heartify.statistics/1"}',
        b'{"columns":[],"dataset":"' + DATASET.encode() + b'","format":"heartify.statistics/2","n":1000}',
    ],
)
def test_a_malformed_document_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        load_statistics(data)


@pytest.mark.parametrize(
    ("size", "step"), [(1.0, 1.0), (0.99, 0.5), (4.9, 2.0), (0.003, 0.002), (1e-5, 1e-5), (7e9, 5e9)]
)
def test_a_step_is_the_largest_below_a_size(size: float, step: float) -> None:
    assert step_below(size) == step
    assert is_step(step)


@pytest.mark.parametrize("decimals", range(10))
def test_each_number_of_decimals_is_a_step(decimals: int) -> None:
    assert is_step(10.0**-decimals)


def test_nothing_is_no_step() -> None:
    assert step_below(0.0) is None
    assert not is_step(float("nan"))
    assert not is_step(-1.0)


def test_rounding_to_a_step_is_idempotent_and_has_no_minus_zero() -> None:
    assert round_to_step(0.7300001, 0.1) == 0.7
    assert str(round_to_step(-0.01, 0.1)) == "0.0"
