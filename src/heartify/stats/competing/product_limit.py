"""The product-limit estimate of survival and the Nelson-Aalen cumulative hazard, from an event table.

With delayed entry an early risk set can be so small that all of it dies; the estimate then stays at zero, as R's does:
read `at_risk` before trusting it. Trusts `EventTable`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.event_counts import EventTable
from heartify.stats.competing.follow_up import IntArray
from heartify.stats.competing.intervals import log_log_interval, step_at
from heartify.stats.errors import InvalidBlockError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KaplanMeier:
    """Hold the curve at every time (m,) at which someone's follow-up ends.

    `se` is Greenwood's, of the survival itself, NaN once survival is 0; the interval is log-log, NaN where survival is
    1 or 0. `cumulative_hazard` is Nelson-Aalen's sum of d / n, its variance the sum of d / n^2.
    """

    time: FloatArray
    at_risk: IntArray
    events: IntArray
    censored: IntArray
    survival: FloatArray
    se: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    cumulative_hazard: FloatArray
    cumulative_hazard_se: FloatArray
    level: float

    def survival_at(self, times: FloatArray) -> FloatArray:
        """Return the survival at times (k,)."""
        return step_at(self.time, self.survival, np.asarray(times, dtype=np.float64), 1.0)

    def quantile(self, probability: float) -> float:
        """Return the first time at which survival is at most 1 - probability (0.5 is the median), NaN if never.

        Where the curve is flat at exactly that height, the middle of the flat piece, as R's quantile.survfit.

        Raises:
            InvalidBlockError: the probability is not strictly between 0 and 1.
        """
        return _crossing(self.time, self.survival, probability)

    def quantile_interval(self, probability: float) -> tuple[float, float]:
        """Return the interval of the quantile, from the curve's pointwise bounds; NaN for a bound never reached.

        Source: Brookmeyer and Crowley 1982, Biometrics 38:29.

        Raises:
            InvalidBlockError: the probability is not strictly between 0 and 1.
        """
        return (
            _crossing(self.time, _filled(self.ci_low), probability),
            _crossing(self.time, _filled(self.ci_high), probability),
        )

    def restricted_mean(self, horizon: float, start: float = 0.0) -> tuple[float, float]:
        """Return the area under the curve from `start` to the horizon, and its standard error.

        Source: Klein and Moeschberger 2003, section 4.5; the variance is the sum of (area after t)^2 d / (n (n - d)).

        Raises:
            InvalidBlockError: the horizon is not after the start, or beyond the last follow-up with survival above 0.
        """
        beyond = horizon > self.time[-1] and self.survival[-1] > 0.0
        if not start < horizon or beyond:
            raise InvalidBlockError("a restricted mean needs a horizon after its start and within follow-up")
        inside = (self.time > start) & (self.time < horizon)
        edges = np.concatenate(([start], self.time[inside], [horizon]))
        areas = np.diff(edges) * self.survival_at(edges[:-1])
        after = np.cumsum(areas[::-1])[::-1][1:]
        rest = self.at_risk[inside] - self.events[inside]
        scale = np.divide(self.events[inside], self.at_risk[inside] * rest, out=np.zeros(rest.size), where=rest > 0)
        return float(areas.sum()), float(np.sqrt(np.sum(after**2 * scale)))


def kaplan_meier(table: EventTable, *, cause: int | None = None, level: float = 0.95) -> KaplanMeier:
    """Estimate survival free of any event, or of one cause with the other causes taken as censorings.

    Source: Kaplan and Meier 1958; Greenwood 1926; Aalen 1978. Equals R's survfit(conf.type = "log-log").

    Raises:
        InvalidBlockError: the cause or the level is out of range.
    """
    every = table.any_event
    events = every if cause is None else table.cause_counts(cause)
    ends = every + table.censored
    keep = ends > 0
    at_risk, died, ends = table.at_risk[keep], events[keep], ends[keep]
    survival, greenwood = product_limit(died, at_risk)
    se = survival * np.sqrt(greenwood, out=np.full(died.size, np.nan), where=survival > 0)
    low, high = log_log_interval(survival, se, level)
    return KaplanMeier(
        time=table.time[keep],
        at_risk=at_risk,
        events=died,
        censored=ends - died,
        survival=survival,
        se=se,
        ci_low=low,
        ci_high=high,
        cumulative_hazard=np.cumsum(died / at_risk),
        cumulative_hazard_se=np.sqrt(np.cumsum(died / at_risk.astype(np.float64) ** 2)),
        level=level,
    )


def product_limit(events: IntArray, at_risk: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the product of 1 - d / n (m,) and Greenwood's sum of d / (n (n - d)) (m,), for n > 0."""
    rest = (at_risk - events).astype(np.float64)
    survival = np.cumprod(rest / at_risk, dtype=np.float64)
    terms = np.divide(events, at_risk * rest, out=np.zeros(rest.size), where=rest > 0)
    return survival, np.cumsum(terms, dtype=np.float64)


def _filled(bound: FloatArray) -> FloatArray:
    # Before the first event there is no interval and the bound is 1; after survival is 0, the last bound goes on.
    known = np.where(np.isnan(bound), np.inf, bound)
    return np.minimum.accumulate(np.minimum(known, 1.0))


def _crossing(time: FloatArray, curve: FloatArray, probability: float) -> float:
    if not 0.0 < probability < 1.0:
        raise InvalidBlockError("a quantile's probability lies strictly between 0 and 1")
    height, slack = 1.0 - probability, 1e-12
    below = np.flatnonzero(curve <= height + slack)
    if below.size == 0:
        return float("nan")
    lower = np.flatnonzero(curve < height - slack)
    flat = curve[below[0]] >= height - slack and lower.size > 0
    return float((time[below[0]] + time[lower[0]]) / 2.0) if flat else float(time[below[0]])
