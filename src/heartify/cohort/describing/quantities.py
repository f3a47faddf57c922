"""Guess what a column of numbers measures: by its name, in the unit that its median is plausible in. Pure.

A name alone is not believed: cholesterol coded 1, 2, 3 is no concentration, and an age of 19,000 is one in days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heartify.cohort.describing.name_words import bracketed_texts, fold_accents, name_words
from heartify.cohort.describing.vocabulary import Known, find_known, ranges_by_unit
from heartify.protocol.plausible_ranges import PlausibleRange

_SPELLINGS = {
    "a": {"years", "year", "yrs", "yr", "jahre", "jahren", "ans", "anos"},
    "mo": {"months", "monate", "mois", "meses"},
    "d": {"days", "tage", "tagen", "jours", "dias"},
    "mm[Hg]": {"mmhg"},
    "[lb_av]": {"lb", "lbs", "pounds"},
    "[in_i]": {"in", "inch", "inches", "zoll"},
    "mmol/L": {"mmol", "mmoll"},
    "umol/L": {"umol", "umoll", "mcmoll"},
    "Cel": {"c", "celsius"},
    "[degF]": {"f", "fahrenheit"},
    "/min": {"bpm", "min"},
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a column seems to measure, and how sure that is."""

    known: Known
    entry: PlausibleRange
    reason: str

    @property
    def loinc(self) -> str | None:
        """The usual LOINC code of the quantity in this unit, when the name doesn't say something special."""
        return self.entry.loincs[0] if self.known.has_code and self.entry.loincs else None


def guess_quantity(name: str, values: npt.NDArray[np.float64]) -> Quantity | str | None:
    """Return what a column measures; a text when the name says something that the values contradict; None: unknown.

    `values` are known values without those that mean "not known".
    """
    known = find_known(name_words(name))
    if known is None:
        return None
    entries = ranges_by_unit(known.quantity)
    fitting = [entry for entry in entries if _fits(entry, values)]
    if not fitting:
        units = ", ".join(dict.fromkeys(entry.unit for entry in entries))
        return f"the name suggests {known.title.lower()}, but the median is plausible in none of {units}"
    hinted = [entry for entry in fitting if _is_unit_in_name(entry.unit, name)]
    entry = (hinted or fitting)[0]
    return Quantity(known, entry, _reason(entry, fitting, entries, is_hinted=bool(hinted)))


def _fits(entry: PlausibleRange, values: npt.NDArray[np.float64]) -> bool:
    values = values[values != 0] if entry.value[0] > 0 else values
    return len(values) > 0 and entry.median[0] <= float(np.median(values)) <= entry.median[1]


def _is_unit_in_name(unit: str, name: str) -> bool:
    spellings = _SPELLINGS.get(unit, set()) | {_letters(unit)}
    inside = {_letters(text) for text in bracketed_texts(name)}
    words = name_words(name)
    tails = {"".join(words[start:]) for start in range(1, len(words))}
    return bool(spellings & (inside | tails))


def _letters(text: str) -> str:
    return "".join(letter for letter in fold_accents(text).lower() if letter.isalnum())


def _reason(
    entry: PlausibleRange, fitting: list[PlausibleRange], entries: tuple[PlausibleRange, ...], *, is_hinted: bool
) -> str:
    if is_hinted:
        return "the unit stands in the name, and the median is plausible in it"
    others = [other.unit for other in fitting if other.unit != entry.unit]
    if entry.quantity == "age":
        others.clear()  # years of grown-ups are months of toddlers: the name would say so
    if others:
        return f"the median is plausible in it, but in {' and '.join(dict.fromkeys(others))} too: ask"
    return "the median is plausible in it" + (" and in no other unit known here" if len(entries) > 1 else "")
