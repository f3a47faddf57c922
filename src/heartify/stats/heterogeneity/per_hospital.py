"""Each hospital's own estimates of all terms, as far as its own patients allow, and their meta-analysis term by term.

A hospital of men only says nothing about sex, but still something about age. Such a column is left out of that
hospital's fit, with the reason. A two-valued column on one side of which everybody has the same outcome is left out
together with those patients: that is the limit of the maximum-likelihood fit for all other terms, whose own estimate
is infinite (Albert and Anderson 1984). What remains may still not be estimable: then the whole hospital has a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import CohortBlock, FloatArray, block_moments, check_blocks
from heartify.stats.coding import CONSTANT_TOLERANCE, check_term_names
from heartify.stats.errors import (
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    RankDeficientError,
    SeparationError,
    StatsError,
)
from heartify.stats.heterogeneity.meta_analysis import MetaAnalysis, fixed_effect, random_effects
from heartify.stats.heterogeneity.tau2 import Tau2Method
from heartify.stats.logistic import fit_pooled_logistic


class NotEstimable(StrEnum):
    """Why a hospital's own patients give no finite estimate of a term."""

    CONSTANT = "the column does not vary in this hospital"
    SEPARATED = "the column separates the outcome in this hospital"
    OUTCOME = "the outcome does not vary in this hospital"
    FEW_EVENTS = "fewer events or non-events than asked for"
    RANK = "columns are linearly dependent in this hospital"
    JOINTLY_SEPARATED = "a combination of columns separates the outcome in this hospital"
    NOT_CONVERGED = "the fit did not reach a maximum"
    REFUSED = "the fit was refused"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OwnFit:
    """What a fit function returns for one hospital: coef (p,) per clinical unit and covariance (p, p) of the terms."""

    coef: FloatArray
    covariance: FloatArray


OwnFitter = Callable[[CohortBlock, Sequence[str]], OwnFit]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HospitalEstimate:
    """One hospital's own coef (p,), se (p,), covariance (p, p) per clinical unit; NaN where `reasons` (p,) has one."""

    hospital: str
    n: int
    events: int
    term_names: tuple[str, ...]
    coef: FloatArray
    se: FloatArray
    covariance: FloatArray
    reasons: tuple[NotEstimable | None, ...]


@dataclass(frozen=True, slots=True)
class TermHeterogeneity:
    """One term over hospitals: who entered, who did not and why, and both pooled estimates (None if nobody entered)."""

    term: str
    hospitals: tuple[str, ...]
    excluded: tuple[tuple[str, NotEstimable], ...]
    fixed: MetaAnalysis | None
    random: MetaAnalysis | None


def fit_by_maximum_likelihood(block: CohortBlock, term_names: Sequence[str]) -> OwnFit:
    """Fit one hospital by ordinary logistic regression; the default fit function.

    Raises:
        StatsError: as `fit_pooled_logistic`.
    """
    fit = fit_pooled_logistic([block], term_names)
    terms = slice(1, 1 + len(fit.term_names))
    return OwnFit(fit.term_coef, fit.covariance[terms, terms])


def estimate_per_hospital(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    *,
    fit: OwnFitter = fit_by_maximum_likelihood,
    min_events: int = 1,
) -> tuple[HospitalEstimate, ...]:
    """Fit every hospital on its own; hospitals with fewer than `min_events` events, or non-events, have no estimate.

    Raises:
        InvalidBlockError: blocks or names do not fit together.
    """
    check_blocks(blocks)
    check_term_names(term_names, blocks[0].X.shape[1])
    return tuple(_estimate(block, tuple(term_names), fit, min_events, leave_out_separated=True) for block in blocks)


def estimate_per_hospital_penalised(
    blocks: Sequence[CohortBlock], term_names: Sequence[str], *, fit: OwnFitter, min_events: int = 1
) -> tuple[HospitalEstimate, ...]:
    """Fit every hospital on its own with a function that copes with separation (Firth): nobody is left out for that.

    Raises:
        InvalidBlockError: blocks or names do not fit together.
    """
    check_blocks(blocks)
    check_term_names(term_names, blocks[0].X.shape[1])
    return tuple(_estimate(block, tuple(term_names), fit, min_events, leave_out_separated=False) for block in blocks)


def meta_analyse(
    estimates: Sequence[HospitalEstimate], method: Tau2Method = Tau2Method.REML, level: float = 0.95
) -> tuple[TermHeterogeneity, ...]:
    """Pool the hospitals' own estimates of each term, over the hospitals in which the term is estimable.

    Raises:
        InvalidBlockError: no hospitals, or hospitals of unlike terms.
        NotConvergedError: REML did not settle.
    """
    if not estimates or len({found.term_names for found in estimates}) != 1:
        raise InvalidBlockError("expected at least one hospital, all with the same terms")
    return tuple(_pool_term(estimates, j, method, level) for j in range(len(estimates[0].term_names)))


def _pool_term(estimates: Sequence[HospitalEstimate], j: int, method: Tau2Method, level: float) -> TermHeterogeneity:
    entered = [found for found in estimates if found.reasons[j] is None]
    excluded = tuple((found.hospital, reason) for found in estimates if (reason := found.reasons[j]) is not None)
    coef, se = [float(found.coef[j]) for found in entered], [float(found.se[j]) for found in entered]
    return TermHeterogeneity(
        term=estimates[0].term_names[j],
        hospitals=tuple(found.hospital for found in entered),
        excluded=excluded,
        fixed=fixed_effect(coef, se, level) if entered else None,
        random=random_effects(coef, se, method, level) if entered else None,
    )


def _estimate(
    block: CohortBlock, names: tuple[str, ...], fit: OwnFitter, min_events: int, *, leave_out_separated: bool
) -> HospitalEstimate:
    if block.events in (0, block.n):
        return _nothing(block, names, [NotEstimable.OUTCOME] * len(names))
    if min(block.events, block.n - block.events) < min_events:
        return _nothing(block, names, [NotEstimable.FEW_EVENTS] * len(names))
    kept, reasons = _estimable_part(block, leave_out_separated=leave_out_separated)
    columns = [j for j, reason in enumerate(reasons) if reason is None]
    if not columns:
        return _nothing(block, names, reasons)
    part = CohortBlock(block.name, block.X[kept][:, columns], block.y[kept])
    try:
        own = fit(part, [names[j] for j in columns])
    except StatsError as exc:
        whole = _reason(exc)
        return _nothing(block, names, [reason or whole for reason in reasons])
    coef, covariance = np.full(len(names), np.nan), np.full((len(names), len(names)), np.nan)
    coef[columns] = own.coef
    covariance[np.ix_(columns, columns)] = own.covariance
    se = np.sqrt(np.diag(covariance))
    return HospitalEstimate(block.name, block.n, block.events, names, coef, se, covariance, tuple(reasons))


def _estimable_part(
    block: CohortBlock, *, leave_out_separated: bool
) -> tuple[NDArray[np.int64], list[NotEstimable | None]]:
    """Return the rows to keep, as indices, and the reason for each column that is left out; to a fixed point."""
    rows = np.arange(block.n)
    reasons: list[NotEstimable | None] = [None] * block.X.shape[1]
    settled = False
    while not settled:
        settled = True
        for j in [j for j, reason in enumerate(reasons) if reason is None]:
            column, y = block.X[rows, j], block.y[rows]
            if _is_constant(column):
                reasons[j] = NotEstimable.CONSTANT
            elif leave_out_separated and (decided := _decided_rows(column, y)) is not None:
                reasons[j], rows, settled = NotEstimable.SEPARATED, rows[~decided], False
    return rows, reasons


def _is_constant(column: FloatArray) -> bool:
    moments = block_moments(column[:, None])
    return bool(moments.sd[0] <= CONSTANT_TOLERANCE * abs(moments.mean[0]))


def _decided_rows(column: FloatArray, y: FloatArray) -> NDArray[np.bool_] | None:
    """Return the rows on the side of a two-valued column where y does not vary, while it varies on the other side."""
    low, high = column.min(), column.max()
    upper: NDArray[np.bool_] = column == high
    if not (upper | (column == low)).all():
        return None
    pure = [float(y[side].mean()) in (0.0, 1.0) for side in (upper, ~upper)]
    if pure == [True, False]:
        return upper
    return ~upper if pure == [False, True] else None


def _reason(error: StatsError) -> NotEstimable:
    for kind, reason in (
        (SeparationError, NotEstimable.JOINTLY_SEPARATED),
        (RankDeficientError, NotEstimable.RANK),
        (DegenerateOutcomeError, NotEstimable.OUTCOME),
        (NotConvergedError, NotEstimable.NOT_CONVERGED),
    ):
        if isinstance(error, kind):
            return reason
    return NotEstimable.REFUSED


def _nothing(block: CohortBlock, names: tuple[str, ...], reasons: Sequence[NotEstimable | None]) -> HospitalEstimate:
    p = len(names)
    missing, square = np.full(p, np.nan), np.full((p, p), np.nan)
    return HospitalEstimate(block.name, block.n, block.events, names, missing, missing.copy(), square, tuple(reasons))
