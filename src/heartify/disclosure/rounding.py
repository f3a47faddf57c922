"""The grids of rules 7, 9 and 10, in exact decimal arithmetic.

A coefficient is shown as a whole multiple of a tenth of its own rounded standard error, and everything else about it
is computed from those two shown numbers: an exact p-value or interval would give the coefficient back more finely than
its grid. Values come out as the doubles nearest to short decimals, so that JSON prints 0.025 and not 0.02500000000001.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from scipy.special import chdtrc, ndtr, ndtri

COUNT_BASE = 5
GRID_PER_SE = 10
SE_DIGITS = 2
SD_DIGITS = 3
AUC_DECIMALS = 2
SMALLEST_P = 0.001
LARGEST_MAGNITUDE = 1e12  # beyond it a coefficient, SE, SD or odds ratio is no result but an accident
Z_95 = float(ndtri(0.975))

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class RoundedEstimate:
    """A coefficient on its grid: beta = steps * se / 10; `decimals` is how many the grid has."""

    beta: float
    se: float
    steps: int
    decimals: int

    @property
    def z(self) -> float:
        """Return beta / se, exactly a tenth of a whole number."""
        return self.steps / GRID_PER_SE

    @property
    def ci(self) -> tuple[float, float]:
        """Return the 95 % Wald interval of the shown numbers, on the decimals of the grid."""
        low, high = (round_decimals(self.beta + side * Z_95 * self.se, self.decimals) for side in (-1, 1))
        return low, high


def round_count(count: int) -> int:
    """Return the multiple of 5 nearest to a count (never a tie, as counts are whole)."""
    return COUNT_BASE * ((count + COUNT_BASE // 2) // COUNT_BASE)


def round_estimate(coef: float, se: float) -> RoundedEstimate:
    """Return the estimate with SE to 2 significant digits and the coefficient on the grid of a tenth of that.

    Raises:
        ValueError: the SE is not positive, or a value is not finite or of absurd size.
    """
    if not (
        math.isfinite(coef) and abs(coef) <= LARGEST_MAGNITUDE and 1 / LARGEST_MAGNITUDE <= se <= LARGEST_MAGNITUDE
    ):
        raise ValueError("an estimate is not finite, or its standard error not positive")
    shown_se = _significant(se, SE_DIGITS)
    step = _EXACT.divide(shown_se, Decimal(GRID_PER_SE))
    steps = int(_EXACT.divide(Decimal(coef), step).to_integral_value(ROUND_HALF_EVEN))
    beta = _EXACT.multiply(step, Decimal(steps))
    return RoundedEstimate(float(beta), float(shown_se), steps, grid_decimals(float(shown_se)))


def grid_decimals(se: float) -> int:
    """Return the decimals of a tenth of an SE that has 2 significant digits."""
    return max(0, SE_DIGITS - Decimal(se).adjusted())


def p_text(z: float) -> str:
    """Return the two-sided p-value of z: 2 significant digits, or "<0.001"."""
    return _p_text(2.0 * float(ndtr(-abs(z))))


def p_text_of_log(log_p: float) -> str:
    """Return a p-value, given as its natural logarithm (so that none is lost to underflow), as text."""
    return _p_text(math.exp(min(log_p, 0.0)))


def round_chi_square(statistic: float) -> float:
    """Return the square of a chi-square's root in tenths: on one degree of freedom that root is z, rule 7 its grid.

    In significant digits a small chi-square would give its coefficient back more finely than the grid of its weight.
    """
    steps = round(math.sqrt(statistic) * GRID_PER_SE)
    return steps**2 / GRID_PER_SE**2


def p_text_of_chi_square(statistic: float, df: int) -> str:
    """Return the upper tail of a chi-square on df (at least 1) degrees of freedom, as text."""
    return _p_text(float(chdtrc(df, statistic)))


def _p_text(p: float) -> str:
    return f"<{SMALLEST_P}" if p < SMALLEST_P else f"{Decimal(f'{p:.1e}'):f}"


def round_ratio(beta: float, decimals: int) -> float | None:
    """Return exp(beta) with digits to match a beta of so many decimals, or None where it is of absurd size."""
    if abs(beta) > math.log(LARGEST_MAGNITUDE):
        return None
    return round_significant(math.exp(beta), max(3, decimals) + 1)


def round_sd(sd: float) -> float:
    """Return an SD to 3 significant digits.

    Raises:
        ValueError: it is not positive and finite.
    """
    if not 1 / LARGEST_MAGNITUDE <= sd <= LARGEST_MAGNITUDE:
        raise ValueError("a standard deviation is not positive")
    return round_significant(sd, SD_DIGITS)


def two_valued_sd(spread: float, n_low: int, n_high: int) -> float:
    """Return the SD of a column with two values from their rounded counts.

    The exact SD of a flag is a function of its exact count, and would give that back: rule 9 through the back door.
    """
    low, high = round_count(n_low), round_count(n_high)
    n = low + high
    return round_sd(spread * math.sqrt(low * high / (n * (n - 1))))


def round_auc(auc: float) -> float:
    """Return an AUC to 2 decimals (rule 10).

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0.0 <= auc <= 1.0:
        raise ValueError("an AUC lies between 0 and 1")
    return round_decimals(auc, AUC_DECIMALS)


def round_significant(value: float, digits: int) -> float:
    """Return a finite value to so many significant digits."""
    return float(_significant(value, digits))


def round_decimals(value: float, decimals: int) -> float:
    """Return a finite value to so many decimals; never minus zero."""
    rounded = _EXACT.quantize(Decimal(value), Decimal(1).scaleb(-decimals))
    return float(rounded) + 0.0


def _significant(value: float, digits: int) -> Decimal:
    return Context(prec=digits, rounding=ROUND_HALF_EVEN).create_decimal(Decimal(value))
