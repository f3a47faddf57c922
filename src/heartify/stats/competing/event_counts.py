"""Events, censorings and entries per distinct time: all that a curve needs of a hospital, and additive.

Tables of hospitals, or of parts of one, add to the table of their rows together. Risk sets follow the counting-process
convention: at risk at t are those with entry < t <= end, so someone who enters at t is not at risk at t, and someone
censored at t still is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import FollowUp, IntArray, group_codes
from heartify.stats.errors import InvalidBlockError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EventTable:
    """Hold per distinct time (m,): events (m, causes), censored (m,), entered (m,); `early` rows have no entry time.

    Built by `event_table`; times increase. Columns of `events` are the causes 1, 2, ... in order.
    """

    time: FloatArray
    events: IntArray
    censored: IntArray
    entered: IntArray
    early: int

    def __add__(self, other: EventTable) -> EventTable:
        time = np.union1d(self.time, other.time)
        causes = max(self.causes, other.causes)
        events, censored = np.zeros((time.size, causes), np.int64), np.zeros(time.size, np.int64)
        entered = np.zeros(time.size, np.int64)
        for part in (self, other):
            rows = np.searchsorted(time, part.time)
            events[rows, : part.causes] += part.events
            censored[rows] += part.censored
            entered[rows] += part.entered
        return EventTable(time, events, censored, entered, self.early + other.early)

    @property
    def causes(self) -> int:
        """Return the number of causes."""
        return int(self.events.shape[1])

    @property
    def n(self) -> int:
        """Return the number of rows behind the table."""
        return int(self.events.sum() + self.censored.sum())

    @property
    def any_event(self) -> IntArray:
        """Return the events of any cause (m,)."""
        return np.asarray(self.events.sum(axis=1), dtype=np.int64)

    @property
    def at_risk(self) -> IntArray:
        """Return the number at risk (m,): entry < t <= end."""
        change = self.entered - self.any_event - self.censored
        return np.asarray(self.early + np.cumsum(change) - change, dtype=np.int64)

    def cause_counts(self, cause: int) -> IntArray:
        """Return the events (m,) of one cause.

        Raises:
            InvalidBlockError: the cause is not among 1 .. causes.
        """
        if not 1 <= cause <= self.causes:
            raise InvalidBlockError(f"cause {cause} is not among 1 to {self.causes}")
        return np.asarray(self.events[:, cause - 1], dtype=np.int64)


def event_table(
    time: FloatArray, event: FloatArray | IntArray, entry: FloatArray | None = None, *, causes: int | None = None
) -> EventTable:
    """Count rows time (n,), event (n,) of 0 = censored and cause 1, 2, .., entry (n,) or None, per distinct time.

    `causes` is the number of columns, where a hospital may lack the last ones; the largest code (at least 1) if None.

    Raises:
        InvalidBlockError: as `FollowUp`, or a code above `causes`.
    """
    return table_of(FollowUp(time, np.asarray(event), entry), causes)


def event_tables(
    time: FloatArray, event: FloatArray | IntArray, entry: FloatArray | None, group: IntArray
) -> dict[int, EventTable]:
    """Return one table, all with the same causes, per distinct code of group (n,), in increasing order of code.

    Raises:
        InvalidBlockError: as `event_table`; group is not one whole number per row.
    """
    rows = FollowUp(time, np.asarray(event), entry)
    labels, index = group_codes(group, rows.n, "group")
    causes = max(1, int(rows.event.max()))
    return {int(label): table_of(rows.take(index == k), causes) for k, label in enumerate(labels)}


def table_of(rows: FollowUp, causes: int | None = None) -> EventTable:
    """Return the table of checked rows.

    Raises:
        InvalidBlockError: a code above `causes`.
    """
    width = causes if causes is not None else max(1, int(rows.event.max()))
    if width < 1 or int(rows.event.max()) > width:
        raise InvalidBlockError(f"event codes exceed the {width} causes asked for")
    delayed = rows.entry if rows.entry is not None else np.empty(0)
    time = np.union1d(rows.time, delayed)
    cell = np.searchsorted(time, rows.time) * (width + 1) + rows.event
    counts = np.bincount(cell, minlength=time.size * (width + 1)).reshape(time.size, width + 1).astype(np.int64)
    entered = np.bincount(np.searchsorted(time, delayed), minlength=time.size).astype(np.int64)
    return EventTable(time, counts[:, 1:].copy(), counts[:, 0].copy(), entered, rows.n - delayed.size)
