"""A steward's codes as the identifiers that HealthDCAT-AP demands, and which of his details are missing for a record.

A code may be given short ("EHRS", "DE", "de") or as its full address. One that is not known is reported and left out
of the record: an invented identifier would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from heartify.cohort.catalogue import vocabulary
from heartify.cohort.steward_dictionary import CatalogueDetails, Organisation, StewardDictionary

_IRI = re.compile(r"https?://[^\s<>\"{}|\\^`]+")
_CODE = re.compile(r"[A-Z][A-Z_]{2,63}")


@dataclass(frozen=True, slots=True)
class MissingDetail:
    """A field of the steward's `[catalogue]` table that a record for a non-public dataset needs, and why it lacks."""

    name: str
    reason: str


def health_category_iris(details: CatalogueDetails) -> list[str]:
    """Return the categories of Art. 51(1) that are recognised."""
    return _iris(details.health_categories, vocabulary.HEALTH_CATEGORY, vocabulary.HEALTH_CATEGORIES)


def health_theme_iris(details: CatalogueDetails) -> list[str]:
    """Return the health themes: any address, or any code of the form that the vocabulary's codes have."""
    codes = {theme for theme in details.health_themes if _CODE.fullmatch(theme)}
    return _iris(details.health_themes, vocabulary.HEALTH_THEME, codes)


def theme_iris(details: CatalogueDetails) -> list[str]:
    """Return the data themes; health is one of them always."""
    given = _iris(details.themes, vocabulary.DATA_THEME, vocabulary.DATA_THEMES)
    return list(dict.fromkeys((vocabulary.HEALTH_DATA_THEME, *given)))


def country_iris(details: CatalogueDetails) -> list[str]:
    """Return the countries that the EU's table is known to have."""
    return [vocabulary.COUNTRY + vocabulary.COUNTRIES[code] for code in details.spatial if code in vocabulary.COUNTRIES]


def language_iris(details: CatalogueDetails) -> list[str]:
    """Return the languages that the EU's table is known to have, by the first part of their tags."""
    parts = (tag.split("-", 1)[0] for tag in details.languages)
    return [vocabulary.LANGUAGE + vocabulary.LANGUAGES[part] for part in parts if part in vocabulary.LANGUAGES]


def is_iri(text: str) -> bool:
    """Tell whether a text is a web address that may stand as an identifier."""
    return _IRI.fullmatch(text) is not None


def missing_details(steward: StewardDictionary) -> tuple[MissingDetail, ...]:
    """Return the mandatory details that are missing or not usable, in the order of the catalogue's table."""
    details = steward.catalogue
    checks = (
        ("publisher", _organisation_fault(details.publisher)),
        ("contact", _organisation_fault(details.contact)),
        ("hdab", _organisation_fault(details.hdab)),
        ("keywords", None if details.keywords else "at least one keyword"),
        ("health_categories", _codes_fault(details.health_categories, health_category_iris(details), "EHRS")),
        ("health_themes", _codes_fault(details.health_themes, health_theme_iris(details), "NONCOMMUNICABLE_DISEASES")),
        ("purpose", None if details.purpose else "what the data are collected and shared for"),
        ("provenance", None if details.provenance else "how the data came about"),
        ("spatial", _codes_fault(details.spatial, country_iris(details), "DE")),
        ("conditions", None if details.conditions else "the web address where access is asked for"),
        ("description", None if steward.dictionary.description else "the dictionary's description is empty"),
    )
    return tuple(MissingDetail(name, fault) for name, fault in checks if fault is not None)


def _iris(given: Iterable[str], base: str, codes: Collection[str]) -> list[str]:
    found = (base + text if text in codes else text if is_iri(text) else None for text in given)
    return list(dict.fromkeys(iri for iri in found if iri is not None))


def _organisation_fault(organisation: Organisation | None) -> str | None:
    if organisation is None:
        return "its name, and an email or web address"
    return None if organisation.email or organisation.url else "an email or web address beside its name"


def _codes_fault(given: tuple[str, ...], found: list[str], example: str) -> str | None:
    if not given:
        return f'at least one code, e.g. "{example}"'
    return None if len(found) >= len(set(given)) else "a code that is not known: correct it, or give its full address"
