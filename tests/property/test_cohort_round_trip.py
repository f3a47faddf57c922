"""Whatever a cohort holds: CSV, table, encrypted version and the enclave's arrays say the same."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.writer import WrittenVersion, write_version
from heartify.cohort.lint.publication import lint_cohort
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.version_files import build_fetch
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, Level

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


@BOUNDED
@given(first=st.lists(ROW, min_size=20, max_size=20), second=st.lists(ROW, min_size=20, max_size=20))
def test_file_sizes_do_not_depend_on_values(first: list[tuple[Any, ...]], second: list[tuple[Any, ...]]) -> None:
    url = "memory://property-sizes"

    sizes = [[entry.size for entry in publish(rows, url).manifest.columns] for rows in (first, second)]

    assert sizes[0] == sizes[1]


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
