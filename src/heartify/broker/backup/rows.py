"""The rows of the broker's database as lines of JSON, the same for SQLite and PostgreSQL: one can become the other.

["versions", {"version": "0x…", "manifest": "<base64>", …}]    one a row, tables in the order of their references
["end", {"versions": 3, …}]                                    last of all: how many rows each table has
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.errors import IntegrityError

LEFT_OUT = frozenset({db.collateral_cache.name})
"""What is fetched anew anyway."""

_BATCH = 200
_END = "end"


def backed_up_tables() -> list[sa.Table]:
    """Return the tables of a backup, each after those that it refers to."""
    return [table for table in db.metadata.sorted_tables if table.name not in LEFT_OUT]


def dump_rows(connection: sa.Connection) -> Iterator[bytes]:
    """Yield every row as a line, then the end; the caller's transaction must show one moment."""
    counts: dict[str, int] = {}
    for table in backed_up_tables():
        counts[str(table.name)] = 0
        query = sa.select(table).order_by(*table.primary_key).execution_options(yield_per=_BATCH)
        for row in connection.execute(query):
            counts[str(table.name)] += 1
            values = {str(name): _encoded(value) for name, value in row._mapping.items()}  # noqa: SLF001 - public mapping
            yield msgspec.json.encode([str(table.name), values])
    yield msgspec.json.encode([_END, counts])


def load_rows(connection: sa.Connection, lines: Iterable[bytes]) -> None:
    """Insert the rows of a backup into empty tables, within the caller's transaction.

    Raises:
        IntegrityError: a line is none of ours, or rows are missing; roll back.
    """
    tables = {table.name: table for table in backed_up_tables()}
    counts: Counter[str] = Counter()
    for line in lines:
        name, values = _parsed(line)
        if name == _END:
            _check_complete(values, counts, tables)
            return
        if name not in tables:
            raise IntegrityError("the backup has a table that this program doesn't know")
        counts[name] += 1
        connection.execute(sa.insert(tables[name]).values(_decoded(tables[name], values)))
    raise IntegrityError("the backup has no end")


def _check_complete(told: dict[str, Any], counts: Counter[str], tables: dict[str, sa.Table]) -> None:
    if told != {name: counts[name] for name in tables}:
        raise IntegrityError("rows of the backup are missing")


def _parsed(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        return msgspec.json.decode(line, type=tuple[str, dict[str, Any]])
    except msgspec.MsgspecError as exc:
        raise IntegrityError("a line of the backup is malformed") from exc


def _encoded(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _decoded(table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
    if set(values) != set(table.c.keys()):
        raise IntegrityError(f"a row of {table.name} in the backup has other columns")
    try:
        return {
            name: base64.b64decode(value, validate=True)
            if isinstance(table.c[name].type, sa.LargeBinary) and value is not None
            else value
            for name, value in values.items()
        }
    except (binascii.Error, TypeError, ValueError) as exc:
        raise IntegrityError(f"a row of {table.name} in the backup is malformed") from exc
