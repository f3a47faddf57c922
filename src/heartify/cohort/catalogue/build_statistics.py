"""From a survey's exact counts and random sample to the statistics that a catalogue may show.

Deterministic: a cohort of up to 100,000 patients gives the same document each time, as its sample is the whole cohort.
Plaintext goes in; what comes out has passed `verify_statistics`, without any exception.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.catalogue.shown_counts import ShownCells, show_cells
from heartify.cohort.catalogue.shown_numbers import FloatArray, show_numbers, show_years
from heartify.cohort.catalogue.statistics import ColumnStatistics, DatasetStatistics, LevelCount
from heartify.cohort.catalogue.statistics_rules import missing_percent, verify_statistics
from heartify.cohort.survey import ColumnSurvey, Survey
from heartify.cohort.table_form import known_numbers
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import round_rows


def build_statistics(
    survey: Survey, dictionary: DataDictionary, *, dataset: str, exclude: Collection[str] = ()
) -> DatasetStatistics:
    """Build the statistics of all published columns but the excluded ones.

    Raises InputError when an excluded column isn't published at all.
    """
    check_excluded(dictionary, exclude)
    n = round_rows(survey.rows)
    columns = tuple(
        _column_statistics(column, survey.columns[column.name], survey.sample.column(column.name), n)
        for column in dictionary.published_columns
        if column.name not in exclude
    )
    statistics = DatasetStatistics(dataset=dataset, n=n, columns=columns)
    verify_statistics(statistics)
    return statistics


def check_excluded(dictionary: DataDictionary, exclude: Collection[str]) -> None:
    """Check that each excluded name is a published column.

    Raises InputError naming those that are not: a misspelt name would otherwise be shown against the steward's will.
    """
    unknown = sorted(set(exclude) - {column.name for column in dictionary.published_columns})
    if unknown:
        raise InputError(
            f"columns to leave out of the statistics that are not published: {', '.join(unknown)}",
            hint="remove them, or correct their spelling; ids have no statistics anyway",
        )


def days_of(values: pa.ChunkedArray) -> FloatArray:
    """Return a date column's known values as days since 1970."""
    days = pc.cast(values, pa.int32()).drop_null().to_numpy()
    return np.asarray(days, dtype=np.float64)


def least_step_of(column: Column) -> float:
    """Return the step in which the dictionary lets a number's values come; 0 where it doesn't say."""
    if column.datatype == "integer":
        return 1.0
    return 0.0 if column.decimals is None else 10.0**-column.decimals


def _column_statistics(column: Column, counts: ColumnSurvey, values: pa.ChunkedArray, n: int) -> ColumnStatistics:
    if n == 0:
        return ColumnStatistics(name=column.name)
    level_counts = counts.level_counts
    all_or_none = column.role == "outcome"
    rows = counts.known + counts.missing
    cells = show_cells(rows, tuple(level_counts.values()), counts.missing, all_or_none=all_or_none)
    shown = ColumnStatistics(
        name=column.name,
        missing=cells.missing,
        missing_percent=missing_percent(cells.missing, n),
        levels=_levels(tuple(level_counts), cells),
    )
    if column.datatype == "date":
        return _with_years(shown, days_of(values))
    return shown if level_counts else _with_numbers(shown, known_numbers(values), column)


def _levels(codes: tuple[str, ...], cells: ShownCells) -> tuple[LevelCount, ...]:
    return tuple(LevelCount(code=code, n=count) for code, count in zip(codes, cells.levels, strict=True))


def _with_numbers(shown: ColumnStatistics, values: FloatArray, column: Column) -> ColumnStatistics:
    numbers = show_numbers(values, least_step=least_step_of(column))
    return ColumnStatistics(
        name=shown.name,
        missing=shown.missing,
        missing_percent=shown.missing_percent,
        step=numbers.step,
        p05=numbers.p05,
        median=numbers.median,
        p95=numbers.p95,
        mean=numbers.mean,
        sd=numbers.sd,
    )


def _with_years(shown: ColumnStatistics, days: FloatArray) -> ColumnStatistics:
    years = show_years(days)
    if years is None:
        return shown
    return ColumnStatistics(
        name=shown.name,
        missing=shown.missing,
        missing_percent=shown.missing_percent,
        first_year=years[0],
        last_year=years[1],
    )
