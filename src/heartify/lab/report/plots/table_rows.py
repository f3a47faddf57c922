"""Rows of a released table as a plot reads them: by column name, a missing column being as good as an empty cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from heartify.protocol.result import Cell, Table

Row = Mapping[str, Cell]

EVERYBODY = "all hospitals"
"""The label of a row over all hospitals."""


def rows_of(table: Table | None) -> tuple[Row, ...]:
    """Return the rows of a table by column name; none where there is no table."""
    if table is None:
        return ()
    return tuple(dict(zip(table.columns, row, strict=True)) for row in table.rows)


def number(row: Row, column: str) -> float | None:
    """Return a cell's number, or None where it has none."""
    cell = row.get(column)
    return float(cell) if isinstance(cell, (int, float)) else None


def numbers(row: Row, *columns: str) -> tuple[float, ...] | None:
    """Return the numbers of several cells, or None where one has none."""
    found = tuple(number(row, column) for column in columns)
    shown = tuple(value for value in found if value is not None)
    return shown if len(shown) == len(columns) else None


def label(row: Row, column: str) -> str:
    """Return a cell's text, empty where it has none."""
    cell = row.get(column)
    return cell if isinstance(cell, str) else ""


def complete(rows: Iterable[Row], *columns: str) -> list[tuple[float, ...]]:
    """Return the numbers of the rows that have them all."""
    return [found for row in rows if (found := numbers(row, *columns)) is not None]


def groups(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    """Return the rows by the text in a column, in order of appearance."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(label(row, column), []).append(row)
    return found


def distinct(values: Sequence[str]) -> tuple[str, ...]:
    """Return each text once, in order of appearance."""
    return tuple(dict.fromkeys(values))
