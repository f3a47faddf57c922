"""A database's table or query as texts, for drafting a dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from heartify.cohort.sources.sql_table import SqlTable
from heartify.errors import InputError


class SqlRaw:
    """The texts of a table or of one ordered SELECT. Raises as `SqlRows` does."""

    def __init__(self, url: str, *, table: str | None, query: str | None, password_file: Path | None) -> None:
        self._table = SqlTable(url, table=table, query=query, password_file=password_file)
        if len(set(self._table.names)) != len(self._table.names):
            self._table.close()
            raise InputError(f"{self.name}: two columns of the result have one name", hint="name them with AS")

    @property
    def name(self) -> str:
        """The table's name, or `query`."""
        return self._table.name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the result's columns."""
        return self._table.names

    def fraction_read(self) -> float | None:
        """Return None: how many rows there are is not known before they are read."""
        return None

    def close(self) -> None:
        """End transaction and connection."""
        self._table.close()

    def batches(self) -> Iterator[dict[str, list[str | None]]]:
        """Yield the texts, None for null.

        Raises InputError when the database fails.
        """
        for texts in self._table.batches():
            yield dict(zip(self.names, texts, strict=True))
