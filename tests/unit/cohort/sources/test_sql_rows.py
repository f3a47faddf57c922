"""Databases, tried with SQLite: one read-only transaction, a stated order, no password and no value in any message."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from heartify.cohort.dictionary_toml import ColumnSource
from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.sources.csv_source import load_rows
from heartify.cohort.sources.sql_connection import SqlConnection, check_url, load_password
from heartify.cohort.sources.sql_raw import SqlRaw
from heartify.cohort.sources.sql_rows import SqlRows
from heartify.errors import InputError, ServiceError, UsageError
from heartify.protocol.dictionary import Column, DataDictionary, Level

CANARY = "98765.4321"
COHORT = DataDictionary(
    title="t",
    description="",
    columns=(
        Column(name="patient", title="Patient", datatype="category", role="id"),
        Column(name="chol", title="c", datatype="number", role="factor", maximum=600, missing_codes=("", "-9")),
        Column(name="count", title="c", datatype="integer", role="factor"),
        Column(name="smoker", title="s", datatype="boolean", role="factor"),
        Column(
            name="cp", title="c", datatype="category", role="factor", levels=tuple(Level(code=c, label=c) for c in "14")
        ),
        Column(name="visit", title="v", datatype="date", role="time"),
    ),
)
ROWS = [
    ("p2", 233.5, 3, 1, "4", "2021-03-04"),
    ("p1", None, None, None, None, None),
    ("p3", -9, 2.0, 0, 1.0, "2021-03-05"),
]
Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a database with the table `visits` and return its URL."""

    def run(rows: list[tuple[object, ...]], key: str = "primary key") -> str:
        path = tmp_path / "cohort.db"
        with closing(sqlite3.connect(path)) as database:
            database.execute("pragma journal_mode = wal")
            database.execute(f"create table visits(patient {key}, chol, count, smoker, cp, visit)")
            database.executemany("insert into visits values(?, ?, ?, ?, ?, ?)", rows)
            database.commit()
        return f"sqlite:///{path}"

    return run


@pytest.fixture
def opened() -> Iterator[Callable[..., SqlRows]]:
    found: list[SqlRows] = []

    def run(url: str, **options: object) -> SqlRows:
        options = options if "query" in options else {"table": "visits", **options}
        found.append(SqlRows(url, COHORT, **options))
        return found[-1]

    yield run
    for rows in found:
        rows.close()


def test_a_table_is_read_in_the_order_of_its_key_with_its_types(make: Make, opened: Callable[..., SqlRows]) -> None:
    rows = opened(make(ROWS))

    table = load_rows(rows).to_pydict()

    assert rows.name == "visits"
    assert table["patient"] == ["p1", "p2", "p3"]
    assert table["chol"] == [None, 233.5, None]
    assert table["count"] == [None, 3, 2]
    assert table["smoker"] == [None, True, False]
    assert table["cp"] == [None, "4", "1"]
    assert [str(day) for day in table["visit"]] == ["None", "2021-03-04", "2021-03-05"]


def test_a_table_without_key_is_ordered_by_the_id_column_and_without_both_refused(
    make: Make, opened: Callable[..., SqlRows]
) -> None:
    url = make(ROWS, key="")

    assert load_rows(opened(url)).column("patient").to_pylist() == ["p1", "p2", "p3"]
    with pytest.raises(InputError, match="no primary key, and the dictionary no id column"):
        SqlRaw(url, table="visits", query=None, password_file=None)


def test_a_query_is_read_as_it_stands(make: Make, opened: Callable[..., SqlRows]) -> None:
    query = "SELECT *, '12:30 %s %(x)s' AS note FROM visits WHERE patient LIKE 'p%' ORDER BY patient DESC;"
    rows = opened(make(ROWS), query=query, ignore=("note",))

    assert load_rows(rows).column("patient").to_pylist() == ["p3", "p2", "p1"]
    assert rows.name == "query"
    assert rows.fingerprint() is None
    assert rows.fraction_read() is None


def test_rows_begin_anywhere(make: Make, opened: Callable[..., SqlRows]) -> None:
    rows = opened(make([(row, 1, 1, 1, 1, None) for row in range(BATCH_ROWS + 10)], key="integer primary key"))

    assert [batch.num_rows for batch in rows.batches()] == [BATCH_ROWS, 10]
    assert [batch.column("patient").to_pylist() for batch in rows.batches(BATCH_ROWS + 8)] == [
        [str(BATCH_ROWS + 8), str(BATCH_ROWS + 9)]
    ]
    assert list(rows.batches(BATCH_ROWS + 10)) == []


def test_all_passes_of_one_object_see_the_same_rows(make: Make, opened: Callable[..., SqlRows]) -> None:
    url = make(ROWS)
    rows = opened(url)
    first = load_rows(rows)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
        other.execute("insert into visits values('p0', 1, 1, 1, '1', null)")
        other.execute("update visits set chol = 100 where patient = 'p2'")
        other.commit()

    assert load_rows(rows).equals(first)
    assert load_rows(opened(url)).num_rows == 4


def test_nothing_can_be_written_through_the_connection(make: Make) -> None:
    opened = SqlConnection(make(ROWS), None)

    import sqlalchemy as sa

    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        opened.connection.exec_driver_sql("delete from visits")
    opened.close()


def test_a_wrong_value_is_located_by_its_row_and_never_shown(make: Make, opened: Callable[..., SqlRows]) -> None:
    url = make([*ROWS, ("p4", CANARY, "x", 2, CANARY, "2021-02-30")])

    with pytest.raises(InputError) as caught:
        load_rows(opened(url))

    assert caught.value.__context__ is None
    assert CANARY not in caught.value.message
    for said in ("chol: expected a value from any to 600 1", "count: expected a whole", "smoker: expected one of"):
        assert f"row 4, column {said}" in caught.value.message


def test_a_value_without_text_is_refused_by_its_type(make: Make, opened: Callable[..., SqlRows]) -> None:
    url = make([("p1", CANARY.encode(), 1, 1, 1, None)])

    with pytest.raises(InputError, match=r"visits: .*values of type bytes") as caught:
        load_rows(opened(url))
    assert caught.value.__context__ is None


def test_what_a_driver_says_is_not_passed_on(make: Make, opened: Callable[..., SqlRows]) -> None:
    url = make([("p1", 1, 1, 1, 1, None)])
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        # The driver's own words would quote the text that is no UTF-8.
        database.execute("update visits set cp = cast(x'ff3938373635' as text)")
        database.commit()

    for options in ({}, {"query": "SELECT no_such_98765 FROM visits ORDER BY 1"}):
        with pytest.raises(InputError, match=r"\(OperationalError\)") as caught:
            load_rows(opened(url, **options))
        assert CANARY[:5] not in caught.value.message
        assert caught.value.__context__ is None


def test_another_name_and_unit_are_read_and_other_columns_refused(make: Make) -> None:
    dictionary = DataDictionary(
        title="t",
        description="",
        columns=(
            Column(name="c", title="c", datatype="number", role="factor", unit="mmol/L", loinc="2093-3", decimals=1),
        ),
    )
    query = 'SELECT 200 AS "TotChol", 1 AS other ORDER BY 1'
    options = {"query": query, "sources": {"c": ColumnSource(name="TotChol", unit="mg/dL")}}

    url = make(ROWS)

    with pytest.raises(InputError, match="column 'other' is not in the dictionary"):
        SqlRows(url, dictionary, **options)
    rows = SqlRows(url, dictionary, ignore=("other",), **options)
    assert load_rows(rows).to_pylist() == [{"c": 5.2}]
    rows.close()


def test_an_empty_table_is_refused(make: Make, opened: Callable[..., SqlRows]) -> None:
    with pytest.raises(InputError, match="no row of data"):
        load_rows(opened(make([])))


def test_raw_texts_are_the_natural_ones(make: Make) -> None:
    raw = SqlRaw(make(ROWS), table="visits", query=None, password_file=None)

    assert raw.names == ("patient", "chol", "count", "smoker", "cp", "visit")
    assert raw.fraction_read() is None
    assert next(iter(raw.batches()))["count"] == [None, "3", "2"]
    raw.close()


def test_a_raw_result_has_each_name_once(make: Make) -> None:
    with pytest.raises(InputError, match="two columns of the result have one name"):
        SqlRaw(make(ROWS), table=None, query="SELECT 1 AS a, 2 AS a ORDER BY 1", password_file=None)


@pytest.mark.parametrize("options", [{}, {"table": "visits", "query": "SELECT 1 ORDER BY 1"}])
def test_exactly_one_of_table_and_query_is_needed(options: dict[str, str], make: Make) -> None:
    with pytest.raises(UsageError, match="needs a table or a query"):
        SqlRows(make(ROWS), COHORT, **options)


def test_a_table_that_is_not_there_is_refused(make: Make, opened: Callable[..., SqlRows]) -> None:
    with pytest.raises(InputError, match="nowhere: no such table"):
        opened(make(ROWS), table="nowhere")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@host/db",
        "postgresql://me@host/db?password=hunter2",
        "postgresql://me@host/db?sslpassword=hunter2",
        "mssql+pyodbc:///?odbc_connect=PWD%3Dhunter2",
        "mysql://me@host/db?passwd=hunter2",
    ],
)
def test_a_url_with_a_password_is_refused_without_it(url: str) -> None:
    with pytest.raises(UsageError, match="holds a password") as caught:
        check_url(url)
    assert "hunter2" not in caught.value.message
    assert caught.value.__context__ is None


@pytest.mark.parametrize("url", ["nonsense hunter2", "postgresql://me@host:hunter2/db"])
def test_a_malformed_url_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="malformed") as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_sqlite_makes_no_new_database(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/absent.db", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(InputError, match="does not exist"):
            SqlRows(url, COHORT, table="visits")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)

    with pytest.raises((InputError, ServiceError), match="DatabaseError"):
        SqlRows(f"sqlite:///{tmp_path}/x.db", COHORT, table="visits")


@pytest.mark.parametrize(
    ("url", "said"), [("nosuch://host/db", "unknown kind"), ("oracle+cx_oracle://h/d", "driver is not")]
)
def test_a_missing_driver_is_named(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        SqlRows(url, COHORT, table="visits")


def test_a_password_file_is_private_and_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("hunter2\nmore\n")

    path.chmod(0o644)
    with pytest.raises(InputError, match="others may read"):
        load_password(path)
    path.chmod(0o600)
    assert load_password(path) == "hunter2"
    path.write_text("\n")
    with pytest.raises(InputError, match="cannot read a password"):
        load_password(path)
    with pytest.raises(InputError, match="cannot read a password"):
        load_password(tmp_path / "absent")
