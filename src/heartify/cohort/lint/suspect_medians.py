"""What to say of a column whose median is impossible in the declared unit: which unit it looks like, or which mistake.

The median itself is never told.
"""

from __future__ import annotations

from heartify.cohort.lint.findings import Finding
from heartify.protocol.plausible_ranges import RANGES, PlausibleRange


def find_suspect_median(name: str, declared: PlausibleRange, median: float) -> Finding:
    """Return the finding about a column's median that lies outside the declared unit's range."""
    if declared.quantity == "age" and declared.unit == "a":
        code, hint = _misread_age(median)
        return Finding(code, name, "the median is not an age in years", hint)
    return Finding(
        "unit-suspect",
        name,
        f"the median is not plausible for {declared.quantity} in {declared.unit} "
        f"(expected {declared.median[0]:g} to {declared.median[1]:g})",
        _hint_at_unit(declared, median),
    )


def _misread_age(median: float) -> tuple[str, str]:
    if 1900 <= median <= 2100:
        return "birth-year-as-age", "the values look like years of birth: publish the age at the index date"
    if 105 < median <= 1260:
        return "age-in-months", "the values look like months: declare the unit mo, or divide by 12 at the source"
    if 1260 < median <= 38500:
        return "age-in-days", "the values look like days: declare the unit d, or divide by 365.25 at the source"
    return "unit-suspect", "check the unit"


def _hint_at_unit(declared: PlausibleRange, median: float) -> str:
    units = [
        entry.unit
        for entry in RANGES
        if entry.quantity == declared.quantity
        and entry.unit != declared.unit
        and entry.median[0] <= median <= entry.median[1]
    ]
    if units:
        return f"the values look like {' or '.join(dict.fromkeys(units))}"
    for factor, what in ((0.1, "ten times too high"), (10.0, "ten times too low")):
        if declared.median[0] <= median * factor <= declared.median[1]:
            return f"the values look {what}"
    return "check the unit"
