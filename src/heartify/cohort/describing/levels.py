"""The levels of a coded column, as far as a draft may name them: codes that at least ten patients have.

A rarer code might single out a patient, so that it is counted and not named. Labels are guesses or placeholders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from heartify.cohort.describing.name_words import words
from heartify.protocol.dictionary import MAX_LEVELS, Level

MIN_ROWS = 10
"""As many patients as every count that leaves a hospital: the floor of the disclosure rules."""

LONGEST_CODE = 40
DESCRIBE = "(describe)"

_MALE = words("m male man mann männlich maennlich homme masculin h hombre masculino varón varon")
_FEMALE = words("f w female woman frau weiblich femme féminin feminin mujer femenino")
_YES = words("yes y ja j oui o si sí s true t")
_NO = words("no n nein non false f")


@dataclass(frozen=True, slots=True)
class DraftLevels:
    """Levels that may be named, and how many codes may not."""

    levels: tuple[Level, ...]
    rare_codes: int


def draft_levels(codes: Mapping[str, int], *, missing: Iterable[str], is_sex: bool) -> DraftLevels:
    """Return levels in the order of their codes, numbers by value."""
    left_out = set(missing)
    known = {code: count for code, count in codes.items() if code not in left_out}
    named = sorted((code for code, count in known.items() if count >= MIN_ROWS), key=_order)
    levels = tuple(Level(code=code, label=_label(code, named, is_sex=is_sex)) for code in named[:MAX_LEVELS])
    return DraftLevels(levels, len(known) - len(levels))


def _order(code: str) -> tuple[int, float, str]:
    try:
        return 0, float(code), code
    except ValueError:
        return 1, 0.0, code


def _label(code: str, all_codes: list[str], *, is_sex: bool) -> str:
    word = code.casefold()
    if is_sex and word in _MALE | _FEMALE:
        return "male" if word in _MALE else "female"
    if {other.casefold() for other in all_codes} <= _YES | _NO:
        return "yes" if word in _YES else "no"
    return f"code {code} {DESCRIBE}" if any(letter.isdigit() for letter in code) or len(code) < 3 else code
