"""The draft of one column: what its texts and its name suggest, each guess with its reason.

A column that identifies people is drafted as an id, which is never published, or left out. What a draft says of the
values is bounded: codes that ten patients have, limits that no patient has, the number of decimal places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from heartify.cohort.describing.name_roles import is_outcome_name, is_time_name
from heartify.cohort.describing.profile import ColumnProfile
from heartify.cohort.describing.quantities import Quantity
from heartify.cohort.steward_dictionary import ColumnSource
from heartify.protocol.dictionary import MAX_TEXT, Column, Datatype, Role

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RawColumn:
    """What is known of a column of the source, and the name that it will have in the dictionary.

    `values` are a sample of its numbers, NaN where missing, in the same rows for all columns.
    """

    source_name: str
    name: str
    profile: ColumnProfile
    values: Numbers
    is_last: bool = False

    @property
    def title(self) -> str:
        """The name as people write it."""
        return (self.source_name.replace("_", " ").strip() or self.name)[:MAX_TEXT]


@dataclass(frozen=True, slots=True)
class ColumnDraft:
    """A drafted column with its notes (by field), or the reason why there is none."""

    column: Column | None = None
    source: ColumnSource | None = None
    heading: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    left_out: str = ""
    quantity: Quantity | None = None


def leave_out(reason: str) -> ColumnDraft:
    """Return a draft that has no column, and says why."""
    return ColumnDraft(left_out=reason)


def source_of(raw: RawColumn, unit: str | None = None) -> ColumnSource | None:
    """Return the `source` of a column where it is not simply the column of the same name and unit."""
    return None if raw.source_name == raw.name and unit is None else ColumnSource(name=raw.source_name, unit=unit)


def guess_role(raw: RawColumn, datatype: Datatype) -> tuple[Role, str | None]:
    """Return the role of a column that is no id, and the reason where it isn't the usual one."""
    if datatype in {"boolean", "category"}:
        if is_outcome_name(raw.source_name):
            return "outcome", "guess: the name"
        if raw.is_last:
            return "outcome", "guess: the last column of the source, and coded"
    elif is_time_name(raw.source_name):
        return "time", "guess: the name"
    return "factor", None


def guess_missing_codes(raw: RawColumn, numbers: tuple[str, ...] = ()) -> tuple[tuple[str, ...], str | None]:
    """Return the missing codes of a column: words that always mean it, and numbers that were found to."""
    words = sorted(word for word in raw.profile.missing_words if word)
    reasons = []
    if words:
        reasons.append("words that mean 'not known'")
    if set(numbers) - {"0"}:
        reasons.append("numbers that stand apart from all others")
    if "0" in numbers:
        reasons.append("0, which is impossible here")
    return ("", *words, *numbers), f"guess: {', '.join(reasons)}" if reasons else None


def said(notes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the notes that say something."""
    return {name: note for name, note in notes.items() if note is not None}
