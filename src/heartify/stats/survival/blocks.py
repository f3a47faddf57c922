"""One hospital's follow-up: covariates, times, event codes, delayed entry and strata, checked once.

A block is read-only from then on; everything behind it relies on finite doubles and entry < time. `SurvivalColumns` is
the same for large cohorts: the covariates come one column at a time and are never held together twice. Nothing here
prints or quotes a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

IntArray = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


class Ties(StrEnum):
    """How events at one time share the partial likelihood: Efron 1977 or Breslow 1974."""

    EFRON = "efron"
    BRESLOW = "breslow"


class BaselineHazard(StrEnum):
    """Whether each hospital is a stratum with a baseline hazard of its own, or all hospitals share one."""

    PER_HOSPITAL = "per hospital"
    SHARED = "shared"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SurvivalBlock:
    """Hold one hospital's follow-up: X (n, p) in clinical units, time (n,), event (n,), entry (n,), stratum (n,).

    `event`: 0 censored, 1 the event of interest, 2 and above competing events, which a cause-specific model censors.
    A row is at risk in (entry, time]; without `entry` from minus infinity on. `stratum`: integer codes inside the
    hospital (sex, say); without them the hospital is one stratum. The arrays become read-only copies.

    Raises:
        InvalidBlockError: a shape, a type, a missing or infinite value, an entry not before its time, an event or
            stratum code that is not a whole number (or is a negative event), an empty block.
    """

    name: str
    X: FloatArray
    time: FloatArray
    event: IntArray
    entry: FloatArray | None = None
    stratum: IntArray | None = None

    def __post_init__(self) -> None:
        X = _doubles(self.X, f"X of block {self.name!r}")
        if X.ndim != 2:
            raise InvalidBlockError(f"block {self.name!r}: expected X (n, p), got {X.shape}")
        if not np.isfinite(X).all():
            raise InvalidBlockError(f"block {self.name!r}: X has missing or infinite values")
        object.__setattr__(self, "X", _frozen(X))
        _check_follow_up(self, X.shape[0])

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return int(self.time.size)

    @property
    def events(self) -> int:
        """Return the number of events of interest."""
        return int(np.count_nonzero(self.event == 1))

    def iterate_columns(self) -> Iterator[FloatArray]:
        """Yield the covariates (n,) one by one."""
        yield from self.X.T


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SurvivalColumns:
    """Hold one hospital's follow-up like SurvivalBlock, with covariates as an iterable of columns (n,) read once.

    `columns` may be a generator that decrypts each column when asked for it. A column is checked as it is read.

    Raises:
        InvalidBlockError: as SurvivalBlock; for the columns, when they are read.
    """

    name: str
    columns: Iterable[FloatArray]
    time: FloatArray
    event: IntArray
    entry: FloatArray | None = None
    stratum: IntArray | None = None

    def __post_init__(self) -> None:
        _check_follow_up(self, None)

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return int(self.time.size)

    @property
    def events(self) -> int:
        """Return the number of events of interest."""
        return int(np.count_nonzero(self.event == 1))

    def iterate_columns(self) -> Iterator[FloatArray]:
        """Yield the covariates (n,) one by one.

        Raises:
            InvalidBlockError: a column of another length, or with missing or infinite values.
        """
        for values in self.columns:
            column = np.asarray(values)
            if column.shape != self.time.shape:
                raise InvalidBlockError(f"block {self.name!r}: a column does not have one value a row")
            if column.dtype.kind not in "fiub" or not np.isfinite(column).all():
                raise InvalidBlockError(f"block {self.name!r}: a column has missing or infinite values")
            yield column


SurvivalSource: TypeAlias = SurvivalBlock | SurvivalColumns


def join_parts(parts: Sequence[SurvivalBlock], name: str) -> SurvivalBlock:
    """Join the parts in which one hospital's rows came.

    Raises:
        InvalidBlockError: no parts, parts of unequal width, or only some with entry times or strata.
    """
    check_sources(parts)
    if len({part.X.shape[1] for part in parts}) != 1:
        raise InvalidBlockError("parts differ in their number of columns")
    return SurvivalBlock(
        name,
        np.concatenate([part.X for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.event for part in parts]),
        _join_optional([part.entry for part in parts]),
        _join_optional([part.stratum for part in parts]),
    )


def check_sources(sources: Sequence[SurvivalSource]) -> None:
    """Check that blocks can be pooled.

    Raises:
        InvalidBlockError: no blocks, or two blocks of one name.
    """
    if not sources:
        raise InvalidBlockError("expected at least one block, got none")
    if len({source.name for source in sources}) != len(sources):
        raise InvalidBlockError("two blocks have the same name")


def _join_optional(arrays: Sequence[NDArray[Scalar] | None]) -> NDArray[Scalar] | None:
    present = [array for array in arrays if array is not None]
    if len(present) not in (0, len(arrays)):
        raise InvalidBlockError("only some parts have entry times or strata")
    return np.concatenate(present) if present else None


def _check_follow_up(block: SurvivalSource, rows: int | None) -> None:
    what = f"block {block.name!r}"
    if not block.name:
        raise InvalidBlockError("a block needs a name")
    time = _frozen(_doubles(block.time, f"time of {what}"))
    event = _frozen(_codes(block.event, f"event of {what}"))
    entry = None if block.entry is None else _frozen(_doubles(block.entry, f"entry of {what}"))
    stratum = None if block.stratum is None else _frozen(_codes(block.stratum, f"stratum of {what}"))
    shape = (time.size if rows is None else rows,)
    if any(array is not None and array.shape != shape for array in (time, event, entry, stratum)):
        raise InvalidBlockError(f"{what}: time, event, entry and stratum must have one value a row")
    if time.size == 0:
        raise InvalidBlockError(f"{what} has no rows")
    if not np.isfinite(time).all():
        raise InvalidBlockError(f"{what}: time has missing or infinite values")
    if (event < 0).any():
        raise InvalidBlockError(f"{what}: event has negative codes")
    if entry is not None and not (entry < time).all():  # a missing entry fails too
        raise InvalidBlockError(f"{what}: an entry is missing or not before its time")
    for field, array in (("time", time), ("event", event), ("entry", entry), ("stratum", stratum)):
        object.__setattr__(block, field, array)


def _doubles(values: object, what: str) -> FloatArray:
    try:
        return np.array(values, dtype=np.float64, order="C", copy=True)
    except (TypeError, ValueError) as exc:
        # Not chained: numpy's message quotes the cell that it could not convert.
        raise InvalidBlockError(f"{what} does not hold numbers ({type(exc).__name__})") from None


def _codes(values: object, what: str) -> IntArray:
    given = np.asarray(values)
    if given.dtype.kind in "iub":
        return given.astype(np.int64)
    numbers = _doubles(values, what)
    if not np.isfinite(numbers).all() or (numbers != np.floor(numbers)).any():
        raise InvalidBlockError(f"{what} has codes that are not whole numbers")
    return numbers.astype(np.int64)


def _frozen(array: NDArray[Scalar]) -> NDArray[Scalar]:
    array.setflags(write=False)
    return array
