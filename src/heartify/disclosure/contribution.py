"""Rule 1, second half: which hospitals contribute.

A hospital with fewer than 20 complete cases is left out of the fit, by name and without a count; the study goes on
with the others. Decided on counts alone, before any row is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIN_ROWS_PER_HOSPITAL = 20


@dataclass(frozen=True, slots=True)
class Contribution:
    """The names of the hospitals that are kept and left out, each in the order given."""

    kept: tuple[str, ...]
    left_out: tuple[str, ...]


def contributing(n_by_hospital: Mapping[str, int]) -> Contribution:
    """Split hospitals, given their numbers of complete cases, by the limit of 20."""
    kept = tuple(name for name, n in n_by_hospital.items() if n >= MIN_ROWS_PER_HOSPITAL)
    left_out = tuple(name for name, n in n_by_hospital.items() if n < MIN_ROWS_PER_HOSPITAL)
    return Contribution(kept, left_out)
