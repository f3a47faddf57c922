"""CSV as a stream: encodings, compression, delimiters, decimal marks, units, resumption, faults far down."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from heartify.cohort.dictionary_toml import ColumnSource
from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.sources.byte_source import MemoryBytes
from heartify.cohort.sources.csv_rows import CsvRows
from heartify.cohort.sources.csv_source import load_rows
from heartify.cohort.table_form import table_schema
from heartify.errors import InputError, UsageError
from heartify.protocol.dictionary import Column, DataDictionary, Level

CANARY = "98765.4321"


def dictionary(*columns: Column) -> DataDictionary:
    return DataDictionary(title="t", description="", columns=columns)


def number(name: str = "x", **more: object) -> Column:
    return Column(name=name, title=name, datatype="number", role="factor", **more)


def read(data: bytes | str, columns: DataDictionary, **options: object) -> list[dict[str, object]]:
    source = MemoryBytes(data if isinstance(data, bytes) else data.encode(), name="x.csv")
    return load_rows(CsvRows(source, columns, **options)).to_pylist()


def refuse(data: bytes | str, columns: DataDictionary, **options: object) -> InputError:
    with pytest.raises(InputError) as caught:
        read(data, columns, **options)
    assert caught.value.__context__ is None
    assert CANARY not in caught.value.message
    return caught.value


X = dictionary(number())
XY = dictionary(number(), number("y"))
NAMED = dictionary(
    number(),
    Column(name="c", title="c", datatype="category", role="factor", levels=(Level(code="ü€", label="label"),)),
)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-16-le", "utf-16-le"),
        ("windows-1252", "windows-1252"),
        ("iso-8859-15", "ISO-8859-15"),
    ],
)
def test_an_encoding_is_declared_by_a_mark_or_by_the_steward(encoding: str, said: str | None) -> None:
    data = "x,c\n1,ü€\n".encode(encoding)

    rows = read(data, NAMED, encoding=said)

    assert rows == [{"x": 1.0, "c": "ü€"}]


def test_another_encoding_is_never_guessed_but_named_in_the_hint() -> None:
    error = refuse("x,c\n1,ü€\n".encode("windows-1252"), NAMED)

    assert "line 2: not UTF-8" in error.message
    assert "--encoding windows-1252" in str(error.hint)


def test_bytes_that_the_given_encoding_lacks_are_refused() -> None:
    assert "line 2: not cp1252" in refuse(b"x,c\n1,\x81\n", NAMED, encoding="windows-1252").message


def test_a_byte_order_mark_against_the_option_is_refused() -> None:
    error = refuse("x,c\n1,ü€\n".encode("utf-8-sig"), NAMED, encoding="windows-1252")

    assert "its byte order mark says utf-8, the option says cp1252" in error.message


def test_utf_16_without_a_mark_needs_its_byte_order() -> None:
    assert "without a byte order mark" in refuse("x\n1\n".encode("utf-16-le"), X, encoding="utf-16").message
    assert "NUL byte" in refuse("x\n1\n".encode("utf-16-le"), X).message


@pytest.mark.parametrize("encoding", ["rot13", "utf-7", "idna", "nonsense", "a\0b"])
def test_what_is_no_encoding_of_a_file_is_refused(encoding: str) -> None:
    with pytest.raises(UsageError, match="unknown encoding"):
        read("x\n1\n", X, encoding=encoding)


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv.zst", "misnamed.csv"])
def test_a_compressed_file_is_read_whatever_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    plain = b"x\n" + b"1.5\n" * 100_000
    path.write_bytes(pa.compress(plain, "zstd", asbytes=True) if name.endswith("zst") else gzip.compress(plain))

    rows = CsvRows(path, X)

    assert sum(batch.num_rows for batch in rows.batches()) == 100_000
    assert rows.fraction_read() == 1.0


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_truncated_or_damaged_compressed_file_is_refused(codec: str, tmp_path: Path) -> None:
    plain = b"x\n" + os.urandom(2000).hex().encode()
    packed = bytearray(pa.compress(plain, "zstd", asbytes=True) if codec == "zstd" else gzip.compress(plain))

    assert "ends too early or is damaged" in refuse(bytes(packed[:-20]), X).message
    packed[len(packed) // 2] ^= 0xFF
    refuse(bytes(packed), X)


@pytest.mark.parametrize("delimiter", ["~", "^", ":", "\x1f"])
def test_an_unusual_delimiter_is_found_when_the_header_says_so(delimiter: str) -> None:
    assert read(f"x{delimiter}y\n1{delimiter}2\n", XY) == [{"x": 1.0, "y": 2.0}]


@pytest.mark.parametrize(("said", "delimiter"), [("tab", "\t"), ("\t", "\t"), ("#", "#"), (" ", " "), ("bar", "|")])
def test_a_delimiter_given_is_the_one_used(said: str, delimiter: str) -> None:
    assert read(f"x{delimiter}y\n1{delimiter}2\n", XY, delimiter=said) == [{"x": 1.0, "y": 2.0}]


@pytest.mark.parametrize("delimiter", ["", ";;", "a", "1", '"', "\n", ".", "-"])
def test_a_delimiter_that_cannot_separate_is_refused(delimiter: str) -> None:
    with pytest.raises(UsageError, match="delimiter must be one character"):
        read("x\n1\n", X, delimiter=delimiter)


def test_the_first_line_of_a_spreadsheet_names_the_delimiter_and_counts_as_a_line() -> None:
    assert read("sep=;\r\nx;y\r\n1,5;2\r\n", XY) == [{"x": 1.5, "y": 2.0}]
    assert "line 3, column x" in refuse(f"sep=;\nx;y\n{CANARY}z;2\n", XY).message


@pytest.mark.parametrize(
    ("text", "options"),
    [("x\ty\n1,5\t2\n", {"decimal": ","}), ('x,y\n"1,5",2\n', {"decimal": ","}), ("x;y\n1,5;2\n", {})],
)
def test_a_decimal_comma_is_read_when_it_is_said_or_usual(text: str, options: dict[str, str]) -> None:
    assert read(text, XY, **options) == [{"x": 1.5, "y": 2.0}]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("x;y\n1;2\n1.234,5;2\n", {}, "line 3, column x: expected a number without thousands separators"),
        ('x,y\n"1,234.5",2\n', {}, "column x: expected a number without thousands separators"),
        ("x\ty\n1 234\t2\n", {}, "column x: expected a number without thousands separators"),
        ("x\ty\n1'234\t2\n", {}, "column x: expected a number without thousands separators"),
        ("x\ty\n1,5\t2\n", {}, "column x: expected a number with a decimal point"),
        ("x\ty\n1.5\t2\n", {"decimal": ","}, "column x: expected a number with a decimal comma"),
        ("x;y\n1,5;2\n", {"decimal": "."}, "column x: expected a number with a decimal point"),
        ("x;y\n1,5;2\n2.5;2\n", {}, "line 3, column x: expected one decimal mark in the whole column"),
    ],
)
def test_a_number_with_the_wrong_marks_is_refused(text: str, options: dict[str, str], said: str) -> None:
    assert said in refuse(text, XY, **options).message


def test_a_decimal_mark_is_a_point_or_a_comma() -> None:
    with pytest.raises(UsageError, match="must be a point or a comma"):
        CsvRows(MemoryBytes(b"x\n1\n", name="x.csv"), X, decimal="'")


def test_a_column_is_found_by_its_name_in_the_file_and_converted_before_limits() -> None:
    columns = dictionary(number("chol", unit="mmol/L", loinc="2093-3", minimum=1, maximum=20, decimals=1))
    sources = {"chol": ColumnSource(name="TotChol", unit="mg/dL")}

    assert read("TotChol\n200\n\n", columns, sources=sources) == [{"chol": 5.2}]
    message = refuse("TotChol\n2000\n", columns, sources=sources).message
    assert "column chol ('TotChol' there): expected a value from 1 to 20 mmol/L" in message


def test_a_missing_code_is_one_of_the_source_not_of_the_converted_value() -> None:
    columns = dictionary(number("t", unit="Cel", missing_codes=("", "0"), decimals=1), number("u"))
    sources = {"t": ColumnSource(name="t", unit="[degF]")}

    assert read("t,u\n0,1\n32,1\n", columns, sources=sources) == [{"t": None, "u": 1.0}, {"t": 0.0, "u": 1.0}]


def test_a_converted_whole_number_is_rounded_and_an_unconverted_one_is_not() -> None:
    columns = dictionary(Column(name="sbp", title="p", datatype="integer", role="factor", unit="mm[Hg]"))

    assert read("sbp\n16.5\n", columns, sources={"sbp": ColumnSource(name="sbp", unit="kPa")}) == [{"sbp": 124}]
    assert "expected a whole number" in refuse("sbp\n16.5\n", columns).message


def test_a_unit_on_a_column_that_has_none_is_refused() -> None:
    columns = dictionary(Column(name="b", title="b", datatype="boolean", role="factor"))

    with pytest.raises(InputError, match="a boolean has none"):
        read("b\n1\n", columns, sources={"b": ColumnSource(name="b", unit="mg/dL")})


def test_a_source_for_a_column_that_the_dictionary_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="no column 'z'"):
        read("x\n1\n", X, sources={"z": ColumnSource(name="Z", unit=None)})


@pytest.mark.parametrize(
    ("text", "fits"), [("1.1", True), ("1.10", True), ("-0.3", True), ("1e-1", True), ("1.15", False)]
)
def test_declared_decimals_are_held_to(text: str, fits: bool) -> None:
    columns = dictionary(number(decimals=1))

    if fits:
        assert read(f"x\n{text}\n", columns) == [{"x": float(text)}]
    else:
        assert "column x: expected at most 1 decimal places" in refuse(f"x\n{text}\n", columns).message


def test_batches_are_bounded_and_resume_at_any_row(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("x\n" + "".join(f"{row}\n\n" if row % 7 == 0 else f"{row}\n" for row in range(BATCH_ROWS + 1000)))
    rows = CsvRows(path, X)

    batches = list(rows.batches())
    later = list(rows.batches(BATCH_ROWS - 5))

    assert [batch.num_rows for batch in batches] == [BATCH_ROWS, 1000]
    assert all(batch.schema == table_schema(X) for batch in batches)
    assert pa.Table.from_batches(later)["x"].to_pylist() == [
        float(row) for row in range(BATCH_ROWS - 5, BATCH_ROWS + 1000)
    ]
    assert list(rows.batches(BATCH_ROWS + 1000)) == []


def test_a_wide_file_has_smaller_batches() -> None:
    columns = dictionary(*(number(f"x{position}") for position in range(1500)))
    line = ",".join(column.name for column in columns.columns) + "\n" + "\n".join(["1" + ",1" * 1499] * 1001)

    rows = CsvRows(MemoryBytes(line.encode(), name="wide.csv"), columns)

    assert [batch.num_rows for batch in rows.batches()] == [1000, 1]


def test_a_fault_after_the_first_batch_is_located_and_ends_the_rows() -> None:
    text = "x\n" + "1\n" * BATCH_ROWS + "2\n" + f"{CANARY}x\n"
    rows = CsvRows(MemoryBytes(text.encode(), name="x.csv"), X)
    batches = rows.batches()

    assert next(batches).num_rows == BATCH_ROWS
    with pytest.raises(InputError, match=f"line {BATCH_ROWS + 3}, column x: expected a number") as caught:
        next(batches)
    assert CANARY not in caught.value.message


def test_faults_before_bad_bytes_are_told_with_them() -> None:
    message = refuse(b"x\nwrong\n1\n\xff\n", X).message

    assert "2 fault(s)" in message
    assert "line 2, column x: expected a number" in message
    assert "line 4: not UTF-8" in message


def test_lines_are_counted_through_quoted_newlines_and_every_kind_of_line_end() -> None:
    columns = dictionary(number(), Column(name="p", title="p", datatype="category", role="id"))

    assert "line 7, column x" in refuse(f'x,p\r1,"a\nb"\n\n2,c\r\n\r\n{CANARY}q,d', columns).message


def test_a_missing_final_newline_loses_no_row() -> None:
    assert read("x\n1\n2", X) == [{"x": 1.0}, {"x": 2.0}]


def test_an_overlong_cell_or_line_is_refused() -> None:
    assert "a field is too long" in refuse("x\n" + "1" * 200_000 + "\n", X).message
    columns = dictionary(number())
    assert "line 2: a line of more than" in refuse(b"x\n" + b"1" * (18 * 1024 * 1024), columns).message


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("x\n1\n")
    rows = CsvRows(path, X)
    first = rows.fingerprint()
    path.write_text("x\n1\n2\n")

    with pytest.raises(InputError, match="has changed since"):
        list(rows.batches())
    assert CsvRows(path, X).fingerprint() != first


def test_a_fingerprint_is_the_same_for_the_same_file_and_differs_by_option(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("x\n1\n")

    assert CsvRows(path, X).fingerprint() == CsvRows(path, X).fingerprint()
    assert CsvRows(path, X).fingerprint() != CsvRows(path, X, decimal=",").fingerprint()
    assert CsvRows(path, X).fingerprint() != CsvRows(path, XY).fingerprint()


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")

    for path in (tmp_path, tmp_path / "pipe.csv"):
        with pytest.raises(InputError, match="no regular file"):
            CsvRows(path, X)
    with pytest.raises(InputError, match="cannot read the file"):
        CsvRows(tmp_path / "absent.csv", X)
    with pytest.raises(InputError, match="path is not usable"):
        CsvRows(Path("a\0b.csv"), X)


def test_an_iteration_can_be_left_and_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("x\n" + "1\n" * (2 * BATCH_ROWS))
    rows = CsvRows(path, X)

    assert rows.fraction_read() is None
    next(rows.batches())

    assert 0 < (rows.fraction_read() or 0) <= 1
    assert sum(batch.num_rows for batch in rows.batches()) == 2 * BATCH_ROWS


def test_the_option_utf_8_sig_is_utf_8() -> None:
    assert read("x,c\n1,ü€\n".encode(), NAMED, encoding="utf-8-sig") == [{"x": 1.0, "c": "ü€"}]


def test_bytes_in_memory_have_no_fingerprint() -> None:
    assert CsvRows(MemoryBytes(b"x\n1\n", name="x.csv"), X).fingerprint() is None
