"""Counts under 10 in tables that add up: merge units until every cell may be shown, so that subtraction finds nothing.

Where the total of a line is known from elsewhere (a hospital's n, a factor's pooled counts), hiding one cell of it is
hiding none. `merge_units` therefore shows the hidden units as one, of at least two units, all of whose cells are 10 or
more. Where a total is known from nowhere, it is the sum of what is shown, and fewer than 10 patients are in no cell.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from heartify.disclosure.cohort_rules import can_show

Cells = Sequence[Sequence[int]]
"""Exact counts by unit (a hospital) and cell; every unit has the same cells."""


@dataclass(frozen=True, slots=True)
class Merging:
    """Which units are shown on their own, and which only together; none is in neither."""

    own: tuple[int, ...]
    merged: tuple[int, ...]

    @property
    def units(self) -> tuple[int, ...]:
        """Return all units in their order."""
        return tuple(sorted((*self.own, *self.merged)))

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """Return the disjoint groups of units whose cells may be shown; the merged ones last."""
        return (*((unit,) for unit in self.own), *((self.merged,) if self.merged else ()))


def can_show_all(cells: Sequence[int]) -> bool:
    """Return whether every cell is large enough to be shown."""
    return all(can_show(cell) for cell in cells)


def add_cells(cells: Cells, units: Sequence[int]) -> tuple[int, ...]:
    """Return the exact cells of some units together."""
    return tuple(sum(column) for column in zip(*(cells[unit] for unit in units), strict=True))


def merge_units(cells: Cells, units: Sequence[int], may_stand_alone: Collection[int]) -> Merging | None:
    """Merge the units that can't be shown alone, and then the smallest others, until nothing small is left.

    `may_stand_alone` are the units that may be shown on their own if their cells are large enough. None where not even
    all units together can be shown.
    """
    if not units or not can_show_all(add_cells(cells, units)):
        return None
    own = [unit for unit in units if unit in may_stand_alone and can_show_all(cells[unit])]
    rest = [unit for unit in units if unit not in own]
    while rest and own and not _can_stand_together(cells, rest):
        smallest = min(own, key=lambda unit: (sum(cells[unit]), unit))
        own.remove(smallest)
        rest.append(smallest)
    if rest and not _can_stand_together(cells, rest):
        return None
    return Merging(tuple(own), tuple(sorted(rest)))


def _can_stand_together(cells: Cells, units: Sequence[int]) -> bool:
    return len(units) >= 2 and can_show_all(add_cells(cells, units))


def gather_hidden(counts: Sequence[int]) -> int | None:
    """Return the sum of the counts under 10 where it hides them: of at least two, and 10 or more; else None."""
    hidden = [count for count in counts if not can_show(count)]
    return sum(hidden) if len(hidden) >= 2 and can_show(sum(hidden)) else None
