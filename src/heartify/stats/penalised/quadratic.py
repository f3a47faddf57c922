"""The quadratic problem inside each step of a penalised fit, on a Gram matrix: exact on its support, found by descent.

Minimises b'Gb/2 - c'b + sum l1 |b| + sum l2 b^2 / 2, which needs p x p sums and no row. Coordinate descent (Friedman,
Hastie, Tibshirani 2010, J Stat Softw 33:1, section 2) finds which coefficients are not zero; given those and their
signs the minimum is a linear system, solved directly and then checked against the optimality conditions.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import NotConvergedError

MAX_SWEEPS = 5_000
SLACK = 1e-10  # of l1: a gradient beyond its bound by less is rounding
SWEEP_TOLERANCE = 1e-13  # of the largest coefficient, when the support's system is singular and descent must end it


def minimise_quadratic(G: FloatArray, c: FloatArray, l1: FloatArray, l2: FloatArray, start: FloatArray) -> FloatArray:
    """Return the minimiser (p,) from `start`; G (p, p) is positive semi-definite, l1 and l2 (p,) are not negative.

    Where l1, l2 and the curvature of a coefficient are all zero, it stays zero.

    Raises:
        NotConvergedError: the sweeps ran out, which happens when unpenalised columns are collinear.
    """
    b = start.copy()
    for _ in range(MAX_SWEEPS):
        exact = _solve_on_support(G, c, l1, l2, b)
        if exact is not None:
            return exact
        largest_change = _sweep(G, c, l1, l2, b)
        if largest_change <= SWEEP_TOLERANCE * max(1e-3, float(np.abs(b).max())):
            return b
    raise NotConvergedError("coordinate descent did not end: columns without a penalty are collinear")


def _solve_on_support(G: FloatArray, c: FloatArray, l1: FloatArray, l2: FloatArray, b: FloatArray) -> FloatArray | None:
    """Return the minimiser if it has the support and the signs of b, else None."""
    support = np.flatnonzero((b != 0.0) | (l1 == 0.0))
    signs = np.sign(b[support])
    solved = np.zeros_like(b)
    if support.size:
        system = G[np.ix_(support, support)] + np.diag(l2[support])
        try:
            factor = cho_factor(system, lower=True, check_finite=False)
        except LinAlgError:
            return None
        solved[support] = cho_solve(factor, c[support] - l1[support] * signs, check_finite=False)
    kept = (np.sign(solved[support]) == signs) | (l1[support] == 0.0)
    outside = np.ones(b.size, dtype=bool)
    outside[support] = False
    gradient = np.abs(c - G @ solved)
    bounded = gradient[outside] <= l1[outside] * (1.0 + SLACK)
    return solved if kept.all() and bounded.all() else None


def _sweep(G: FloatArray, c: FloatArray, l1: FloatArray, l2: FloatArray, b: FloatArray) -> float:
    """Update in place every coefficient that is not zero or wants to leave zero; return the largest change."""
    residual = c - G @ b
    largest = 0.0
    for j in np.flatnonzero((b != 0.0) | (np.abs(residual) > l1)):
        curvature = G[j, j] + l2[j]
        pull = residual[j] + G[j, j] * b[j]
        new = np.sign(pull) * max(abs(pull) - l1[j], 0.0) / curvature if curvature > 0.0 else 0.0
        change = new - b[j]
        if change != 0.0:
            residual -= G[:, j] * change
            b[j] = new
            largest = max(largest, abs(float(change)))
    return largest
