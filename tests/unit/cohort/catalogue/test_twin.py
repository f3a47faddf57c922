"""The synthetic twin: like the cohort in its rounded features, like no patient in any row, readable as a cohort."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from heartify.cohort.catalogue.twin.latent_values import values_of
from heartify.cohort.catalogue.twin_file import build_twin, parse_twin
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.survey import Survey
from heartify.disclosure import CohortFacts, build_cohort_facts, check_cohort
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary

from .conftest import boolean, category, dictionary_of, integer, number, survey_of, table_of

FloatArray = npt.NDArray[np.float64]


def twin_of(survey: Survey, dictionary: DataDictionary, seed: int = 1, **options: object) -> bytes:
    return build_twin(survey.sample, dictionary, rows=survey.rows, random=np.random.default_rng(seed), **options)


def twin_table(survey: Survey, dictionary: DataDictionary, seed: int = 1, **options: object) -> pa.Table:
    return parse_twin(twin_of(survey, dictionary, seed, **options), dictionary)


def columns_of(table: pa.Table, dictionary: DataDictionary) -> dict[str, FloatArray]:
    return {c.name: values_of(c, table.column(c.name)) for c in dictionary.published_columns}


def correlation(values: Mapping[str, FloatArray], first: str, second: str) -> float:
    both = ~(np.isnan(values[first]) | np.isnan(values[second]))
    return float(spearmanr(values[first][both], values[second][both]).statistic)


def test_every_row_is_marked_and_the_same_parser_reads_it(demo_survey: Survey, demo_dictionary: DataDictionary) -> None:
    data = twin_of(demo_survey, demo_dictionary)

    rows = list(csv.reader(io.StringIO(data.decode())))
    assert rows[0][0] == "synthetic"
    assert {row[0] for row in rows[1:]} == {"SYNTHETIC"}
    table = parse_csv(data, demo_dictionary, file="twin.csv", ignore=("synthetic",))
    assert table == parse_twin(data, demo_dictionary)
    assert table.num_rows == 1500


def test_rank_correlations_of_framingham_are_kept(
    framingham_survey: Survey, framingham_dictionary: DataDictionary
) -> None:
    real = columns_of(framingham_survey.sample, framingham_dictionary)
    twin = columns_of(twin_table(framingham_survey, framingham_dictionary), framingham_dictionary)

    names = list(real)
    differences = [
        abs(correlation(real, a, b) - correlation(twin, a, b)) for i, a in enumerate(names) for b in names[:i]
    ]
    assert max(differences) < 0.10
    assert np.mean(differences) < 0.025
    assert correlation(twin, "sysBP", "diaBP") > 0.7


def test_quantiles_of_framingham_are_close(framingham_survey: Survey, framingham_dictionary: DataDictionary) -> None:
    real = columns_of(framingham_survey.sample, framingham_dictionary)
    twin = columns_of(twin_table(framingham_survey, framingham_dictionary), framingham_dictionary)

    for name in ("age", "totChol", "sysBP", "diaBP", "BMI", "heartRate", "glucose"):
        quantiles, drawn = (np.nanquantile(values[name], (0.05, 0.25, 0.5, 0.75, 0.95)) for values in (real, twin))
        spread = quantiles[3] - quantiles[1]
        assert np.abs(drawn - quantiles).max() < 0.2 * spread, name


def test_missing_values_are_as_frequent_and_go_together(
    framingham_survey: Survey, framingham_dictionary: DataDictionary
) -> None:
    real = columns_of(framingham_survey.sample, framingham_dictionary)
    twin = columns_of(twin_table(framingham_survey, framingham_dictionary), framingham_dictionary)

    for name, values in real.items():
        assert abs(np.isnan(values).mean() - np.isnan(twin[name]).mean()) < 0.02, name
    assert np.isnan(twin["glucose"]).sum() > 300


def test_gaps_of_one_measurement_stay_together() -> None:
    random = np.random.default_rng(4)
    gap = random.random(3000) < 0.3
    first, second = (np.where(gap, np.nan, random.normal(100, 15, 3000)) for _ in range(2))
    dictionary = dictionary_of(number("first"), number("second"))

    twin = columns_of(
        twin_table(survey_of(table_of(dictionary, first=first, second=second), dictionary), dictionary), dictionary
    )

    both, either = (
        (np.isnan(twin["first"]) & np.isnan(twin["second"])),
        (np.isnan(twin["first"]) | np.isnan(twin["second"])),
    )
    assert both.sum() / either.sum() > 0.8


def test_a_logistic_fit_has_the_signs_of_the_strong_factors(
    framingham_survey: Survey, framingham_dictionary: DataDictionary
) -> None:
    factors = ("male", "age", "cigsPerDay", "sysBP", "glucose")

    real, twin = (
        _logistic_z(columns_of(table, framingham_dictionary), factors, "TenYearCHD")
        for table in (framingham_survey.sample, twin_table(framingham_survey, framingham_dictionary))
    )

    strong = np.abs(real) > 4
    assert strong.sum() >= 4
    assert (np.sign(real[strong]) == np.sign(twin[strong])).all()


def _logistic_z(values: Mapping[str, FloatArray], factors: tuple[str, ...], outcome: str) -> FloatArray:
    matrix = np.stack([values[name] for name in (*factors, outcome)], axis=1)
    complete = matrix[~np.isnan(matrix).any(axis=1)]
    x, y = complete[:, :-1], complete[:, -1]
    x = np.column_stack((np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0)))
    beta = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-x @ beta))
        information = x.T @ (x * (p * (1 - p))[:, None])
        beta = beta + np.linalg.solve(information, x.T @ (y - p))
    return np.asarray((beta / np.sqrt(np.diag(np.linalg.inv(information))))[1:])


def test_no_row_is_a_patients_row(framingham_survey: Survey, framingham_dictionary: DataDictionary) -> None:
    twin = twin_table(framingham_survey, framingham_dictionary)

    names = [column.name for column in framingham_dictionary.columns]
    real = {tuple(row[name] for name in names) for row in framingham_survey.sample.to_pylist()}
    assert not [row for row in twin.to_pylist() if tuple(row[name] for name in names) in real]


def test_a_row_that_few_patients_share_is_drawn_anew() -> None:
    """Three columns of few levels: chance alone would copy the three patients of the rare combination."""
    flags = np.array([[0, 0, 0]] * 300 + [[1, 1, 0]] * 300 + [[0, 1, 1]] * 300 + [[1, 0, 1]] * 3, bool)
    dictionary = dictionary_of(boolean("a"), boolean("b"), boolean("c"))
    survey = survey_of(table_of(dictionary, a=flags[:, 0], b=flags[:, 1], c=flags[:, 2]), dictionary)

    twins = [twin_table(survey, dictionary, seed).to_pylist() for seed in range(5)]

    assert not [row for twin in twins for row in twin if row == {"a": True, "b": False, "c": True}]


def test_a_cohort_whose_rows_are_all_rare_has_no_twin() -> None:
    values = np.repeat(np.arange(16), 9)
    dictionary = dictionary_of(*(boolean(name) for name in "abcd"))
    bits = {name: (values >> place) & 1 == 1 for place, name in enumerate("abcd")}

    with pytest.raises(InputError, match="no synthetic twin"):
        twin_of(survey_of(table_of(dictionary, **bits), dictionary), dictionary)


def test_limits_and_decimals_of_the_dictionary_hold() -> None:
    random = np.random.default_rng(2)
    dictionary = dictionary_of(
        number("x", minimum=1.5, maximum=9.5, decimals=2), integer("y", minimum=0, maximum=10), number("z", decimals=0)
    )
    table = table_of(
        dictionary,
        x=np.clip(random.normal(5, 4, 900), 1.5, 9.5).round(2),
        y=np.clip(random.normal(5, 5, 900), 0, 10).round().astype(int),
        z=random.normal(1000, 200, 900).round(),
    )

    twin = columns_of(twin_table(survey_of(table, dictionary), dictionary), dictionary)

    assert twin["x"].min() >= 1.5
    assert twin["x"].max() <= 9.5
    assert np.array_equal(twin["x"], twin["x"].round(2))
    assert set(twin["y"]) <= set(range(11))
    assert np.array_equal(twin["z"], twin["z"].round())


def test_a_follow_up_time_is_positive_and_keeps_its_censoring() -> None:
    random = np.random.default_rng(6)
    event_time = random.exponential(4, 2000)
    dictionary = dictionary_of(number("years", unit="a", role="time", decimals=1), boolean("died", role="outcome"))
    years, died = np.minimum(event_time, 5.0).round(1).clip(0.1), event_time < 5.0

    twin = columns_of(
        twin_table(survey_of(table_of(dictionary, years=years, died=died), dictionary), dictionary), dictionary
    )

    assert twin["years"].min() > 0
    assert abs(twin["died"].mean() - died.mean()) < 0.05
    assert twin["years"][twin["died"] == 0].mean() > twin["years"][twin["died"] == 1].mean() + 1


@pytest.mark.parametrize("events", [3, 12, 40, 5000 - 12])
def test_there_are_thirty_events_and_non_events_and_ten_in_each_cell(events: int) -> None:
    random = np.random.default_rng(events)
    died = np.arange(5000) < events
    smoking = np.where(random.random(5000) < 0.004, "2", np.where(random.random(5000) < 0.5, "1", "0"))
    dictionary = dictionary_of(
        number("age"), category("smoking", "0", "1", "2"), boolean("drug"), boolean("died", role="outcome")
    )
    table = table_of(
        dictionary, age=random.normal(60, 9, 5000), smoking=smoking, drug=random.random(5000) < 0.003, died=died
    )

    twin = columns_of(twin_table(survey_of(table, dictionary), dictionary), dictionary)

    for died_value in (0, 1):
        rows = twin["died"] == died_value
        assert rows.sum() >= 30
        for name in ("smoking", "drug"):
            assert np.unique(twin[name][rows], return_counts=True)[1].min() >= 10


def test_ids_are_numbered_and_never_taken_over() -> None:
    dictionary = dictionary_of(Column(name="patient", title="Patient", datatype="category", role="id"), number("x"))
    table = table_of(dictionary, patient=[f"secret{i}" for i in range(100)], x=np.linspace(0, 1, 100))

    data = twin_of(survey_of(table, dictionary), dictionary)

    twin = parse_twin(data, dictionary)
    assert b"secret" not in data
    assert twin.column("patient").to_pylist()[:2] == ["S000001", "S000002"]


def test_a_level_of_few_patients_is_not_in_the_twin() -> None:
    dictionary = dictionary_of(category("x", "a", "b", "rare"), number("y"))
    table = table_of(dictionary, x=["a"] * 500 + ["b"] * 400 + ["rare"] * 9, y=np.linspace(0, 1, 909))

    twin = twin_table(survey_of(table, dictionary), dictionary)

    assert set(twin.column("x").to_pylist()) == {"a", "b"}


def test_an_outlier_is_not_in_the_twin() -> None:
    dictionary = dictionary_of(number("x"))
    values = np.append(np.random.default_rng(1).normal(100, 10, 990), [5000.0] * 9)

    twin = columns_of(twin_table(survey_of(table_of(dictionary, x=values), dictionary), dictionary), dictionary)

    assert twin["x"].max() < 200


def test_constant_and_empty_columns_say_nothing_and_break_nothing() -> None:
    dictionary = dictionary_of(number("constant", minimum=0, maximum=50), number("empty"), boolean("same"), number("x"))
    n = 600
    table = table_of(dictionary, constant=[7.0] * n, empty=[None] * n, same=[True] * n, x=np.linspace(0, 1, n))

    twin = columns_of(twin_table(survey_of(table, dictionary), dictionary), dictionary)

    assert np.unique(twin["constant"]).size > 20
    assert np.isnan(twin["empty"]).all()
    assert 0.4 < twin["same"].mean() < 0.6


def test_an_excluded_column_comes_from_the_dictionary_alone() -> None:
    random = np.random.default_rng(3)
    dictionary = dictionary_of(number("x", minimum=0, maximum=1), number("y"))
    x = random.beta(2, 40, 2000)
    survey = survey_of(table_of(dictionary, x=x, y=x * 100 + random.normal(0, 1, 2000)), dictionary)

    told, untold = (columns_of(twin_table(survey, dictionary, exclude=exclude), dictionary) for exclude in ((), ("x",)))

    assert correlation(told, "x", "y") > 0.8
    assert abs(correlation(untold, "x", "y")) < 0.1
    assert abs(untold["x"].mean() - 0.5) < 0.05


def test_a_small_cohort_has_a_twin_of_its_dictionary_alone() -> None:
    dictionary = dictionary_of(number("x", minimum=0, maximum=1, decimals=2), boolean("y", role="outcome"))
    tables = [table_of(dictionary, x=[value] * 49, y=[value > 0.5] * 49) for value in (0.1, 0.9)]

    first, second = (twin_of(survey_of(table, dictionary), dictionary) for table in tables)

    assert first == second
    assert parse_twin(first, dictionary).num_rows == 500


def test_another_seed_gives_another_twin_and_the_same_seed_the_same(
    demo_survey: Survey, demo_dictionary: DataDictionary
) -> None:
    first, again, other = (twin_of(demo_survey, demo_dictionary, seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_values_that_mean_missing_are_not_written_for_known_ones() -> None:
    dictionary = dictionary_of(integer("x", missing_codes=("", "9", "10")), number("y", missing_codes=("0", "NA")))
    values = np.tile([5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 18], 100)
    table = table_of(dictionary, x=values, y=np.where(np.arange(1200) % 4 == 0, np.nan, np.linspace(-5, 5.01, 1200)))

    data = twin_of(survey_of(table, dictionary), dictionary)

    twin = columns_of(parse_twin(data, dictionary), dictionary)
    assert not np.isnan(twin["x"]).any()
    assert 0.2 < np.isnan(twin["y"]).mean() < 0.3


def test_dates_are_dates_of_the_cohorts_time() -> None:
    column = Column(name="visit", title="Visit", datatype="date", role="time")
    dictionary = dictionary_of(column)
    days = [dt.date(2015, 1, 1) + dt.timedelta(days=int(day)) for day in np.random.default_rng(1).integers(0, 700, 900)]

    twin = twin_table(survey_of(table_of(dictionary, visit=days), dictionary), dictionary)

    years = {day.year for day in twin.column("visit").to_pylist()}
    assert years <= {2014, 2015, 2016, 2017}
    assert {2015, 2016} <= years


def test_a_column_called_like_the_mark_is_refused() -> None:
    dictionary = dictionary_of(number("Synthetic"))

    with pytest.raises(InputError, match="mark"):
        twin_of(survey_of(table_of(dictionary, Synthetic=np.linspace(0, 1, 60)), dictionary), dictionary)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x\n1\n",
        b"synthetic,x\nSYNTHETIC,1\n,2\n",
        b"x,synthetic\n1,SYNTHETIC\n",
        b"synthetic,x\n\xff,1\n",
        b'synthetic,x\n"SYN',
    ],
)
def test_a_file_with_an_unmarked_row_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_twin(data, dictionary_of(number("x")))


def test_a_twin_beyond_the_limits_of_its_dictionary_is_refused() -> None:
    with pytest.raises(InputError):
        parse_twin(b"synthetic,x\nSYNTHETIC,11\n", dictionary_of(number("x", maximum=10)))


def test_the_disclosure_rules_pass_on_the_twin_where_they_pass_for_the_cohort(
    demo_survey: Survey, demo_dictionary: DataDictionary
) -> None:
    verdicts = [
        check_cohort(_facts(columns_of(table, demo_dictionary))).passed
        for table in (demo_survey.sample, twin_table(demo_survey, demo_dictionary))
    ]

    assert verdicts == [True, True]


@dataclass(frozen=True)
class _Block:
    name: str
    X: FloatArray
    y: FloatArray


def _facts(values: Mapping[str, FloatArray]) -> CohortFacts:
    matrix = np.stack(list(values.values()), axis=1)
    complete = matrix[~np.isnan(matrix).any(axis=1)]
    names = [name for name in values if name not in {"cvd", "smoking"}]
    places = [list(values).index(name) for name in names]
    smoking, outcome = (complete[:, list(values).index(name)] for name in ("smoking", "cvd"))
    return build_cohort_facts([_Block("aspen", complete[:, places], outcome)], names, {"smoking": smoking.tolist()})
