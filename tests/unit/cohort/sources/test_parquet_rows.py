"""Parquet: types mapped strictly, the same values and faults as CSV, damaged files refused without a word of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartify.cohort.dictionary_toml import ColumnSource
from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.sources.csv_source import load_rows
from heartify.cohort.sources.parquet_raw import ParquetRaw
from heartify.cohort.sources.parquet_rows import ParquetRows
from heartify.cohort.table_form import table_schema
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, Level

CANARY = 98765.4321


def column(datatype: str, **more: object) -> DataDictionary:
    if datatype == "category" and more.get("role") != "id":
        more["levels"] = tuple(Level(code=code, label=code) for code in ("1", "2", "x"))
    options: dict[str, Any] = {"name": "x", "title": "x", "datatype": datatype, "role": "factor", **more}
    other = Column(name="y", title="y", datatype="integer", role="factor")
    return DataDictionary(title="t", description="", columns=(Column(**options), other))


def write(path: Path, values: pa.Array, **options: object) -> Path:
    pq.write_table(pa.table({"x": values, "y": pa.array([7] * len(values))}), path, **options)
    return path


def read(tmp_path: Path, values: pa.Array, dictionary: DataDictionary, **options: object) -> list[object]:
    rows = ParquetRows(write(tmp_path / "x.parquet", values), dictionary, **options)
    return load_rows(rows).column("x").to_pylist()


def refuse(tmp_path: Path, values: pa.Array, dictionary: DataDictionary, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, values, dictionary, **options)
    assert caught.value.__context__ is None
    assert str(CANARY) not in caught.value.message
    return caught.value.message


DAY = dt.date(2021, 3, 4)
at = dt.datetime.fromisoformat
MIDNIGHT = at("2021-03-04")


@pytest.mark.parametrize(
    ("datatype", "values", "expected"),
    [
        ("number", pa.array([1.5, None, float("nan")]), [1.5, None, None]),
        ("number", pa.array([1.5, None], pa.float32()), [1.5, None]),
        ("number", pa.array(np.array([1.5, 2], np.float16)), [1.5, 2.0]),
        ("number", pa.array([3, None], pa.uint8()), [3.0, None]),
        ("number", pa.array([Decimal("0.10"), None], pa.decimal128(9, 2)), [0.1, None]),
        ("number", pa.array(["1.5", "", None]), [1.5, None, None]),
        ("integer", pa.array([-3, None], pa.int16()), [-3, None]),
        ("integer", pa.array([2**53, -(2**53)]), [2**53, -(2**53)]),
        ("integer", pa.array([3.0, None]), [3, None]),
        ("integer", pa.array([Decimal(3), None], pa.decimal128(9, 2)), [3, None]),
        ("boolean", pa.array([True, None, False]), [True, None, False]),
        ("boolean", pa.array([1, 0, None], pa.int8()), [True, False, None]),
        ("boolean", pa.array([1.0, 0.0, None]), [True, False, None]),
        ("boolean", pa.array(["true", "0", None]), [True, False, None]),
        ("category", pa.array(["x", "2", None]), ["x", "2", None]),
        ("category", pa.array(["x", "2", None], pa.large_string()), ["x", "2", None]),
        ("category", pa.array(["x", "2", None, "x"]).dictionary_encode(), ["x", "2", None, "x"]),
        ("category", pa.array([2, None, 1]), ["2", None, "1"]),
        ("category", pa.array([2.0, None, 1.0]), ["2", None, "1"]),
        ("date", pa.array([DAY, None, dt.date(1, 1, 1)]), [DAY, None, dt.date(1, 1, 1)]),
        ("date", pa.array([DAY, None], pa.date64()), [DAY, None]),
        ("date", pa.array([MIDNIGHT, None], pa.timestamp("ns")), [DAY, None]),
        ("date", pa.array([at("1969-12-31"), None], pa.timestamp("s")), [dt.date(1969, 12, 31), None]),
        ("date", pa.array(["2021-03-04", None]), [DAY, None]),
        ("number", pa.nulls(2), [None, None]),
    ],
)
def test_a_type_that_holds_the_datatype_is_read(
    datatype: str, values: pa.Array, expected: list[object], tmp_path: Path
) -> None:
    assert read(tmp_path, values, column(datatype)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([12, None]), ["12", None]),
        (pa.array([12.0, None]), ["12", None]),
        (pa.array([" a ", ""]), ["a", None]),
    ],
)
def test_an_id_is_a_text_whatever_it_came_as(values: pa.Array, expected: list[object], tmp_path: Path) -> None:
    assert read(tmp_path, values, column("category", role="id")) == expected


@pytest.mark.parametrize(
    ("datatype", "values", "found"),
    [
        ("number", pa.array([True]), "expected numbers, found the type bool"),
        ("number", pa.array([MIDNIGHT]), "expected numbers, found the type timestamp"),
        ("integer", pa.array([DAY]), "expected whole numbers, found the type date32"),
        ("boolean", pa.array([DAY]), "expected booleans"),
        ("category", pa.array([DAY]), "expected texts, or whole numbers"),
        ("category", pa.array([b"x"]), "found the type binary"),
        ("date", pa.array([5]), "expected dates"),
        ("date", pa.array([MIDNIGHT], pa.timestamp("us", "UTC")), "found the type timestamp[us, tz=UTC]"),
        ("number", pa.array([[1.0]]), "found the type list"),
        ("number", pa.array([{"a": 1.0}]), "found the type struct"),
    ],
)
def test_a_type_that_cannot_hold_the_datatype_is_refused(
    datatype: str, values: pa.Array, found: str, tmp_path: Path
) -> None:
    message = refuse(tmp_path, values, column(datatype))

    assert "schema, column x: expected " in message
    assert found in message


@pytest.mark.parametrize(
    ("datatype", "more", "values", "said"),
    [
        ("number", {"maximum": 600}, pa.array([1.0, CANARY]), "row 2, column x: expected a value from any to 600 1"),
        ("number", {"decimals": 1}, pa.array([1.0, CANARY]), "row 2, column x: expected at most 1 decimal places"),
        ("number", {}, pa.array([1.0, float("inf")]), "row 2, column x: expected a number"),
        ("number", {}, pa.array(["1.0", f"{CANARY}x"]), "row 2, column x: expected a number"),
        ("integer", {}, pa.array([1.0, CANARY]), "row 2, column x: expected a whole number"),
        ("integer", {}, pa.array([1, 2**53 + 1]), "row 2, column x: expected a whole number"),
        ("integer", {}, pa.array([1, -(2**53) - 1]), "row 2, column x: expected a whole number"),
        ("integer", {}, pa.array([1, 2**64 - 1], pa.uint64()), "row 2, column x: expected a whole number"),
        ("boolean", {}, pa.array([1, 2]), "row 2, column x: expected one of 0, 1, false, true"),
        ("category", {}, pa.array(["x", str(CANARY)]), "row 2, column x: expected one of the levels 1, 2, x"),
        ("category", {}, pa.array(["x", "q"]).dictionary_encode(), "row 2, column x: expected one of the levels"),
        (
            "date",
            {},
            pa.array([MIDNIGHT, at("2021-03-04T01:00")]),
            "row 2, column x: expected a date, found a time",
        ),
        (
            "date",
            {},
            pa.array([0, 2**30], pa.int32()).view(pa.date32()),
            "row 2, column x: expected a date of the years",
        ),
    ],
)
def test_a_wrong_value_is_located_and_never_shown(
    datatype: str, more: dict[str, object], values: pa.Array, said: str, tmp_path: Path
) -> None:
    assert said in refuse(tmp_path, values, column(datatype, **more))


def test_a_level_in_the_dictionary_of_the_file_that_no_row_has_is_no_fault(tmp_path: Path) -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array(["x", "unused"]))

    assert read(tmp_path, values, column("category")) == ["x", None]


@pytest.mark.parametrize(
    ("datatype", "codes", "values", "expected"),
    [
        ("number", ("", "-9", "-9.9"), pa.array([-9.0, -9.9, 1.0]), [None, None, 1.0]),
        ("number", ("-9.9",), pa.array([-9.9, 1.0], pa.float32()), [None, 1.0]),
        ("integer", ("999",), pa.array([999, 1]), [None, 1]),
        ("category", ("9",), pa.array([9.0, 1.0]), [None, "1"]),
        ("date", ("1900-01-01",), pa.array([dt.date(1900, 1, 1), DAY]), [None, DAY]),
        ("boolean", ("9",), pa.array([9, 1]), [None, True]),
    ],
)
def test_missing_codes_count_in_every_type(
    datatype: str, codes: tuple[str, ...], values: pa.Array, expected: list[object], tmp_path: Path
) -> None:
    assert read(tmp_path, values, column(datatype, missing_codes=codes)) == expected


def test_a_single_precision_decimal_becomes_the_decimal_that_it_stands_for(tmp_path: Path) -> None:
    values = pa.array([1.1, 233.7], pa.float32())

    assert read(tmp_path, values, column("number", decimals=1)) == [1.1, 233.7]
    assert read(tmp_path, values, column("number")) == [float(np.float32(1.1)), float(np.float32(233.7))]
    assert "at most 1 decimal" in refuse(tmp_path, pa.array([1.15], pa.float32()), column("number", decimals=1))


def test_another_name_and_unit_are_converted(tmp_path: Path) -> None:
    dictionary = column("number", unit="mmol/L", loinc="2093-3", decimals=1, maximum=20)
    pq.write_table(pa.table({"TotChol": [200.0], "y": [7]}), tmp_path / "x.parquet")

    rows = ParquetRows(tmp_path / "x.parquet", dictionary, sources={"x": ColumnSource(name="TotChol", unit="mg/dL")})

    assert load_rows(rows).to_pylist() == [{"x": 5.2, "y": 7}]


def test_a_column_that_is_not_declared_missing_or_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    dictionary = column("number")
    pq.write_table(pa.table({"x": [1.0], "y": [7], "z": [1]}), path)

    with pytest.raises(InputError, match="column 'z' is not in the dictionary"):
        ParquetRows(path, dictionary)
    assert load_rows(ParquetRows(path, dictionary, ignore=("z",))).num_rows == 1
    pq.write_table(pa.table({"x": [1.0]}), path)
    with pytest.raises(InputError, match="column y: this column of the dictionary is missing"):
        ParquetRows(path, dictionary)
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, names=["x", "y", "y"]), path)
    with pytest.raises(InputError, match="column 'y' stands twice"):
        ParquetRows(path, dictionary)


def test_rows_begin_anywhere_in_row_groups_and_files(tmp_path: Path) -> None:
    dictionary = column("number")
    for number, rows in enumerate([range(5), range(5, 5), range(5, 12)]):
        values = pa.array([float(row) for row in rows], pa.float64())
        write(tmp_path / f"part-{number}.parquet", values, row_group_size=3)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part-0.parquet.crc").touch()
    rows = ParquetRows(tmp_path, dictionary)

    for start in range(13):
        found = [value for batch in rows.batches(start) for value in batch.column("x").to_pylist()]
        assert found == [float(row) for row in range(start, 12)]
    assert rows.name == tmp_path.name
    assert rows.fraction_read() == 1.0
    assert next(rows.batches()).schema == table_schema(dictionary)


def test_a_fault_in_a_folder_names_the_file_and_its_row(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", pa.array(["1.0"]))
    write(tmp_path / "b.parquet", pa.array(["1.0", "1.0", f"{CANARY}q"]), row_group_size=2)

    with pytest.raises(InputError, match=r"file b\.parquet, row 3, column x: expected a number"):
        list(ParquetRows(tmp_path, column("number")).batches(2))


def test_a_folder_with_folders_or_without_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected 1 to 10000 Parquet files in the folder, found 0"):
        ParquetRows(tmp_path, column("number"))
    (tmp_path / "year=2020").mkdir()
    with pytest.raises(InputError, match="has folders in it"):
        ParquetRows(tmp_path, column("number"))


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    assert "no row of data" in refuse(tmp_path, pa.array([], pa.float64()), column("number"))


def test_a_file_that_changes_is_refused_and_has_another_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", pa.array([1.0]))
    rows = ParquetRows(path, column("number"))
    assert rows.fingerprint() == ParquetRows(path, column("number")).fingerprint()
    write(path, pa.array([1.0, 2.0]))

    with pytest.raises(InputError, match="has changed since"):
        list(rows.batches())
    assert ParquetRows(path, column("number")).fingerprint() != rows.fingerprint()


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet.encryption as pe

    properties = pe.create_encryption_properties(footer_key=b"0" * 32)
    write(tmp_path / "x.parquet", pa.array([CANARY]), encryption_properties=properties)

    with pytest.raises(InputError, match=r"x\.parquet: not readable as Parquet") as caught:
        ParquetRows(tmp_path / "x.parquet", column("number"))
    assert caught.value.__context__ is None
    assert "encrypted" in str(caught.value.hint)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"x,y\n1,2\n", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_what_is_no_parquet_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(data)

    with pytest.raises(InputError, match=r"x\.parquet: not readable as Parquet"):
        ParquetRows(tmp_path / "x.parquet", column("number"))


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    binary = pa.array([b"ok", b"\xff" + str(CANARY).encode()])
    values = pa.StringArray.from_buffers(2, *binary.buffers()[1:])

    assert "not readable as Parquet" in refuse(tmp_path, values, column("category"))


def test_raw_texts_are_the_natural_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table(
        {
            "i": pa.array([1, None], pa.int8()),
            "f": [2.0, 1.5],
            "nan": [float("nan"), 1e300],
            "b": [True, None],
            "d": [DAY, None],
            "t": pa.array([MIDNIGHT, at("2021-03-04T05:06")], pa.timestamp("ns")),
            "n": pa.array([Decimal("1.50"), None]),
            "s": pa.array(["a", None]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)

    raw = ParquetRaw(path)

    assert raw.names == ("i", "f", "nan", "b", "d", "t", "n", "s")
    assert raw.name == "x.parquet"
    assert list(raw.batches()) == [
        {
            "i": ["1", None],
            "f": ["2", "1.5"],
            "nan": [None, "1e+300"],
            "b": ["true", None],
            "d": ["2021-03-04", None],
            "t": ["2021-03-04", "2021-03-04 05:06:00.000000000"],
            "n": ["1.50", None],
            "s": ["a", None],
        }
    ]
    assert raw.fraction_read() == 1.0


def test_a_raw_table_is_flat_and_the_same_in_every_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [[1]]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="column 'x' has the type list"):
        ParquetRaw(tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"z": [1]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: its columns are not those of the first"):
        ParquetRaw(tmp_path)
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 2, names=["x", "x"]), tmp_path / "c.parquet")
    with pytest.raises(InputError, match="two columns have one name"):
        ParquetRaw(tmp_path / "c.parquet")


def test_rows_begin_anywhere_in_a_row_group_of_several_batches(tmp_path: Path) -> None:
    values = pa.array(np.arange(2 * BATCH_ROWS + 10, dtype=np.float64))
    rows = ParquetRows(write(tmp_path / "x.parquet", values), column("number"))

    batches = list(rows.batches(BATCH_ROWS + 5))

    assert pa.Table.from_batches(batches)["x"].equals(pa.chunked_array([values[BATCH_ROWS + 5 :]]))


def test_a_level_of_a_file_without_arrow_schema_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write(path, pa.array(["x", "2", None]).dictionary_encode(), store_schema=False)

    assert load_rows(ParquetRows(path, column("category"))).column("x").to_pylist() == ["x", "2", None]
    assert next(iter(ParquetRaw(path).batches()))["x"] == ["x", "2", None]
