"""Who was followed from when to when, and how it ended: checked once, read-only afterwards.

A row is at risk on (entry, time], and at equal times events come before censorings. Everything behind it may rely on
finite times, entries before their ends and event codes in a small range. Nothing here prints or quotes a value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MAX_EVENT_CODE = 99  # a table has one column per code: a stray 20261122 must not allocate it


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FollowUp:
    """Hold time (n,), event (n,) with 0 = censored and 1, 2, .. = cause, and entry (n,) or None for no delayed entry.

    Times are compared exactly: where they come from arithmetic, round them first, or ties are lost.

    Raises:
        InvalidBlockError: shapes differ, there are no rows, a time is not finite, an event code is not a whole number
            from 0 to 99, or someone enters at or after the end of follow-up.
    """

    time: FloatArray
    event: IntArray
    entry: FloatArray | None = None

    def __post_init__(self) -> None:
        time = frozen_vector(self.time, "time")
        codes = frozen_vector(self.event, "event")
        if time.size == 0 or time.shape != codes.shape:
            raise InvalidBlockError(f"expected time (n,) and event (n,), n >= 1, got {time.shape} and {codes.shape}")
        if (codes != np.floor(codes)).any() or (codes < 0).any() or (codes > MAX_EVENT_CODE).any():
            raise InvalidBlockError(f"event codes must be whole numbers from 0 to {MAX_EVENT_CODE}")
        event = codes.astype(np.int64)
        event.setflags(write=False)
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "event", event)
        if self.entry is not None:
            object.__setattr__(self, "entry", _checked_entry(self.entry, time))

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return int(self.time.size)

    def take(self, rows: BoolArray | IntArray) -> FollowUp:
        """Return the follow-up of the chosen rows (a mask or indices)."""
        return FollowUp(self.time[rows], self.event[rows], None if self.entry is None else self.entry[rows])


def _checked_entry(entry: FloatArray, time: FloatArray) -> FloatArray:
    checked = frozen_vector(entry, "entry")
    if checked.shape != time.shape:
        raise InvalidBlockError(f"expected entry (n,) as time, got {checked.shape} and {time.shape}")
    if (checked >= time).any():
        raise InvalidBlockError("someone enters at or after the end of follow-up")
    return checked


def frozen_vector(values: object, what: str) -> FloatArray:
    """Return a read-only copy (n,) of finite doubles.

    Raises:
        InvalidBlockError: not numbers, not one-dimensional, missing or infinite values.
    """
    try:
        array = np.array(values, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as exc:
        # Not chained: numpy's message quotes the cell that it could not convert.
        raise InvalidBlockError(f"{what} does not hold numbers ({type(exc).__name__})") from None
    if array.ndim != 1 or not np.isfinite(array).all():
        raise InvalidBlockError(f"{what} must be one-dimensional without missing or infinite values")
    array.setflags(write=False)
    return array


def group_codes(codes: object, n: int, what: str) -> tuple[IntArray, IntArray]:
    """Return the distinct codes (k,) in increasing order and each row's index (n,) among them.

    Raises:
        InvalidBlockError: not n whole numbers.
    """
    values = frozen_vector(codes, what)
    if values.size != n or (values != np.floor(values)).any():
        raise InvalidBlockError(f"{what} must hold one whole number per row")
    labels, index = np.unique(values.astype(np.int64), return_inverse=True)
    return labels, index.astype(np.int64)
