"""How the outcome's log odds, or log hazard, differ between two settings of the factors, for plots and tables.

An estimate D b with standard error sqrt(D V D'), where D is a difference of rows of the design: intercepts cancel, and
at the reference both are exactly zero (Harrell 2015, section 2.4.5). Works for any fit with coefficients and a
covariance, model-based or robust.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.design.columns import Columns
from heartify.stats.design.splines import Spline, spline_basis
from heartify.stats.design.terms import Design
from heartify.stats.errors import InvalidBlockError
from heartify.stats.intervals import Z_95


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Contrasts:
    """Differences from the reference: estimate (g,), se (g,) and 95 % Wald bounds (g,), all on the log scale."""

    estimate: FloatArray
    se: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SplineCurve:
    """f(x) - f(reference) over a grid x (g,) in clinical units."""

    x: FloatArray
    reference: float
    contrasts: Contrasts


def spline_curve(
    spline: Spline, grid: FloatArray, reference: float, coef: FloatArray, covariance: FloatArray
) -> SplineCurve:
    """Return f(x) - f(reference) on the grid (g,), from the coef (k,) and covariance (k, k) of the spline's columns.

    Raises:
        InvalidBlockError: shapes do not fit, or the grid or the reference has a value that is not finite.
    """
    x = np.asarray(grid, dtype=np.float64)
    if x.ndim != 1 or not np.isfinite(x).all() or not np.isfinite(reference):
        raise InvalidBlockError("expected a grid (g,) and a reference of finite values")
    knots = np.array(spline.knots)
    difference = spline_basis(x, knots) - spline_basis(np.array([reference]), knots)
    return SplineCurve(x, float(reference), linear_contrasts(difference, coef, covariance))


def design_contrasts(
    design: Design, at: Columns, reference: Columns, coef: FloatArray, covariance: FloatArray
) -> Contrasts:
    """Return the differences between the settings `at` (g rows) and `reference` (1 or g rows), interactions included.

    coef (p,) and covariance (p, p) are those of the design's columns, without intercepts.

    Raises:
        InvalidBlockError: shapes do not fit, or as `Design.matrix`.
    """
    rows, base = design.matrix(at), design.matrix(reference)
    if base.shape[0] not in (1, rows.shape[0]):
        raise InvalidBlockError("expected one reference row, or one for each row")
    return linear_contrasts(rows - base, coef, covariance)


def linear_contrasts(difference: FloatArray, coef: FloatArray, covariance: FloatArray) -> Contrasts:
    """Return D b with its standard error for each row of D (g, k), from coef (k,) and covariance (k, k).

    Raises:
        InvalidBlockError: shapes do not fit.
    """
    k = difference.shape[1]
    if coef.shape != (k,) or covariance.shape != (k, k):
        raise InvalidBlockError(f"expected coef ({k},) and covariance ({k}, {k})")
    estimate = difference @ coef
    variance = np.einsum("ij,jk,ik->i", difference, covariance, difference)
    se = np.sqrt(np.maximum(variance, 0.0))
    return Contrasts(estimate, se, estimate - Z_95 * se, estimate + Z_95 * se)
