"""Which columns tell, together with others, who somebody is: what a neighbour or a colleague knows about a person.

Decided by the words of a column's name, in several languages, and by its LOINC code; never by its values. What a
hospital alone knows (a measurement, a diagnosis) is not among them.
"""

from __future__ import annotations

import itertools
from typing import Literal

from heartify.protocol.column_naming import is_age, words_of
from heartify.protocol.dictionary import Column

Kind = Literal["age", "sex", "date", "place", "origin", "education", "occupation", "household"]

_LOINC: dict[str, Kind] = {
    "76689-9": "sex",  # sex assigned at birth
    "46098-0": "sex",
    "21840-4": "sex",
    "21112-8": "date",  # birth date
    "45401-7": "place",  # postal code
    "32624-9": "origin",  # race
    "69490-1": "origin",  # ethnicity
    "54899-0": "origin",  # preferred language
    "82589-3": "education",  # highest level of education
    "11341-5": "occupation",  # history of occupation
    "45404-1": "household",  # marital status
}
_WORDS: dict[Kind, str] = {
    "sex": "sex gender male female geschlecht sexe sesso sexo geslacht genre genere plec",
    "date": "yob birthyear",
    "place": "region county state canton kanton district province departement department land country postcode zip "
    "zipcode postal plz city town municipality village community commune gemeinde bundesland ort wohnort pays ville "
    "regione provincia comune comunidad provincie gemeente wojewodztwo",
    "origin": "ethnicity ethnic ethnie race nationality nationalitaet citizenship religion confession language "
    "mothertongue sprache langue lingua idioma birthplace migration raza etnia herkunft",
    "education": "education schooling degree bildung schulabschluss diploma istruzione educacion opleiding",
    "occupation": "occupation profession job employment employer industry beruf metier emploi professione "
    "ocupacion beroep",
    "household": "marital married household children income housing familienstand haushalt einkommen civilstatus "
    "deprivation",
}
_PAIRS: dict[tuple[str, str], Kind] = {
    ("birth", "year"): "date",
    ("year", "birth"): "date",
    ("native", "language"): "origin",
    ("civil", "status"): "household",
}
# 'state' and 'land' mean other things in clinical names.
_UNLESS = {"state": {"mental", "disease", "steady", "health", "functional"}, "degree": {"block", "av", "stenosis"}}


def quasi_identifier_kind(column: Column) -> Kind | None:
    """Return what about a person the column tells that others may know, None when it tells nothing of the kind."""
    if is_age(column):
        return "age"
    if column.loinc in _LOINC:
        return _LOINC[column.loinc]
    if column.datatype == "date":
        return "date"
    if column.datatype == "number":
        return None  # a measurement; ages are recognised above
    words = tuple(word for word in words_of(column.name) if word not in {"of", "at"})
    usable = {word for word in words if not _UNLESS.get(word, set()) & set(words)}
    for kind, listed in _WORDS.items():
        if usable & set(listed.split()):
            return kind
    pairs = set(itertools.pairwise(words))
    return next((kind for pair, kind in _PAIRS.items() if pair in pairs), None)


def is_sex(column: Column) -> bool:
    """Tell whether a column is somebody's sex or gender."""
    return column.datatype != "date" and quasi_identifier_kind(column) == "sex"
