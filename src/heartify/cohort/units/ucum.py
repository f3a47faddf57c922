"""Units by the full UCUM grammar, and the factor between two that measure the same.

Pint (see grammar.py) knows dimensions only: a percentage, an angle and mol/mol have none, a gray and a sievert have the
same. So units must agree in the *kinds* of their atoms as well before a factor is believed. Units are texts of
stewards: bounded and parsed, never evaluated.

Source: UCUM 2.2, sections 2.1 to 2.4 (grammar, annotations), 3.1 (arbitrary units), 3.2 (special units).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from heartify.cohort.units.grammar import ucum_grammar
from heartify.errors import InputError
from heartify.protocol.dictionary import check_ucum

_ANNOTATION = re.compile(r"\{([^{}]*)\}")
_ALONE = re.compile(r"(^|[./(])\{[^{}]*\}")

# Atoms that are no mere multiples of the SI's mechanical units, though their dimension may say so.
_KINDS = {
    "mol": "amount",
    "eq": "charge equivalents",
    "osm": "osmotic amount",
    "kat": "catalytic activity",
    "U": "catalytic activity",
    "Bq": "radioactivity",
    "Ci": "radioactivity",
    "Gy": "absorbed dose",
    "RAD": "absorbed dose",
    "Sv": "dose equivalent",
    "REM": "dose equivalent",
    "rad": "angle",
    "deg": "angle",
    "gon": "angle",
    "'": "angle",
    "''": "angle",
    "sr": "solid angle",
    "bit": "information",
    "By": "information",
}
# Special by UCUM, and yet straight lines.
_TEMPERATURES = frozenset({"Cel", "[degF]", "[degRe]"})


@dataclass(frozen=True, slots=True)
class UcumUnit:
    """A unit that the grammar knows: its text without annotations, and what decides whether it converts.

    `normalised_to` are annotations with digits: mL/min/{1.73_m2} isn't mL/min. `kinds` are more than a dimension tells,
    arbitrary atoms such as [IU] among them. `is_special`: on a logarithmic scale or such, so that no factor exists.
    """

    text: str
    normalised_to: tuple[str, ...]
    kinds: frozenset[str]
    is_special: bool


def parse_unit(unit: str, *, where: str) -> UcumUnit:
    """Parse a unit by the whole grammar; `where` begins the message.

    Raises InputError (DocumentError for what the light check finds) when it is not UCUM.
    """
    check_ucum(unit, where=where)
    text = strip_annotations(unit)
    grammar = ucum_grammar()
    atoms = grammar.atoms(text)
    if atoms is None:
        raise InputError(f"{where}: UCUM has no unit '{unit[:32]}'", hint="look it up at ucum.org, or use '1'")
    return UcumUnit(
        text=text,
        normalised_to=tuple(sorted(found for found in _ANNOTATION.findall(unit) if any(map(str.isdigit, found)))),
        kinds=frozenset(_KINDS[atom] for atom in atoms if atom in _KINDS) | (atoms & grammar.arbitrary),
        is_special=bool(atoms & grammar.special - _TEMPERATURES),
    )


def strip_annotations(unit: str) -> str:
    """Return a unit without its {annotations}, which have no meaning of their own; one alone is the number 1."""
    return _ANNOTATION.sub("", _ALONE.sub(r"\g<1>1", unit))


def find_factor(source: UcumUnit, target: UcumUnit) -> tuple[float, float] | None:
    """Return (scale, shift) such that target value = scale * source value + shift; None when there is none."""
    if source.normalised_to != target.normalised_to:
        return None
    if source.text == target.text:
        return 1.0, 0.0
    if source.kinds != target.kinds or source.is_special or target.is_special:
        return None
    return ucum_grammar().line(source.text, target.text)
