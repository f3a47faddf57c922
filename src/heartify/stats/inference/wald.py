"""Wald tests of several coefficients at once, from any fit's coefficients and any covariance, model-based or robust.

chi2 = (L b)' (L V L')^-1 (L b), invariant to the unit of every factor. Groups of columns are named by the model's
design: all columns of a spline, its non-linear ones, all products of an interaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.chi_square import ChiSquareTest, chi_square_test
from heartify.stats.errors import InvalidBlockError, RankDeficientError
from heartify.stats.logistic import PooledLogisticFit
from heartify.stats.newton import invert_information
from heartify.stats.rank import least_scaled_eigenvalue

SINGULAR = 1e-11  # least eigenvalue of the contrasts' correlation matrix


@dataclass(frozen=True, slots=True)
class SplineTests:
    """Is the factor associated at all (`overall`, k - 1 df), and is its curve other than a line (`nonlinear`)?"""

    overall: ChiSquareTest
    nonlinear: ChiSquareTest


def wald_test(coef: FloatArray, covariance: FloatArray, contrasts: FloatArray | None = None) -> ChiSquareTest:
    """Test that L b = 0, with b = coef (q,), its covariance (q, q) and L = contrasts (k, q), the identity if None.

    Raises:
        InvalidBlockError: shapes do not fit, or a value is not finite.
        RankDeficientError: contrasts depend on each other, or the covariance does not span them (as a cluster-robust
            one of fewer clusters than contrasts).
    """
    L = np.eye(coef.size) if contrasts is None else np.atleast_2d(contrasts)
    if coef.ndim != 1 or covariance.shape != (coef.size, coef.size) or L.shape[1] != coef.size or L.shape[0] == 0:
        raise InvalidBlockError("expected coef (q,), covariance (q, q) and contrasts (k, q)")
    estimate, variance = L @ coef, L @ covariance @ L.T
    if not (np.isfinite(estimate).all() and np.isfinite(variance).all()):
        raise InvalidBlockError("a coefficient or a covariance is not finite")
    if not (np.diag(variance) > 0).all():
        raise RankDeficientError("a contrast has no variance")
    if least_scaled_eigenvalue(variance) < SINGULAR:
        raise RankDeficientError("the covariance of the tested coefficients is singular")
    statistic = float(estimate @ invert_information(variance) @ estimate)
    return chi_square_test(max(statistic, 0.0), estimate.size)


def wald_test_of(fit: PooledLogisticFit, names: Sequence[str], covariance: FloatArray | None = None) -> ChiSquareTest:
    """Test that the named coefficients of a fit are all zero; `covariance` (q, q) replaces the model-based one.

    Raises:
        InvalidBlockError: no names, a name twice, a name that the fit does not have, or as `wald_test`.
        RankDeficientError: as `wald_test`.
    """
    rows = positions(fit.names, names)
    V = fit.covariance if covariance is None else covariance
    if V.shape != fit.covariance.shape:
        raise InvalidBlockError("the covariance has another shape than the fit's")
    return wald_test(fit.coef[rows], V[np.ix_(rows, rows)])


def wald_spline_tests(
    fit: PooledLogisticFit, names: Sequence[str], covariance: FloatArray | None = None
) -> SplineTests:
    """Test a spline term from the names of its columns, the linear one first, as its design gives them.

    Raises:
        InvalidBlockError: fewer than two names, or as `wald_test_of`.
        RankDeficientError: as `wald_test`.
    """
    if len(names) < 2:
        raise InvalidBlockError("a spline has at least two columns")
    return SplineTests(wald_test_of(fit, names, covariance), wald_test_of(fit, names[1:], covariance))


def positions(all_names: Sequence[str], names: Sequence[str]) -> NDArray[np.intp]:
    """Return the positions (k,) of some distinct names among all.

    Raises:
        InvalidBlockError: no names, a name twice, or one that is not there.
    """
    if not names or len(set(names)) != len(names) or not set(names) <= set(all_names):
        raise InvalidBlockError("expected distinct names of coefficients of the model")
    return np.array([list(all_names).index(name) for name in names])
