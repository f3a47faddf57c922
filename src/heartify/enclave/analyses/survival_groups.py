"""Groups of patients whose survival may be drawn: a hospital, or several together, with counts at any time.

Complete cases only, as the model has them. Rows of patients: nothing here leaves or has a repr.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.cohort_rules import MIN_CELL, can_show
from heartify.disclosure.contribution import MIN_ROWS_PER_HOSPITAL
from heartify.stats.competing import EventTable, FollowUp, event_table
from heartify.stats.survival import SurvivalBlock

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Causes = Sequence[frozenset[int]]
"""Sets of event codes: a curve of each is shown, so that each needs ten events wherever it steps."""


@dataclasses.dataclass(frozen=True, repr=False)
class Group:
    """Some patients under a name; `codes` is the number of kinds of event in the study."""

    name: str
    rows: FollowUp
    codes: int

    @property
    def has_entry(self) -> bool:
        """Return whether someone enters late."""
        return self.rows.entry is not None

    @cached_property
    def _ends(self) -> Floats:
        return np.sort(self.rows.time)

    @cached_property
    def _entries(self) -> Floats:
        return np.sort(self.rows.entry) if self.rows.entry is not None else np.full(0, -np.inf)

    @cached_property
    def _events(self) -> dict[int, Floats]:
        return {code: np.sort(self.rows.time[self.rows.event == code]) for code in range(1, self.codes + 1)}

    def at_risk(self, times: Floats) -> Codes:
        """Return how many (t,) are at risk at times (t,): entered before, and not ended before."""
        gone = np.searchsorted(self._ends, times, side="left")
        return np.asarray(self._entered(times, "left") - gone, dtype=np.int64)

    def followed_beyond(self, time: float) -> int:
        """Return how many are at risk just after a time."""
        at = np.array([time])
        return int((self._entered(at, "right") - np.searchsorted(self._ends, at, side="right"))[0])

    def events_until(self, cause: frozenset[int], times: Floats) -> Codes:
        """Return how many events (t,) of the cause there are up to and at times (t,)."""
        found = [np.searchsorted(self._events[code], times, side="right") for code in sorted(cause)]
        return np.asarray(np.sum(found, axis=0), dtype=np.int64)

    def event_free(self, times: Floats) -> Codes:
        """Return how many (t,) of those at risk at times (t,) have no event there."""
        every = np.sort(np.concatenate(list(self._events.values())))
        tied = np.searchsorted(every, times, side="right") - np.searchsorted(every, times, side="left")
        return np.asarray(self.at_risk(times) - tied, dtype=np.int64)

    def can_be_shown(self, causes: Causes) -> bool:
        """Return whether the group passes rules 1 and 2 alone, for every cause; a curve has no model for 3 and 4."""
        counts = [int(np.isin(self.rows.event, list(cause)).sum()) for cause in causes]
        enough = all(can_show(count) and can_show(self.rows.n - count) for count in counts)
        return enough and self.rows.n >= MIN_ROWS_PER_HOSPITAL

    def last_time(self) -> float:
        """Return the last time at which ten patients are at risk and without an event; minus infinity if never."""
        fit = self._ends[self.event_free(self._ends) >= MIN_CELL]
        return float(fit[-1]) if fit.size else -np.inf

    def thin_until(self, last: float) -> float:
        """Return the last event time up to `last` with fewer than ten at risk, 0 if there is none.

        Under delayed entry the first risk sets can be so small that one patient moves the whole curve.
        """
        times = np.unique(np.concatenate(list(self._events.values())))
        times = times[times <= last]
        thin = times[self.at_risk(times) < MIN_CELL]
        return float(thin[-1]) if thin.size else 0.0

    def table(self, origin: float) -> EventTable:
        """Return the group's events from `origin` on, of those who are still followed then."""
        rows = self.rows if origin == 0.0 else self._from(origin)
        return event_table(rows.time, rows.event, rows.entry, causes=self.codes)

    def _from(self, origin: float) -> FollowUp:
        later = self.rows.take(self.rows.time > origin)
        return FollowUp(later.time, later.event, None if later.entry is None else np.maximum(later.entry, origin))

    def _entered(self, times: Floats, side: Literal["left", "right"]) -> Codes:
        if self.rows.entry is None:
            return np.full(times.shape, self.rows.n, dtype=np.int64)
        return np.searchsorted(self._entries, times, side=side).astype(np.int64)


def hospital_group(block: SurvivalBlock, codes: int) -> Group:
    """Return a hospital's patients."""
    return Group(block.name, FollowUp(block.time, block.event, block.entry), codes)


def joined(groups: Sequence[Group], name: str) -> Group:
    """Return the patients of several groups (at least one) together."""
    entries = [group.rows.entry for group in groups if group.rows.entry is not None]
    rows = FollowUp(
        np.concatenate([group.rows.time for group in groups]),
        np.concatenate([group.rows.event for group in groups]),
        np.concatenate(entries) if entries else None,
    )
    return Group(name, rows, groups[0].codes)
