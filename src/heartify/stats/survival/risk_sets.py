"""Who is at risk at which event time of one stratum, as indices into rows sorted by time.

Event times are numbered 0..K-1. A row whose follow-up is (entry, time] is at risk at event time k when
first[row] <= k < last[row]; sorted rows make "time >= t_k" the suffix that begins at start[k], so every risk-set sum is
a suffix sum minus that of rows that have not entered yet. Indices only: no covariate, no risk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray

IndexArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RiskSets:
    """Hold the risk sets of n rows sorted by time, with K distinct event times and E events.

    `times` (K,); `start` (K,): the first row with time >= times[k]; `last` (n,): event times <= the row's time;
    `first` (n,): event times <= the row's entry, None when nobody enters after the first event time;
    `event_rows` (E,): rows with the event, ascending; `deaths` (K,): events at each event time;
    `death_start` (K,): the first event of each event time; `share` (E,): Efron's l / d, l = 0..d-1, of each event.
    """

    n: int
    times: FloatArray
    start: IndexArray
    last: NDArray[np.int32]
    first: NDArray[np.int32] | None
    event_rows: IndexArray
    deaths: IndexArray
    death_start: IndexArray
    share: FloatArray

    @property
    def event_index(self) -> IndexArray:
        """Return the number of its event time for each event (E,)."""
        return np.repeat(np.arange(self.times.size), self.deaths)

    def late_sums(self, values: FloatArray) -> FloatArray:
        """Return (K,) the sums of values (n,) over the rows that have not entered yet at each event time.

        Only rows that are at risk at some event time count; zero where nobody enters late.
        """
        if self.first is None:
            return np.zeros(self.times.size)
        return suffix(self._late_increments(values))

    def at_risk_sums(self, values: FloatArray) -> FloatArray:
        """Return (K,) the sums of values (n,) over the rows at risk at each event time.

        Leavers and late entrants are netted per event time before they are accumulated, backwards, so that a running
        sum is never larger than the largest later risk set.
        """
        increments = np.add.reduceat(values, self.start)
        if self.first is not None:
            increments = increments - self._late_increments(values)
        return suffix(increments)

    def _late_increments(self, values: FloatArray) -> FloatArray:
        first = self.first if self.first is not None else np.zeros(self.n, dtype=np.int32)
        late = np.flatnonzero(first)
        return np.bincount(first[late] - 1, weights=values[late], minlength=self.times.size).astype(np.float64)


def build_risk_sets(time: FloatArray, is_event: NDArray[np.bool_], entry: FloatArray | None) -> RiskSets:
    """Return the risk sets of rows with ascending time (n,), is_event (n,) and entry (n,) or None."""
    event_rows = np.flatnonzero(is_event)
    times, deaths = np.unique(time[event_rows], return_counts=True)
    start = np.searchsorted(time, times, side="left")
    death_start = np.cumsum(deaths) - deaths
    rank = np.arange(event_rows.size) - np.repeat(death_start, deaths)
    steps = np.concatenate((start, [time.size])) - np.concatenate(([0], start))
    last = np.repeat(np.arange(times.size + 1, dtype=np.int32), steps)
    first = None
    if entry is not None:
        first = np.searchsorted(times, entry, side="right").astype(np.int32)
    return RiskSets(
        n=time.size,
        times=times,
        start=start,
        last=last,
        first=first if first is not None and first.any() else None,
        event_rows=event_rows,
        deaths=deaths,
        death_start=death_start,
        share=rank / np.repeat(deaths, deaths),
    )


def suffix(values: FloatArray) -> FloatArray:
    """Return the sums of values (..., K) from each position to the end of the last axis."""
    return np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
