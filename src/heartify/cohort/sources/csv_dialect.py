"""How a text file is written: delimiter and decimal mark, given by the steward or found in its first line.

The delimiter is the one that separates names we know. A decimal comma is taken for granted only where the delimiter
is a semicolon, as spreadsheet programs write them together. Pure.
"""

from __future__ import annotations

from collections.abc import Collection

from heartify.cohort.sources.text_columns import DecimalMark
from heartify.errors import UsageError

DELIMITERS = ",;\t|"
_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "pipe": "|"}
_NEVER = '"\r\n\0.+-_'


def check_delimiter(delimiter: str | None) -> str | None:
    """Return the delimiter that the steward gave as one character, None when none was given.

    Raises UsageError for one that can't separate cells.
    """
    if delimiter is None:
        return None
    character = _NAMED.get(delimiter.lower(), delimiter)
    if len(character) != 1 or character in _NEVER or character.isalnum():
        raise UsageError(
            "the delimiter must be one character that no number or name has",
            hint="such as , ; | ~ or the word tab",
        )
    return character


def declared_delimiter(line: str) -> str | None:
    """Return what a first line such as `sep=;`, which spreadsheet programs write, says; None when it says nothing."""
    text = line.rstrip("\r\n")
    return text[4] if len(text) == 5 and text[:4].lower() == "sep=" and text[4] not in _NEVER else None


def find_delimiter(header: str, known: Collection[str]) -> str:
    """Return the delimiter that makes most cells of the header names we know; the most frequent one when none does.

    Another character than the usual four is taken only when it separates more known names than they do.
    """
    names = set(known)
    usual = max(DELIMITERS, key=lambda delimiter: (_count_known(header, delimiter, names), header.count(delimiter)))
    others = sorted({c for c in header if not c.isalnum() and not c.isspace() and c not in _NEVER and c != "'"} | (
        {c for c in header if c in "\x1c\x1d\x1e\x1f"}
    ))  # fmt: skip
    best = max(others, key=lambda delimiter: _count_known(header, delimiter, names), default=usual)
    return best if _count_known(header, best, names) > _count_known(header, usual, names) else usual


def choose_decimal(decimal: str | None, delimiter: str) -> DecimalMark:
    """Return the decimal mark that numbers have.

    Raises UsageError when the steward gave something else than a comma or a point.
    """
    if decimal == ".":
        return "."
    if decimal == ",":
        return ","
    if decimal is not None:
        raise UsageError("the decimal mark must be a point or a comma", hint="such as --decimal ,")
    return "either" if delimiter == ";" else "."


def _count_known(header: str, delimiter: str, names: set[str]) -> int:
    return len({cell.strip().strip('"').strip() for cell in header.split(delimiter)} & names)
