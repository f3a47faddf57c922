"""Numbers as people read them in a report, next to the exact value that the document holds.

Nothing is computed here that isn't in the document: a figure is only shown with fewer digits, and its exact value stays
in the page (the `value` attribute of a `data` element). Never shows a bound as 1 that isn't 1, nor a ratio as 0.
"""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal

MINUS = "\N{MINUS SIGN}"
_USUAL_DECIMALS = 2
_MAX_DECIMALS = 6
_GROUPED_FROM = 10_000
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


Ratios = tuple[float | None, float | None, float | None]
"""An odds ratio, its low and its high bound; None stands for one of absurd size."""


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """A number as shown, and as the document has it; `exact` is empty when the document has none."""

    shown: str
    exact: str


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % confidence interval."""

    estimate: Figure
    low: Figure
    high: Figure

    @property
    def shown(self) -> str:
        """Return estimate and bounds in one line, such as `2.18 (1.79 to 2.65)`."""
        return f"{self.estimate.shown} {self.bounds}".rstrip()

    @property
    def bounds(self) -> str:
        """Return the bounds, such as `(1.79 to 2.65)`; empty where all three are of the same absurd size."""
        beyond = self.low.shown == self.estimate.shown == self.high.shown and not self.estimate.exact
        return "" if beyond else f"({self.low.shown} to {self.high.shown})"


def exact_text(value: float) -> str:
    """Return the shortest plain text of a double, such as `-0.01029` or `1.024e-09`, for machines to read."""
    return repr(float(value))


def fixed_text(value: float, decimals: int) -> str:
    """Return a value to so many decimals with a real minus sign; never minus zero."""
    text = f"{value:.{decimals}f}"
    negative = text.startswith("-") and float(text) != 0
    return (MINUS if negative else "") + text.removeprefix("-")


def count_figure(count: int) -> Figure:
    """Return a count, its thousands set apart from five digits on."""
    shown = f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if count >= _GROUPED_FROM else str(count)
    return Figure(shown, str(count))


def estimate_figure(value: float, decimals: int) -> Figure:
    """Return a figure to so many decimals, or to as many as the document has where it has more."""
    if abs(value) >= 1e6:
        return Figure(scientific_text(value), exact_text(value))
    exponent = Decimal(repr(float(value))).as_tuple().exponent
    decimals_there = -exponent if isinstance(exponent, int) and value != int(value) else 0
    return Figure(fixed_text(value, max(decimals, decimals_there)), exact_text(value))


def se_decimals(se: float, digits: int) -> int:
    """Return the decimals that show a positive standard error to so many significant digits."""
    return max(0, digits - 1 - Decimal(repr(float(se))).adjusted())


def scientific_text(value: float) -> str:
    """Return two significant digits and a power of ten, such as `1.0 × 10⁻⁹`."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.replace('-', MINUS)} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def ratio_decimals(values: Ratios) -> int:
    """Return the decimals that show the nearer bound's distance from the estimate to two digits: 0 to 6.

    Fewer would blur the interval, more would feign precision.
    """
    estimate, low, high = values
    if estimate is None or low is None or high is None or _is_scientific(estimate):
        return _USUAL_DECIMALS
    distance = min(estimate - low, high - estimate)
    wanted = 1 - math.floor(math.log10(distance)) if distance > 0 else _MAX_DECIMALS
    return min(max(wanted, _USUAL_DECIMALS if estimate < 100 else 0), _MAX_DECIMALS)


def ratio_interval(log_odds: float, values: Ratios, decimals: int) -> Interval:
    """Return an odds ratio with its interval; more decimals than asked where a bound would otherwise read as 1 or 0.

    `log_odds` tells on which side of 1 an odds ratio of absurd size lies.
    """
    while decimals < _MAX_DECIMALS and any(_misread(value, decimals) for value in values if value is not None):
        decimals += 1
    estimate, low, high = (_ratio_figure(value, log_odds, decimals) for value in values)
    return Interval(estimate, low, high)


def _misread(value: float, decimals: int) -> bool:
    shown = round(value, decimals)
    return (shown == 1.0 and value != 1.0) or (shown == 0.0 and not _is_scientific(value))


def _is_scientific(value: float) -> bool:
    return value != 0 and not 1e-4 <= abs(value) < 1e6


def _ratio_figure(value: float | None, log_odds: float, decimals: int) -> Figure:
    if value is None:
        return Figure("over 10¹²" if log_odds > 0 else "under 10⁻¹²", "")
    shown = scientific_text(value) if _is_scientific(value) else fixed_text(value, decimals)
    return Figure(shown, exact_text(value))


def ratio_of_log_odds(log_odds: float) -> float | None:
    """Return exp(log_odds), or None where it is of absurd size (over 10^12 or under its inverse)."""
    return math.exp(log_odds) if abs(log_odds) <= math.log(1e12) else None
