"""One screen: thousands of candidates against one null model, tested, corrected for their number, and compared.

Reads candidates block by block from an iterator (of blocks, or of functions that load one, which then run in the worker
threads); memory is one block per thread and a few numbers per candidate and hospital. A block's result does not depend
on which thread made it and results are put together in the source's order: equal for any number of threads, bit by bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.screening.calibration import QQPoints, lambda_gc, qq_points
from heartify.stats.screening.candidates import CandidateBlock, CandidateLoader
from heartify.stats.screening.cox_score import CoxNull, cox_score_sums
from heartify.stats.screening.families import FamilyTest, score_test_family
from heartify.stats.screening.heterogeneity import Heterogeneity, heterogeneity
from heartify.stats.screening.logistic_score import LogisticNull, incomplete_columns, logistic_score_sums
from heartify.stats.screening.missing import own_null_sums, subset_score_sums
from heartify.stats.screening.multiplicity import Pi0Method, adjust_bh, adjust_bonferroni, adjust_by, storey
from heartify.stats.screening.sums import (
    AdjustedScore,
    ScoreSums,
    adjust_each_hospital,
    adjust_leaving_one_out,
    adjust_pooled,
    replace_columns,
)

UNIT_COLUMNS = 256
SINGLE_REMAINDER = 1e-3  # V/d below this: float32 has cancelled too much, the candidate is done again in float64
COLLINEAR = 1e-9  # V/d below this: nothing is left of the candidate given the base
TWO_SIDED = float(np.log(2.0))
SUSPECT_Z = 2.0

CandidateSource: TypeAlias = Iterable[CandidateBlock | CandidateLoader]


class CandidateState(IntEnum):
    """Whether a candidate was tested, and if not, why not."""

    TESTED = 0
    CONSTANT = 1
    """does not vary within any hospital"""
    COLLINEAR = 2
    """a combination of the base covariates"""
    TOO_FEW_ROWS = 3
    """not more known rows than parameters"""
    NO_NULL = 4
    """the null model has no maximum on the candidate's own rows"""


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """How to screen.

    precision: "single" is twice as fast, z within 1e-4; Cox is always double. missing: "refit" the null on each pattern
    of missing rows, exactly; or "one-step" from the full null, at no cost (module `missing`; Cox: always). robust: z
    by the sandwich variance too. A hit with |z| > 2 whose minor count times the rarer outcome's share is below
    `min_expected` is marked for refit by Firth's method. pi0_method: see `storey`.
    """

    precision: Literal["single", "double"] = "double"
    missing: Literal["refit", "one-step"] = "refit"
    robust: bool = False
    threads: int = 1
    min_expected: float = 20.0
    pi0_method: Pi0Method = "lambda"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScreenResult:
    """Hold a screen's results, arrays (m,) in the source's order, (H, m) per hospital; NaN where not tested.

    n, events: known rows in hospitals that inform. sd: pooled, divisor n - 1. minor_count: of a 0/1 candidate the rarer
    value's rows; in general n min(mean - low, high - mean) / (high - low). u, V: adjusted score and information; z;
    p and log10_p two-sided; beta, se: one Newton step from the null, per unit. z_robust: sandwich variance, or None.
    bonferroni, bh, by, q: over the `tested` candidates; pi0 of q, NaN where Storey's estimate is not positive.
    """

    names: tuple[str, ...]
    hospitals: tuple[str, ...]
    hospitals_left_out: tuple[str, ...]
    state: NDArray[np.int8]
    n: FloatArray
    events: FloatArray
    sd: FloatArray
    minor_count: FloatArray
    u: FloatArray
    V: FloatArray
    z: FloatArray
    p: FloatArray
    log10_p: FloatArray
    beta: FloatArray
    se: FloatArray
    z_robust: FloatArray | None
    needs_refit: NDArray[np.bool_]
    tested: int
    bonferroni: FloatArray
    bh: FloatArray
    by: FloatArray
    q: FloatArray
    pi0: float
    lambda_gc: float
    qq: QQPoints | None
    hospital_beta: FloatArray
    hospital_precision: FloatArray
    leave_one_out_z: FloatArray
    heterogeneity: Heterogeneity
    families: tuple[FamilyTest, ...]

    @property
    def beta_per_sd(self) -> FloatArray:
        """Return the one-step estimates per standard deviation of the candidate."""
        return self.beta * self.sd

    @property
    def se_per_sd(self) -> FloatArray:
        """Return their standard errors."""
        return self.se * self.sd


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _UnitResult:
    names: tuple[str, ...]
    state: NDArray[np.int8]
    rows: FloatArray  # (6, m): n, events, sd, minor, u, V
    robust: FloatArray
    beta: FloatArray
    precision: FloatArray
    left_out_z: FloatArray


def screen(
    null: LogisticNull | CoxNull,
    source: CandidateSource,
    options: ScreenOptions | None = None,
    *,
    families: Iterable[tuple[str, CandidateBlock]] = (),
) -> ScreenResult:
    """Test every candidate of the source, and every family jointly, against the null.

    Raises:
        InvalidBlockError: no candidates, a name twice, a block that does not fit the null's hospitals and rows, an
            infinite value, fewer than one thread, a robust variance asked of Cox.
    """
    options = options or ScreenOptions()
    if options.threads < 1:
        raise InvalidBlockError("a screen needs at least one thread")
    if options.robust and isinstance(null, CoxNull):
        raise InvalidBlockError("the score test of Cox has no robust variance here")
    units = list(_in_order(_units(source), lambda block: _evaluate(null, block, options), options.threads))
    if not units:
        raise InvalidBlockError("there are no candidates")
    names = tuple(name for unit in units for name in unit.names)
    if len(set(names)) != len(names):
        raise InvalidBlockError("a candidate's name occurs twice")
    tests = tuple(score_test_family(null, name, block, missing=options.missing) for name, block in families)
    return _assemble(null, names, units, options, tests)


def _units(source: CandidateSource) -> Iterator[CandidateLoader]:
    for item in source:
        if isinstance(item, CandidateBlock):
            for piece in item.slices(UNIT_COLUMNS):
                yield lambda piece=piece: piece  # type: ignore[misc]
        else:
            yield item


def _in_order(
    units: Iterator[CandidateLoader], evaluate: Callable[[CandidateBlock], _UnitResult], threads: int
) -> Iterator[_UnitResult]:
    if threads == 1:
        for load in units:
            yield evaluate(load())
        return
    waiting: deque[Future[_UnitResult]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for load in units:
            waiting.append(pool.submit(lambda load=load: evaluate(load())))  # type: ignore[misc]
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _evaluate(null: LogisticNull | CoxNull, block: CandidateBlock, options: ScreenOptions) -> _UnitResult:
    if isinstance(null, CoxNull):
        sums = cox_score_sums(null, block)
        failed: list[int] = []
    else:
        sums, failed = _logistic_sums(null, block, options)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _unit_result(null, block, sums, failed)


def _logistic_sums(null: LogisticNull, block: CandidateBlock, options: ScreenOptions) -> tuple[ScoreSums, list[int]]:
    single = options.precision == "single"
    failed: list[int] = []
    sums = logistic_score_sums(null, block, single=single, robust=options.robust)
    incomplete = incomplete_columns(block, sums)
    if single:
        with np.errstate(invalid="ignore"):
            whole = adjust_pooled(_zeroed(sums, incomplete))
            again = SINGLE_REMAINDER * whole.d > whole.V
        columns = [int(j) for j in np.flatnonzero(again) if j not in set(incomplete)]
        if columns:
            found = logistic_score_sums(null, block.take(columns), robust=options.robust)
            sums = replace_columns(sums, columns, found)
    if incomplete and options.missing == "one-step":
        found = subset_score_sums(null, block.take(incomplete), robust=options.robust)
        sums = replace_columns(sums, incomplete, found)
    elif incomplete:
        for j, own in zip(incomplete, own_null_sums(null, block.take(incomplete), robust=options.robust), strict=True):
            sums = replace_columns(sums, [j], own) if own is not None else _zeroed(sums, [j])
            failed += [j] if own is None else []
    return sums, failed


def _zeroed(sums: ScoreSums, columns: list[int]) -> ScoreSums:
    """Set the sums of candidates that have none to zero: a value that is not finite must not reach a solver."""
    if not columns:
        return sums
    values = {name: getattr(sums, name) for name in ScoreSums.__dataclass_fields__}
    for name in ("n", "events", "mean", "squares", "u", "d", "A", "meat_d", "meat_cross"):
        if values[name] is not None:
            values[name] = values[name].copy()
            values[name][:, columns] = 0.0
    return ScoreSums(**values)


def _unit_result(
    null: LogisticNull | CoxNull, block: CandidateBlock, sums: ScoreSums, failed: list[int]
) -> _UnitResult:
    pooled, each, rest = adjust_pooled(sums), adjust_each_hospital(sums), adjust_leaving_one_out(sums)
    state = _states(null, sums, pooled, failed)
    n, events = sums.n.sum(axis=0), sums.events.sum(axis=0)
    sd, minor = _spread(sums, n)
    robust = np.full(block.m, np.nan) if pooled.V_robust is None else pooled.u / np.sqrt(pooled.V_robust)
    rows = np.vstack([n, events, sd, minor, pooled.u, pooled.V])
    untested = state != CandidateState.TESTED
    rows[4:, untested] = np.nan
    informs = (COLLINEAR * each.d < each.V) & ~untested
    remains = (COLLINEAR * rest.d < rest.V) & ~untested
    return _UnitResult(
        names=block.names,
        state=state,
        rows=rows,
        robust=np.where(untested, np.nan, robust),
        beta=np.where(informs, each.u / each.V, np.nan),
        precision=np.where(informs, each.V, 0.0),
        left_out_z=np.where(remains, rest.u / np.sqrt(rest.V), np.nan),
    )


def _states(
    null: LogisticNull | CoxNull, sums: ScoreSums, pooled: AdjustedScore, failed: list[int]
) -> NDArray[np.int8]:
    varies = (sums.high > sums.low).any(axis=0)
    slopes = sums.A.shape[2]
    baselines = (sums.n > 0).sum(axis=0) if isinstance(null, LogisticNull) else 0
    enough = sums.n.sum(axis=0) > slopes + baselines + 1
    state = np.full(varies.size, CandidateState.TESTED, dtype=np.int8)
    state[~(COLLINEAR * pooled.d < pooled.V)] = CandidateState.COLLINEAR
    state[~varies] = CandidateState.CONSTANT
    state[~enough] = CandidateState.TOO_FEW_ROWS
    state[failed] = CandidateState.NO_NULL
    return state


def _spread(sums: ScoreSums, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the pooled SD and the minor count of each candidate."""
    mean = np.sum(sums.n * sums.mean, axis=0) / np.maximum(n, 1.0)
    squares = np.sum(sums.squares + sums.n * (sums.mean - mean) ** 2, axis=0)
    low, high = sums.low.min(axis=0), sums.high.max(axis=0)
    minor = n * np.minimum(mean - low, high - mean) / (high - low)
    return np.sqrt(squares / np.maximum(n - 1.0, 1.0)), np.where(high > low, np.maximum(minor, 0.0), 0.0)


def _assemble(
    null: LogisticNull | CoxNull,
    names: tuple[str, ...],
    units: list[_UnitResult],
    options: ScreenOptions,
    families: tuple[FamilyTest, ...],
) -> ScreenResult:
    n, events, sd, minor, u, V = np.concatenate([unit.rows for unit in units], axis=1)
    state = np.concatenate([unit.state for unit in units])
    z = u / np.sqrt(V)
    log_p = TWO_SIDED + log_ndtr(-np.abs(z))
    p = np.minimum(1.0, np.exp(log_p))
    tested = int(np.count_nonzero(state == CandidateState.TESTED))
    share = events / np.maximum(n, 1.0)
    few = minor * np.minimum(share, 1.0 - share) < options.min_expected
    pi0, q = _storey(p, options.pi0_method)
    beta = np.concatenate([unit.beta for unit in units], axis=1)
    precision = np.concatenate([unit.precision for unit in units], axis=1)
    logistic = isinstance(null, LogisticNull)
    return ScreenResult(
        names=names,
        hospitals=tuple(stratum.name for stratum in null.strata),
        hospitals_left_out=null.left_out if isinstance(null, LogisticNull) else (),
        state=state,
        n=n,
        events=events,
        sd=sd,
        minor_count=minor,
        u=u,
        V=V,
        z=z,
        p=p,
        log10_p=log_p / np.log(10.0),
        beta=u / V,
        se=1.0 / np.sqrt(V),
        z_robust=np.concatenate([unit.robust for unit in units]) if options.robust and logistic else None,
        needs_refit=(np.abs(z) > SUSPECT_Z) & few,
        tested=tested,
        bonferroni=adjust_bonferroni(p),
        bh=adjust_bh(p),
        by=adjust_by(p),
        q=q,
        pi0=pi0,
        lambda_gc=lambda_gc(z) if tested else float("nan"),
        qq=qq_points(log_p / np.log(10.0)) if tested else None,
        hospital_beta=beta,
        hospital_precision=precision,
        leave_one_out_z=np.concatenate([unit.left_out_z for unit in units], axis=1),
        heterogeneity=heterogeneity(beta, precision),
        families=families,
    )


def _storey(p: FloatArray, method: Pi0Method) -> tuple[float, FloatArray]:
    try:
        found = storey(p, method)
    except InvalidBlockError:
        return float("nan"), np.full(p.size, np.nan)
    return found.pi0, found.q
