"""Whether the columns of a design tell their coefficients apart, judged on a scale without units.

A symmetric matrix (an information, a covariance, a Gram matrix) is scaled to a unit diagonal, as a correlation matrix
is; its least eigenvalue is then at most 1 - R^2 of any column on the others. Holds nothing.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigvalsh

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import RankDeficientError

RANK_TOLERANCE = 1e-10  # least eigenvalue of the correlation-scaled Gram matrix; 1 - R^2 of a column on the others


def least_scaled_eigenvalue(matrix: FloatArray) -> float:
    """Return the least eigenvalue of a symmetric matrix (q, q) of positive diagonal, scaled to a unit diagonal."""
    scale = 1.0 / np.sqrt(np.diag(matrix))
    return float(eigvalsh(matrix * np.outer(scale, scale))[0])


def check_rank(information: FloatArray) -> None:
    """Check the information (q, q) of a logistic model at equal weights, which is the Gram matrix of its design.

    Raises:
        RankDeficientError: a column is a linear combination of others.
    """
    if least_scaled_eigenvalue(information) < RANK_TOLERANCE:
        raise RankDeficientError("a term is a linear combination of other terms and hospital intercepts")
