"""The Nelson-Aalen cumulative hazard at each row's own time: how an imputation sees a survival outcome.

With the event indicator it stands for the outcome of a Cox model among the predictors of an imputation (White and
Royston 2009, Stat Med 28:1982). Row-level on purpose: it is a column for the chained equations, never a result.
"""

from __future__ import annotations

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError


def nelson_aalen(time: FloatArray, event: FloatArray, entry: FloatArray | None = None) -> FloatArray:
    """Return H(time) (n,), the sum of events / at risk over event times up to each row's own.

    Equals survival::survfit(Surv(entry, time, event) ~ 1, ctype = 1)$cumhaz; mice::nelsonaalen differs where times are
    tied, because it takes Efron's baseline hazard.

    Rows are at risk after `entry` (n,), zero if not given, up to and including `time` (n,); `event` (n,) is 0 or 1.

    Raises:
        InvalidBlockError: shapes differ, a value is missing, an event is not 0/1, or an entry is not before its time.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in (time, event)]
    # Without delayed entry everybody is at risk from the first event on, even one at time zero.
    starts = np.full(arrays[0].shape, -np.inf) if entry is None else np.asarray(entry, dtype=np.float64)
    if arrays[0].ndim != 1 or not arrays[0].size or any(a.shape != arrays[0].shape for a in (*arrays, starts)):
        raise InvalidBlockError("expected time, event and entry of one shape (n,)")
    times, events = arrays
    if not np.isfinite(times).all() or np.isnan(starts).any() or not np.isin(events, (0.0, 1.0)).all():
        raise InvalidBlockError("times must be finite and events 0 or 1")
    if not (starts < times).all():
        raise InvalidBlockError("an entry must be before its time")
    points, index = np.unique(times, return_inverse=True)
    deaths = np.bincount(index, weights=events)
    still = times.size - np.searchsorted(np.sort(times), points, side="left")
    not_yet = starts.size - np.searchsorted(np.sort(starts), points, side="left")
    hazard: FloatArray = np.cumsum(deaths / (still - not_yet))
    return hazard[index]
