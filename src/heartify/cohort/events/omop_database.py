"""OMOP tables in a database, by SQLAlchemy: read row by row from the server, chosen there by concept.

The address never holds a password: it comes from a file that only the steward can read. What the driver says may quote
addresses and values, so it is not passed on. Nothing is ever written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from heartify.cohort.events.omop_layout import TABLES, OmopTable, typed_rows
from heartify.errors import InputError, ServiceError

BATCH_ROWS = 20_000
MAX_CONCEPTS_IN_QUERY = 900
MAX_PASSWORD_BYTES = 4096


class OmopDatabase:
    """The tables that a schema of a database has."""

    def __init__(self, url: str, *, schema: str | None, password_file: Path | None) -> None:
        self._engine = _build_engine(url, password_file)
        self._schema = schema
        self.bytes_read = 0
        try:
            inspector = sa.inspect(self._engine)
            names = [*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)]
            self._tables = {table.name: _columns(inspector, names, table, schema) for table in TABLES}
        except (SQLAlchemyError, ImportError, OSError) as exc:
            self._engine.dispose()
            raise _failure(exc) from None

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def has(self, table: OmopTable) -> bool:
        """Tell whether the table is there."""
        return self._tables[table.name] is not None

    def batches(self, table: OmopTable, concepts: tuple[int, ...] = ()) -> Iterator[pa.Table]:
        """Yield the table's rows, typed; only those with one of `concepts` when there are few enough to ask for.

        Raises InputError naming table, column and row, ServiceError when the database fails.
        """
        try:
            with self._engine.connect().execution_options(stream_results=True, yield_per=BATCH_ROWS) as connection:
                row = 1
                for rows in connection.execute(self._query(table, concepts)).partitions(BATCH_ROWS):
                    yield typed_rows(_texts(rows, self._names(table)), table, first_row=row)
                    row += len(rows)
        except SQLAlchemyError as exc:
            raise _failure(exc) from None

    def _names(self, table: OmopTable) -> dict[str, str]:
        found = self._tables[table.name]
        if found is None:
            raise InputError(f"the database has no table {table.name}", hint="give the schema of the CDM")
        return found[1]

    def _query(self, table: OmopTable, concepts: tuple[int, ...]) -> sa.Select[Any]:
        names, found = self._names(table), self._tables[table.name]
        columns: dict[str, sa.ColumnClause[Any]] = {name: sa.column(there) for name, there in names.items()}
        source = sa.table(sa.quoted_name(found[0] if found else "", quote=None), *columns.values(), schema=self._schema)
        query = sa.select(*columns.values()).select_from(source)
        chosen = [columns[name] for name in table.concepts if name in columns]
        if chosen and 0 < len(concepts) <= MAX_CONCEPTS_IN_QUERY:
            query = query.where(sa.or_(*(column.in_(concepts) for column in chosen)))
        return query


def _build_engine(url: str, password_file: Path | None) -> sa.Engine:
    try:
        address = sa.engine.make_url(url)
    except (ArgumentError, ValueError):
        raise InputError("the source is neither a folder nor the address of a database") from None
    if address.password is not None or any("password" in key.lower() or key == "pwd" for key in address.query):
        raise InputError(
            "the address of the database holds a password",
            hint="leave it out: write it to a file of mode 0600 and give that file",
        )
    if password_file is not None:
        address = address.set(password=_read_password(password_file))
    try:
        return sa.create_engine(address, hide_parameters=True)
    except (SQLAlchemyError, ImportError):
        raise InputError(
            f"there is no driver for databases of kind '{address.drivername[:32]}'", hint="install its Python driver"
        ) from None


def _read_password(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path.name}: cannot read the password file: {exc.strerror}") from exc
    if len(data) > MAX_PASSWORD_BYTES:
        raise InputError(f"{path.name}: longer than {MAX_PASSWORD_BYTES} bytes", hint="the password alone, in one line")
    try:
        return data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError(f"{path.name}: not UTF-8", hint="the password alone, in one line") from None


def _columns(
    inspector: sa.Inspector, names: list[str], table: OmopTable, schema: str | None
) -> tuple[str, dict[str, str]] | None:
    """Return the table's own name and, for each column of the CDM that it has, the column's own name."""
    found = [name for name in names if name.lower() == table.name]
    if len(found) > 1:
        raise InputError(f"the database has the table {table.name} more than once", hint="give its schema")
    if not found:
        return None
    known = {column.name for column in table.columns}
    there = [str(column["name"]) for column in inspector.get_columns(found[0], schema=schema)]
    return found[0], {name.lower(): name for name in there if name.lower() in known}


def _texts(rows: Any, names: dict[str, str]) -> pa.Table:
    """Return fetched rows as texts: what a driver calls a date or a number is checked like any other source's."""
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array([None if v is None else str(v) for v in values], pa.string()) for values in columns]
    return pa.Table.from_arrays(arrays, names=list(names))


def _failure(exc: Exception) -> ServiceError:
    return ServiceError(
        f"the database cannot be reached or refused to answer ({type(exc).__name__})",
        hint="check address, user, password file, schema and rights",
    )
