"""What a steward points at is told by its name, and an option that doesn't belong to it is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartify.cohort.dictionary_toml import StewardDictionary, parse_steward_dictionary
from heartify.cohort.sources.csv_raw import CsvRaw
from heartify.cohort.sources.csv_rows import CsvRows
from heartify.cohort.sources.csv_source import load_rows
from heartify.cohort.sources.open_rows import open_raw, open_rows
from heartify.cohort.sources.parquet_raw import ParquetRaw
from heartify.cohort.sources.parquet_rows import ParquetRows
from heartify.cohort.sources.source_options import SourceOptions
from heartify.cohort.sources.sql_raw import SqlRaw
from heartify.cohort.sources.sql_rows import SqlRows
from heartify.errors import InputError, UsageError

STEWARD: StewardDictionary = parse_steward_dictionary(
    """
title = "t"
description = ""
[[columns]]
name = "x"
title = "x"
datatype = "number"
role = "factor"
unit = "mmol/L"
loinc = "2093-3"
decimals = 1
source = { name = "TotChol", unit = "mg/dL" }
""",
    file="d.toml",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("x.csv", "x.tsv", "x.TXT"):
        (tmp_path / name).write_text("TotChol\n200\n")
    (tmp_path / "parts").mkdir()
    for path in (tmp_path / "x.parquet", tmp_path / "parts" / "a.parquet"):
        pq.write_table(pa.table({"TotChol": [200.0]}), path)
    with closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("create table t(TotChol real primary key)")
        database.execute("insert into t values(200)")
        database.commit()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "options", "rows_type", "raw_type"),
    [
        ("x.csv", SourceOptions(), CsvRows, CsvRaw),
        ("x.tsv", SourceOptions(), CsvRows, CsvRaw),
        ("x.TXT", SourceOptions(delimiter=";", decimal=",", encoding="ascii"), CsvRows, CsvRaw),
        ("x.parquet", SourceOptions(), ParquetRows, ParquetRaw),
        ("parts", SourceOptions(), ParquetRows, ParquetRaw),
        ("x.db", SourceOptions(table="t"), SqlRows, SqlRaw),
        ("x.db", SourceOptions(query='SELECT "TotChol" FROM t ORDER BY 1'), SqlRows, SqlRaw),
    ],
)
def test_each_kind_is_opened_with_names_and_units_of_the_steward(
    name: str, options: SourceOptions, rows_type: type, raw_type: type, folder: Path
) -> None:
    source = f"sqlite:///{folder}/{name}" if name.endswith(".db") else str(folder / name)

    rows, raw = open_rows(source, STEWARD, options), open_raw(source, options)

    assert type(rows) is rows_type
    assert type(raw) is raw_type
    assert load_rows(rows).to_pylist() == [{"x": 5.2}]
    assert raw.names == ("TotChol",)
    assert next(iter(raw.batches()))["TotChol"] == ["200"]
    for opened in (rows, raw):
        if isinstance(opened, SqlRows | SqlRaw):
            opened.close()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("x.csv", SourceOptions(table="t"), "the option sql-table has no meaning for a file"),
        ("x.parquet", SourceOptions(password_file=Path("p")), "the option sql-password-file has no meaning for a file"),
        ("x.parquet", SourceOptions(delimiter=";"), "the option delimiter has no meaning for Parquet"),
        ("x.db", SourceOptions(table="t", encoding="utf-8"), "the option encoding has no meaning for a database"),
    ],
)
def test_an_option_without_effect_is_refused(name: str, options: SourceOptions, said: str, folder: Path) -> None:
    source = f"sqlite:///{folder}/{name}" if name.endswith(".db") else str(folder / name)

    with pytest.raises(UsageError, match=said):
        open_rows(source, STEWARD, options)
    with pytest.raises(UsageError, match=said):
        open_raw(source, options)


def test_a_source_of_no_known_kind_is_refused(folder: Path) -> None:
    (folder / "x.xlsx").touch()

    with pytest.raises(UsageError, match=r"x\.xlsx: of no kind that is read"):
        open_rows(str(folder / "x.xlsx"), STEWARD)
    with pytest.raises(InputError, match="no such file"):
        open_rows(str(folder / "absent"), STEWARD)
    with pytest.raises(UsageError, match="unknown kind of database"):
        open_rows("s3://bucket/x.csv", STEWARD, SourceOptions(table="t"))
