"""The Aalen-Johansen estimate of the cumulative incidence of each cause, from an event table.

One minus Kaplan-Meier overstates the risk where another cause can come first; this does not. The incidences of all
causes and the survival free of any event sum to one. Trusts `EventTable`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.event_counts import EventTable
from heartify.stats.competing.follow_up import IntArray
from heartify.stats.competing.intervals import log_log_interval, step_at
from heartify.stats.competing.product_limit import product_limit
from heartify.stats.errors import InvalidBlockError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CumulativeIncidence:
    """Hold, at every time (m,) at which someone's follow-up ends, the incidences (m, causes), their SE and interval.

    `survival` (m,) is free of any event. The interval is log-log, NaN where the incidence is 0 or 1.
    """

    time: FloatArray
    at_risk: IntArray
    events: IntArray
    survival: FloatArray
    incidence: FloatArray
    se: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    level: float

    def incidence_at(self, times: FloatArray, cause: int) -> FloatArray:
        """Return the incidence (k,) of one cause at times (k,).

        Raises:
            InvalidBlockError: the cause is out of range.
        """
        if not 1 <= cause <= self.incidence.shape[1]:
            raise InvalidBlockError(f"cause {cause} is not among 1 to {self.incidence.shape[1]}")
        return step_at(self.time, self.incidence[:, cause - 1], np.asarray(times, dtype=np.float64), 0.0)


def cumulative_incidence(table: EventTable, *, level: float = 0.95) -> CumulativeIncidence:
    """Estimate the cumulative incidence of every cause of the table, delayed entry and ties included.

    Source: Aalen and Johansen 1978; the variance is Greenwood's type with multinomial increments (Andersen, Borgan,
    Gill, Keiding 1993, section IV.4.1.3). Without delayed entry it equals the infinitesimal jackknife, which is what
    R's survfit(Surv(time, factor(status)) ~ 1) prints.

    Raises:
        InvalidBlockError: the level is out of range.
    """
    keep = table.any_event + table.censored > 0
    events, at_risk = table.events[keep], table.at_risk[keep]
    every = np.asarray(events.sum(axis=1), dtype=np.int64)
    survival, _ = product_limit(every, at_risk)
    before = np.concatenate(([1.0], survival[:-1]))
    incidence = np.cumsum(before[:, None] * events / at_risk[:, None], axis=0)
    columns = [_variance(incidence[:, k], events[:, k], every, at_risk, before) for k in range(table.causes)]
    se = np.sqrt(np.maximum(np.column_stack(columns), 0.0))
    low, high = log_log_interval(incidence, se, level)
    return CumulativeIncidence(table.time[keep], at_risk, events, survival, incidence, se, low, high, level)


def _variance(
    incidence: FloatArray, events: IntArray, every: IntArray, at_risk: IntArray, before: FloatArray
) -> FloatArray:
    # With gap = F(t) - F(s), the increment at s moves F(t) by S(s-) dA_k - gap dA / (1 - dA), and the increments of
    # the causes are multinomial. The square is expanded in F(t), so that running sums serve every t.
    n = at_risk.astype(np.float64)
    own = before**2 * events * (n - events) / n**3
    cross = before * events / n**2
    rest = n - every
    square = np.divide(every, n * rest, out=np.zeros(n.size), where=rest > 0)
    constant = np.cumsum(own + 2.0 * cross * incidence + square * incidence**2)
    linear = np.cumsum(cross + square * incidence)
    return np.asarray(constant - 2.0 * incidence * linear + incidence**2 * np.cumsum(square), dtype=np.float64)
