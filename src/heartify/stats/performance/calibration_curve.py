"""A smooth calibration curve and the distances from it: ICI, E50, E90, Emax.

The curve is a logistic regression of the outcome on a restricted cubic spline of logit p with four knots at Harrell's
quantiles (.05 .35 .65 .95); ties among knots lower their number, down to a straight line. Parametric, so cheap at any
n and with an interval; no smoother with a bandwidth is used (Austin and Steyerberg 2019, Stat Med 38:4051).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.intervals import Z_95
from heartify.stats.logistic import PooledLogisticFit, fit_logistic
from heartify.stats.performance.predictions import check_risks, risk_log_odds

KNOT_QUANTILES = (0.05, 0.35, 0.65, 0.95)
GRID_QUANTILES = (0.01, 0.99)
MOST_POINTS = 20


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """A predicted risk and the risk observed at it by the curve, with its pointwise 95 % interval."""

    predicted: float
    observed: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class FlexibleCalibration:
    """The curve at evenly spaced risks from the 1 % to the 99 % quantile, and the absolute distances |curve - p|.

    `ici` is their mean over the rows, `e50` the median, `e90` the 90 % quantile, `e_max` the largest. `knots` are on
    the scale of log odds; fewer than three mean that the curve is a straight line on that scale.
    """

    points: tuple[CalibrationPoint, ...]
    ici: float
    e50: float
    e90: float
    e_max: float
    knots: tuple[float, ...]


def flexible_calibration(
    p: FloatArray, y: FloatArray, points: int = MOST_POINTS, *, at: FloatArray | None = None
) -> FlexibleCalibration:
    """Fit the curve to risks p (n,), strictly between 0 and 1, and y (n,) of zeros and ones.

    With `at` (k,) the curve is given at these risks in place of the even grid, whose ends are quantiles of p.

    Raises:
        InvalidBlockError: shapes or values are wrong, or `points` is not between 2 and 20.
        DegenerateOutcomeError: no events, or only events.
        RankDeficientError: all predictions are equal.
        SeparationError: the predictions separate the outcome.
    """
    check_risks(p, y)
    if not 2 <= points <= MOST_POINTS:
        raise InvalidBlockError(f"expected 2 to {MOST_POINTS} points, got {points}")
    log_odds = risk_log_odds(p)
    knots = np.unique(np.quantile(log_odds, KNOT_QUANTILES))
    fit = fit_logistic(_spline(log_odds, knots), y)

    distance = np.abs(expit(_predictor(fit, _spline(log_odds, knots))) - p)
    e50, e90 = np.quantile(distance, (0.5, 0.9))
    low, high = np.quantile(p, GRID_QUANTILES)
    grid = np.unique(np.linspace(low, high, points)) if at is None else at
    return FlexibleCalibration(
        points=_curve(fit, grid, knots),
        ici=float(distance.mean()),
        e50=float(e50),
        e90=float(e90),
        e_max=float(distance.max()),
        knots=tuple(float(knot) for knot in knots),
    )


def _spline(x: FloatArray, knots: FloatArray) -> FloatArray:
    """Return x and its k - 2 restricted cubic terms (n, k - 1), scaled by (last - first knot)^2 (Harrell 2015, 2.4)."""
    if knots.size < 3:
        return x[:, None]
    last, before = knots[-1], knots[-2]
    cubes = [np.maximum(x - knot, 0.0) ** 3 for knot in knots]
    terms = [
        cubes[j]
        - cubes[-2] * ((last - knots[j]) / (last - before))
        + cubes[-1] * ((before - knots[j]) / (last - before))
        for j in range(knots.size - 2)
    ]
    return np.column_stack([x, *(term / (last - knots[0]) ** 2 for term in terms)])


def _predictor(fit: PooledLogisticFit, basis: FloatArray) -> FloatArray:
    eta: FloatArray = fit.coef[0] + basis @ fit.coef[1:]
    return eta


def _curve(fit: PooledLogisticFit, grid: FloatArray, knots: FloatArray) -> tuple[CalibrationPoint, ...]:
    basis = _spline(risk_log_odds(grid), knots)
    design = np.column_stack([np.ones(grid.size), basis])
    half = Z_95 * np.sqrt(np.einsum("ij,jk,ik->i", design, fit.covariance, design))
    eta = _predictor(fit, basis)
    curves = (grid, expit(eta), expit(eta - half), expit(eta + half))
    return tuple(CalibrationPoint(*(float(value) for value in row)) for row in zip(*curves, strict=True))
