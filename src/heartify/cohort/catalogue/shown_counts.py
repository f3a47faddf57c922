"""Which counts of one column are shown beside the rounded number of patients, so that no hidden one follows from them.

A column's patients fall into cells: its levels, and the missing. Rule 9 hides a cell under 10 and rounds the others to
5. As the number of patients is known too, a hidden cell could be calculated by subtraction; so cells are hidden, the
smallest first, until subtraction says no more about a hidden cell than rounding says about a shown one.
It judges what a reader can work out, from shown numbers alone: the same function makes and checks a document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heartify.disclosure.cohort_rules import MIN_CELL, can_show
from heartify.disclosure.rounding import COUNT_BASE, round_count
from heartify.protocol.manifest import round_rows

ROUNDING_REACH = COUNT_BASE // 2
"""A rounded count lies at most this far from the exact one."""


@dataclass(frozen=True, slots=True)
class ShownCells:
    """A column's counts as they may be shown, in the order of its levels; None is hidden."""

    levels: tuple[int | None, ...]
    missing: int | None


def show_cells(rows: int, level_counts: Sequence[int], missing: int, *, all_or_none: bool = False) -> ShownCells:
    """Round and hide one column's counts; `all_or_none` hides all levels with the first (an outcome's events)."""
    n_rounded = round_rows(rows)
    # The missing aren't shown either when they would tell that fewer than 10 are known.
    shown = ShownCells(
        tuple(_show(count) for count in level_counts), _show(missing) if can_show(rows - missing) else None
    )
    if all_or_none and None in shown.levels:
        shown = ShownCells((None,) * len(level_counts), shown.missing)
    while not are_protected(n_rounded, shown):
        shown = _hide_smallest(shown)
    return shown


def are_protected(n_rounded: int, cells: ShownCells) -> bool:
    """Return whether a reader who knows the shown counts can't work out a hidden one.

    1. Levels: two or more are shown, or none: one alone would say that all patients are alike (rule 11).
    2. A hidden level may, for all that a reader can subtract, hold 5 consecutive numbers of patients below 10: as many
       as a rounded count may stand for.
    3. A hidden number of missing values may be 0.
    4. Where the number of missing values is shown, 10 others or more are known.
    """
    shown_levels = sum(count is not None for count in cells.levels)
    known_follow = cells.missing is not None and n_rounded - cells.missing < MIN_CELL
    if known_follow or shown_levels == 1:
        return False
    # Without a shown level there is nothing to subtract but the missing, and no level is told from another.
    return shown_levels == 0 or _levels_are_protected(n_rounded, cells, len(cells.levels) - shown_levels)


def _levels_are_protected(n_rounded: int, cells: ShownCells, hidden_levels: int) -> bool:
    low, high = _hidden_total(n_rounded, cells)
    if hidden_levels == 0:
        return cells.missing is not None or low <= 0
    # Of two hidden cells or more any may be empty, as the others may hold the rest; one alone holds all of it.
    least = max(low, 0) if hidden_levels == 1 and cells.missing is not None else 0
    return min(high, MIN_CELL - 1) - least + 1 >= COUNT_BASE


def _hidden_total(n_rounded: int, cells: ShownCells) -> tuple[int, int]:
    """Return the least and the greatest number of patients that all hidden cells may hold together."""
    shown = [count for count in (*cells.levels, cells.missing) if count is not None]
    rest, reach = n_rounded - sum(shown), ROUNDING_REACH * (len(shown) + 1)
    return rest - reach, rest + reach


def _show(count: int) -> int | None:
    return round_count(count) if can_show(count) else None


def _hide_smallest(cells: ShownCells) -> ShownCells:
    """Hide the smallest shown level, the first of several."""
    shown = [(count, position) for position, count in enumerate(cells.levels) if count is not None]
    _, hidden = min(shown)
    levels = tuple(None if position == hidden else count for position, count in enumerate(cells.levels))
    return ShownCells(levels, cells.missing)
