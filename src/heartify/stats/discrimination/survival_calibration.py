"""Whether predicted risks at a horizon come true: observed against expected, in all and in groups, and the slope.

Observed risk is Aalen-Johansen's (one minus Kaplan-Meier's with one cause), so censoring, competing causes and delayed
entry are accounted for. Groups are quantiles of the predicted risk; equal predictions stay together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.aalen_johansen import cumulative_incidence
from heartify.stats.competing.event_counts import table_of
from heartify.stats.competing.fine_gray import fit_fine_gray
from heartify.stats.competing.follow_up import FollowUp, IntArray
from heartify.stats.discrimination.survival_brier import checked_risk
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError
from heartify.stats.intervals import normal_quantile

MAX_GROUPS = 10


@dataclass(frozen=True, slots=True)
class ObservedRisk:
    """Observed risk at the horizon with its standard error and log-log interval, and the mean prediction, of n rows.

    Observed values are NaN where the rows' follow-up ends before the horizon with someone still event-free.
    """

    n: int
    expected: float
    observed: float
    se: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SurvivalCalibration:
    """All rows, the ratio observed / expected with its interval on the log scale, and groups by predicted risk."""

    horizon: float
    whole: ObservedRisk
    ratio: float
    ratio_ci_low: float
    ratio_ci_high: float
    groups: tuple[ObservedRisk, ...]


@dataclass(frozen=True, slots=True)
class CalibrationSlope:
    """The coefficient of log(-log(1 - risk)), 1 if predictions are spread as they should be, and its standard error."""

    slope: float
    se: float


def calibration_at(
    risk: FloatArray, rows: FollowUp, horizon: float, *, cause: int = 1, groups: int = 10, level: float = 0.95
) -> SurvivalCalibration:
    """Compare predicted risks (n,) of `cause` by the horizon with what happened, in 1 to 10 groups.

    Source: McLernon et al. 2023, Annals of Internal Medicine 176:105; van Geloven et al. 2022, BMJ 377:e069249. The
    interval of the ratio takes the predictions as given: exp(log(O / E) +- z se(O) / O).

    Raises:
        InvalidBlockError: shapes or values do not fit, a risk outside [0, 1], or a number of groups not from 1 to 10.
        DegenerateOutcomeError: nobody has the event by the horizon, or follow-up ends before it.
    """
    values = checked_risk(risk, rows)
    if not 1 <= groups <= MAX_GROUPS:
        raise InvalidBlockError(f"expected 1 to {MAX_GROUPS} groups, got {groups}")
    whole = _observed(values, rows, horizon, cause, level)
    if np.isnan(whole.observed):
        raise DegenerateOutcomeError("follow-up ends before the horizon")
    if whole.observed <= 0.0 or whole.expected <= 0.0:
        raise DegenerateOutcomeError("nobody has the event by the horizon, or nobody was predicted to")
    ratio, reach = whole.observed / whole.expected, normal_quantile(level) * whole.se / whole.observed
    index = quantile_groups(values, groups)
    parts = [_observed(values[index == k], rows.take(index == k), horizon, cause, level) for k in np.unique(index)]
    low, high = ratio * float(np.exp(-reach)), ratio * float(np.exp(reach))
    return SurvivalCalibration(horizon, whole, ratio, low, high, tuple(parts))


def calibration_slope(risk: FloatArray, rows: FollowUp, horizon: float, *, cause: int = 1) -> CalibrationSlope:
    """Return the slope of the subdistribution hazard up to the horizon on log(-log(1 - risk)).

    Without competing events this is Cox's model (ties as Breslow) with the standard error of its information; with
    them, Fine and Gray's with its sandwich. Source: van Geloven et al. 2022, BMJ 377:e069249.

    Raises:
        InvalidBlockError: shapes or values do not fit, or a risk not strictly between 0 and 1.
        DegenerateOutcomeError: nobody has the event by the horizon.
        RankDeficientError: all predictions are equal.
        SeparationError: predictions order the events perfectly.
    """
    values = checked_risk(risk, rows)
    if (values <= 0.0).any() or (values >= 1.0).any():
        raise InvalidBlockError("a calibration slope needs risks strictly between 0 and 1")
    inside = np.ones(rows.n, dtype=bool) if rows.entry is None else rows.entry < horizon
    if not inside.any():
        raise DegenerateOutcomeError("nobody is followed before the horizon")
    kept = rows.take(inside)
    event = np.where(kept.time <= horizon, kept.event, 0)
    predictor = np.log(-np.log1p(-values[inside]))[:, None]
    fit = fit_fine_gray(predictor, FollowUp(np.minimum(kept.time, horizon), event, kept.entry), cause=cause)
    covariance = fit.covariance if fit.competing else fit.model_covariance
    return CalibrationSlope(float(fit.coef[0]), float(np.sqrt(covariance[0, 0])))


def quantile_groups(values: FloatArray, groups: int) -> IntArray:
    """Return each row's group (n,), cut at the quantiles (R's type 7), intervals closed on the right."""
    edges = np.unique(np.quantile(values, np.arange(1, groups) / groups))
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def _observed(risk: FloatArray, rows: FollowUp, horizon: float, cause: int, level: float) -> ObservedRisk:
    curve = cumulative_incidence(table_of(rows, max(cause, int(rows.event.max()))), level=level)
    index = int(np.searchsorted(curve.time, horizon, side="right")) - 1
    expected = float(risk.mean())
    if curve.time[-1] < horizon and curve.survival[-1] > 0.0:
        return ObservedRisk(rows.n, expected, np.nan, np.nan, np.nan, np.nan)
    if index < 0:
        return ObservedRisk(rows.n, expected, 0.0, 0.0, np.nan, np.nan)
    columns = (curve.incidence, curve.se, curve.ci_low, curve.ci_high)
    observed, se, low, high = (float(column[index, cause - 1]) for column in columns)
    return ObservedRisk(rows.n, expected, observed, se, low, high)
