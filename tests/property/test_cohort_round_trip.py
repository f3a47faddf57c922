"""Whatever a cohort holds: CSV, table, encrypted version and the enclave's arrays say the same."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from heartify.cohort.encrypted.column_crypto import FileCipher, FilePlace, column_keys
from heartify.cohort.encrypted.column_file import MAGIC
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.stored_form import stored_form
from heartify.cohort.encrypted.version_writer import VersionWriter
from heartify.cohort.encrypted.writer import WrittenVersion, write_version
from heartify.cohort.lint.publication import lint_cohort
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.version_files import build_fetch
from heartify.cohort.table_form import table_schema, table_type
from heartify.errors import InputError, IntegrityError
from heartify.protocol.canonical import sha256_digest, to_hex
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.manifest import ColumnFile, Manifest, round_rows

BOUNDED = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
CODES = ("1", "2", "x y", "04", "ü,;")
DICTIONARY = DataDictionary(
    title="t",
    description="",
    columns=(
        Column(name="n", title="n", datatype="number", role="factor", unit="mg/dL", missing_codes=("", "NA")),
        Column(name="i", title="i", datatype="integer", role="factor"),
        Column(name="b", title="b", datatype="boolean", role="factor"),
        Column(
            name="c", title="c", datatype="category", role="factor", levels=tuple(Level(code=c, label=c) for c in CODES)
        ),
        Column(name="d", title="d", datatype="date", role="time"),
    ),
)
ROW = st.tuples(
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.integers(-(2**53), 2**53),
    st.none() | st.booleans(),
    st.none() | st.sampled_from(CODES),
    st.none() | st.dates(),
)


def render(rows: list[tuple[Any, ...]], delimiter: str = ",") -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=delimiter)
    writer.writerow(column.name for column in DICTIONARY.columns)
    writer.writerows(["" if value is None else str(value) for value in row] for row in rows)
    return sink.getvalue().encode()


def publish(rows: list[tuple[Any, ...]], url: str) -> WrittenVersion:
    table = parse_csv(render(rows), DICTIONARY, file="x.csv")
    accepted = {finding.name: "random values of a test" for finding in lint_cohort(table, DICTIONARY)}
    return write_version(
        table, DICTIONARY, dataset="0x" + "33" * 32, previous=None, store=open_store(url), accepted_findings=accepted
    )


@BOUNDED
@given(rows=st.lists(ROW, min_size=1, max_size=12))
def test_every_value_survives_encryption(rows: list[tuple[Any, ...]]) -> None:
    version = publish(rows, "memory://property-round-trip")
    fetch = build_fetch(open_store("memory://property-round-trip"), version.manifest)

    columns = read_columns(
        version.manifest,
        DICTIONARY,
        ["n", "i", "b", "c", "d"],
        column_keys(version.master_key, version.manifest),
        fetch,
    )

    epoch = dt.date(1970, 1, 1)
    for index, (n, i, b, c, d) in enumerate(rows):
        expected = [n, i, b, None if d is None else (d - epoch).days]
        for name, value in zip("nibd", expected, strict=True):
            read = columns[name][index]
            assert np.isnan(read) if value is None else read == value
        assert columns["c"][index] == (-1 if c is None else CODES.index(c))


@BOUNDED
@given(rows=st.lists(ROW, min_size=1, max_size=12), delimiter=st.sampled_from([",", ";", "\t", "|"]))
def test_every_value_survives_csv_under_each_delimiter(rows: list[tuple[Any, ...]], delimiter: str) -> None:
    table = parse_csv(render(rows, delimiter), DICTIONARY, file="x.csv")

    assert [tuple(row.values()) for row in table.to_pylist()] == rows


NAMES = ("a", "b", "c", "d", "e")
DECIMALS = st.integers(0, 9)


@st.composite
def columns_with_values(draw: st.DrawFn, name: str) -> tuple[Column, st.SearchStrategy[Any]]:
    """A column of any stored form, and a strategy of the values that it allows."""
    kind = draw(st.sampled_from(["number", "single", "decimal", "integer", "short", "boolean", "category", "date"]))
    fields: dict[str, Any] = {"name": name, "title": name, "role": "factor"}
    if kind == "number":
        return Column(datatype="number", **fields), st.floats(allow_nan=False, allow_infinity=False)
    if kind == "single":
        values = st.floats(allow_nan=False, allow_infinity=False, width=32)
        return Column(datatype="number", precision="single", **fields), values
    if kind == "boolean":
        return Column(datatype="boolean", **fields), st.booleans()
    if kind == "date":
        return Column(datatype="date", **fields), st.dates()
    if kind == "category":
        levels = tuple(
            Level(code=f"l{k}", label=f"{k}") for k in range(draw(st.sampled_from([1, 2, 3, 4, 255, 256, 300])))
        )
        return Column(datatype="category", levels=levels, **fields), st.integers(0, len(levels) - 1)
    if kind == "integer":
        low = draw(st.none() | st.integers(-(2**53), 2**53))
        fields["minimum"] = None if low is None else float(low)
        return Column(datatype="integer", **fields), st.integers(-(2**53) if low is None else low, 2**53)
    low = draw(st.integers(-(2**40), 2**40))
    high = low + draw(st.integers(0, 2**40) | st.integers(0, 300))
    if kind == "short":
        return Column(datatype="integer", minimum=float(low), maximum=float(high), **fields), st.integers(low, high)
    decimals = draw(DECIMALS)
    fields |= {"minimum": low / 10**decimals, "maximum": high / 10**decimals, "decimals": decimals}
    return Column(datatype="number", **fields), st.integers(low, high).map(lambda step: step / 10**decimals)


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[DataDictionary, list[list[Any]]]:
    """A dictionary of one to five columns, and a few rows that a whole number of repeats makes long."""
    drawn = [draw(columns_with_values(name)) for name in NAMES[: draw(st.integers(1, 5))]]
    rows = draw(st.integers(0, 12))
    dictionary = DataDictionary(title="t", description="", columns=tuple(column for column, _ in drawn))
    return dictionary, [[draw(st.none() | values) for _ in range(rows)] for _, values in drawn]


def to_table(dictionary: DataDictionary, columns: list[list[Any]], repeats: int) -> pa.Table:
    arrays = []
    for column, cells in zip(dictionary.columns, columns, strict=True):
        if column.datatype == "category":
            indices = pa.array(cells * repeats, pa.int32())
            arrays.append(pa.DictionaryArray.from_arrays(indices, pa.array(column.level_codes, pa.string())))
        else:
            arrays.append(pa.array(cells * repeats, table_type(column)))
    return pa.Table.from_arrays(arrays, schema=table_schema(dictionary))


def encrypt(
    table: pa.Table, dictionary: DataDictionary, cuts: list[int], part_rows: int
) -> tuple[Manifest, dict[str, bytes], dict[str, bytes]]:
    """Write a table in the pieces that `cuts` make, without lint: manifest, column keys, objects."""
    given = {"dataset": b"\1" * 32, "version_nonce": b"\2" * 32, "master_key": b"\3" * 32}
    places = [0, *sorted(cut % (len(table) + 1) for cut in cuts), len(table)]
    with tempfile.TemporaryDirectory() as folder:
        writer = VersionWriter(dictionary, folder=Path(folder), part_rows=part_rows, **given)
        for first, after in itertools.pairwise(places):
            for batch in table.slice(first, after - first).to_batches():
                writer.append(batch)
        files = writer.finish()
        objects = {entry.object_name: (Path(folder) / entry.object_name).read_bytes() for entry in files}
    manifest = Manifest(
        dataset=to_hex(given["dataset"]),
        previous=None,
        version_nonce=to_hex(given["version_nonce"]),
        dictionary_digest=dictionary.digest(),
        report_digest="0x" + "00" * 32,
        rows_rounded=round_rows(len(table)),
        columns=files,
    )
    return manifest, column_keys(given["master_key"], manifest), objects


def as_numbers(column: Column, cells: list[Any]) -> list[float | None]:
    convert: dict[str, Any] = {"date": lambda value: (value - dt.date(1970, 1, 1)).days, "boolean": int}
    return [None if cell is None else convert.get(column.datatype, lambda value: value)(cell) for cell in cells]


@BOUNDED
@given(
    cohort=cohorts(),
    repeats=st.sampled_from([1, 100]),
    cuts=st.lists(st.integers(0, 2000), max_size=4),
    part_rows=st.sampled_from([512, 1024, 2**22]),
)
def test_every_value_of_every_form_survives_whatever_the_parts_and_batches(
    cohort: tuple[DataDictionary, list[list[Any]]], repeats: int, cuts: list[int], part_rows: int
) -> None:
    dictionary, cells = cohort
    manifest, keys, objects = encrypt(to_table(dictionary, cells, repeats), dictionary, cuts, part_rows)

    read = read_columns(manifest, dictionary, list(manifest.column_names), keys, objects.__getitem__)

    for column, values in zip(dictionary.columns, cells, strict=True):
        missing = -1 if column.datatype == "category" else float("nan")
        expected = [missing if value is None else value for value in as_numbers(column, values)] * repeats
        np.testing.assert_array_equal(read[column.name], expected)


@BOUNDED
@given(cohort=cohorts(), repeats=st.sampled_from([1, 60]), part_rows=st.sampled_from([512, 2**22]))
def test_file_sizes_do_not_depend_on_values(
    cohort: tuple[DataDictionary, list[list[Any]]], repeats: int, part_rows: int
) -> None:
    dictionary, cells = cohort
    unknown = [[None] * len(values) for values in cells]

    shapes = [
        [
            (e.column, e.part, e.padded_rows, e.size)
            for e in encrypt(to_table(dictionary, values, repeats), dictionary, [], part_rows)[0].columns
        ]
        for values in (cells, unknown)
    ]

    assert shapes[0] == shapes[1]


FORMS = DataDictionary(
    title="t",
    description="",
    columns=(
        Column(name="n", title="n", datatype="number", role="factor"),
        Column(name="k", title="k", datatype="number", role="factor", decimals=1, minimum=0, maximum=99),
        Column(name="b", title="b", datatype="boolean", role="factor"),
    ),
)
MANIFEST, KEYS, OBJECTS = encrypt(to_table(FORMS, [[1.5, None], [2.5, 99.0], [True, False]], 300), FORMS, [], 512)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[ColumnFile, bytes]:
    """A file of the version with something changed: bits, a cut, a piece more, a piece moved, or other bytes at all."""
    entry = draw(st.sampled_from(MANIFEST.columns))
    data = OBJECTS[entry.object_name]
    first, after = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    piece = draw(st.binary(max_size=64))
    changed = draw(
        st.sampled_from(
            [
                data[:first] + piece + data[first + len(piece) :],
                data[:first] + data[after:],
                data[:first] + piece + data[first:],
                data[first:] + data[:first],
                data[:first] + data[first:after][::-1] + data[after:],
                data[:first] + bytes(after - first) + data[after:],
                OBJECTS[draw(st.sampled_from(MANIFEST.columns)).object_name],
                piece,
            ]
        )
    )
    assume(changed != data)
    return entry, changed


@settings(max_examples=400, deadline=None, derandomize=True)
@given(mutation=mutations(), is_declared=st.booleans())
def test_any_change_of_a_file_is_an_integrity_error_and_never_another_one(
    mutation: tuple[ColumnFile, bytes], is_declared: bool
) -> None:
    """Whether the store lies, or the manifest was made for the changed file."""
    entry, data = mutation
    manifest, objects = MANIFEST, {**OBJECTS, entry.object_name: data}
    if is_declared:
        digest = sha256_digest(data)
        assume(digest not in {other.digest for other in MANIFEST.columns})
        changed = msgspec.structs.replace(entry, size=len(data), digest=digest)
        columns = tuple(changed if other == entry else other for other in MANIFEST.columns)
        manifest = msgspec.structs.replace(MANIFEST, columns=columns)
        objects[changed.object_name] = data

    with pytest.raises(IntegrityError, match=r"^file-(size|digest|magic|decryption):"):
        read_columns(manifest, FORMS, ["n", "k", "b"], KEYS, objects.__getitem__)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(column=st.sampled_from(FORMS.columns), part=st.integers(0, 1), data=st.data())
def test_any_block_of_a_key_holder_is_values_or_an_integrity_error(
    column: Column, part: int, data: st.DataObject
) -> None:
    """A hospital may seal whatever it likes under its own keys: no bytes make the reader fail otherwise."""
    form = stored_form(column)
    size = 512 * form.width_bits // 8
    unit = data.draw(st.binary(min_size=1, max_size=64))
    block = (unit * size)[:size]
    place = FilePlace(b"\1" * 32, b"\2" * 32, column.name, part, form.tag)
    cipher = FileCipher(KEYS[column.name], b"s" * 32, place)
    rows = data.draw(st.sampled_from([0, 88, 511, 512, 513, 2**63]))
    sealed = (
        MAGIC
        + b"s" * 32
        + cipher.seal(0, rows.to_bytes(8, "little"), is_last=False)
        + cipher.seal(1, block, is_last=True)
    )
    entry = MANIFEST.files_of(column.name)[part]
    forged = msgspec.structs.replace(entry, digest=sha256_digest(sealed))
    columns = tuple(forged if other == entry else other for other in MANIFEST.columns)
    manifest = msgspec.structs.replace(MANIFEST, columns=columns)

    code = ""
    try:
        values = read_columns(manifest, FORMS, [column.name], KEYS, {**OBJECTS, forged.object_name: sealed}.__getitem__)
    except IntegrityError as exc:
        values, code = {column.name: np.empty(0)}, exc.message.partition(":")[0]

    limits = (-np.inf, np.inf) if column.minimum is None else (column.minimum, column.maximum)
    known = values[column.name][~np.isnan(values[column.name])]
    assert code in {"", "file-rows", "file-padding", "file-values", "row-count"}
    assert bool(code) or len(values[column.name]) == 600
    assert np.isfinite(known).all()
    assert ((limits[0] <= known) & (known <= limits[1])).all()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    data=st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: ("n,i,b,c,d\n" + text).encode("utf-8", "ignore"))
)
def test_any_bytes_give_a_table_or_an_input_error(data: bytes) -> None:
    message = ""
    try:
        rows = parse_csv(data, DICTIONARY, file="x.csv").num_rows
    except InputError as exc:
        rows, message = 0, exc.message

    assert rows > 0 or message.startswith("x.csv: ")
