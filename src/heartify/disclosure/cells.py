"""The kinds of number that a table may show, each with the grid that its rule demands (rules 7, 9, 10 and 11).

A cell is rounded by its kind, and rounding is idempotent, so that the last gate can tell a released cell from any other
number by rounding it again. There is no kind without a grid: an exact number has nowhere to stand.
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import StrEnum, unique

from heartify.disclosure.cohort_rules import can_show
from heartify.disclosure.rounding import (
    GRID_PER_SE,
    LARGEST_MAGNITUDE,
    SE_DIGITS,
    p_text_of_log,
    round_chi_square,
    round_count,
    round_decimals,
    round_significant,
)

Cell = str | int | float | None
MAX_LABEL_CHARACTERS = 200


@unique
class Kind(StrEnum):
    """What a column of a table holds."""

    LABEL = "label"  # a name of the plan, the dictionary or a grant policy, or a word of a closed list
    NUMBER = "number"  # a whole number that tells nothing of a patient: degrees of freedom, replicates, tests
    COUNT = "count"  # patients: under 10 suppressed, else to the nearest 5 (rule 9)
    SE = "se"  # a standard error: 2 significant digits (rule 7)
    ESTIMATE = "estimate"  # an estimate: on the grid of a tenth of its row's SE (rule 7)
    BOUND = "bound"  # a limit of an interval: on the same grid
    P = "p"  # a p-value, given as its natural logarithm: 2 significant digits, or "<0.001" (rule 7)
    CHI2 = "chi2"  # a chi-square: the square of a root on a grid of a tenth, as z is by rule 7
    STATISTIC = "statistic"  # a test statistic, a variance component: 3 significant digits
    MAGNITUDE = "magnitude"  # a mean, an SD, a knot, in clinical units: 3 significant digits (rule 11)
    INDEX = "index"  # an AUC, a C, a probability, a share: 2 decimals (rule 10)
    FINE_INDEX = "fine_index"  # a Brier score, an R2, a net benefit: 3 decimals


_DECIMALS = {Kind.INDEX: 2, Kind.FINE_INDEX: 3}
_DIGITS = {Kind.SE: SE_DIGITS, Kind.STATISTIC: 3, Kind.MAGNITUDE: 3}


def round_cell(kind: Kind, value: Cell, se: float | None = None) -> Cell:
    """Return a value on the grid of its kind; None where it is suppressed, not finite, or of absurd size.

    `se` is the row's exact or rounded SE, which sets the grid of an ESTIMATE or BOUND. A p-value comes in as its
    natural logarithm and goes out as text.

    Raises:
        ValueError: the value is not of the kind at all.
    """
    if value is None:
        return None
    if kind is Kind.LABEL:
        return _label(value)
    if kind in {Kind.NUMBER, Kind.COUNT}:
        return _whole(kind, float(value))
    number = float(value)
    return _round_real(kind, number, se) if math.isfinite(number) else None


def _round_real(kind: Kind, number: float, se: float | None) -> Cell:
    if kind is Kind.P:
        return p_text_of_log(number)
    if abs(number) > LARGEST_MAGNITUDE or (kind is Kind.SE and number < 1 / LARGEST_MAGNITUDE):
        return None
    if kind in {Kind.ESTIMATE, Kind.BOUND}:
        return _on_grid(number, se)
    if kind is Kind.CHI2:
        return round_chi_square(number) if number >= 0.0 else None
    if kind in _DECIMALS:
        return round_decimals(number, _DECIMALS[kind])
    return round_significant(number, _DIGITS[kind]) + 0.0


def is_released_cell(kind: Kind, value: Cell, se: float | None = None) -> bool:
    """Return whether a cell is exactly what `round_cell` could have made."""
    if value is None:
        return kind is not Kind.LABEL
    if kind is Kind.P:
        return type(value) is str and _is_p_text(value)
    if kind is Kind.LABEL:
        return type(value) is str and _is_label(value)
    if kind in {Kind.NUMBER, Kind.COUNT}:
        return type(value) is int and round_cell(kind, value) == value
    # A whole number of a real kind comes back from canonical JSON as an int.
    return type(value) in {int, float} and round_cell(kind, float(value), se) == value


def _label(value: Cell) -> str:
    if not isinstance(value, str) or not _is_label(value):
        raise ValueError("a label is empty, too long or not printable")
    return value


def _is_label(value: str) -> bool:
    return 0 < len(value) <= MAX_LABEL_CHARACTERS and value.isprintable()


def _whole(kind: Kind, value: float) -> int | None:
    if int(value) != value or value < 0:
        raise ValueError(f"a {kind} is not a whole number")
    if kind is Kind.NUMBER:
        return int(value)
    return round_count(int(value)) if can_show(int(value)) else None


def _on_grid(number: float, se: float | None) -> float | None:
    if se is None or not 1 / LARGEST_MAGNITUDE <= se <= LARGEST_MAGNITUDE:
        return None
    step = Decimal(repr(round_significant(se, SE_DIGITS))) / GRID_PER_SE
    steps = (Decimal(number) / step).to_integral_value()
    return float(step * steps) + 0.0


def _is_p_text(text: str) -> bool:
    if text == "<0.001":
        return True
    try:
        p = float(text)
    except ValueError:
        return False
    return 0.001 <= p <= 1.0 and p_text_of_log(math.log(p)) == text
