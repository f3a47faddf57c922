"""What a column's name gives away: its words, and whether it is somebody's age. Pure; knows names, never values."""

from __future__ import annotations

import re

from heartify.protocol.dictionary import Column

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_AGE_UNITS = {"a", "mo", "d"}


def words_of(name: str) -> tuple[str, ...]:
    """Split a column name into lower-case words: 'dateOfBirth' and 'date_of_birth' give the same."""
    return tuple(word.lower() for word in _WORD.findall(name))


def is_age(column: Column) -> bool:
    """Tell whether a numeric column is an age: by LOINC 30525-0, or by its name and a unit of time."""
    if column.datatype not in {"number", "integer"}:
        return False
    return column.loinc == "30525-0" or (column.unit in _AGE_UNITS and "age" in words_of(column.name))
