from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.rows import TableRows
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.survey import Survey, survey_rows
from heartify.errors import InputError
from heartify.protocol.dictionary import DataDictionary


class SlicedRows(TableRows):
    """A table that comes in batches of chosen size and knows how far it is."""

    def __init__(self, table: pa.Table, dictionary: DataDictionary, batch_rows: int) -> None:
        super().__init__(table, dictionary)
        self._batch_rows, self._rows, self._done = batch_rows, table, 0

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        for batch in self._rows.slice(start_row).to_batches(max_chunksize=self._batch_rows):
            self._done += batch.num_rows
            yield batch

    def fraction_read(self) -> float | None:
        return self._done / self._rows.num_rows


def survey(table: pa.Table, dictionary: DataDictionary, seed: int = 1) -> Survey:
    return survey_rows(TableRows(table, dictionary), random=np.random.default_rng(seed))


def test_known_missing_and_level_counts_are_exact(small_table: pa.Table, small_dictionary: DataDictionary) -> None:
    found = survey(small_table, small_dictionary)

    assert found.rows == 4
    assert list(found.columns) == ["chol", "count", "smoker", "cp", "visit"]
    assert [(entry.known, entry.missing) for entry in found.columns.values()] == [(3, 1)] * 5
    assert found.columns["cp"].level_counts == {"1": 1, "2": 0, "4": 2}
    assert found.columns["smoker"].level_counts == {"false": 1, "true": 2}
    assert found.columns["chol"].level_counts == {}
    assert [finding.name for finding in found.findings] == ["full-date:visit"]


def test_not_a_number_counts_as_missing(small_dictionary: DataDictionary, small_table: pa.Table) -> None:
    values = pa.array([float("nan"), None, 199.0, 250.25])

    found = survey(small_table.set_column(1, "chol", values), small_dictionary)

    assert (found.columns["chol"].known, found.columns["chol"].missing) == (2, 2)


def test_the_sample_of_a_small_cohort_is_the_cohort_without_ids_in_random_order(
    long_table: pa.Table, small_dictionary: DataDictionary
) -> None:
    found = survey(long_table, small_dictionary)

    published = long_table.drop_columns(["patient"])
    assert found.sample.schema == published.schema
    assert sorted(map(repr, found.sample.to_pylist())) == sorted(map(repr, published.to_pylist()))
    assert found.sample["chol"].to_pylist() != published["chol"].to_pylist()
    assert found.sample["chol"].to_pylist() != survey(long_table, small_dictionary, seed=2).sample["chol"].to_pylist()


@pytest.mark.parametrize("batch_rows", [1, 100, 1299])
def test_how_rows_are_cut_changes_nothing(
    batch_rows: int, long_table: pa.Table, small_dictionary: DataDictionary
) -> None:
    rows = SlicedRows(long_table, small_dictionary, batch_rows)

    assert survey_rows(rows, random=np.random.default_rng(1)) == survey(long_table, small_dictionary)


def test_progress_tells_rows_and_the_fraction(long_table: pa.Table, small_dictionary: DataDictionary) -> None:
    told: list[tuple[int, float | None]] = []

    survey_rows(
        SlicedRows(long_table, small_dictionary, 650),
        random=np.random.default_rng(1),
        report=lambda *progress: told.append(progress),
    )

    assert told == [(650, 0.5), (1300, 1.0)]


def test_the_callers_date_decides_what_lies_in_the_future(
    small_table: pa.Table, small_dictionary: DataDictionary
) -> None:
    rows = TableRows(small_table, small_dictionary)

    found = [
        survey_rows(rows, random=np.random.default_rng(1), today=today)
        for today in (None, dt.date(2021, 3, 4), dt.date(2021, 3, 3))
    ]

    assert ["date-in-future:visit" in {f.name for f in entry.findings} for entry in found] == [False, False, True]
    assert [entry.surveyed_on for entry in found] == [None, dt.date(2021, 3, 4), dt.date(2021, 3, 3)]


def test_a_survey_does_not_show_patients_when_it_is_printed(
    small_table: pa.Table, small_dictionary: DataDictionary
) -> None:
    shown = repr(survey(small_table, small_dictionary))

    assert "233.5" not in shown
    assert "250.25" not in shown
    assert "rows=4" in shown


def test_a_source_without_rows_or_of_another_form_is_refused(
    small_table: pa.Table, small_dictionary: DataDictionary, uci_dictionary: DataDictionary
) -> None:
    with pytest.raises(InputError, match="table: there is no row"):
        survey(small_table.slice(0, 0), small_dictionary)
    with pytest.raises(InputError, match="not those of the dictionary"):
        survey(small_table, uci_dictionary)


def test_ids_are_surveyed_and_not_sampled(small_dictionary: DataDictionary) -> None:
    table = parse_csv(
        b"patient,chol,count,smoker,cp,visit\np1,233.5,3,1,1,2021-03-04\np1,1.5,4,0,2,2020-01-01\n",
        small_dictionary,
        file="twice.csv",
    )

    found = survey(table, small_dictionary)

    assert "duplicate-person:patient" in {finding.name for finding in found.findings}
    assert "patient" not in found.sample.column_names
