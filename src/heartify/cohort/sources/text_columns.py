"""The texts of one column against its dictionary entry: an Arrow array out, or faults.

Strict: no guessing of types, no silent conversion. Each distinct text is parsed once, as clinical columns repeat
themselves. A fault says what was expected and never what came, because what came is a patient's value.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from heartify.cohort.encrypted.stored_form import MAX_EXACT_INTEGER
from heartify.cohort.sources.bound_columns import BoundColumn
from heartify.cohort.sources.numeric_values import EXPECTED_WHOLE, FaultsByRow, Values, finish_numbers
from heartify.cohort.sources.plain_numbers import parse_plain_numbers
from heartify.protocol.dictionary import normalise_code

DecimalMark = Literal[".", ",", "either"]
"""`either`: comma or point, but one of them in the whole column."""

EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
CACHED_TEXTS = 500_000
"""Parsed texts that are remembered for all columns of a source together: about 100 MB."""

MAX_TEXTS_OF_A_COLUMN = 8_192

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[.,' ’\u00a0\u202f][0-9]{3})+(?:[.,][0-9]+)?", re.ASCII)
_BOOLEANS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}
_MISSING = math.nan
_FAULT = math.inf


class TextColumn:
    """Read the texts of one bound column; keeps which decimal mark it has met first."""

    def __init__(self, bound: BoundColumn, *, decimal: DecimalMark, cached_texts: int) -> None:
        self.bound = bound
        column = bound.column
        self._missing = frozenset(normalise_code(code) for code in column.missing_codes)
        self._levels = {normalise_code(code): float(number) for number, code in enumerate(column.level_codes)}
        self._is_numeric = column.datatype in {"number", "integer"}
        self._decimal = decimal
        self._mark: str | None = None if decimal == "either" else decimal
        self._parse = self._choose_parser()
        self._parsed = _ParsedTexts(self._parse_or_miss, cached_texts)

    def read_ids(self, texts: Iterable[str | None]) -> list[str | None]:
        """Return the texts of an id column, blanks stripped, None where missing."""
        return [None if text is None or self._is_missing(text.strip()) else text.strip() for text in texts]

    def missing_values(self) -> set[float]:
        """Return the missing codes that are values themselves, such as -9 or 1900-01-01, as read_values codes them."""
        values = (self._parse(code) for code in self._missing)
        return {value for value in values if not isinstance(value, str)}

    def read_values(self, texts: Sequence[str | None]) -> tuple[Values, FaultsByRow]:
        """Return one float64 a text (a number, a level's or boolean's code, days since 1970), NaN where missing."""
        values = self._parse_all(texts)
        faults: FaultsByRow = {row: self._explain(texts[row]) for row in np.flatnonzero(np.isinf(values)).tolist()}
        if faults:
            values[list(faults)] = _MISSING
        if self._is_numeric:
            values, more = finish_numbers(values, self.bound)
            faults |= more
        return values, faults

    def _parse_all(self, texts: Sequence[str | None]) -> Values:
        # A numeric column that fills its cache doesn't repeat itself.
        if not self._is_numeric or not self._parsed.is_full:
            return np.fromiter(map(self._parsed.__getitem__, texts), np.float64, len(texts))
        mark = self._mark if self.bound.column.datatype == "number" else None
        values, others = parse_plain_numbers(texts, mark=mark, missing_codes=self._missing)
        for row in others.tolist():
            values[row] = self._parsed[texts[row]]
        return values

    def _choose_parser(self) -> Callable[[str], float | str]:
        datatype = self.bound.column.datatype
        if datatype == "number" or (datatype == "integer" and self.bound.conversion is not None):
            return lambda text: self._parse_numeric(text, _parse_number)
        if datatype == "integer":
            return lambda text: self._parse_numeric(text, _parse_integer)
        if datatype == "boolean":
            return _parse_boolean
        return self._parse_level if datatype == "category" else _parse_date

    def _parse_or_miss(self, text: str | None) -> float:
        if text is None:
            return _MISSING
        text = text.strip()
        if self._is_missing(text):
            return _MISSING
        value = self._parse(text)
        return _FAULT if isinstance(value, str) else value

    def _explain(self, text: str | None) -> str:
        expected = "" if text is None else self._parse(text.strip())
        return expected if isinstance(expected, str) else "expected another value"

    def _is_missing(self, text: str) -> bool:
        # Only a zero fraction makes normalise_code change a stripped text; it is too slow to be asked for every cell.
        return text in self._missing or (".0" in text and normalise_code(text) in self._missing)

    def _parse_numeric(self, text: str, parse: Callable[[str], float | str]) -> float | str:
        if self._mark != "." or "," in text:
            pointed = self._with_decimal_point(text)
            if pointed is None:
                return self._explain_mark(text)
            if self._is_missing(pointed):
                return _MISSING
            text = pointed
        return parse(text)

    def _with_decimal_point(self, text: str) -> str | None:
        """Return the text with a decimal point, None when its marks are not those of the column."""
        marks = [mark for mark in ",." if mark in text]
        if not marks:
            return text
        self._mark = self._mark or marks[0]
        return text.replace(",", ".") if marks == [self._mark] else None

    def _explain_mark(self, text: str) -> str:
        if _GROUPED.fullmatch(text) and (self._decimal != "either" or ("," in text and "." in text)):
            return "expected a number without thousands separators"
        if self._decimal == "either":
            return "expected one decimal mark in the whole column, found comma and point"
        return "expected a number with a decimal " + ("comma" if self._decimal == "," else "point")

    def _parse_level(self, text: str) -> float | str:
        level = self._levels.get(normalise_code(text))
        if level is not None:
            return level
        codes = self.bound.column.level_codes
        return "expected one of the levels " + ", ".join(codes[:12]) + (", ..." if len(codes) > 12 else "")


def texts_of_a_column(columns: int) -> int:
    """Return how many parsed texts each of so many columns may remember."""
    return min(MAX_TEXTS_OF_A_COLUMN, CACHED_TEXTS // columns)


class _ParsedTexts(dict[str | None, float]):
    """Texts already parsed, up to a limit; what is beyond is parsed each time."""

    def __init__(self, parse: Callable[[str | None], float], limit: int) -> None:
        super().__init__()
        self._read, self._limit = parse, limit

    @property
    def is_full(self) -> bool:
        """Tell whether nothing more is remembered."""
        return len(self) >= self._limit

    def __missing__(self, text: str | None) -> float:
        value = self._read(text)
        if len(self) < self._limit:
            self[text] = value
        return value


def _parse_number(text: str) -> float | str:
    # Python's float takes underscores, other scripts' digits, "nan" and "infinity" too: these are no numbers here.
    if len(text) <= 64 and text.isascii() and "_" not in text:
        try:
            value = float(text)
        except ValueError:
            value = math.inf
        if math.isfinite(value):
            return value
    return "expected a number without thousands separators" if _GROUPED.fullmatch(text) else "expected a number"


def _parse_integer(text: str) -> float | str:
    text = normalise_code(text)
    if not _INTEGER.fullmatch(text) or abs(int(text)) > MAX_EXACT_INTEGER:
        return EXPECTED_WHOLE
    return float(int(text))


def _parse_boolean(text: str) -> float | str:
    return _BOOLEANS.get(normalise_code(text).lower(), "expected one of 0, 1, false, true")


def _parse_date(text: str) -> float | str:
    if _DATE.fullmatch(text):
        try:
            return float(dt.date.fromisoformat(text).toordinal() - EPOCH_ORDINAL)
        except ValueError:
            pass
    return "expected a date as YYYY-MM-DD"
