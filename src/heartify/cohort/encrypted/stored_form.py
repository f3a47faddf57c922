"""How a column's values lie in its files: a function of its public dictionary entry, and of nothing else.

Hospital and enclave derive the form each for themselves, from the dictionary that the manifest commits to, so that
neither believes a file about its own shape. Width and number of rows give the size of a file: it tells nothing about
values, not how many are missing, not how many are different (docs/adr/0012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np

from heartify.protocol.dictionary import Column

FormKind = Literal["codes", "float64", "float32", "int64", "int32"]

MAX_EXACT_INTEGER = 2**53
"""Integers beyond are refused at ingest, so that the enclave's float64 holds every one exactly."""

MAX_CODE_BITS = 53
INT64_MISSING, INT32_MISSING = -(2**63), -(2**31)
FLOAT64_NAN_BITS, FLOAT32_NAN_BITS = 0x7FF8000000000000, 0x7FC00000
"""The one pattern of bits that means missing: other not-a-numbers could carry what no dictionary declares."""


@dataclass(frozen=True, slots=True)
class StoredForm:
    """One of the forms of a value, with inclusive limits.

    `codes` are the whole numbers 0 to high - low, for low to high in units of the last decimal place; the next one,
    `missing_code`, means missing. In the other forms, a value lies between low and high as it is.
    """

    kind: FormKind
    width_bits: int
    low: float
    high: float
    decimals: int = 0

    @property
    def missing_code(self) -> int:
        """The code that means missing: the number of possible values."""
        return max(0, int(self.high) - int(self.low) + 1)

    @property
    def tag(self) -> bytes:
        """What a message is bound to, so that it opens in this form and in no other."""
        if self.kind != "codes":
            return self.kind.encode("ascii")
        return f"codes {self.width_bits} {self.low} {self.high} {self.decimals}".encode("ascii")


def stored_form(column: Column) -> StoredForm:
    """Return the stored form of a column that is published."""
    if column.datatype == "boolean":
        return _codes(0, 1)
    if column.datatype == "category":
        return _codes(0, len(column.levels) - 1)
    if column.datatype == "date":
        return StoredForm("int32", 32, INT32_MISSING + 1, 2**31 - 1)
    return _integer_form(column) if column.datatype == "integer" else _number_form(column)


def scaled_limits(column: Column, decimals: int) -> tuple[int, int] | None:
    """Return a column's limits as whole numbers of its last decimal place; None unless both are declared.

    Exact: the limits are the decimals that stand in the dictionary, not the doubles next to them.
    """
    if column.minimum is None or column.maximum is None:
        return None
    step = 10**decimals
    return math.ceil(_exactly(column.minimum) * step), math.floor(_exactly(column.maximum) * step)


def _integer_form(column: Column) -> StoredForm:
    limits = scaled_limits(column, 0)
    if limits is not None and _is_short(*limits):
        return _codes(*limits)
    low = -MAX_EXACT_INTEGER if column.minimum is None else max(-MAX_EXACT_INTEGER, math.ceil(column.minimum))
    high = MAX_EXACT_INTEGER if column.maximum is None else min(MAX_EXACT_INTEGER, math.floor(column.maximum))
    return StoredForm("int64", 64, low, high)


def _number_form(column: Column) -> StoredForm:
    if column.decimals is not None:
        limits = scaled_limits(column, column.decimals)
        if limits is not None and _is_short(*limits):
            return _codes(*limits, column.decimals)
    single = column.precision == "single"
    greatest = float(np.finfo(np.float32 if single else np.float64).max)
    low = max(-greatest, -greatest if column.minimum is None else column.minimum)
    high = min(greatest, greatest if column.maximum is None else column.maximum)
    if single:
        # Rounding keeps order: what is within the limits is within the rounded limits when it is rounded itself.
        return StoredForm("float32", 32, float(np.float32(low)), float(np.float32(high)))
    return StoredForm("float64", 64, low, high)


def _is_short(low: int, high: int) -> bool:
    """Tell whether codes of that range, and the whole numbers they stand for, are exact in a float64."""
    return max(abs(low), abs(high)) <= MAX_EXACT_INTEGER and (high - low + 1).bit_length() <= MAX_CODE_BITS


def _codes(low: int, high: int, decimals: int = 0) -> StoredForm:
    # Limits may exclude every value, as 1.2 to 1.8 do for a whole number: then there is only missing, in one bit.
    return StoredForm("codes", max(1, max(0, high - low + 1).bit_length()), low, high, decimals)


def _exactly(limit: float) -> Fraction:
    return Fraction(Decimal(repr(limit)))
