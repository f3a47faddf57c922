"""How a dictionary's column is said in CSVW: its name, datatype with limits, and the identifier of what it measures.

Shared by the CSVW dictionary and by the variables of the catalogue record. Public facts of the dictionary only.

Sources: W3C Metadata Vocabulary for Tabular Data (2015) 5.6 and 5.11.2; W3C CSVW 6.4; XML Schema 1.1 part 2 appendix G.
"""

from __future__ import annotations

import re
import urllib.parse

from heartify.cohort.catalogue.vocabulary import LOINC_TERM, SNOMED_CONCEPT
from heartify.protocol.dictionary import Column

_BASES = {"number": "double", "integer": "integer", "boolean": "boolean", "category": "string", "date": "date"}
_REGEX_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}-]")


def csvw_name(name: str) -> str:
    """Return a column's name as CSVW allows it: letters, digits and inner underscores, all else percent-encoded.

    A name is a variable of a URI template, and one that begins with an underscore is reserved (section 5.6).
    """
    encoded = name.replace("-", "%2D").replace(".", "%2E")
    return "%5F" + encoded[1:] if encoded.startswith("_") else encoded


def column_name(csvw: str) -> str:
    """Return the dictionary's name of a CSVW column name."""
    return urllib.parse.unquote(csvw)


def csvw_base(column: Column) -> str:
    """Return the built-in CSVW datatype; a number with declared decimals is a decimal."""
    return "decimal" if column.decimals is not None else _BASES[column.datatype]


def csvw_datatype(column: Column) -> dict[str, object]:
    """Return the datatype description: base, limits, and the texts that a level or a boolean may have."""
    datatype: dict[str, object] = {"base": csvw_base(column)}
    if column.minimum is not None:
        datatype["minimum"] = _limit(column.minimum)
    if column.maximum is not None:
        datatype["maximum"] = _limit(column.maximum)
    if column.datatype == "boolean":
        datatype["format"] = "1|0"
    if column.levels:
        datatype["format"] = "|".join(_REGEX_SPECIAL.sub(r"\\\g<0>", code) for code in column.level_codes)
    return datatype


def property_url(column: Column) -> str | None:
    """Return the identifier of what is measured: its LOINC term, else its SNOMED CT concept."""
    if column.loinc is not None:
        return LOINC_TERM + column.loinc
    return None if column.snomed is None else SNOMED_CONCEPT + column.snomed


def described(column: Column) -> str:
    """Return the steward's description of a column; its title where there is none."""
    return column.description or column.title


def _limit(limit: float) -> int | float:
    return int(limit) if limit == int(limit) and abs(limit) < 2**53 else limit
