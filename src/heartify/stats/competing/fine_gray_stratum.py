"""The weighted partial likelihood of Fine and Gray within one stratum, as sums over its distinct event times.

At an event time t the risk set is everyone still followed (weight 1) and everyone with an earlier competing event, with
the weight (G H)(t-) / (G H)(T-). Such a weight is a product of a factor of t and a factor of the row, so running sums
serve every event time and one evaluation costs O(n p^2). Ties as Breslow. Row-level temporaries never leave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import BoolArray, FollowUp, IntArray
from heartify.stats.competing.weighting import (
    CensoringCurve,
    CensoringTies,
    censoring_curve,
    censoring_martingale,
    entry_curve,
)
from heartify.stats.errors import DegenerateOutcomeError
from heartify.stats.likelihood import LikelihoodSums

WIDEST_PREDICTOR = 600.0  # exp(-600) is still a normal double, with room for n and the weights


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Group:
    """Rows that share one censoring distribution: their indices, G, and (G H)(t-) at the event times (m,)."""

    rows: IntArray
    curve: CensoringCurve
    factor: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _RiskSets:
    """Relative risks r (n,), risk-set sums S0 (m,), means (m, p) and hazard increments (m,) at some coefficients."""

    risk: FloatArray
    s0: FloatArray
    mean: FloatArray
    hazard: FloatArray
    log_offset: float


class FineGrayStratum:
    """One stratum with at least one event of the cause: Z (n, p) scaled, follow-up, censoring-group indices (n,)."""

    def __init__(
        self, Z: FloatArray, rows: FollowUp, cause: int, censoring_group: IntArray, ties: CensoringTies
    ) -> None:
        order = np.argsort(rows.time, kind="stable")
        self._Z, self._rows = Z[order], rows.take(order)
        self._is_event: BoolArray = self._rows.event == cause
        self._is_late: BoolArray = (self._rows.event > 0) & ~self._is_event
        self.time, counts = np.unique(self._rows.time[self._is_event], return_counts=True)
        self._deaths = counts.astype(np.float64)
        self._end = np.searchsorted(self.time, self._rows.time, side="right")
        entry = self._rows.entry
        self._begin = None if entry is None else np.searchsorted(self.time, entry, side="right")
        self._late_factor = np.zeros(self._rows.n)
        group = censoring_group[order]
        self._groups = [self._make_group(np.flatnonzero(group == g), ties) for g in np.unique(group)]

    def _make_group(self, index: IntArray, ties: CensoringTies) -> _Group:
        rows = self._rows.take(index)
        curve = censoring_curve(rows, ties)
        factor, own = curve.before(self.time), curve.before(rows.time)
        if rows.entry is not None:
            entered = entry_curve(rows)
            factor, own = factor * entered.before(self.time), own * entered.before(rows.time)
        late = self._is_late[index]
        if (own[late] <= 0.0).any():
            raise DegenerateOutcomeError("an early risk set is empty or fully censored: weights do not exist")
        self._late_factor[index[late]] = 1.0 / own[late]
        return _Group(index, curve, factor)

    def sums(self, beta: FloatArray) -> LikelihoodSums:
        """Return the log partial likelihood, its gradient (p,) and information (p, p).

        Where risks differ by more than doubles can hold, the log-likelihood is -inf: a step that far is refused.
        """
        predictor = self._Z @ beta
        if not float(predictor.max() - predictor.min()) < WIDEST_PREDICTOR:
            return LikelihoodSums(-np.inf, np.zeros(beta.size), np.zeros((beta.size, beta.size)))
        now = self._risk_sets(beta)
        exposure = self._exposure(now.hazard[:, None])[:, 0] * now.risk
        Z, own = self._Z, self._is_event
        loglik = float((Z[own] @ beta - now.log_offset).sum() - self._deaths @ np.log(now.s0))
        gradient = Z[own].sum(axis=0) - Z.T @ exposure
        information = Z.T @ (Z * exposure[:, None]) - now.mean.T @ (now.mean * self._deaths[:, None])
        return LikelihoodSums(loglik, gradient, information)

    def baseline_hazard(self, beta: FloatArray) -> FloatArray:
        """Return the increments (m,) of the cumulative subdistribution hazard at Z = 0 (Breslow)."""
        now = self._risk_sets(beta)
        return np.asarray(now.hazard * np.exp(-now.log_offset), dtype=np.float64)

    def scores(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return each row's score residual (n, p), and its part through the estimated censoring (n, p), by time.

        Source: Fine and Gray 1999, section 3.2 (eta and psi). With delayed entry the second is zero: the weights are
        then taken as known, as Geskus 2011 (section 4) does.
        """
        now = self._risk_sets(beta)
        steps = np.column_stack([now.hazard, now.mean * now.hazard[:, None]])
        exposure = self._exposure(steps) * now.risk[:, None]
        eta = exposure[:, 1:] - self._Z * exposure[:, :1]
        own = np.flatnonzero(self._is_event)
        eta[own] += self._Z[own] - now.mean[self._end[own] - 1]
        psi = np.zeros_like(eta)
        for group in self._groups if self._begin is None else []:
            psi[group.rows] = self._through_censoring(group, now, steps)
        return eta, psi

    def separating(self, step: FloatArray, tolerance: float = 1e-7) -> bool:
        """Say whether along `step` (p,) every event has the largest predictor of its risk set, so no maximum exists."""
        predictor = self._Z @ step
        m = self.time.size
        followed, late = np.full(m + 1, -np.inf), np.full(m + 1, -np.inf)
        np.maximum.at(followed, self._end, predictor)
        np.maximum.at(late, self._end[self._is_late], predictor[self._is_late])
        largest = np.maximum(np.maximum.accumulate(followed[::-1])[::-1][1:], np.maximum.accumulate(late)[:-1])
        own = self._is_event
        margins = predictor[own] - largest[self._end[own] - 1]
        return bool(float(margins.min()) >= -tolerance * float(np.abs(predictor).max()))

    def _risk_sets(self, beta: FloatArray) -> _RiskSets:
        predictor = self._Z @ beta
        offset = float(predictor.max())
        risk = np.exp(predictor - offset)
        values = np.column_stack([risk, self._Z * risk[:, None]])
        m = self.time.size
        sums = _suffix(_bucket(values, self._end, m + 1))[1:]
        if self._begin is not None:
            sums = sums - _suffix(_bucket(values, self._begin, m + 1))[1:]
        for group in self._groups:
            late = group.rows[self._is_late[group.rows]]
            waiting = np.cumsum(_bucket(values[late] * self._late_factor[late, None], self._end[late], m + 1), axis=0)
            sums = sums + waiting[:-1] * group.factor[:, None]
        s0 = sums[:, 0]
        return _RiskSets(risk, s0, sums[:, 1:] / s0[:, None], self._deaths / s0, offset)

    def _exposure(self, steps: FloatArray) -> FloatArray:
        """Return, per row, the sum (n, k) of its weight times `steps` (m, k) over the event times it is at risk at."""
        running = np.vstack([np.zeros(steps.shape[1]), np.cumsum(steps, axis=0)])
        total = running[self._end]
        if self._begin is not None:
            total = total - running[self._begin]
        for group in self._groups:
            late = group.rows[self._is_late[group.rows]]
            total[late] += self._remaining(group, steps)[self._end[late]] * self._late_factor[late, None]
        return total

    @staticmethod
    def _remaining(group: _Group, steps: FloatArray) -> FloatArray:
        weighted = np.vstack([steps * group.factor[:, None], np.zeros(steps.shape[1])])
        return _suffix(weighted)

    def _through_censoring(self, group: _Group, now: _RiskSets, steps: FloatArray) -> FloatArray:
        curve = group.curve
        ends, censored = self._rows.time[group.rows], self._rows.event[group.rows] == 0
        late = group.rows[self._is_late[group.rows]]
        bucket = np.searchsorted(curve.time, self._rows.time[late], side="left")  # first censoring time >= T
        weight = (now.risk * self._late_factor)[late, None]
        values = np.column_stack([weight, self._Z[late] * weight])
        waiting = np.cumsum(_bucket(values, bucket, curve.time.size + 1), axis=0)[:-1]
        later = self._remaining(group, steps)[np.searchsorted(self.time, curve.time, side="right")]
        pull = waiting[:, 1:] * later[:, :1] - waiting[:, :1] * later[:, 1:]
        return censoring_martingale(curve, ends, censored, pull / curve.at_risk[:, None])


def _bucket(values: FloatArray, bucket: IntArray, size: int) -> FloatArray:
    return np.column_stack([np.bincount(bucket, weights=column, minlength=size) for column in values.T])


def _suffix(values: FloatArray) -> FloatArray:
    return np.asarray(np.cumsum(values[::-1], axis=0)[::-1], dtype=np.float64)
