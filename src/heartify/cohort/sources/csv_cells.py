"""One CSV cell against one dictionary column: text in, typed value or a fault out.

Pure and strict: no guessing of types, no silent conversion of units. A fault says what was expected and never what
came, because what came is a patient's value.
"""

from __future__ import annotations

import datetime as dt
import math
import re

from heartify.cohort.encrypted.stored_form import MAX_EXACT_INTEGER
from heartify.protocol.dictionary import Column, normalise_code

CellValue = float | int | bool | str | dt.date | None

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_BOOLEANS = {"0": False, "1": True, "false": False, "true": True}


class CellFault(Exception):  # noqa: N818 - never leaves the CSV source, which collects it into an InputError
    """A cell is not what its column declares; the message is what was expected."""


class CellParser:
    """Parse the cells of one column. `decimal_comma` allows 1,5 beside 1.5, but not both in one column."""

    def __init__(self, column: Column, *, decimal_comma: bool) -> None:
        self._column = column
        self._decimal_comma = decimal_comma
        self._missing = frozenset(normalise_code(code) for code in column.missing_codes)
        self._levels = {normalise_code(code): code for code in column.level_codes}
        self._marks: set[str] = set()

    def parse(self, text: str) -> CellValue:
        """Return the cell's value, None when missing.

        Raises CellFault.
        """
        text = text.strip()
        column = self._column
        if normalise_code(text) in self._missing:
            return None
        if column.role == "id":
            return text
        if column.datatype in {"number", "integer"}:
            return self._parse_numeric(text)
        if column.datatype == "boolean":
            return self._parse_boolean(text)
        return self._parse_level(text) if column.datatype == "category" else _parse_date(text)

    def _parse_numeric(self, text: str) -> float | int | None:
        text = self._with_decimal_point(text)
        if normalise_code(text) in self._missing:
            return None
        value = _parse_number(text) if self._column.datatype == "number" else _parse_integer(text)
        low, high = self._column.minimum, self._column.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise CellFault(f"expected a value from {_limit(low)} to {_limit(high)} {self._column.unit}")
        return value

    def _with_decimal_point(self, text: str) -> str:
        if not self._decimal_comma:
            return text
        self._marks.update(mark for mark in ",." if mark in text)
        if len(self._marks) > 1:
            raise CellFault("expected one decimal mark in the whole column, found comma and point")
        return text.replace(",", ".")

    def _parse_boolean(self, text: str) -> bool:
        value = _BOOLEANS.get(normalise_code(text).lower())
        if value is None:
            raise CellFault("expected one of 0, 1, false, true")
        return value

    def _parse_level(self, text: str) -> str:
        level = self._levels.get(normalise_code(text))
        if level is None:
            shown = ", ".join(self._column.level_codes[:12]) + (", ..." if len(self._levels) > 12 else "")
            raise CellFault(f"expected one of the levels {shown}")
        return level


def _parse_number(text: str) -> float:
    value = float(text) if len(text) <= 64 and _NUMBER.fullmatch(text) else math.inf
    if not math.isfinite(value):
        raise CellFault("expected a number")
    return value


def _parse_integer(text: str) -> int:
    text = normalise_code(text)
    if not _INTEGER.fullmatch(text) or abs(int(text)) > MAX_EXACT_INTEGER:
        raise CellFault("expected a whole number of at most 2^53")
    return int(text)


def _parse_date(text: str) -> dt.date:
    if _DATE.fullmatch(text):
        try:
            return dt.date.fromisoformat(text)
        except ValueError:
            pass
    raise CellFault("expected a date as YYYY-MM-DD")


def _limit(limit: float | None) -> str:
    return "any" if limit is None else f"{limit:g}"
