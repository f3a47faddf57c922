"""Whatever a file holds becomes rows, or an InputError without a patient's value in it.

Canaries stand in every mutated file and are looked for in the message, the hint and the whole chain of exceptions.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from heartify.cohort.sources.bound_columns import bind_columns
from heartify.cohort.sources.byte_source import MemoryBytes
from heartify.cohort.sources.csv_raw import CsvRaw
from heartify.cohort.sources.csv_rows import CsvRows
from heartify.cohort.sources.csv_source import load_rows
from heartify.cohort.sources.parquet_raw import ParquetRaw
from heartify.cohort.sources.parquet_rows import ParquetRows
from heartify.cohort.sources.text_columns import TextColumn
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, Level

BOUNDED = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
WIDE = settings(BOUNDED, max_examples=300)
CODES = ("1", "2", "x y", "04", "ü,;")
CANARIES = ("Zyxwvut", "87654321", "777.125")
DICTIONARY = DataDictionary(
    title="t",
    description="",
    columns=(
        Column(name="p", title="p", datatype="category", role="id"),
        Column(name="n", title="n", datatype="number", role="factor", maximum=700, missing_codes=("", "NA", "-9")),
        Column(name="i", title="i", datatype="integer", role="factor", maximum=1000),
        Column(name="b", title="b", datatype="boolean", role="factor"),
        Column(
            name="c", title="c", datatype="category", role="factor", levels=tuple(Level(code=c, label=c) for c in CODES)
        ),
        Column(name="d", title="d", datatype="date", role="time"),
    ),
)
NAMES = [column.name for column in DICTIONARY.columns]
IDS = st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Zs"]), min_size=1, max_size=8)
ROW = st.tuples(
    IDS,
    st.none() | st.floats(-1e6, 700).filter(lambda value: value != -9),
    st.none() | st.integers(-(2**53), 1000),
    st.none() | st.booleans(),
    st.none() | st.sampled_from(CODES),
    st.none() | st.dates(),
)
ROWS = st.lists(ROW, min_size=1, max_size=12)


def render(rows: list[tuple[Any, ...]], *, delimiter: str = ",", decimal: str = ".", line_end: str = "\n") -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(NAMES)
    for row in rows:
        texts = ["" if value is None else str(value) for value in row]
        writer.writerow([texts[0], texts[1].replace(".", decimal), *texts[2:]])
    return sink.getvalue()


def chain(error: BaseException | None) -> str:
    """Return all that an exception says, and all that hangs on it."""
    told = ""
    while error is not None:
        told += f"{error} {error.args!r} {getattr(error, 'hint', '')} {vars(error)!r}"
        told += chain(error.__cause__)
        error = error.__context__
    return told


def check_refusal(error: InputError) -> None:
    assert error.message.startswith(("x.csv: ", "x.parquet: "))
    assert not [canary for canary in CANARIES if canary in chain(error)]


@BOUNDED
@given(
    rows=ROWS,
    delimiter=st.sampled_from([",", ";", "\t", "|", "~", "\x1f"]),
    decimal=st.sampled_from([".", ","]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "windows-1252", "iso-8859-1"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_every_row_survives_every_way_of_writing_it(
    rows: list[tuple[Any, ...]], delimiter: str, decimal: str, encoding: str, line_end: str
) -> None:
    text = render(rows, delimiter=delimiter, decimal=decimal, line_end=line_end)
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:  # windows-1252 lacks the control characters of latin-1
        data, encoding = text.encode("utf-8"), "utf-8"
    marked = encoding in {"utf-8", "utf-8-sig", "utf-16"}
    source = MemoryBytes(data, name="x.csv")

    table = load_rows(CsvRows(source, DICTIONARY, decimal=decimal, encoding=None if marked else encoding))

    assert [tuple(row.values()) for row in table.to_pylist()] == rows


@WIDE
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: ("p,n,i,b,c,d\n" + text).encode()))
@example(data=b"\xff\xfe\x00\xd8")
@example(data=b"\x1f\x8b\x08\x00")
@example(data=b"\x28\xb5\x2f\xfd\x00")
@example(data=b'p,n,i,b,c,d\n"')
@example(data=b"sep=,")
def test_any_bytes_become_rows_or_a_refusal(data: bytes) -> None:
    try:
        table = load_rows(CsvRows(MemoryBytes(data, name="x.csv"), DICTIONARY))
    except InputError as error:
        check_refusal(error)
    else:
        assert table.num_rows > 0


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good file with canaries in wrong places and some bytes overwritten, cut out or put in."""
    rows = draw(ROWS)
    lines = render(rows, delimiter=draw(st.sampled_from([",", ";"]))).splitlines(keepends=True)
    bad = ",".join(draw(st.lists(st.sampled_from(CANARIES), min_size=1, max_size=8)))
    lines.insert(draw(st.integers(0, len(lines))), bad + "\n")
    data = bytearray("".join(lines).encode())
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 2))] = draw(st.sampled_from([b"", b'"', b"\0", b"\xff", b"\r", b"\n"]))
    return bytes(data)


@WIDE
@given(data=mutated())
def test_no_refusal_of_a_mutated_file_tells_a_value(data: bytes) -> None:
    try:
        ids = load_rows(CsvRows(MemoryBytes(data, name="x.csv"), DICTIONARY)).column("p").to_pylist()
    except InputError as error:
        check_refusal(error)
    else:  # two stray quotes have made the bad line part of an id
        assert any(canary in (text or "") for text in ids for canary in CANARIES)


@WIDE
@given(data=mutated())
def test_a_mutated_file_has_raw_texts_or_a_refusal_that_tells_no_value(data: bytes) -> None:
    try:
        raw = CsvRaw(MemoryBytes(data, name="x.csv"))
        batches = list(raw.batches())
    except InputError as error:
        check_refusal(error)
    else:
        assert all(list(batch) == list(raw.names) for batch in batches)
        assert all(len({len(texts) for texts in batch.values()}) == 1 for batch in batches)


@BOUNDED
@given(rows=ROWS, start=st.integers(0, 15), blanks=st.integers(0, 3))
def test_a_start_row_is_a_slice(rows: list[tuple[Any, ...]], start: int, blanks: int) -> None:
    data = render(rows).replace("\r\n", "\n" + "\n" * blanks).encode()
    source = CsvRows(MemoryBytes(data, name="x.csv"), DICTIONARY)

    found = [row for batch in source.batches(start) for row in batch.to_pylist()]

    assert found == load_rows(source).slice(start).to_pylist()


NUMBER_TEXTS = (
    st.floats(-1e6, 1e6).map(repr)
    | st.decimals(-1000, 1000, places=3, allow_nan=False).map(str)
    | st.from_regex(r"[+-]?[0-9]{0,18}(\.[0-9]{0,22})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
    | st.sampled_from(
        ["", "NA", "-9", "-9.0", "-9.00", "1_0", "nan", "inf", "٣", "1,5", "1.0", " 7 ", "0x1", "--1", "."]
    )
    | st.none()
)


@WIDE
@given(
    texts=st.lists(NUMBER_TEXTS, min_size=1, max_size=30),
    datatype=st.sampled_from(["number", "integer"]),
    decimal=st.sampled_from([".", ",", "either"]),
    cached=st.integers(0, 3),
)
def test_numbers_read_together_are_those_read_one_by_one(
    texts: list[str | None], datatype: Any, decimal: Any, cached: int
) -> None:
    column = Column(name="x", title="x", datatype=datatype, role="factor", missing_codes=("", "NA", "-9"))
    (bound,) = bind_columns(DataDictionary(title="t", description="", columns=(column,)), {})
    if decimal == ",":
        texts = [None if text is None else text.replace(".", ",") for text in texts]

    slow = TextColumn(bound, decimal=decimal, cached_texts=1000).read_values(texts)
    fast = TextColumn(bound, decimal=decimal, cached_texts=cached).read_values(texts)

    assert fast[1] == slow[1]
    assert np.array_equal(fast[0], slow[0], equal_nan=True)


@BOUNDED
@given(rows=ROWS, group=st.integers(1, 5), start=st.integers(0, 15))
def test_parquet_says_the_same_as_csv(
    rows: list[tuple[Any, ...]], group: int, start: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("same") / "x.parquet"
    types = [pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.string(), pa.date32()]
    arrays = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), types, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, names=NAMES), path, row_group_size=group)
    from_csv = load_rows(CsvRows(MemoryBytes(render(rows).encode(), name="x.csv"), DICTIONARY))

    from_parquet = ParquetRows(path, DICTIONARY)

    assert load_rows(from_parquet).equals(from_csv)
    found = [row for batch in from_parquet.batches(start) for row in batch.to_pylist()]
    assert found == from_csv.slice(start).to_pylist()


@pytest.fixture(scope="module")
def good_parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "x.parquet"
    rows = 40
    table = pa.table(
        {
            "p": [CANARIES[0]] * rows,
            "n": [float(row) for row in range(rows)],
            "i": list(range(rows)),
            "b": [True] * rows,
            "c": ["1", "2"] * (rows // 2),
            "d": [dt.date(2021, 3, 4)] * rows,
        }
    )
    pq.write_table(table, path, row_group_size=7, write_page_checksum=True)
    return path


@WIDE
@given(data=st.data())
def test_damaged_parquet_becomes_rows_or_a_refusal_that_tells_no_value(data: st.DataObject, good_parquet: Path) -> None:
    content = bytearray(good_parquet.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = good_parquet.with_name("damaged") / "x.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])

    for read in (lambda: load_rows(ParquetRows(path, DICTIONARY)), lambda: list(ParquetRaw(path).batches())):
        try:
            found = read()
        except InputError as error:
            check_refusal(error)
        else:
            assert len(found) > 0
