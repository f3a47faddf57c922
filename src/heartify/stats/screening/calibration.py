"""Is the screen calibrated: the inflation factor lambda GC and the points of a QQ plot with their band.

Both read the whole distribution of p-values and none of its owners. Candidates that could not be tested are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, chdtri

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

MAX_POINTS = 200
MEDIAN_CHI2 = float(chdtri(1, 0.5))  # 0.4549364...


def lambda_gc(z: FloatArray) -> float:
    """Return the median of z^2 over that of chi2 with 1 df (Devlin and Roeder 1999, Biometrics 55:997).

    Raises:
        InvalidBlockError: there is no tested candidate.
    """
    known = z[~np.isnan(z)]
    if not known.size:
        raise InvalidBlockError("lambda GC needs at least one tested candidate")
    return float(np.median(known**2) / MEDIAN_CHI2)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class QQPoints:
    """Hold at most 200 points (k,) of a QQ plot, smallest p first, all as -log10 p.

    `rank` of the point among m tests; `expected` is the mean i / (m + 1) of the i-th order statistic; `low`, `high`
    its pointwise 95 % band, from the beta distribution (i, m + 1 - i).
    """

    m: int
    rank: FloatArray
    expected: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray


def qq_points(log10_p: FloatArray, max_points: int = MAX_POINTS) -> QQPoints:
    """Return the QQ points of decimal logarithms of p-values (m,), thinned evenly on the logarithm of the rank.

    Raises:
        InvalidBlockError: there is no tested candidate.
    """
    known = np.sort(log10_p[~np.isnan(log10_p)])
    m = known.size
    if not m:
        raise InvalidBlockError("a QQ plot needs at least one tested candidate")
    rank = np.unique(np.round(np.geomspace(1, m, min(max_points, m)))).astype(np.float64)
    if m <= max_points:
        rank = np.arange(1.0, m + 1.0)
    upper, lower = betaincinv(rank, m + 1 - rank, 0.975), betaincinv(rank, m + 1 - rank, 0.025)
    return QQPoints(
        m=m,
        rank=rank,
        expected=-np.log10(rank / (m + 1)),
        observed=-known[rank.astype(np.intp) - 1],
        low=-np.log10(upper),
        high=-np.log10(lower),
    )
