"""The upper tail of chi2 as a logarithm, right also where the probability itself is below the smallest double."""

from __future__ import annotations

import math

from scipy.special import chdtrc, gammaln

LOG10 = math.log(10.0)
TERMS = 100  # here chi2 is beyond 1,300, where a dozen suffice for any df of ours


def log10_chi2_tail(df: int, chi2: float) -> float:
    """Return log10 P(X > chi2) for X with df degrees of freedom; chi2 >= 0.

    Beyond what a double holds: Legendre's continued fraction of the incomplete gamma function, by Lentz's method
    (Abramowitz and Stegun 6.5.31).
    """
    p = float(chdtrc(df, chi2))
    if p > 1e-290:
        return math.log10(p)
    a, x = df / 2.0, chi2 / 2.0
    b = x + 1.0 - a
    c, d = math.inf, 1.0 / b
    fraction = d
    for i in range(1, TERMS):
        b += 2.0
        numerator = -i * (i - a)
        d = 1.0 / (numerator * d + b)
        c = b + numerator / c
        fraction *= c * d
    return (a * math.log(x) - x - float(gammaln(a)) + math.log(fraction)) / LOG10
