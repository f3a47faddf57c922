"""Tables of a dataset for the terminal: statistics of a version, a survey and its findings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from heartify.cli.output import table
from heartify.cohort.catalogue.statistics import ColumnStatistics, DatasetStatistics
from heartify.cohort.lint.findings import Finding
from heartify.cohort.survey.survey import Survey


def statistics_table(statistics: DatasetStatistics) -> Table:
    """Return a version's published statistics, one row a column."""
    rows = [
        [
            column.name,
            _or_dash(column.missing_percent),
            _or_dash(column.p05),
            _or_dash(column.median),
            _or_dash(column.p95),
            _levels(column),
        ]
        for column in statistics.columns
    ]
    title = f"about {statistics.n} patients; rounded, small counts left out"
    return table(["column", "missing %", "5 %", "median", "95 %", "levels or years"], rows, title=title)


def survey_table(survey: Survey) -> Table:
    """Return what a survey counted. It is for the steward's eyes: the counts are exact."""
    rows = [[name, str(column.known), str(column.missing)] for name, column in survey.columns.items()]
    return table(["column", "known", "missing"], rows, title=f"{survey.rows} rows (exact: stays in the hospital)")


def findings_table(findings: Sequence[Finding]) -> Table | str:
    """Return the findings by the names under which they are accepted."""
    if not findings:
        return "no findings"
    rows = [[finding.name, finding.message, finding.hint] for finding in findings]
    title = f"{len(findings)} finding(s) to decide about"
    return table(["finding", "what was seen", "what to do"], rows, title=title)


def _levels(column: ColumnStatistics) -> str:
    if column.first_year is not None and column.last_year is not None:
        return f"{column.first_year} to {column.last_year}"
    return ", ".join(f"{level.code}: {_or_dash(level.n)}" for level in column.levels)


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
