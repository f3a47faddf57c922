"""The words of a column's name in the form that the vocabulary has them: small letters, no accents.

`protocol.column_naming.words_of` splits the names of a dictionary; sources name columns in more ways.
"""

from __future__ import annotations

import re
import unicodedata

_BRACKETS = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
MAX_NAME = 64


def words(text: str) -> frozenset[str]:
    """Return a list of words as a set; only so that the lists of this room read as lists."""
    return frozenset(text.split())


def fold_accents(text: str) -> str:
    """Return a text in ASCII letters where it has accented ones: 'Größe' gives 'Grosse'."""
    folded = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ø", "o").replace("æ", "ae"))
    return "".join(letter for letter in folded if not unicodedata.combining(letter))


def name_words(name: str) -> tuple[str, ...]:
    """Return the words of a name: 'sysBP', 'Sys_BP (mmHg)' and 'sys.bp' begin with 'sys', 'bp'."""
    return tuple(word.lower() for word in _WORD.findall(fold_accents(_BRACKETS.sub(" ", name))))


def bracketed_texts(name: str) -> tuple[str, ...]:
    """Return what stands in brackets in a name, which is where units are written: 'Weight [kg]'."""
    return tuple(found.strip() for found in _BRACKETS.findall(name))


def usable_name(name: str, position: int, taken: set[str]) -> str:
    """Return a name that a dictionary may have, near to the source's and unlike all that are taken (small letters)."""
    base = _NOT_IN_A_NAME.sub("_", fold_accents(name)).strip("_.-")[:MAX_NAME].rstrip("_.-")
    if not base:
        base = f"column_{position}"
    elif not (base[0].isalpha() or base[0] == "_"):
        base = f"_{base}"[:MAX_NAME]
    candidate, number = base, 2
    while candidate.lower() in taken:
        candidate = f"{base[: MAX_NAME - 5]}_{number}"
        number += 1
    return candidate
