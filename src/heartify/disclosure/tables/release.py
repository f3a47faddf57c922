"""From an exact table to what may be shown of it, and the gate that lets no other table out.

Deterministic: equal tables give equal cells. The gate doesn't believe the maker: it rounds every cell once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heartify.disclosure.cells import Cell, Kind, is_released_cell, round_cell
from heartify.disclosure.codes import WithheldCode, WithheldError
from heartify.disclosure.rounding import p_text, p_text_of_chi_square
from heartify.disclosure.tables.spec import Column, ExactTable, ReleasedTable, TableSpec

_STAYS = frozenset({Kind.LABEL, Kind.NUMBER})


def release_table(table: ExactTable, specs: Mapping[str, TableSpec]) -> ReleasedTable:
    """Round and suppress a table by its spec.

    Raises:
        WithheldError: the table is not on the closed list, has other columns, or a cell is not of its kind
            (OUTPUT_SCHEMA); or it has too many rows (OUTPUT_TOO_LARGE).
    """
    spec = specs.get(table.name)
    if spec is None:
        raise WithheldError(WithheldCode.OUTPUT_SCHEMA)
    if len(table.rows) > spec.max_rows:
        raise WithheldError(WithheldCode.OUTPUT_TOO_LARGE)
    try:
        rows = tuple(_release_row(row, spec) for row in table.rows)
    except (ValueError, KeyError, OverflowError) as exc:
        raise WithheldError(WithheldCode.OUTPUT_SCHEMA) from exc
    return ReleasedTable(spec.name, tuple(column.name for column in spec.columns), rows)


def check_table(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], specs: Mapping[str, TableSpec]
) -> None:
    """Check that a table is of the closed list, on its grids, and shows nothing beside a suppressed count.

    Raises:
        WithheldError: OUTPUT_SCHEMA or OUTPUT_TOO_LARGE.
    """
    spec = specs.get(name)
    if spec is None or tuple(columns) != tuple(column.name for column in spec.columns):
        raise WithheldError(WithheldCode.OUTPUT_SCHEMA)
    if len(rows) > spec.max_rows:
        raise WithheldError(WithheldCode.OUTPUT_TOO_LARGE)
    if not all(_is_released_row(row, spec) for row in rows):
        raise WithheldError(WithheldCode.OUTPUT_SCHEMA)


def _release_row(row: Mapping[str, Cell], spec: TableSpec) -> tuple[Cell, ...]:
    if not {column.name for column in spec.columns if column.of is None} <= row.keys() <= spec.names:
        raise ValueError("a row has other columns than its table")
    shown: dict[str, Cell] = {}
    for column in spec.columns:
        se = shown[column.se] if column.se is not None else None
        if column.of is not None:
            shown[column.name] = _p_of_shown(column, shown, spec)
            continue
        shown[column.name] = round_cell(column.kind, row[column.name], None if se is None else float(se))
    if any(shown[name] is None for name in spec.needs):
        return tuple(shown[column.name] if column.kind in _STAYS else None for column in spec.columns)
    return tuple(shown.values())


def _p_of_shown(column: Column, row: Mapping[str, Any], spec: TableSpec) -> str | None:
    """Return the p-value of a row's shown figure: an exact one would give that back more finely than its grid."""
    source = next(other for other in spec.columns if other.name == column.of)
    value = row[source.name]
    if value is None:
        return None
    if source.se is not None:
        return p_text(float(value) / float(row[source.se]))
    df = 1 if column.df is None else row[column.df]
    return p_text_of_chi_square(float(value), int(df)) if df else None


def _is_released_row(cells: Sequence[Any], spec: TableSpec) -> bool:
    if len(cells) != len(spec.columns):
        return False
    row = dict(zip((column.name for column in spec.columns), cells, strict=True))
    for column in spec.columns:
        se = row[column.se] if column.se is not None else None
        if se is not None and type(se) not in {int, float}:
            return False
        if not is_released_cell(column.kind, row[column.name], se):
            return False
    if any(row[column.name] != _p_of_shown(column, row, spec) for column in spec.columns if column.of is not None):
        return False
    if all(row[name] is not None for name in spec.needs):
        return True
    return all(row[column.name] is None for column in spec.columns if column.kind not in _STAYS)
