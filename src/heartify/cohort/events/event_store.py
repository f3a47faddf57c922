"""Events of all patients in one form, whatever the source: tables in DuckDB, in memory and out of it when they grow.

DuckDB runs in this process and sees arrays only: no file, no network, no extension, and the settings are locked before
the first patient's row arrives. What it spills goes to the given private folder. Its messages may quote values, so none
of them is passed on.

Spilled blocks are encrypted under a key that is never stored. DuckDB calls the random numbers behind that key unsafe
without its httpfs extension (which we don't load), so it is a second line: the folder belongs on an encrypted disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from heartify.errors import InputError, ServiceError

Parameter = int | float | str | None

_DATES = [("day", pa.date32()), ("first", pa.date32()), ("last", pa.date32()), ("earliest", pa.date32())]
PERSON = pa.schema(
    [("key", pa.string()), ("birth", pa.date32()), ("birth_earliest", pa.date32()), ("sex", pa.string())]
)
DEATH = pa.schema([("key", pa.string()), *_DATES, ("latest", pa.date32()), ("is_dated", pa.bool_())])
PERIOD = pa.schema([("key", pa.string()), ("first", pa.date32()), ("last", pa.date32())])
EVENT = pa.schema(
    [
        ("key", pa.string()),
        ("need", pa.int32()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("comparator", pa.string()),
        *_DATES,
        ("latest", pa.date32()),
        ("moment", pa.timestamp("us")),
        ("kind", pa.int32()),
        ("id_high", pa.int64()),
        ("id_low", pa.int64()),
        ("part", pa.int32()),
    ]
)
RECORD = pa.schema([("kind", pa.int32()), ("id_high", pa.int64()), ("id_low", pa.int64()), ("content", pa.int64())])
"""Which records were read, by digest: a record may stand in two files, but not with two contents."""

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.date32(): "DATE",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.timestamp("us"): "TIMESTAMP",
}
_TABLES = {"person": PERSON, "death": DEATH, "period": PERIOD, "contact": PERIOD, "event": EVENT, "record": RECORD}


class EventStore:
    """One source's events, and the tables that the derivation makes of them."""

    def __init__(self, folder: Path, *, memory_limit_bytes: int, threads: int) -> None:
        self._connection = duckdb.connect(
            config={
                "memory_limit": f"{memory_limit_bytes}B",
                "threads": threads,
                "temp_directory": str(folder / "spilled"),
                "preserve_insertion_order": False,
                "allow_community_extensions": False,
                "allow_persistent_secrets": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_extension_repositories": "forbidden",
                "force_mbedtls_unsafe": "true",
            }
        )
        self.run("SET temp_file_encryption = true")
        self.run("SET enable_external_access = false")
        self.run("SET lock_configuration = true")
        for name, schema in _TABLES.items():
            self._create(name, schema)

    def close(self) -> None:
        """Drop everything, spilled blocks too."""
        self._connection.close()

    def insert(self, table: str, rows: pa.Table) -> None:
        """Add rows in the schema of a table."""
        expected = _TABLES[table]
        if not rows.schema.equals(expected):
            raise InputError(f"rows for the table '{table}' are not in its form")
        if rows.num_rows:
            self._insert(table, rows)

    def insert_records(self, rows: pa.Table, *, kind: int, identity: str) -> None:
        """Note which rows were read, by kind and the column `identity`, each with a digest of all its columns."""
        columns = ", ".join(f'"{name}"' for name in rows.column_names)
        content = f"CAST(hash({columns}) >> 1 AS BIGINT)"
        if rows.num_rows:
            self._insert_selected("record", rows, f'CAST({kind} AS INTEGER), 0, "{identity}", {content}')

    def insert_lists(self, table: str, columns: Mapping[str, Sequence[object]]) -> None:
        """Add rows given as one list for each column of a table."""
        schema = _TABLES[table]
        self.insert(table, pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema))

    def add_table(self, name: str, rows: pa.Table) -> None:
        """Make a table of the derivation from rows in memory."""
        self._create(name, rows.schema)
        if rows.num_rows:
            self._insert(name, rows)

    def run(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """Run one statement of ours, with values as parameters.

        Raises ServiceError when memory or disk do not suffice.
        """
        try:
            self._connection.execute(sql, dict(parameters or {}))
        except duckdb.Error as exc:
            raise _failure(exc) from None

    def rows(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[tuple[object, ...]]:
        """Return the few rows that a statement gives.

        Raises ServiceError when memory or disk do not suffice.
        """
        try:
            return self._connection.execute(sql, dict(parameters or {})).fetchall()
        except duckdb.Error as exc:
            raise _failure(exc) from None

    def count(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> int:
        """Return the one number that a statement gives, 0 for nothing."""
        found = self.rows(sql, parameters)
        value = found[0][0] if found else None
        return value if isinstance(value, int) else 0

    def arrow(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> pa.Table:
        """Return the rows of a statement as an Arrow table."""
        try:
            return self._connection.sql(sql, params=dict(parameters or {})).to_arrow_table()
        except duckdb.Error as exc:
            raise _failure(exc) from None

    def _create(self, name: str, schema: pa.Schema) -> None:
        columns = ", ".join(f'"{field.name}" {_SQL_TYPES[field.type]}' for field in schema)
        self.run(f"CREATE TABLE {name} ({columns})")

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._insert_selected(table, rows, "*")

    def _insert_selected(self, table: str, rows: pa.Table, columns: str) -> None:
        self._connection.register("incoming", rows)
        try:
            self.run(f"INSERT INTO {table} SELECT {columns} FROM incoming")  # noqa: S608 - names of ours
        finally:
            self._connection.unregister("incoming")


def _failure(exc: duckdb.Error) -> ServiceError:
    kind = type(exc).__name__
    if isinstance(exc, duckdb.OutOfMemoryException | duckdb.IOException):
        return ServiceError(
            f"the events do not fit into the memory and disk that the derivation may use ({kind})",
            hint="free space in the work folder, or allow more memory",
        )
    return ServiceError(f"the derivation failed inside DuckDB ({kind})", hint="this is a fault of Heartify: report it")
