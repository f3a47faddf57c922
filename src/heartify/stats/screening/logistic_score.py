"""The logistic score test of many candidates against one null model, in one pass over their values.

The null (hospital intercepts and base covariates) is fitted once; a candidate then costs two small matrix products:
u = G'r, A = G'WX, d = diag(G'WG) (Rao 1948; Pregibon 1982). Chunks of rows are summed in the working type, chunks are
added in double precision. Candidates are shifted and scaled by powers of two beforehand, which changes no z but keeps
float32 within 1e-5 of float64 for a blood pressure as for a 0/1 gene; what still cancels is done again in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_moments
from heartify.stats.errors import InvalidBlockError
from heartify.stats.logistic import PooledLogisticFit, fit_pooled_logistic
from heartify.stats.screening.candidates import MISSING_INT8, CandidateArray, CandidateBlock, check_rows
from heartify.stats.screening.sums import ScoreSums, add_hospitals

WorkArray: TypeAlias = NDArray[Any]
SAMPLE_ROWS = 1024  # enough to find a shift and a scale
COLUMN_TILE, COLUMN_ROWS = 32, 4096  # half a megabyte of float32, for parts with contiguous columns
ROW_TILE, ROW_ROWS = 256, 512  # the same for parts with contiguous rows


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NullStratum:
    """Hold one hospital's rows under the null: standardised base Z (n, p), residuals r (n,) and weights w (n,).

    `position` is the hospital's place in the sequence of base blocks; `left` (p + 3, n) holds r, w, wZ', 1 as rows.
    `score` (1 + p,) and `information` (1 + p, 1 + p) are those of its intercept and slopes.
    """

    name: str
    position: int
    y: FloatArray
    Z: FloatArray
    r: FloatArray
    w: FloatArray
    left: FloatArray
    left_single: NDArray[np.float32]
    score: FloatArray
    information: FloatArray

    @property
    def p(self) -> int:
        """Return the number of base covariates."""
        return int(self.Z.shape[1])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LogisticNull:
    """Hold the fitted null model and each hospital's rows under it; hospitals whose outcome is constant are left out.

    In such a hospital the fitted probabilities are 0 or 1 in the limit, so it adds nothing to any score.
    """

    blocks: tuple[CohortBlock, ...]
    fit: PooledLogisticFit
    strata: tuple[NullStratum, ...]
    left_out: tuple[str, ...]
    standard: tuple[FloatArray, FloatArray]

    @property
    def rows(self) -> tuple[int, ...]:
        """Return the rows of every base block."""
        return tuple(block.n for block in self.blocks)


def fit_null(blocks: Sequence[CohortBlock], base_names: Sequence[str]) -> LogisticNull:
    """Fit the null model on base blocks X (n_h, p), p >= 0.

    Raises:
        StatsError: as `fit_pooled_logistic`, over the hospitals whose outcome varies.
    """
    check_blocks(blocks)
    varying = [block for block in blocks if 0 < block.events < block.n]
    fit = fit_pooled_logistic(varying or blocks, base_names)
    return null_at(fit, blocks)


def null_at(
    fit: PooledLogisticFit, blocks: Sequence[CohortBlock], standard: tuple[FloatArray, FloatArray] | None = None
) -> LogisticNull:
    """Evaluate a fitted null on blocks, which may be other parts of the fit's hospitals (same names).

    `standard` are the mean (p,) and scale (p,) of the base inside; raw sums of parts add up under equal ones only.

    Raises:
        InvalidBlockError: blocks of another width than the fit.
    """
    check_blocks(blocks)
    if blocks[0].X.shape[1] != len(fit.term_names):
        raise InvalidBlockError("blocks and null model differ in their number of base covariates")
    intercepts = {item.hospital: item.value for item in fit.hospital_intercepts}
    if standard is None:
        moments = pooled_moments(blocks)
        standard = moments.mean, np.where(moments.sd > 0, moments.sd, 1.0)
    strata = [
        _null_stratum(block, position, fit.term_coef, intercepts[block.name], standard)
        for position, block in enumerate(blocks)
        if block.name in intercepts
    ]
    left_out = tuple(block.name for block in blocks if block.name not in intercepts)
    return LogisticNull(tuple(blocks), fit, tuple(strata), left_out, standard)


def _null_stratum(
    block: CohortBlock, position: int, slopes: FloatArray, intercept: float, standard: tuple[FloatArray, FloatArray]
) -> NullStratum:
    signed = (2.0 * block.y - 1.0) * (intercept + block.X @ slopes)
    tail = expit(-signed)
    r, w = (2.0 * block.y - 1.0) * tail, tail * expit(signed)
    Z = (block.X - standard[0]) / standard[1]
    left = np.vstack([r, w, (w[:, None] * Z).T, np.ones(block.n)])
    design = np.column_stack([np.ones(block.n), Z])
    return NullStratum(
        name=block.name,
        position=position,
        y=block.y,
        Z=Z,
        r=r,
        w=w,
        left=left,
        left_single=left.astype(np.float32),
        score=design.T @ r,
        information=design.T @ (design * w[:, None]),
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RawSums:
    """Hold sums over rows of one hospital, of m candidates minus `shift`, times `scale` (m,); parts of equal ones add.

    linear (p + 3, m): with r, w, wZ, 1; square (2, m): with w and 1. robust: None, or ((1 + p, m) with r^2 and r^2 Z,
    (m,) squares with r^2). low, high (m,): as given, before shift and scale.
    """

    shift: FloatArray
    scale: FloatArray
    linear: FloatArray
    square: FloatArray
    low: FloatArray
    high: FloatArray
    robust: tuple[FloatArray, FloatArray] | None

    def __add__(self, other: RawSums) -> RawSums:
        if not np.array_equal(self.shift, other.shift) or not np.array_equal(self.scale, other.scale):
            raise InvalidBlockError("only sums of equally shifted and scaled candidates add up")
        robust = None
        if self.robust is not None and other.robust is not None:
            robust = (self.robust[0] + other.robust[0], self.robust[1] + other.robust[1])
        return RawSums(
            self.shift,
            self.scale,
            self.linear + other.linear,
            self.square + other.square,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            robust,
        )


def shift_and_scale(parts: Sequence[CandidateArray]) -> tuple[FloatArray, FloatArray]:
    """Return a shift (m,) near the mean and a power of two (m,) near 1/SD, from the first rows of each part.

    Counts in int8 need neither.
    """
    m = parts[0].shape[1]
    if all(part.dtype == np.int8 for part in parts):
        return np.zeros(m), np.ones(m)
    first = np.concatenate([np.asarray(part[:SAMPLE_ROWS], dtype=np.float64) for part in parts])
    known = np.isfinite(first)
    count = np.maximum(known.sum(axis=0), 1)
    shift = np.where(known, first, 0.0).sum(axis=0) / count
    sd = np.sqrt((np.where(known, first - shift, 0.0) ** 2).sum(axis=0) / count)
    exponent = np.zeros(m)
    np.log2(sd, out=exponent, where=sd > 0)
    # Rounded to single precision, so that both paths subtract the same number exactly.
    return shift.astype(np.float32).astype(np.float64), np.exp2(-np.clip(np.round(exponent), -60, 60))


def raw_sums(
    stratum: NullStratum,
    part: CandidateArray,
    shift: FloatArray,
    scale: FloatArray,
    *,
    single: bool = False,
    robust: bool = False,
) -> RawSums:
    """Return the sums of one hospital's part (n, m) of a candidate block; not finite where a value is missing."""
    m = part.shape[1]
    total = RawSums(
        shift,
        scale,
        np.zeros((stratum.left.shape[0], m)),
        np.zeros((2, m)),
        np.full(m, np.inf),
        np.full(m, -np.inf),
        (np.zeros((1 + stratum.p, m)), np.zeros(m)) if robust else None,
    )
    by_column = part.flags.f_contiguous or abs(part.strides[0]) < abs(part.strides[1])
    width, height = (COLUMN_TILE, COLUMN_ROWS) if by_column else (ROW_TILE, ROW_ROWS)
    for first in range(0, m, width):
        _add_tile(total, stratum, part, slice(first, min(first + width, m)), height, single)
    return total


def _add_tile(
    total: RawSums, stratum: NullStratum, part: CandidateArray, columns: slice, height: int, single: bool
) -> None:
    left = stratum.left_single if single else stratum.left
    w_and_one = left[[1, -1]]
    moved = bool(total.shift[columns].any() or (total.scale[columns] != 1.0).any())
    for first in range(0, part.shape[0], height):
        rows = slice(first, first + height)
        raw = part[rows, columns]
        np.minimum(total.low[columns], raw.min(axis=0), out=total.low[columns])
        np.maximum(total.high[columns], raw.max(axis=0), out=total.high[columns])
        g = _working(raw, total.shift[columns], total.scale[columns], left.dtype, moved)
        total.linear[:, columns] += left[:, rows] @ g
        squared = g * g
        total.square[:, columns] += w_and_one[:, rows] @ squared
        if total.robust is not None:
            r2 = stratum.r[rows] ** 2
            total.robust[0][:, columns] += np.vstack([r2, (r2[:, None] * stratum.Z[rows]).T]) @ g
            total.robust[1][columns] += r2 @ squared


def _working(raw: CandidateArray, shift: FloatArray, scale: FloatArray, dtype: Any, moved: bool) -> WorkArray:
    if not moved:
        return raw.astype(dtype, order="K")
    # The difference is taken in the wider type of the two: a day number of 20,000.5 must not lose its fraction first.
    kind = np.float64 if raw.dtype == np.float64 else dtype
    g = raw.astype(kind, order="K")
    g -= shift.astype(kind)
    g *= scale.astype(kind)
    result: WorkArray = g.astype(dtype, order="K", copy=False)
    return result


def profile(stratum: NullStratum, raw: RawSums) -> ScoreSums:
    """Return one hospital's sums (1, m) without its intercept, in the candidates' own units."""
    p, n = stratum.p, raw.linear.shape[1]
    score, information = profile_base(stratum.score, stratum.information)
    total, first = raw.linear[1], raw.linear[2 : 2 + p].T
    centre = total / stratum.information[0, 0]
    unit = 1.0 / raw.scale
    sums = raw.linear[-1]
    rows = float(stratum.y.size)
    meat = _profile_meat(stratum, raw, centre) if raw.robust is not None else (None, None, None)
    return ScoreSums(
        n=np.full((1, n), rows),
        events=np.full((1, n), float(stratum.y.sum())),
        mean=(raw.shift + sums / rows * unit)[None],
        squares=((raw.square[1] - sums**2 / rows) * unit**2)[None],
        low=raw.low[None],
        high=raw.high[None],
        u=((raw.linear[0] - centre * stratum.score[0]) * unit)[None],
        d=((raw.square[0] - centre * total) * unit**2)[None],
        A=((first - np.outer(centre, stratum.information[0, 1:])) * unit[:, None])[None],
        score=score[None, None],
        information=information[None, None],
        meat_d=meat[0],
        meat_cross=meat[1],
        meat_information=meat[2],
    )


def profile_base(score: FloatArray, information: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return score (..., p) and information (..., p, p) of the slopes, from those of intercept and slopes."""
    ratio = information[..., 0, 1:] / information[..., 0, :1]
    reduced = information[..., 1:, 1:] - ratio[..., :, None] * information[..., 0, None, 1:]
    return score[..., 1:] - ratio * score[..., :1], reduced


def _profile_meat(
    stratum: NullStratum, raw: RawSums, centre: FloatArray
) -> tuple[FloatArray | None, FloatArray | None, FloatArray | None]:
    if raw.robust is None:
        return None, None, None
    first, second = raw.robust
    unit = 1.0 / raw.scale
    design = np.column_stack([np.ones(stratum.y.size), stratum.Z])
    full = design.T @ (design * (stratum.r**2)[:, None])
    zbar = stratum.information[0, 1:] / stratum.information[0, 0]
    d, A, information = centre_meat(second, first.T, full, centre, zbar)
    return (d * unit**2)[None], (A * unit[:, None])[None], information[None, None]


def centre_meat(
    second: FloatArray, first: FloatArray, full: FloatArray, centre: FloatArray, zbar: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return sums of r^2 (g-c)^2 (m,), r^2 (g-c)(z-zbar) (m, p), r^2 (z-zbar)(z-zbar)' from those not centred."""
    d = second - 2.0 * centre * first[:, 0] + centre**2 * full[..., 0, 0]
    A = (
        first[:, 1:]
        - centre[:, None] * full[..., 0, 1:]
        - zbar * first[:, :1]
        + zbar * (centre * full[..., 0, 0])[:, None]
    )
    cross = zbar[..., :, None] * full[..., 0, None, 1:]
    information = full[..., 1:, 1:] - cross - np.swapaxes(cross, -1, -2)
    information = information + full[..., 0, 0][..., None, None] * zbar[..., :, None] * zbar[..., None, :]
    return d, A, information


def logistic_score_sums(
    null: LogisticNull, block: CandidateBlock, *, single: bool = False, robust: bool = False
) -> ScoreSums:
    """Return the sums (H, m) of a block; a candidate with a missing or infinite value has sums that are not finite.

    Hospitals are those of `null.strata`. With `single` the passes run in float32.

    Raises:
        InvalidBlockError: the block does not fit the null's hospitals and rows.
    """
    check_rows(block, null.rows)
    used = [block.parts[stratum.position] for stratum in null.strata]
    shift, scale = shift_and_scale(used)
    with np.errstate(invalid="ignore", over="ignore"):
        found = [
            profile(stratum, raw_sums(stratum, part, shift, scale, single=single, robust=robust))
            for stratum, part in zip(null.strata, used, strict=True)
        ]
    return add_hospitals(found)


def incomplete_columns(block: CandidateBlock, sums: ScoreSums) -> list[int]:
    """Return the candidates with a missing or infinite value, seen from their sums."""
    missing = ~np.isfinite(sums.d + sums.u).all(axis=0)
    if any(part.dtype == np.int8 for part in block.parts):
        missing |= (sums.low == MISSING_INT8).any(axis=0)
    return [int(j) for j in np.flatnonzero(missing)]
