"""A table or query of a database as texts in a stream, with its columns' names and a stated order.

All iterations of one object read in one transaction, where the database keeps snapshots, so that they see the same
rows. The whole result is never in memory: the driver hands over one batch after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult

from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.sources.natural_text import text_of_value
from heartify.cohort.sources.sql_connection import SqlConnection, run_guarded
from heartify.cohort.sources.sql_statement import check_select
from heartify.errors import InputError, UsageError

BATCH_CELLS = 1_500_000

_Execute = Callable[[], CursorResult[Any]]


class SqlTable:
    """The result of a table or query. Close it when it is no longer needed.

    Raises UsageError when not exactly one of table and query is given, InputError for a query that isn't one ordered
    SELECT, or a table without a column to order by.
    """

    def __init__(
        self, url: str, *, table: str | None, query: str | None, password_file: Path | None, order: Sequence[str] = ()
    ) -> None:
        if (table is None) == (query is None):
            raise UsageError(
                "a database needs a table or a query", hint="say --table NAME or --query FILE, one of them"
            )
        self.name = "query" if table is None else table.rpartition(".")[2]
        statement = None if query is None else check_select(query)
        self._open = SqlConnection(url, password_file)
        try:
            self._select = self._select_table(str(table), order) if statement is None else self._select_query(statement)
            self.names = run_guarded(self.name, "the database refused it", self._find_names)
        except BaseException:
            self._open.close()
            raise

    def close(self) -> None:
        """End transaction and connection."""
        self._open.close()

    def batches(self, start_row: int = 0) -> Iterator[list[list[str | None]]]:
        """Yield the texts of the rows from `start_row` on, column by column in the order of `names`.

        Raises InputError when the database fails, or a value has no natural text.
        """
        failed = "the database failed while it was read"
        result = run_guarded(self.name, "the database refused it", self._select)
        batch_rows = max(1, min(BATCH_ROWS, BATCH_CELLS // len(self.names)))
        try:
            while start_row > 0 and (
                passed := run_guarded(self.name, failed, result.fetchmany, min(start_row, batch_rows))
            ):
                start_row -= len(passed)
            while rows := run_guarded(self.name, failed, result.fetchmany, batch_rows):
                yield [run_guarded(self.name, failed, _texts_of, column) for column in zip(*rows, strict=True)]
        finally:
            result.close()

    def _select_query(self, statement: str) -> _Execute:
        # Not text(), which would take 12:30 in the query for a parameter; nor may the driver take % for one.
        connection = self._open.connection
        return lambda: connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def _select_table(self, table: str, order: Sequence[str]) -> _Execute:
        connection = self._open.connection
        schema, _, name = table.rpartition(".")
        inspector = run_guarded(self.name, "the database cannot be inspected", sa.inspect, connection)
        found = run_guarded(self.name, "no such table", inspector.get_columns, name, schema or None)
        key = run_guarded(self.name, "no such table", inspector.get_pk_constraint, name, schema or None)
        names = [str(column["name"]) for column in found]
        ordered = list(key.get("constrained_columns") or ()) or [column for column in order if column in names]
        if not ordered:
            raise InputError(
                f"{self.name}: the table has no primary key, and the dictionary no id column to order it by",
                hint="rows must come in the same order each time: give a query with ORDER BY",
            )
        columns: list[sa.ColumnClause[Any]] = [sa.column(column) for column in names]
        source = sa.table(name, *columns, schema=schema or None)
        statement = sa.select(*columns).select_from(source).order_by(*(sa.column(column) for column in ordered))
        return lambda: connection.execute(statement)

    def _find_names(self) -> tuple[str, ...]:
        result = self._select()
        try:
            return tuple(str(name) for name in result.keys())  # noqa: SIM118 - a result is no mapping
        finally:
            result.close()


def _texts_of(column: tuple[object, ...]) -> list[str | None]:
    return [text_of_value(value) for value in column]
