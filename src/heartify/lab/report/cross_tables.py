"""Cross tables: released rows arranged by some of their labels down and by another one across.

Pure arithmetic on labels: no cell is read. Where rows don't make a cross table, because a column is missing or two rows
would fall on one place, there is none: the table is then shown row by row, and nothing is lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from heartify.lab.report.plots.table_rows import EVERYBODY, Row
from heartify.protocol.result import Cell

MAX_ACROSS = 6
"""So many columns fit a page; what more there is goes into further tables."""

Key = tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class CrossTable:
    """Rows by their labels: `keys` down, each the labels of one line, and `columns` across."""

    keys: tuple[Key, ...]
    columns: tuple[str, ...]
    places: Mapping[tuple[Key, str], Row]

    def row(self, key: Key, column: str) -> Row | None:
        """Return the released row of a place, None where there is none."""
        return self.places.get((key, column))

    def common(self, column: str, name: str) -> Cell:
        """Return the cell that all rows of a column share under a name, hidden ones aside; None where they differ."""
        cells = (row.get(name) for (_, place), row in self.places.items() if place == column)
        found = {cell for cell in cells if cell is not None}
        return found.pop() if len(found) == 1 else None

    def pages(self) -> Iterator[CrossTable]:
        """Return the table in pieces of as many columns as fit a page."""
        for start in range(0, len(self.columns), MAX_ACROSS):
            yield dataclasses.replace(self, columns=self.columns[start : start + MAX_ACROSS])

    def with_keys(self, keys: Sequence[Key]) -> CrossTable:
        """Return the table with its lines in another order, or without some."""
        return dataclasses.replace(self, keys=tuple(keys))


def cross_table(rows: Sequence[Row], down: Sequence[str], across: str) -> CrossTable | None:
    """Arrange rows by the labels in columns `down` and `across`; None where that can't be done without loss.

    Lines and columns keep the order in which they come first, lines of one first label together; all hospitals stand
    before each of them.
    """
    places: dict[tuple[Key, str], Row] = {}
    for row in rows:
        labels = [row.get(name) for name in (*down, across)]
        words = tuple(label for label in labels if isinstance(label, str))
        place = (words[:-1], words[-1]) if len(words) == len(labels) else None
        if place is None or place in places:
            return None
        places[place] = row
    keys = tuple(dict.fromkeys(key for key, _ in places))
    columns = dict.fromkeys(column for _, column in places)
    return CrossTable(tuple(_together(keys)), tuple(sorted(columns, key=lambda name: name != EVERYBODY)), places)


def _together(keys: Sequence[Key]) -> list[Key]:
    """Return lines that begin alike beside each other, at each level, in order of first appearance."""
    if not keys or len(keys[0]) == 1:
        return list(keys)
    found: list[Key] = []
    for first in dict.fromkeys(key[:1] for key in keys):
        rest = _together([key[1:] for key in keys if key[:1] == first])
        found += [first + key for key in rest]
    return found
