"""Score tests of candidates with missing values, each on its own rows.

`subset_score_sums`: products of the mask with the null's residuals and weights give, for every candidate, the score
and the information of the base on its own rows; the adjustment in `sums` is then one Newton step of the base from the
full null: u is exact to second order in how far the base moves, V only to first order, so that where missing values
go with the outcome (fewer deaths among the known) z may be off by a fifth. `own_null_sums` refits the null on the
candidate's own rows instead, once per pattern of missing rows: exact, and one fit dearer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.errors import InvalidBlockError, StatsError
from heartify.stats.screening.candidates import CandidateBlock, as_doubles
from heartify.stats.screening.logistic_score import (
    LogisticNull,
    NullStratum,
    centre_meat,
    fit_null,
    logistic_score_sums,
    profile_base,
    shift_and_scale,
)
from heartify.stats.screening.sums import ScoreSums, add_hospitals

CHUNK_ROWS = 2048


def check_finite_or_missing(block: CandidateBlock) -> None:
    """Check that no candidate holds an infinite value.

    Raises:
        InvalidBlockError: one does; it is named.
    """
    for part in block.parts:
        infinite = np.isinf(part).any(axis=0)
        if infinite.any():
            name = block.names[int(np.flatnonzero(infinite)[0])]
            raise InvalidBlockError(f"candidate {name!r} has infinite values")


def subset_score_sums(null: LogisticNull, block: CandidateBlock, *, robust: bool = False) -> ScoreSums:
    """Return the sums (H, m), each candidate on the rows where it is known, in float64.

    A hospital whose outcome is constant over a candidate's own rows adds nothing to it, as in a refit.

    Raises:
        InvalidBlockError: a candidate holds an infinite value.
    """
    check_finite_or_missing(block)
    shift, _ = shift_and_scale([as_doubles(block.parts[stratum.position]) for stratum in null.strata])
    return add_hospitals([_hospital_sums(stratum, block, shift, robust) for stratum in null.strata])


def _hospital_sums(stratum: NullStratum, block: CandidateBlock, shift: FloatArray, robust: bool) -> ScoreSums:
    p, m = stratum.p, block.m
    part = block.parts[stratum.position]
    upper = np.triu_indices(1 + p)
    weights = _mask_weights(stratum, upper, robust)
    linear, square = np.zeros((p + 3, m)), np.zeros((2, m))
    masked = np.zeros((weights.shape[0], m))
    first, second = np.zeros((1 + p, m)), np.zeros(m)
    low, high = np.full(m, np.inf), np.full(m, -np.inf)
    for start in range(0, part.shape[0], CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        values = as_doubles(part[rows])
        known = ~np.isnan(values)
        low = np.fmin(low, np.where(known, values, np.inf).min(axis=0))
        high = np.fmax(high, np.where(known, values, -np.inf).max(axis=0))
        g = np.where(known, values - shift, 0.0)
        linear += stratum.left[:, rows] @ g
        square += stratum.left[[1, -1]][:, rows] @ g**2
        masked += weights[:, rows] @ known
        if robust:
            r2 = stratum.r[rows] ** 2
            first += np.vstack([r2, (r2[:, None] * stratum.Z[rows]).T]) @ g
            second += r2 @ g**2
    pieces = _Pieces(linear, square, masked, first, second, low, high)
    return _profile_subset(pieces, shift, p, upper, robust)


class _Pieces:
    """The sums of one hospital over each candidate's own rows, before its intercept is profiled out."""

    __slots__ = ("first", "high", "linear", "low", "masked", "second", "square")

    def __init__(self, *arrays: FloatArray) -> None:
        self.linear, self.square, self.masked, self.first, self.second, self.low, self.high = arrays


def _mask_weights(stratum: NullStratum, upper: tuple[NDArray[np.intp], ...], robust: bool) -> FloatArray:
    design = np.column_stack([np.ones(stratum.y.size), stratum.Z])
    pairs = (design[:, upper[0]] * design[:, upper[1]]).T
    rows = [stratum.left[-1:], stratum.y[None], stratum.r * design.T, stratum.w * pairs]
    if robust:
        rows.append(stratum.r**2 * pairs)
    return np.vstack(rows)


def _unpack(packed: FloatArray, p: int, upper: tuple[NDArray[np.intp], ...]) -> FloatArray:
    full = np.zeros((packed.shape[1], 1 + p, 1 + p))
    full[:, upper[0], upper[1]] = packed.T
    full[:, upper[1], upper[0]] = packed.T
    return full


def _profile_subset(
    pieces: _Pieces, shift: FloatArray, p: int, upper: tuple[NDArray[np.intp], ...], robust: bool
) -> ScoreSums:
    n, events = pieces.masked[0], np.round(pieces.masked[1])
    base_score = pieces.masked[2 : 3 + p].T
    size = upper[0].size
    information = _unpack(pieces.masked[3 + p : 3 + p + size], p, upper)
    varies = (events > 0) & (events < n)
    information[~varies] = np.eye(1 + p)  # any regular matrix: what it divides is set to zero below
    score, reduced = profile_base(base_score, information)
    total = pieces.linear[1]
    centre = total / information[:, 0, 0]
    count = np.maximum(n, 1.0)
    sums = pieces.linear[-1]
    A = pieces.linear[2 : 2 + p].T - centre[:, None] * information[:, 0, 1:]
    meat: tuple[FloatArray | None, ...] = (None, None, None)
    if robust:
        full = _unpack(pieces.masked[3 + p + size :], p, upper)
        zbar = information[:, 0, 1:] / information[:, 0, :1]
        meat = centre_meat(pieces.second, pieces.first.T, full, centre, zbar)
    return ScoreSums(
        n=(n * varies)[None],
        events=(events * varies)[None],
        mean=(shift + sums / count)[None],
        squares=((pieces.square[1] - sums**2 / count) * varies)[None],
        low=np.where(varies, pieces.low, np.inf)[None],
        high=np.where(varies, pieces.high, -np.inf)[None],
        u=((pieces.linear[0] - centre * base_score[:, 0]) * varies)[None],
        d=((pieces.square[0] - centre * total) * varies)[None],
        A=(A * varies[:, None])[None],
        score=(score * varies[:, None])[None],
        information=(reduced * varies[:, None, None])[None],
        **_named_meat(meat, varies),
    )


def _named_meat(meat: Sequence[FloatArray | None], varies: NDArray[np.bool_]) -> dict[str, FloatArray | None]:
    names = ("meat_d", "meat_cross", "meat_information")
    found: dict[str, FloatArray | None] = {}
    for axes, (name, array) in enumerate(zip(names, meat, strict=True)):
        found[name] = None if array is None else (array * varies.reshape(-1, *(1,) * axes))[None]
    return found


def own_null_sums(null: LogisticNull, block: CandidateBlock, *, robust: bool = False) -> list[ScoreSums | None]:
    """Return each candidate's sums (H, 1) under the null refitted on its own rows, or None where that has no maximum.

    Raises:
        InvalidBlockError: a candidate holds an infinite value.
    """
    check_finite_or_missing(block)
    values = [as_doubles(part) for part in block.parts]
    fitted: dict[bytes, LogisticNull | None] = {}
    found: list[ScoreSums | None] = []
    for j, name in enumerate(block.names):
        known = [~np.isnan(part[:, j]) for part in values]
        pattern = np.packbits(np.concatenate(known)).tobytes()
        if pattern not in fitted:
            fitted[pattern] = null_on_rows(null, known)
        own = fitted[pattern]
        if own is None:
            found.append(None)
            continue
        part_of = {
            item.name: part[rows, j][:, None] for item, part, rows in zip(null.blocks, values, known, strict=True)
        }
        own_block = CandidateBlock((name,), tuple(part_of[item.name] for item in own.blocks))
        found.append(_spread(null, own, logistic_score_sums(own, own_block, robust=robust)))
    return found


def null_on_rows(null: LogisticNull, known: Sequence[NDArray[np.bool_]]) -> LogisticNull | None:
    """Return the null refitted on some rows of each base block, or None where it has no maximum there."""
    names = {stratum.name for stratum in null.strata}
    blocks = [
        CohortBlock(block.name, block.X[rows], block.y[rows])
        for block, rows in zip(null.blocks, known, strict=True)
        if block.name in names and rows.any()
    ]
    try:
        return fit_null(blocks, null.fit.term_names) if blocks else None
    except StatsError:
        return None


def _spread(null: LogisticNull, own: LogisticNull, sums: ScoreSums) -> ScoreSums:
    """Put the sums of the hospitals that have rows into the order of all hospitals, zero for the rest."""
    place = {stratum.name: index for index, stratum in enumerate(own.strata)}
    order = [place.get(stratum.name, -1) for stratum in null.strata]

    def spread(array: FloatArray | None, absent: float) -> FloatArray | None:
        if array is None:
            return None
        padded = np.concatenate([array, np.full((1, *array.shape[1:]), absent)])
        result: FloatArray = padded[order]
        return result

    values = {name: spread(getattr(sums, name), 0.0) for name in ScoreSums.__dataclass_fields__}
    values["low"], values["high"] = spread(sums.low, np.inf), spread(sums.high, -np.inf)
    return ScoreSums(**values)  # type: ignore[arg-type]
