"""Inverse-probability-of-censoring weights at a horizon, and how an average of them moves with the estimated weights.

Someone with an event at T weighs 1 / G(T-), someone followed beyond the horizon t weighs 1 / G(t), someone censored
before it nothing. G is estimated per group of rows. Delayed entry is refused: its weights would need a model of entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import BoolArray, FollowUp, IntArray, group_codes
from heartify.stats.competing.weighting import CensoringCurve, censoring_curve, censoring_martingale
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError


class CensoringModel:
    """The censoring distributions of all rows, one per code of `group` (n,), or one for all (None)."""

    def __init__(self, rows: FollowUp, group: IntArray | None = None) -> None:
        """Estimate them.

        Raises:
            InvalidBlockError: delayed entry, or group codes that do not fit.
        """
        if rows.entry is not None:
            raise InvalidBlockError("censoring weights are defined without delayed entry")
        codes = np.zeros(rows.n, np.int64) if group is None else group_codes(group, rows.n, "censoring_group")[1]
        self._rows = rows
        self._members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
        self._curves: list[CensoringCurve] = [censoring_curve(rows.take(index)) for index in self._members]

    def before_end(self) -> FloatArray:
        """Return G(T-) of every row (n,), in its own group."""
        probability = np.empty(self._rows.n)
        for index, curve in zip(self._members, self._curves, strict=True):
            probability[index] = curve.before(self._rows.time[index])
        return probability

    def at(self, horizon: float) -> FloatArray:
        """Return G(t) of every row's group (n,)."""
        probability = np.empty(self._rows.n)
        for index, curve in zip(self._members, self._curves, strict=True):
            probability[index] = curve.before(np.array([np.nextafter(horizon, np.inf)]))[0]
        return probability

    def influence(self, pull: FloatArray, horizon: float = np.inf) -> FloatArray:
        """Return, per row (n,), its influence through G on a sum, of which `pull` (n,) is the derivative by log(1 / G).

        A row's own weight is read at the end of its follow-up, or at the horizon if that comes first. Exact for the
        product-limit estimate: the increment of log G at c by row k is -(dN - Y d / n) / (n - d).
        """
        moved = np.zeros(self._rows.n)
        for index, curve in zip(self._members, self._curves, strict=True):
            time = self._rows.time[index]
            past = np.where(
                time > horizon,
                np.searchsorted(curve.time, horizon, side="right"),
                np.searchsorted(curve.time, time, side="left"),
            )
            sums = np.bincount(past, weights=pull[index], minlength=curve.time.size + 1)
            later = np.cumsum(sums[::-1])[::-1][1:]
            rest = curve.at_risk - curve.censored
            per = np.divide(later, rest, out=np.zeros(rest.size), where=rest > 0)
            moved[index] = censoring_martingale(curve, time, self._rows.event[index] == 0, per[:, None])[:, 0]
        return moved


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HorizonStatus:
    """Hold, at a horizon, who had the event (n,), who another cause, who is event-free, weights (n,) and the model."""

    horizon: float
    case: BoolArray
    rival: BoolArray
    free: BoolArray
    weight: FloatArray
    model: CensoringModel


def status_at(rows: FollowUp, horizon: float, *, cause: int, censoring_group: IntArray | None) -> HorizonStatus:
    """Return everyone's status at the horizon with its weight.

    Source: Graf et al. 1999, Statistics in Medicine 18:2529; Blanche, Dartigues, Jacqmin-Gadda 2013, ibid. 32:5381.

    Raises:
        InvalidBlockError: delayed entry, a horizon that is not finite, or group codes that do not fit.
        DegenerateOutcomeError: nobody had the event by the horizon, or all of a group are censored before it.
    """
    if not np.isfinite(horizon):
        raise InvalidBlockError("the horizon is not finite")
    model = CensoringModel(rows, censoring_group)
    by_then = rows.time <= horizon
    case = by_then & (rows.event == cause)
    rival = by_then & (rows.event > 0) & ~case
    if not case.any():
        raise DegenerateOutcomeError("nobody has the event by the horizon")
    if (model.at(horizon) <= 0.0).any():
        raise DegenerateOutcomeError("follow-up ends before the horizon")
    weight = np.where(case | rival, 1.0 / model.before_end(), np.where(by_then, 0.0, 1.0 / model.at(horizon)))
    return HorizonStatus(horizon, case, rival, ~by_then, weight, model)
