"""Gray's test that the cumulative incidence of a cause is the same in several groups, optionally within strata.

From one event table a group (and stratum), so hospitals can be groups, be strata, or be added into either. Right
censoring only, as in the paper: a table with delayed entry is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh, solve

from heartify.stats.blocks import FloatArray
from heartify.stats.chi_square import chi_square_test
from heartify.stats.competing.event_counts import EventTable
from heartify.stats.competing.follow_up import IntArray
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError, RankDeficientError

RANK_TOLERANCE = 1e-10  # least eigenvalue of the scores' correlation


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GrayTest:
    """Hold the statistic, its degrees of freedom, p, and the scores (groups,): events beyond those expected."""

    chi2: float
    df: int
    p: float
    score: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Moment:
    """One stratum's counts at one time, per group (g,), with the left limits of survival and incidence."""

    own: FloatArray
    other: FloatArray
    at_risk: FloatArray
    survival: FloatArray
    incidence: FloatArray


def gray_test(strata: Sequence[Mapping[int, EventTable]], *, cause: int = 1, rho: float = 0.0) -> GrayTest:
    """Test equality of the incidence of `cause` among groups; each stratum maps group code to table.

    Scores and covariances add over strata; a table without a column for the cause has no such event. `rho` weighs by
    (1 - F)^rho. Source: Gray 1988, Annals of Statistics 16:1141; equals R's cmprsk::cuminc(...)$Tests, with strata.

    Raises:
        InvalidBlockError: no strata, fewer than two groups, a cause below 1, delayed entry.
        DegenerateOutcomeError: nobody has the cause.
        RankDeficientError: a group shares no risk set with another, or groups are compared in separate strata only.
    """
    groups = sorted({group for tables in strata for group in tables})
    if len(groups) < 2:
        raise InvalidBlockError("Gray's test needs at least two groups")
    if any(int(table.entered.sum()) for tables in strata for table in tables.values()):
        raise InvalidBlockError("Gray's test is defined without delayed entry")
    if cause < 1:
        raise InvalidBlockError("causes are numbered from 1")
    if sum(int(_counts(table, cause).sum()) for tables in strata for table in tables.values()) == 0:
        raise DegenerateOutcomeError(f"nobody has an event of cause {cause}")
    g = len(groups)
    score, covariance = np.zeros(g), np.zeros((g, g))
    for tables in strata:
        present = np.array([groups.index(group) for group in sorted(tables)])
        own_score, own_covariance = _stratum([tables[group] for group in sorted(tables)], cause, rho)
        score[present] += own_score
        covariance[np.ix_(present, present)] += own_covariance
    chi2 = _quadratic_form(score[:-1], covariance[:-1, :-1])
    return GrayTest(chi2, g - 1, chi_square_test(chi2, g - 1).p, score, covariance)


def _quadratic_form(score: FloatArray, covariance: FloatArray) -> float:
    scale = np.sqrt(np.diag(covariance))
    if not (scale > 0).all():
        raise RankDeficientError("a group shares no risk set with another")
    correlation = covariance / np.outer(scale, scale)
    if float(eigvalsh(correlation)[0]) < RANK_TOLERANCE:
        raise RankDeficientError("groups cannot be told apart")
    return max(float(score / scale @ solve(correlation, score / scale, assume_a="pos")), 0.0)


def _moments(tables: Sequence[EventTable], cause: int) -> list[_Moment]:
    time = np.unique(np.concatenate([table.time[table.any_event > 0] for table in tables]))
    columns = [_at_times(table, cause, time) for table in tables]
    own, other, at_risk = (np.column_stack([column[k] for column in columns]) for k in range(3))
    survival, incidence = np.ones(len(tables)), np.zeros(len(tables))
    moments = []
    for j in range(time.size):
        moments.append(_Moment(own[j], other[j], at_risk[j], survival, incidence))
        n = np.maximum(at_risk[j], 1.0)
        incidence = incidence + survival * own[j] / n
        survival = survival * np.where(at_risk[j] > 0, 1.0 - (own[j] + other[j]) / n, 1.0)
    return moments


def _counts(table: EventTable, cause: int) -> IntArray:
    return table.cause_counts(cause) if cause <= table.causes else np.zeros(table.time.size, np.int64)


def _at_times(table: EventTable, cause: int, time: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    own, other, at_risk = np.zeros(time.size), np.zeros(time.size), np.zeros(time.size)
    events = table.any_event > 0
    rows = np.searchsorted(time, table.time[events])
    counts = _counts(table, cause)
    own[rows] = counts[events]
    other[rows] = (table.any_event - counts)[events]
    ends = table.any_event + table.censored
    gone = np.concatenate(([0], np.cumsum(ends)))[np.searchsorted(table.time, time, side="left")]
    at_risk[:] = table.n - gone
    return own, other, at_risk


def _stratum(tables: Sequence[EventTable], cause: int, rho: float) -> tuple[FloatArray, FloatArray]:
    """Return the scores (g,) and their covariance (g, g) within one stratum.

    A group's weight is R = n (1 - F(-)) / S(-); F0 is the incidence pooled under equality. The score is a sum over
    times of a martingale increment with coefficient a (through that time's events) plus c(end) - c(t) through the later
    effect on F0, which is why the sums v2 and v3 are carried and combined with c at the end.
    """
    g = len(tables)
    score, covariance = np.zeros(g), np.zeros((g, g))
    c, v2, v3 = np.zeros((g, g)), np.zeros((g, g)), np.zeros(g)
    pooled = 0.0
    for now in _moments(tables, cause):
        live = now.at_risk > 0
        n = np.where(live, now.at_risk, 1.0)
        alive = np.where(live, now.survival, 1.0)
        survived = np.where(live, alive * (1.0 - (now.own + now.other) / n), 0.0)
        share = np.where(live, now.at_risk / alive, 0.0)
        total, events = float(share.sum()), float(now.own.sum())
        exposed = share * (1.0 - now.incidence)
        weight = (1.0 - pooled) ** rho
        after = pooled + events / total
        a = weight * (np.diag(share) - np.outer(share, share) / total)
        c = c + a * (events / (total * (1.0 - pooled)))
        score = score + weight * (now.own - events * exposed / float(exposed.sum()))
        if events:
            tied = np.where(
                live & (total * alive > 1.0), 1.0 - (events - 1.0) / np.maximum(total * alive - 1.0, 1e-300), 1.0
            )
            spread = np.where(live, tied * alive * events / (total * n), 0.0)
            covariance, v2, v3 = _accumulate(covariance, v2, v3, a, c, _ratio(survived, after, 1.0), spread)
        if now.other.any():
            tied = 1.0 - (now.other - 1.0) / np.maximum(n - 1.0, 1.0)
            spread = np.where(now.other > 0, np.where(now.other > 1, tied, 1.0) * alive**2 * now.other / n**2, 0.0)
            spread = np.where(survived > 0, spread, 0.0)
            covariance, v2, v3 = _accumulate(covariance, v2, v3, 0.0 * a, c, _ratio(survived, after, 0.0), spread)
        pooled = after
    return score, covariance + (c * v3) @ c.T + c @ v2.T + v2 @ c.T


def _ratio(survived: FloatArray, pooled: float, whole: float) -> FloatArray:
    later = np.divide(1.0 - pooled, survived, out=np.zeros(survived.size), where=survived > 0)
    return np.where(survived > 0, whole - later, 1.0)


def _accumulate(
    covariance: FloatArray,
    v2: FloatArray,
    v3: FloatArray,
    a: FloatArray,
    c: FloatArray,
    later: FloatArray,
    spread: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    direct = a - later * c
    return covariance + (direct * spread) @ direct.T, v2 + direct * (later * spread), v3 + later**2 * spread
