"""Cells of an estimate with its Wald interval, made of the shown numbers: exact limits would say more than they do."""

from __future__ import annotations

from heartify.disclosure.cells import Cell
from heartify.disclosure.rounding import round_estimate

Row = dict[str, Cell]


def effect_cells(coef: float, se: float, *, name: str = "estimate", prefix: str = "") -> Row:
    """Return se, estimate, ci_low and ci_high; empty cells where the numbers are of absurd size or not finite."""
    names = (f"{prefix}se", name, f"{prefix}ci_low", f"{prefix}ci_high")
    try:
        shown = round_estimate(coef, se)
    except ValueError:
        return dict.fromkeys(names)
    return dict(zip(names, (shown.se, shown.beta, *shown.ci), strict=True))
