"""Inverse-probability weights for the subdistribution hazard: censoring, and delayed entry, as step functions.

G is the probability of being uncensored, H of having entered. Someone who had a competing event at T stays in the later
risk sets with the weight (G H)(t-) / (G H)(T-). Trusts `FollowUp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.event_counts import table_of
from heartify.stats.competing.follow_up import BoolArray, FollowUp
from heartify.stats.competing.intervals import step_before
from heartify.stats.competing.product_limit import product_limit


class CensoringTies(Enum):
    """Whether someone with an event at t is still at risk of being censored at t.

    EVENTS_FIRST (no: events precede censorings) is what R's survival package does; TOGETHER what cmprsk::crr does.
    """

    EVENTS_FIRST = "events first"
    TOGETHER = "together"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CensoringCurve:
    """Hold, per distinct time of censoring (k,), the number at risk of it, the censorings, and G just after it."""

    ties: CensoringTies
    time: FloatArray
    at_risk: FloatArray
    censored: FloatArray
    probability: FloatArray

    def before(self, times: FloatArray) -> FloatArray:
        """Return G(t-) at times (any,)."""
        return step_before(self.time, self.probability, times, 1.0)


def censoring_curve(rows: FollowUp, ties: CensoringTies = CensoringTies.EVENTS_FIRST) -> CensoringCurve:
    """Return the product-limit estimate of being uncensored.

    Source: Fine and Gray 1999, section 3.2; the rule for ties as `ties` says.
    """
    table = table_of(rows)
    at_risk = table.at_risk - (table.any_event if ties is CensoringTies.EVENTS_FIRST else 0)
    keep = table.censored > 0
    left, exposed = table.censored[keep], np.asarray(at_risk[keep], dtype=np.int64)
    probability, _ = product_limit(left, exposed)
    return CensoringCurve(ties, table.time[keep], exposed.astype(np.float64), left.astype(np.float64), probability)


def censoring_martingale(curve: CensoringCurve, time: FloatArray, censored: BoolArray, pull: FloatArray) -> FloatArray:
    """Return, per row (n, k), the integral of pull (c, k) over its censoring martingale, without delayed entry."""
    step = pull * (curve.censored / curve.at_risk)[:, None]
    running = np.vstack([np.zeros(pull.shape[1]), np.cumsum(step, axis=0)])
    exposed = np.searchsorted(curve.time, time, side="right")
    if curve.ties is CensoringTies.EVENTS_FIRST:
        exposed = np.where(censored, exposed, np.searchsorted(curve.time, time, side="left"))
    total = -running[exposed]
    rows = np.flatnonzero(censored)
    total[rows] += pull[np.searchsorted(curve.time, time[rows])]
    return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EntryCurve:
    """Hold, per distinct entry time (k,) in increasing order, H just before it: P(entry < t)."""

    time: FloatArray
    probability: FloatArray

    def before(self, times: FloatArray) -> FloatArray:
        """Return H(t-) = P(entry < t) at times (any,), 1 after the last entry."""
        return np.concatenate((self.probability, [1.0]))[np.searchsorted(self.time, times, side="left")]


def entry_curve(rows: FollowUp) -> EntryCurve:
    """Return the product-limit estimate, in reversed time, of having entered.

    Source: Geskus 2011, Biometrics 67:39; at risk at u in reversed time are those with entry <= u < end.
    """
    entry = rows.entry if rows.entry is not None else np.full(rows.n, -np.inf)
    time, counts = np.unique(entry, return_counts=True)
    begun = np.searchsorted(np.sort(entry), time, side="right")
    ended = np.searchsorted(np.sort(rows.time), time, side="right")
    factors = 1.0 - counts / (begun - ended)
    return EntryCurve(time, np.cumprod(factors[::-1])[::-1])
