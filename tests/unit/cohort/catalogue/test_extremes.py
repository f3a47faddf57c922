"""Cohorts at the edge: huge and tiny numbers, piles at one value, very wide tables, hardly any patient."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pytest

from heartify.cohort.catalogue.build_statistics import build_statistics
from heartify.cohort.catalogue.health_record import encode_record
from heartify.cohort.catalogue.twin import twin_model
from heartify.cohort.catalogue.twin.dependence import positive_definite, rounded_correlations
from heartify.cohort.catalogue.twin.latent_values import fit_to_column, unit_step, values_of
from heartify.cohort.catalogue.twin.normal_scores import normal_scores
from heartify.cohort.catalogue.twin_file import build_twin, parse_twin
from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.cohort.survey import Survey
from heartify.errors import InputError
from heartify.protocol.dictionary import DataDictionary

from .conftest import DATASET, boolean, dictionary_of, integer, number, survey_of, table_of


def test_numbers_of_absurd_size_have_no_mean_and_a_readable_twin() -> None:
    dictionary = dictionary_of(number("x"))
    values = np.random.default_rng(1).normal(0, 1e307, 500)
    survey = survey_of(table_of(dictionary, x=values), dictionary)

    statistics = build_statistics(survey, dictionary, dataset=DATASET)
    twin = parse_twin(build_twin(survey.sample, dictionary, rows=500, random=np.random.default_rng(1)), dictionary)

    assert statistics.columns[0].mean is None
    assert np.isfinite(twin.column("x").to_numpy()).all()


def test_the_largest_doubles_break_nothing() -> None:
    dictionary = dictionary_of(number("x"))
    values = np.random.default_rng(1).uniform(-1, 1, 500) * 1.7e308
    survey = survey_of(table_of(dictionary, x=values), dictionary)

    statistics = build_statistics(survey, dictionary, dataset=DATASET)
    twin = parse_twin(build_twin(survey.sample, dictionary, rows=500, random=np.random.default_rng(1)), dictionary)

    assert statistics.columns[0].mean is None
    assert twin.num_rows == 500


def test_tiny_numbers_keep_their_digits() -> None:
    dictionary = dictionary_of(number("x"))
    survey = survey_of(table_of(dictionary, x=np.linspace(1e-9, 2e-9, 500)), dictionary)

    twin = parse_twin(build_twin(survey.sample, dictionary, rows=500, random=np.random.default_rng(1)), dictionary)

    assert 1.2e-9 < np.median(twin.column("x").to_numpy()) < 1.8e-9


def test_a_unit_has_no_more_than_twelve_decimals() -> None:
    assert unit_step(number("x"), np.linspace(1e-18, 2e-18, 100)) == 1e-12


def test_a_pile_at_one_value_has_a_mean_and_no_percentiles() -> None:
    dictionary = dictionary_of(number("x"))
    values = np.append(np.zeros(980), np.linspace(1, 2, 20))

    shown = build_statistics(
        survey_of(table_of(dictionary, x=values), dictionary), dictionary, dataset=DATASET
    ).columns[0]

    assert (shown.step, shown.p05, shown.median, shown.p95) == (None, None, None, None)
    assert shown.mean == 0.03


def test_percentiles_that_round_to_one_step_are_left_out() -> None:
    dictionary = dictionary_of(integer("x"))
    values = np.append(np.arange(-30, 30), np.repeat((0, 0, 0, 0), 500))

    shown = build_statistics(
        survey_of(table_of(dictionary, x=values), dictionary), dictionary, dataset=DATASET
    ).columns[0]

    assert shown.step is None
    assert shown.median is None


def test_percentiles_within_a_declared_step_are_left_out() -> None:
    dictionary = dictionary_of(number("x", decimals=0))
    values = np.linspace(4.6, 5.4, 400)

    shown = build_statistics(
        survey_of(table_of(dictionary, x=values), dictionary), dictionary, dataset=DATASET
    ).columns[0]

    assert shown.median is None
    assert shown.mean == 5


@pytest.mark.parametrize(
    "values",
    [
        [*np.linspace(0, 1, 9), *[5.0] * 21, *np.linspace(8, 9, 9)],
        [*[7.0] * 500, *np.linspace(6.9, 7.1, 18)],
        [*[3.0] * 50, *[4e12] * 50],
    ],
)
def test_a_column_without_a_spread_or_of_absurd_size_is_not_told(values: list[float]) -> None:
    dictionary = dictionary_of(number("x", minimum=0), boolean("y"))
    survey = survey_of(table_of(dictionary, x=[*values, *[None] * 30], y=[True] * (len(values) + 30)), dictionary)

    model = twin_model.estimate_model(survey.sample, dictionary, rows=survey.rows)

    assert not model.columns[0].marginal.told


def test_the_record_of_a_cohort_under_ten_has_no_size() -> None:
    dictionary = dictionary_of(number("x"))
    survey = survey_of(table_of(dictionary, x=range(9)), dictionary)
    statistics = build_statistics(survey, dictionary, dataset=DATASET)

    data = encode_record(StewardDictionary(dictionary), statistics, issued=dt.date(2026, 11, 22), twin=None)

    assert "healthdcatap:numberOfRecords" not in json.loads(data)


def test_a_table_wider_than_the_matrix_keeps_its_first_correlations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin_model, "MAX_LATENT", 2)
    random = np.random.default_rng(1)
    dictionary = dictionary_of(*(number(name) for name in "abc"))
    base = random.normal(size=1000)
    survey = survey_of(table_of(dictionary, **{name: base + random.normal(size=1000) for name in "abc"}), dictionary)

    model = twin_model.estimate_model(survey.sample, dictionary, rows=1000)

    assert [column.latent for column in model.columns] == [0, 1, None]
    assert model.correlations.shape == (2, 2)


def test_an_integer_of_few_values_is_no_factor_of_the_cells() -> None:
    random = np.random.default_rng(1)
    dictionary = dictionary_of(integer("parity"), boolean("died", role="outcome"))
    table = table_of(
        dictionary, parity=random.choice(4, 2000, p=[0.5, 0.3, 0.19, 0.01]), died=random.random(2000) < 0.1
    )

    twin = parse_twin(build_twin(survey_of(table, dictionary).sample, dictionary, rows=2000, random=random), dictionary)

    assert set(twin.column("parity").to_pylist()) == {0, 1, 2, 3}


def test_no_columns_have_no_correlations() -> None:
    assert positive_definite(rounded_correlations([])).shape == (0, 0)


def test_a_column_without_variation_has_no_scores() -> None:
    assert normal_scores(np.array([3.0, 3.0, np.nan])) is None


def test_a_missing_code_that_is_no_finite_number_moves_nothing() -> None:
    column = integer("x", missing_codes=("nan", "NA"))

    assert fit_to_column(column, np.array([1.2, 7.9]), 1.0).tolist() == [1.0, 8.0]


def test_values_of_a_category_are_positions(demo_dictionary: DataDictionary, demo_survey: Survey) -> None:
    column = demo_dictionary.column("smoking")

    values = values_of(column, demo_survey.sample.column("smoking"))

    assert set(values[~np.isnan(values)]) == {0.0, 1.0, 2.0}


def test_a_twin_that_is_too_large_is_refused() -> None:
    with pytest.raises(InputError, match="larger than 10 bytes"):
        parse_twin(b"synthetic,x\n", dictionary_of(number("x")), max_bytes=10)
