"""Real files of hospitals and teaching collections, read against dictionaries that say what they hold."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartify.cohort.dictionary_toml import ColumnSource
from heartify.cohort.sources.byte_source import FileBytes
from heartify.cohort.sources.csv_raw import CsvRaw
from heartify.cohort.sources.csv_rows import CsvRows
from heartify.cohort.sources.csv_source import load_rows
from heartify.cohort.sources.parquet_rows import ParquetRows
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, Level


def category(name: str, *codes: str) -> Column:
    return Column(
        name=name, title=name, datatype="category", role="factor", levels=tuple(Level(code=c, label=c) for c in codes)
    )


def number(name: str, unit: str, **more: object) -> Column:
    return Column(name=name, title=name, datatype="number", role="factor", unit=unit, **more)


def boolean(*names: str, role: str = "factor") -> tuple[Column, ...]:
    return tuple(Column(name=name, title=name, datatype="boolean", role=role) for name in names)


CARDIO = DataDictionary(
    title="cardio_train",
    description="",
    columns=(
        Column(name="id", title="id", datatype="category", role="id"),
        number("age", "a", minimum=18, maximum=90, decimals=1),
        category("gender", "1", "2"),
        number("height", "cm", minimum=50, maximum=260),
        number("weight", "kg", minimum=5, maximum=300, decimals=2),
        Column(name="ap_hi", title="ap_hi", datatype="integer", role="factor", unit="mm[Hg]"),
        Column(name="ap_lo", title="ap_lo", datatype="integer", role="factor", unit="mm[Hg]"),
        category("cholesterol", "1", "2", "3"),
        category("gluc", "1", "2", "3"),
        *boolean("smoke", "alco", "active"),
        *boolean("cardio", role="outcome"),
    ),
)
AGE_IN_DAYS = {"age": ColumnSource(name="age", unit="d")}
NA = ("", "NA")
FRAMINGHAM = DataDictionary(
    title="framingham",
    description="",
    columns=(
        number("chol", "mmol/L", loinc="2093-3", missing_codes=NA, decimals=2, minimum=1, maximum=20),
        number("sysBP", "mm[Hg]", missing_codes=NA, decimals=1),
        *boolean("male"),
        *boolean("TenYearCHD", role="outcome"),
    ),
)


def test_cardio_train_is_read_with_ages_in_years(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "cardio_train.csv"
    with path.open(newline="") as file:
        expected = list(csv.DictReader(file, delimiter=";"))

    table = load_rows(CsvRows(path, CARDIO, sources=AGE_IN_DAYS))

    assert table.num_rows == 70_000
    assert table["id"].to_pylist() == [row["id"] for row in expected]
    assert table["age"].to_pylist() == [pytest.approx(int(row["age"]) / 365.25, abs=0.051) for row in expected]
    assert table["weight"].to_pylist() == [float(row["weight"]) for row in expected]
    assert table["ap_hi"].to_pylist() == [int(row["ap_hi"]) for row in expected]
    assert table["cholesterol"].to_pylist() == [row["cholesterol"] for row in expected]
    assert table["cardio"].to_pylist() == [row["cardio"] == "1" for row in expected]
    # The same rows as Parquet, with the types that a data frame gives them.
    typed = {
        name: pa.array([float(row[name]) if name in {"weight", "height"} else int(row[name]) for row in expected])
        for name in expected[0]
    }
    pq.write_table(pa.table(typed), tmp_path / "cardio.parquet", row_group_size=20_000)
    assert load_rows(ParquetRows(tmp_path / "cardio.parquet", CARDIO, sources=AGE_IN_DAYS)).equals(table)


def test_ages_in_days_are_refused_when_the_steward_says_years(shared_data: Path) -> None:
    with pytest.raises(InputError, match="20 or more faults\n  line 2, column age: expected a value from 18 to 90 a"):
        load_rows(CsvRows(shared_data / "cardio_train.csv", CARDIO))


def test_framingham_is_read_under_other_names_and_units(shared_data: Path) -> None:
    path = shared_data / "framingham_4240.csv"
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        expected = list(reader)
        others = set(reader.fieldnames or ()) - {column.name for column in FRAMINGHAM.columns} - {"totChol"}
    sources = {"chol": ColumnSource(name="totChol", unit="mg/dL")}

    table = load_rows(CsvRows(path, FRAMINGHAM, sources=sources, ignore=others))

    known = [row["totChol"] not in NA for row in expected]
    assert [value is not None for value in table["chol"].to_pylist()] == known
    for value, row in zip(table["chol"].to_pylist(), expected, strict=True):
        if value is not None:
            assert value == pytest.approx(float(row["totChol"]) * 0.02586, abs=0.01)
    assert table["sysBP"].to_pylist() == [float(row["sysBP"]) for row in expected]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("cardio_train.csv", 70_000),
        ("framingham_4240.csv", 4240),
        ("whas500.csv", 500),
        ("mi_complications_1700.csv", 1700),
        ("uci_heart_va.csv", 200),
    ],
)
def test_raw_texts_are_those_of_the_file(name: str, rows: int, shared_data: Path) -> None:
    raw = CsvRaw(FileBytes(shared_data / name))
    with (shared_data / name).open(newline="") as file:
        expected = list(csv.DictReader(file, delimiter=raw.delimiter))

    batches = list(raw.batches())

    assert sum(len(batch[raw.names[0]]) for batch in batches) == rows
    for column in raw.names:
        assert [text for batch in batches for text in batch[column]] == [row[column].strip() for row in expected]
