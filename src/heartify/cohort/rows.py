"""What every source delivers: one row a patient, in the table form of the dictionary, batch by batch.

CSV, Parquet, a database, OMOP and FHIR all end here, and everything after (survey, change ledger, encryption) begins
here, so a new source cannot bypass a check. Rows hold plaintext: nothing may log or store them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import pyarrow as pa

from heartify.protocol.dictionary import DataDictionary

BATCH_ROWS = 64 * 1024
"""Rows of a batch, at most: all that a source, or whoever reads it, holds at once."""

ReportRows = Callable[[int, float | None], None]
"""Called now and then with the number of rows done so far, and the fraction of the source when it can tell."""


class PatientRows(Protocol):
    """A cohort as it comes. The same arguments give the same rows in the same order, as often as it is read."""

    @property
    def name(self) -> str:
        """What messages call it: a file's name or a table's; no path, no address, no password."""
        ...

    @property
    def dictionary(self) -> DataDictionary:
        """The dictionary that every batch follows."""
        ...

    def fingerprint(self) -> str | None:
        """Return what changes when the source does (names, sizes and times of files, the query); None: can't tell."""
        ...

    def fraction_read(self) -> float | None:
        """Return how much of the source the running iteration has read, 0 to 1; None when it can't tell."""
        ...

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield batches of 1 to BATCH_ROWS rows in `table_form.table_schema`, beginning with row `start_row`.

        Raises InputError that says file, line, column and what was expected, and never what stands there.
        """
        ...


class TableRows:
    """Rows of a table in memory that is in table form already."""

    def __init__(self, table: pa.Table, dictionary: DataDictionary, *, name: str = "table") -> None:
        self._table, self._dictionary, self._name = table, dictionary, name

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    @property
    def dictionary(self) -> DataDictionary:
        """The dictionary that the table follows."""
        return self._dictionary

    def fingerprint(self) -> str | None:
        """Return None: memory doesn't outlive the process."""
        return None

    def fraction_read(self) -> float | None:
        """Return None: it is quick."""
        return None

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield the table from `start_row` on."""
        yield from self._table.slice(start_row).to_batches(max_chunksize=BATCH_ROWS)
