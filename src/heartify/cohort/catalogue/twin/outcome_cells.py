"""Enough twin rows in each outcome, and in each level by outcome, that the enclave's disclosure rules can pass on them.

Rules 2 and 4 count complete cases: 10 events and non-events, 10 in each cell. Where a draw has fewer, rows of the
largest cell are given the missing level; the twin's shares of rare outcomes and levels are therefore too high.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heartify.cohort.catalogue.twin.latent_values import FloatArray
from heartify.cohort.catalogue.twin.marginals import LevelShares
from heartify.cohort.catalogue.twin.twin_model import TwinModel
from heartify.disclosure.cohort_rules import MIN_CELL

LEAST_EVENTS = 30
MAX_FILLED_LEVELS = 6
"""Columns of more levels than this don't raise the number of events that is needed; they are filled if it suffices."""

COMPLETE_SHARE = 0.4
"""With fewer complete rows than this, no study takes all columns at once: the pair's known rows count then."""

BoolArray = npt.NDArray[np.bool_]


def fill_outcome_cells(model: TwinModel, drawn: Sequence[FloatArray], random: np.random.Generator) -> None:
    """Relabel rows of `drawn` (a column each, changed in place) until each cell that can be filled has 10 rows."""
    leveled = [place for place in range(len(drawn)) if _levels(model, place) is not None]
    outcomes = [place for place in leveled if model.columns[place].column.role == "outcome"]
    usable = _usable_rows(drawn)
    for outcome in outcomes:
        _fill_outcome(model, drawn, outcome, usable, random)
        for place in leveled:
            if place not in outcomes:
                _fill_levels(model, drawn, (outcome, place), usable, random)


def has_enough_events(model: TwinModel, drawn: Sequence[FloatArray]) -> bool:
    """Return whether each level of each outcome with at most 10 levels has at least 30 rows."""
    return all(
        np.count_nonzero(drawn[place] == level) >= LEAST_EVENTS
        for place, column in enumerate(model.columns)
        if column.column.role == "outcome" and column.missing_share < 1.0 and _levels(model, place) is not None
        for level in _levels(model, place) or ()
    )


def _levels(model: TwinModel, place: int) -> tuple[float, ...] | None:
    """Return a column's levels if it is a factor of rule 4: a category, a boolean, or a number of two values."""
    column, marginal = model.columns[place].column, model.columns[place].marginal
    if not isinstance(marginal, LevelShares) or model.columns[place].missing_share == 1.0:
        return None
    two_valued = marginal.values.size == 2
    if column.datatype not in {"category", "boolean"} and not (two_valued or column.role == "outcome"):
        return None
    return tuple(marginal.values.tolist())


def _usable_rows(drawn: Sequence[FloatArray]) -> BoolArray | None:
    """Return the rows without a gap, columns without any value aside; None when they are too few to count."""
    complete = np.full(drawn[0].size, fill_value=True)
    for values in drawn:
        gaps = np.isnan(values)
        if not gaps.all():
            complete &= ~gaps
    return complete if complete.mean() >= COMPLETE_SHARE else None


def _fill_outcome(
    model: TwinModel, drawn: Sequence[FloatArray], outcome: int, usable: BoolArray | None, random: np.random.Generator
) -> None:
    levels = _levels(model, outcome) or ()
    widths = [len(_levels(model, place) or ()) for place in range(len(drawn)) if place != outcome]
    widest = max((width for width in widths if width <= MAX_FILLED_LEVELS), default=1)
    # Twice what the cells need: the levels of an event's rows are not equally frequent.
    needed = max(LEAST_EVENTS, 2 * MIN_CELL * widest)
    rows = ~np.isnan(drawn[outcome]) if usable is None else usable
    needed = max(LEAST_EVENTS, min(needed, int(np.count_nonzero(rows)) // (2 * len(levels))))
    _fill(drawn[outcome], levels, rows, needed, random)


def _fill_levels(
    model: TwinModel,
    drawn: Sequence[FloatArray],
    pair: tuple[int, int],
    usable: BoolArray | None,
    random: np.random.Generator,
) -> None:
    outcome, place = pair
    rows = ~(np.isnan(drawn[outcome]) | np.isnan(drawn[place])) if usable is None else usable
    for event in _levels(model, outcome) or ():
        _fill(drawn[place], _levels(model, place) or (), rows & (drawn[outcome] == event), MIN_CELL, random)


def _fill(
    values: FloatArray, levels: Sequence[float], rows: BoolArray, needed: int, random: np.random.Generator
) -> None:
    """Give rows of the most frequent level to each level that has fewer than `needed` among `rows`."""
    counts = {level: int(np.count_nonzero(rows & (values == level))) for level in levels}
    for level in levels:
        while counts[level] < needed:
            donor = max(counts, key=lambda candidate: counts[candidate])
            spare = counts[donor] - needed
            if spare <= 0:
                return  # not enough rows for all: as far as it goes
            moved = min(needed - counts[level], spare)
            candidates = np.flatnonzero(rows & (values == donor))
            values[random.choice(candidates, moved, replace=False)] = level
            counts[level] += moved
            counts[donor] -= moved
