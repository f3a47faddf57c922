"""The gate for statistics: whatever a document shows is checked again against rules 9 and 11, number by number.

It trusts nothing that the builder did. Exact counts are gone here, so thresholds on them are checked as far as rounded
ones allow: within the reach of two roundings. Obligations: 1 the number of patients, 2 counts, 3 percent missing,
4 percentiles, 5 mean and SD, 6 years, 7 nothing else beside levels.
"""

from __future__ import annotations

from typing import NoReturn

from heartify.cohort.catalogue.coarse_steps import is_step, round_to_step
from heartify.cohort.catalogue.shown_counts import ROUNDING_REACH, ShownCells, are_protected
from heartify.cohort.catalogue.shown_numbers import MEDIAN_PATIENTS, TAIL_PATIENTS
from heartify.cohort.catalogue.statistics import ColumnStatistics, DatasetStatistics
from heartify.disclosure.cells import Kind, is_released_cell
from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.errors import DisclosureError


def verify_statistics(statistics: DatasetStatistics) -> None:
    """Verify that a statistics document shows nothing that the disclosure rules forbid.

    Raises:
        DisclosureError: naming the column and the rule.
    """
    names = [column.name for column in statistics.columns]
    if len(set(names)) != len(names):
        raise DisclosureError("the statistics list a column twice")
    # 1. to the nearest 5, and nothing under 10
    if statistics.n % 5 or 0 < statistics.n < MIN_CELL:
        raise DisclosureError("the statistics' number of patients is not rounded to 5, with 0 for less than 10")
    for column in statistics.columns:
        _verify_column(column, statistics.n)


def _verify_column(column: ColumnStatistics, n: int) -> None:
    _verify_counts(column, n)
    known = n - (column.missing or 0) + 2 * ROUNDING_REACH
    _verify_percentiles(column, known)
    _verify_moments(column, known)
    _verify_years(column, known)


def _verify_counts(column: ColumnStatistics, n: int) -> None:
    levels = tuple(level.n for level in column.levels)
    counts = [count for count in (*levels, column.missing) if count is not None]
    # 2. on the grid, no more than there are patients, and none that gives a hidden one away
    if any(count % 5 or count < MIN_CELL for count in counts):
        _refuse(column, "a count is under 10 or not rounded to 5 (rule 9)")
    if sum(counts) > n + ROUNDING_REACH * (len(counts) + 1):
        _refuse(column, "its counts are more than the patients")
    if len({level.code for level in column.levels}) != len(column.levels):
        _refuse(column, "a level is listed twice")
    if not are_protected(n, ShownCells(levels, column.missing)):
        _refuse(column, "a hidden count follows from the shown ones (rule 9)")
    # 3. derived from the two shown counts, so it says nothing that they don't
    if column.missing_percent != missing_percent(column.missing, n):
        _refuse(column, "its percent missing is not that of the shown counts")
    numbers = (column.step, column.p05, column.median, column.p95, column.mean, column.sd)
    # 7. a level's share is told by counts alone
    if column.levels and any(value is not None for value in (*numbers, column.first_year, column.last_year)):
        _refuse(column, "it has levels and numbers at once")


def missing_percent(missing: int | None, n: int) -> int | None:
    """Return whole percent of two shown counts; None where the missing are not shown."""
    return None if missing is None or n == 0 else min(100, round(100 * missing / n))


def _verify_percentiles(column: ColumnStatistics, known: int) -> None:
    shown = [value for value in (column.p05, column.median, column.p95) if value is not None]
    # 4. never a minimum or maximum: 10 patients beyond, and a coarse step
    if (column.step is None) != (not shown):
        _refuse(column, "percentiles and their step come together")
    if column.step is None:
        return
    if not is_step(column.step) or any(round_to_step(value, column.step) != value for value in shown):
        _refuse(column, "a percentile is not on its step (rule 11)")
    if known < MEDIAN_PATIENTS or ((column.p05 is not None or column.p95 is not None) and known < TAIL_PATIENTS):
        _refuse(column, "a percentile has fewer than 10 patients beyond it (rule 11)")
    if shown != sorted(shown) or (len(shown) > 1 and shown[0] == shown[-1]):
        _refuse(column, "its percentiles are not in order, or all the same")


def _verify_moments(column: ColumnStatistics, known: int) -> None:
    # 5. rounded, of 10 patients or more that are not all alike
    if (column.mean is None) != (column.sd is None):
        _refuse(column, "mean and SD come together")
    if column.mean is None:
        return
    if not all(is_released_cell(Kind.MAGNITUDE, value) for value in (column.mean, column.sd)):
        _refuse(column, "its mean or SD is not rounded to 3 significant digits (rule 11)")
    if known < MIN_CELL or column.sd is None or column.sd <= 0.0:
        _refuse(column, "its mean is that of too few or of equal values (rule 11)")


def _verify_years(column: ColumnStatistics, known: int) -> None:
    # 6. 10 patients on either side
    if (column.first_year is None) != (column.last_year is None):
        _refuse(column, "first and last year come together")
    if column.first_year is None or column.last_year is None:
        return
    if known < MEDIAN_PATIENTS or column.first_year > column.last_year:
        _refuse(column, "its years are those of too few patients, or not in order (rule 11)")


def _refuse(column: ColumnStatistics, what: str) -> NoReturn:
    raise DisclosureError(f"statistics of column '{column.name}': {what}", hint="don't trust this document")
