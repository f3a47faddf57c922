"""The survey of a cohort: what one streaming pass over its plaintext finds out before anything is encrypted.

It trusts no source: each batch is checked against the dictionary. It holds plaintext (the sample) and exact counts, so
it stays in the hospital's memory: it is never stored, logged or published; `heartify.cohort.catalogue` rounds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from heartify.cohort.lint.batch_view import BatchView, view_of_table
from heartify.cohort.lint.cohort_lint import CohortLint
from heartify.cohort.lint.findings import Finding
from heartify.cohort.lint.watch import Seen
from heartify.cohort.rows import PatientRows, ReportRows
from heartify.cohort.survey.column_counts import ColumnCounts
from heartify.cohort.survey.row_sample import RowSample
from heartify.cohort.table_form import check_table
from heartify.errors import InputError


@dataclass(frozen=True, slots=True)
class ColumnSurvey:
    """Exact counts of one published column. `level_counts` has every declared level, or 'false' and 'true'."""

    name: str
    known: int
    missing: int
    level_counts: Mapping[str, int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the pass found: rows, counts by published column, a random sample in table form, doubts about the cohort.

    `sample` has no id columns: at most 100,000 rows in random order, all rows when there are fewer. `surveyed_on` is
    the date that the caller gave.
    """

    rows: int
    columns: Mapping[str, ColumnSurvey] = field(repr=False)
    sample: pa.Table = field(repr=False)
    findings: tuple[Finding, ...]
    surveyed_on: dt.date | None = None


def survey_rows(
    rows: PatientRows, *, random: np.random.Generator, today: dt.date | None = None, report: ReportRows | None = None
) -> Survey:
    """Read all rows once and survey them; `random` chooses the sample, `today` tells which dates lie in the future.

    Raises InputError when there is no row, when a batch is not in the dictionary's table form, or from the source.
    """
    dictionary = rows.dictionary
    counts = {column.name: ColumnCounts(column) for column in dictionary.published_columns}
    lint = CohortLint(dictionary, today=today)
    sample = RowSample(dictionary, random)
    done = 0
    for batch in rows.batches():
        check_table(pa.Table.from_batches([batch]), dictionary)
        sample.add(batch)
        view = BatchView(batch)
        for name, column_counts in counts.items():
            column_counts.add(view.known(name))
        lint.add(view)
        done += batch.num_rows
        if report is not None:
            report(done, rows.fraction_read())
    if done == 0:
        raise InputError(f"{rows.name}: there is no row", hint="a cohort needs at least one patient")
    columns = {
        name: ColumnSurvey(name, entry.known, done - entry.known, entry.level_counts())
        for name, entry in counts.items()
    }
    sampled = sample.table()
    seen = Seen(
        rows=done,
        known={name: column.known for name, column in columns.items()},
        level_counts={name: column.level_counts for name, column in columns.items()},
        sample=view_of_table(sampled),
    )
    return Survey(done, columns, sampled, lint.findings(seen), today)
