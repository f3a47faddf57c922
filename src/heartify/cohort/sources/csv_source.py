"""Read a whole CSV file, or CSV bytes, into one table in memory: a convenience for small cohorts.

What is checked and how is `csv_rows`'s; publication reads in a stream and doesn't come through here.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from heartify.cohort.rows import PatientRows
from heartify.cohort.sources.byte_source import MemoryBytes
from heartify.cohort.sources.csv_rows import CsvRows
from heartify.cohort.table_form import table_schema
from heartify.protocol.dictionary import DataDictionary


def load_csv(path: Path, dictionary: DataDictionary, *, ignore: Collection[str] = ()) -> pa.Table:
    """Read a CSV file; `ignore` names columns of the file that the dictionary leaves out on purpose.

    Raises InputError.
    """
    return load_rows(CsvRows(path, dictionary, ignore=ignore))


def parse_csv(data: bytes, dictionary: DataDictionary, *, file: str, ignore: Collection[str] = ()) -> pa.Table:
    """Parse CSV bytes into the table form of the dictionary (its columns, its order, nulls for missing).

    Raises InputError.
    """
    return load_rows(CsvRows(MemoryBytes(data, name=file), dictionary, ignore=ignore))


def load_rows(rows: PatientRows) -> pa.Table:
    """Return all rows of a source as one table; only for cohorts that fit into memory.

    Raises InputError.
    """
    return pa.Table.from_batches(list(rows.batches()), schema=table_schema(rows.dictionary)).combine_chunks()
