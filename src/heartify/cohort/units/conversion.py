"""How values in one unit become values in another: value * scale + shift, declared by the steward, never guessed.

Units of one dimension convert by UCUM. Mass and substance concentration differ by the analyte's molar mass, so they
convert only when the LOINC code says which analyte it is; the factors are `protocol.plausible_ranges.UNITS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heartify.cohort.units.ucum import UcumUnit, find_factor, parse_unit
from heartify.errors import InputError
from heartify.protocol.plausible_ranges import UNITS, quantity_of


@dataclass(frozen=True, slots=True)
class Conversion:
    """The straight line from values in one unit to values in another."""

    scale: float = 1.0
    shift: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Tell whether values stay as they are."""
        return (self.scale, self.shift) == (1.0, 0.0)

    def apply(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return converted values; a missing value (NaN) stays one."""
        return values if self.is_identity else values * self.scale + self.shift

    def then(self, following: Conversion) -> Conversion:
        """Return this conversion followed by another, as one."""
        return Conversion(self.scale * following.scale, self.shift * following.scale + following.shift)


IDENTITY = Conversion()


def find_conversion(from_unit: str, to_unit: str, *, loinc: str | None = None) -> Conversion:
    """Return how values in `from_unit` become values in `to_unit`, for the analyte of the LOINC code where needed.

    Raises InputError when a unit is not UCUM or there is no conversion.
    """
    if from_unit == to_unit:
        return IDENTITY
    source, target = parse_unit(from_unit, where="unit of the source"), parse_unit(to_unit, where="unit")
    factor = find_factor(source, target)
    if factor is not None:
        return Conversion(*factor)
    quantity = None if loinc is None else quantity_of(loinc)
    found = None if quantity is None else _by_analyte(UNITS.get(quantity, {}), source, target)
    if found is None:
        raise _no_conversion(from_unit, to_unit, loinc, quantity)
    return found


def _by_analyte(units: Mapping[str, tuple[float, float]], source: UcumUnit, target: UcumUnit) -> Conversion | None:
    """Return the way over the analyte's own table: to a unit in it, through its first unit, and out to the target."""
    start = _nearest(units, source)
    goal = _nearest(units, target)
    if start is None or goal is None:
        return None
    (unit_in, into), (unit_out, out_of) = start, goal
    scale_in, shift_in = units[unit_in]
    to_base = Conversion(1 / scale_in, -shift_in / scale_in)
    return into.then(to_base).then(Conversion(*units[unit_out])).then(_inverse(out_of))


def _nearest(units: Mapping[str, tuple[float, float]], unit: UcumUnit) -> tuple[str, Conversion] | None:
    """Return the first unit of the table that a unit converts into by dimension, and how."""
    for name in units:
        factor = find_factor(unit, parse_unit(name, where="analyte's unit"))
        if factor is not None:
            return name, Conversion(*factor)
    return None


def _inverse(conversion: Conversion) -> Conversion:
    return Conversion(1 / conversion.scale, -conversion.shift / conversion.scale)


def _no_conversion(from_unit: str, to_unit: str, loinc: str | None, quantity: str | None) -> InputError:
    if loinc is None:
        hint = "mass and amount of substance convert when the column has its LOINC code; else convert at the source"
    elif quantity is None:
        hint = f"LOINC {loinc} is no analyte with a known factor here: convert at the source"
    else:
        hint = f"LOINC {loinc} is {quantity}, which is not measured in both: correct the units or convert at the source"
    return InputError(f"there is no conversion from '{from_unit[:32]}' to '{to_unit[:32]}'", hint=hint)
